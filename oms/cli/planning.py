"""``plan``: what the next cycle would do, on today's account and prices; sends and journals nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from oms.cli import options
from oms.cli.layout import NOTHING, money, number, table
from oms.cli.reading import Answer, show
from oms.questions.asking import Desk


@click.command()
@options.common
@options.as_json
@click.option("--signals", metavar="FILE|-", help="Plan from a JSON or CSV file, or from stdin, instead of the screen.")
def plan(*, json_: bool, signals: str | None) -> None:
    """Show what the next cycle would do; nothing is sent and nothing is journaled.

    Every sell is taken to fill at its limit, so the buys are those that the money then covers.
    """
    loaded = options.configuration()
    wishes = options.read_wishes(signals) if signals is not None else None
    from oms.questions import history, planning

    for cycle in history.cycles(Desk(loaded=loaded), limit=1, is_open=True)["cycles"]:
        click.echo(f"oms: {cycle['cycle_id']} is open in {cycle['phase']}; `run` finishes it first", err=True)
    show(planning.plan(loaded, wishes), _lines, json_=json_)


def _lines(answer: Answer) -> Iterator[str]:
    if answer["as_of"] is None:
        yield "no trading day is left in the data"
        return
    yield f"for {answer['trading_day']}, nothing is sent"
    halt = answer["halted"]
    if halt is not None:
        stopped = "no order is sent" if halt["scope"] == "all" else "no buy is sent"
        yield f"HALTED by {halt['author']}, {stopped} until `release`: {halt['reason'] or 'no reason given'}"
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
