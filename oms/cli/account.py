"""``positions``, ``funds`` and ``select``: what is held, what can be spent, how the universe was scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import click

from oms.cli import options
from oms.cli.layout import CENT, NOTHING, moment, money, number, table
from oms.cli.reading import NOTHING_YET, Answer, at_desk, at_time, of_journal, show
from oms.errors import UsageError
from oms.questions import account as questions
from oms.questions.account import FUNDS


@click.command()
@of_journal
@at_time
def positions(*, json_: bool, dry_run: bool, at: str | None) -> None:
    """Show the shares that the journal says are held, at the newest price it knows."""
    asked = None if at is None else options.instant(at, "--at")
    show(questions.positions(at_desk(dry_run=dry_run), asked), _positions, json_=json_)


def _positions(answer: Answer) -> Iterator[str]:
    held = answer["positions"]
    if not held:
        yield "no shares are held"
        return
    rows = [
        [
            position["symbol"],
            number(position["qty"]),
            money(position["avg_cost"]),
            money(position["last_px"]),
            money(position["market_value"]),
            money(position["unrealized_pnl"]),
            position["score"] or NOTHING,
        ]
        for position in held
    ]
    yield from table(["symbol", "shares", "cost each", "last", "value", "unrealised", "score"], rows, "lrrrrrr")
    yield f"prices of {moment(answer['as_of'])}"


@click.command()
@of_journal
@at_time
def funds(*, json_: bool, dry_run: bool, at: str | None) -> None:
    """Show the newest reading of the account's money, and what open buys reserve of it."""
    asked = None if at is None else options.instant(at, "--at")
    show(questions.funds(at_desk(dry_run=dry_run), asked), _funds, json_=json_)


def _funds(answer: Answer) -> Iterator[str]:
    if answer["as_of"] is None:
        yield NOTHING_YET
        return
    names = [name for name in FUNDS if name not in ("currency", "as_of")]
    width = max(len(money(answer[name])) for name in names)
    for name in names:
        yield f"{name.replace('_', ' '):<15} {money(answer[name]):>{width}}"
    yield f"in {answer['currency']}, read {moment(answer['as_of'])}"
    yield from _ledgers(answer["currencies"])


def _ledgers(currencies: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each currency by the journal's ledger beside the broker's word."""
    if not currencies:
        return
    headings = ["currency", "settled", "not yet", "settles", "cash", "broker's cash", "of it settled", "agree"]
    yield from table(headings, map(_ledger, currencies), "lrrlrrrl")
    beside = ", ".join(each["currency"] for each in currencies if not each["is_traded"])
    if beside:
        yield f"nothing is ever spent in {beside}, and no rate is made up to count it"


def _ledger(each: Mapping[str, Any]) -> list[str]:
    told, apart = each["broker"] or {}, each["differs_by"]
    agree = NOTHING if apart is None else "yes" if abs(Decimal(apart)) <= CENT else f"no, {_amount(apart)} apart"
    return [
        each["currency"],
        _amount(each["settled"]),
        _amount(each["waiting"]),
        ", ".join(f"{_amount(part['amount'])} on {part['settles']}" for part in each["unsettled"]) or NOTHING,
        _amount(each["cash"]),
        _amount(told.get("cash")),
        _amount(told.get("settled_cash")),
        agree,
    ]


def _amount(value: str | None) -> str:
    """Without a sign of one currency: the first column names it."""
    return NOTHING if value is None else f"{Decimal(value):,.2f}"


@click.command(name="select")
@of_journal
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the best N.")
@click.option("--explain", "symbol", metavar="SYMBOL", help="Every factor of one symbol's score, or why it has none.")
def select_(*, json_: bool, dry_run: bool, top: int | None, symbol: str | None) -> None:
    """Show the scores of the universe as the last selection saw them, best first."""
    if symbol is None:
        show(questions.selection(at_desk(dry_run=dry_run), top), _scores, json_=json_)
        return
    if top is not None:
        raise UsageError("--top shows the best and --explain one symbol; give one of them")
    from oms.questions import selection

    name = options.symbol(symbol) or ""
    show(selection.explained(at_desk(dry_run=dry_run), name), _explained, json_=json_)


def _explained(answer: Answer) -> Iterator[str]:
    score = answer["score"]
    if score is None:
        yield f"{answer['symbol']} has no score: {answer['excluded_by'] or 'the strategy gave none'}"
    else:
        place = "" if answer["rank"] is None else f", rank {answer['rank']} of {answer['of']}"
        yield f"{answer['symbol']} scores {score} of 100{place}"
    if score is not None and answer["excluded_by"]:
        yield f"it is not bought all the same: {answer['excluded_by']}"
    if answer["factors"]:
        rows = [
            [part["name"], part["value"], part["percentile"], f"{part['weight']} %", part["points"], part["meaning"]]
            for part in answer["factors"]
        ]
        yield from table(["factor", "value", "percentile", "weight", "points", "what it is"], rows, "lrrrrl")
        yield f"close / slow average {answer['over_average']}: above 1 it may be bought, below 0.98 it is sold"
        yield f"from {answer['lookback']} bars to {answer['as_of']}"
    chosen = "" if answer["strategy"] is None else f", strategy {answer['strategy']}"
    yield f"bars {answer['bars_hash'][:12]}…, configuration {answer['config_hash'][:12]}…{chosen}"


def _scores(answer: Answer) -> Iterator[str]:
    if answer["as_of"] is None:
        yield "no screen yet; `run` makes one, and `plan` shows what it would choose"
        return
    rows = [
        [number(score["rank"]), score["symbol"], score["score"] or NOTHING, score["excluded_by"] or ""]
        for score in answer["scores"]
    ]
    yield from table(["rank", "symbol", "score", "excluded by"], rows, "rlr")
    yield f"from bars to {answer['as_of']}"
