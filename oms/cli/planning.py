"""``plan``: what the next cycle would do, on today's account and prices; sends and journals nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any

import click

from oms.cli import options
from oms.cli.layout import NOTHING, money, number, table
from oms.cli.reading import Answer, ask, show


@click.command()
@options.common
@options.as_json
@click.option("--signals", metavar="FILE|-", help="Plan from a JSON or CSV file, or from stdin, instead of the screen.")
def plan(*, json_: bool, signals: str | None) -> None:
    """Show what the next cycle would do; nothing is sent and nothing is journaled.

    Every sell is taken to fill at its limit, so the buys are those that the money then covers.
    """
    loaded = options.configuration()
    wishes = options.read_wishes(signals) if signals else None
    from oms import app
    from oms.journal import history

    started = ask(
        loaded, lambda reader: history.cycle_list(reader, limit=1, is_open=True), {"cycles": []}, dry_run=False
    )
    for cycle in started["cycles"]:
        click.echo(f"oms: {cycle['cycle_id']} is open in {cycle['phase']}; `run` finishes it first", err=True)
    show(answer_of(app.next_cycle(loaded, wishes)), _lines, json_=json_)


def answer_of(found: Any) -> Answer:
    """A forecast of ``app.next_cycle`` as JSON; None, where no trading day is left, is an empty one."""
    if found is None:
        empty: list[Any] = []
        return {
            "schema": "oms.plan/1",
            "sells": empty,
            "buys": empty,
            "budget": None,
            "as_of": None,
            "trading_day": None,
        }
    return {
        "schema": "oms.plan/1",
        "sells": [
            {
                "symbol": sell.symbol,
                "quantity": 0 if sell.rule is not None else sell.quantity,
                "planned": sell.quantity,
                "limit": _text(sell.limit),
                "value": _text(sell.quantity * sell.worst_px),
                "score": _text(sell.score),
                "rule": sell.rule,
                "reason": sell.reason,
            }
            for sell in found.sells
        ],
        "buys": [
            {
                "symbol": buy.symbol,
                "quantity": validated.quantity,
                "planned": buy.quantity,
                "limit": _text(validated.limit),
                "value": _text(validated.quantity * validated.worst_px),
                "score": _text(buy.score),
                "rule": validated.rule,
                "reason": validated.reason,
            }
            for buy, validated in found.buys
        ],
        "budget": _text(found.budget),
        "expected": _text(found.expected),
        "as_of": found.day.opens.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "trading_day": found.day.day.isoformat(),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _lines(answer: Answer) -> Iterator[str]:
    if answer["as_of"] is None:
        yield "no trading day is left in the data"
        return
    yield f"for {answer['trading_day']}, nothing is sent"
    rows = [*_rows("SELL", answer["sells"]), *_rows("BUY", answer["buys"])]
    if not rows:
        yield "nothing to sell and nothing to buy"
        return
    yield from table(["", "symbol", "shares", "of", "limit", "value", "score", "rule", "reason"], rows, "llrrrrrll")
    yield f"budget {money(answer['budget'])} of {money(answer['expected'])} once every sell has filled at its limit"


def _rows(side: str, wishes: list[dict[str, Any]]) -> Iterator[list[str]]:
    for wish in wishes:
        why = wish["rule"] not in (None, "original")
        yield [
            side,
            wish["symbol"],
            number(wish["quantity"]),
            number(wish["planned"]),
            number(wish["limit"]),
            money(wish["value"]),
            wish["score"] or NOTHING,
            wish["rule"] if why else "",
            wish["reason"] if why else "",
        ]
