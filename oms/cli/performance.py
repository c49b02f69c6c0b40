"""``report`` and ``pnl``: how well the account trades, and what it earned, from the journal alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from oms.cli import options
from oms.cli.layout import NOTHING, count, moment, money, number, table
from oms.cli.reading import Answer, Command, at_desk, of_journal, show
from oms.questions import performance

_NO_CYCLE = "no cycle was opened in that time; `cycle list` shows those there are"


def in_time(command: Command) -> Command:
    """Give a command ``--since`` and ``--until``."""
    until = click.option("--until", metavar="TIME", help="Only what came before then.")
    since = click.option(
        "--since", metavar="TIME", help="Only what came from then on: 2026-11-20, today, or 7d (ago); real time, UTC."
    )
    return since(until(command))


def _times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    return (
        None if since is None else options.instant(since, "--since"),
        None if until is None else options.instant(until, "--until"),
    )


@click.command()
@of_journal
@in_time
@click.option(
    "--days", "most", type=click.IntRange(min=0), default=10, metavar="N", help="Show the newest N days (10)."
)
def report(*, json_: bool, dry_run: bool, since: str | None, until: str | None, most: int) -> None:
    """Show how well it trades: buys that succeeded, delay from sells to buys, use of the funds, cuts, errors.

    Per exchange day and in total, from the journal alone. The delay runs from the last fill of a cycle's sells to its
    first buy on the wire; the use of funds is what was bought of what could be spent, of which
    execution.funds_fraction is allowed. JSON has every day.
    """
    answer = performance.report(at_desk(dry_run=dry_run), *_times(since, until))
    show(answer, lambda found: _report(found, most), json_=json_)


def _report(answer: Answer, most: int) -> Iterator[str]:
    if not answer["cycles"]:
        yield _NO_CYCLE
        return
    delay = answer["sell_to_buy_delay_s"]
    sent, filled = count(answer["buys_sent"], "buy"), answer["buys_filled"]
    yield f"{count(answer['cycles'], 'cycle')} on {count(len(answer['by_day']), 'day')}: {_tally(answer['outcomes'])}"
    yield f"buy success       {_percent(answer['buy_success_rate'])}  ({sent} sent, {filled} filled whole)"
    yield f"sell to buy       {_delays(delay)}"
    yield f"funds used        {_percent(answer['funds_used_share'])}  of what could be spent"
    yield f"revalidated       {count(answer['revalidated'], 'buy')}, {answer['cut']} cut: {_tally(answer['cut_by_rule'])}"
    yield f"blocked           {_tally(answer['blocked_by_rule'])}"
    yield f"liquidity errors  {answer['liquidity_errors']}  (of {count(answer['rejected'], 'order')} rejected by the broker)"
    yield f"duplicates        {answer['duplicates']}"
    yield f"traded            {money(answer['sold'])} sold, {money(answer['bought'])} bought, {money(answer['fees'])} fees"
    shown = answer["by_day"][-most:] if most else []
    if not shown:
        return
    yield ""
    headings = ["day", "cycles", "buys", "success", "delay p50", "p95", "max", "funds used", "cut", "errors", "twice"]
    yield from table(headings, (_day(each) for each in shown), "lrrrrrrrrrr")
    if len(shown) < len(answer["by_day"]):
        yield f"the newest {len(shown)} of {len(answer['by_day'])} days; --days N shows more"


def _day(each: Mapping[str, Any]) -> list[str]:
    delay = each["sell_to_buy_delay_s"]
    return [
        each["day"],
        str(each["cycles"]),
        str(each["buys_sent"]),
        _percent(each["buy_success_rate"]),
        *(_second(delay[name]) for name in ("p50", "p95", "max")),
        _percent(each["funds_used_share"]),
        str(each["cut"]),
        str(each["liquidity_errors"]),
        str(each["duplicates"]),
    ]


def _tally(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counted.items()) or "none"


def _percent(fraction: str | None) -> str:
    return NOTHING if fraction is None else f"{Decimal(fraction) * 100:.1f}%"


def _second(seconds: str | None) -> str:
    return NOTHING if seconds is None else f"{Decimal(seconds):.2f} s"


def _delays(delay: Mapping[str, str | None]) -> str:
    if delay["max"] is None:
        return f"{NOTHING}  (no cycle has sold and then bought)"
    return f"p50 {_second(delay['p50'])}, p95 {_second(delay['p95'])}, at most {_second(delay['max'])}"


@click.command()
@of_journal
@in_time
def pnl(*, json_: bool, dry_run: bool, since: str | None, until: str | None) -> None:
    """Show profit and loss, realised and not, today and in all, by symbol.

    At average cost with fees, from the journal alone; shares are valued at the newest price that the journal knows.
    Today is the last trading day of the journal. With --since or --until only sales journaled in that time count as
    realised.
    """
    answer = performance.pnl(at_desk(dry_run=dry_run), *_times(since, until))
    show(answer, _pnl, json_=json_)


def _pnl(answer: Answer) -> Iterator[str]:
    day = answer["trading_day"] or "no trading day yet"
    rows = [
        [name, *(money(answer[part][each]) for each in ("realised", "unrealised", "total"))]
        for name, part in ((f"today, {day}", "today"), ("in all", "total"))
    ]
    yield from table(["", "realised", "unrealised", "together"], rows, "lrrr")
    if answer["by_symbol"]:
        yield ""
        headings = ["symbol", "shares", "cost each", "last", "value", "unrealised", "realised", "of it today"]
        yield from table(headings, (_symbol(each) for each in answer["by_symbol"]), "lrrrrrrr")
    if answer["unpriced"]:
        yield f"no price is known of {', '.join(answer['unpriced'])}: not in the sums"
    if answer["as_of"] is not None:
        yield f"in {answer['currency']}, prices of {moment(answer['as_of'])}"


def _symbol(each: Mapping[str, Any]) -> list[str]:
    return [
        each["symbol"],
        number(each["qty"]),
        money(each["avg_cost"]),
        money(each["last_px"]),
        money(each["market_value"]),
        money(each["unrealised"]),
        money(each["realised"]),
        money(each["realised_today"]),
    ]
