"""``positions``, ``funds`` and ``select``: what is held, what can be spent, how the universe was scored."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.layout import NOTHING, moment, money, number, table
from oms.cli.reading import NOTHING_YET, Answer, at_desk, at_time, of_journal, show
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


@click.command(name="select")
@of_journal
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the best N.")
def select_(*, json_: bool, dry_run: bool, top: int | None) -> None:
    """Show the scores of the universe as the last cycle saw them, best first."""
    show(questions.selection(at_desk(dry_run=dry_run), top), _scores, json_=json_)


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
