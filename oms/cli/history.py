"""``cycle list|show`` and ``order list|show|resolve``: what happened, and the word of a person about an order in doubt."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.desk import command as desk_command
from oms.cli.explaining import cycle_explain, order_explain
from oms.cli.foreign import foreign
from oms.cli.layout import NOTHING, count, fact_lines, moment, money, number, table, time_of_day
from oms.cli.order_table import order_table
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.cli.watching import cycle_watch
from oms.errors import UsageError
from oms.questions import history
from oms.questions.history import LATEST


@click.group()
def cycle() -> None:
    """Look at trading cycles, past and present."""


cycle.add_command(cycle_explain)
cycle.add_command(cycle_watch)


@cycle.command(name="list")
@of_journal
@click.option("--limit", type=click.IntRange(min=1), default=20, metavar="N", help="At most N, the newest (20).")
@click.option("--open", "is_open", is_flag=True, help="Only one that is not DONE.")
@click.option(
    "--outcome", metavar="OUTCOME", help="Only those that ended so: complete, partial, nothing_to_do, aborted."
)
@click.option(
    "--state", metavar="PHASE", help="Only those in this phase: SELLING, SETTLING, REVALIDATING, BUYING, DONE."
)
@click.option("--resumed", is_flag=True, help="Only those that a second process took up.")
@click.option("--cut", is_flag=True, help="Only those in which a buy was made smaller.")
@click.option("--symbol", metavar="SYMBOL", help="Only those with an order for it.")
@click.option("--since", metavar="TIME", help="Opened from then on: 2026-11-20, today, or 2h (ago).")
@click.option("--until", metavar="TIME", help="Opened before then.")
def cycle_list(
    *,
    json_: bool,
    dry_run: bool,
    limit: int,
    is_open: bool,
    outcome: str | None,
    state: str | None,
    resumed: bool,
    cut: bool,
    symbol: str | None,
    since: str | None,
    until: str | None,
) -> None:
    """List cycles, newest first."""
    answer = history.cycles(
        at_desk(dry_run=dry_run),
        limit=limit,
        is_open=True if is_open else None,
        outcome=outcome,
        state=state,
        resumed=resumed or None,
        cut=cut or None,
        symbol=symbol,
        since=None if since is None else options.instant(since, "--since"),
        until=None if until is None else options.instant(until, "--until"),
    )
    show(answer, _cycles, json_=json_)


def _cycles(answer: Answer) -> Iterator[str]:
    if not answer["cycles"]:
        yield "no cycles"
        return
    rows = [
        [
            each["cycle_id"],
            each["trading_day"],
            each["phase"],
            each["outcome"] or NOTHING,
            moment(each["opened_at"]),
            str(each["sells"]),
            str(each["buys"]),
            str(each["cut"]),
            str(each["resumed"]),
        ]
        for each in answer["cycles"]
    ]
    headings = ["cycle", "day", "phase", "outcome", "opened", "sells", "buys", "cut", "resumed"]
    yield from table(headings, rows, "lllllrrrr")


@cycle.command(name="show")
@of_journal
@click.argument("cycle_id", metavar="CYCLE", default=LATEST)
def cycle_show(*, json_: bool, dry_run: bool, cycle_id: str) -> None:
    """Show one cycle: its orders, its facts, the funds it saw and the buys it cut.

    Without CYCLE, or with `latest`, the newest one.
    """
    show(history.cycle(at_desk(dry_run=dry_run), cycle_id), _cycle, json_=json_)


def _cycle(answer: Answer) -> Iterator[str]:
    about = answer["cycle"]
    resumed = f", resumed {about['resumed']}×" if about["resumed"] else ""
    outcome = f" {about['outcome']}" if about["outcome"] else ""
    yield f"{about['cycle_id']} of {about['trading_day']}: {about['phase']}{outcome}{resumed}"
    closed = f", closed {moment(about['closed_at'])}" if about["closed_at"] else ""
    yield f"opened {moment(about['opened_at'])}{closed}; signals from {about['source']}"
    if about["aborted"]:
        yield f"aborted: {about['aborted']}"
    yield ""
    yield from order_table(answer["orders"])
    if answer["cuts"]:
        yield ""
        yield "cut by"
        cuts = [[c["symbol"], f"{c['from']} -> {c['to']}", c["rule"], c["reason"]] for c in answer["cuts"]]
        yield from table(["symbol", "shares", "rule", "reason"], cuts)
    yield ""
    yield "funds seen (UTC)"
    seen = [
        [time_of_day(f["at"]), *(money(f[n]) for n in ("cash", "settled_cash", "buying_power", "spendable"))]
        for f in answer["funds"]
    ]
    yield from table(["at", "cash", "settled", "buying power", "spendable"], seen, "lrrrr")
    yield ""
    yield f"{count(len(answer['events']), 'fact')} in the journal: `journal query --cycle {about['cycle_id']}`"


@click.group()
def order() -> None:
    """Look at orders, and settle one that is in doubt."""


order.add_command(order_explain)
order.add_command(foreign)


@order.command(name="list")
@of_journal
@click.option("--unresolved", is_flag=True, help="Only orders of which nobody knows whether they reached the broker.")
@click.option(
    "--status", "statuses", multiple=True, metavar="STATUS", help="Only those in it, such as FILLED; repeatable."
)
@click.option("--cycle", "cycle_id", metavar="CYCLE", help="Only those of this cycle.")
@click.option("--symbol", metavar="SYMBOL", help="Only those of this symbol.")
@click.option("--limit", type=click.IntRange(min=1), default=100, metavar="N", help="At most N, the newest (100).")
def order_list(
    *,
    json_: bool,
    dry_run: bool,
    unresolved: bool,
    statuses: tuple[str, ...],
    cycle_id: str | None,
    symbol: str | None,
    limit: int,
) -> None:
    """List orders, those of the newest cycle first."""
    answer = history.orders(
        at_desk(dry_run=dry_run),
        limit=limit,
        unresolved=unresolved,
        statuses=statuses,
        cycle_id=cycle_id,
        symbol=symbol,
    )
    show(answer, lambda found: order_table(found["orders"]), json_=json_)


@order.command(name="show")
@of_journal
@click.argument("cl_ord_id", metavar="CL_ORD_ID")
def order_show(*, json_: bool, dry_run: bool, cl_ord_id: str) -> None:
    """Show one order with its facts and its executions."""
    show(history.order(at_desk(dry_run=dry_run), cl_ord_id), _order, json_=json_)


def _order(answer: Answer) -> Iterator[str]:
    about = answer["order"]
    yield f"{about['side']} {about['symbol']} {number(about['order_qty'])} {about['ord_type']}, {about['ord_status']}"
    names = (
        "cl_ord_id",
        "cycle_id",
        "order_no",
        "order_id",
        "price",
        "cum_qty",
        "avg_px",
        "fees",
        "sends",
        "rule",
        "text",
    )
    for name in names:
        if about[name] not in (None, ""):
            yield f"  {name:<10} {about[name]}"
    fills = [
        [time_of_day(f["transact_time"]), number(f["last_qty"]), number(f["last_px"]), money(f["fee"]), f["exec_id"]]
        for f in answer["fills"]
    ]
    if fills:
        yield ""
        yield from table(["filled UTC", "shares", "at", "fee", "exec_id"], fills, "lrrrl")
    yield ""
    yield from fact_lines(answer["events"])


@order.command()
@desk_command
@click.argument("cl_ord_id", metavar="CL_ORD_ID")
@click.option("--void", is_flag=True, help="It never reached the broker: release what it reserves, never send it.")
@click.option("--reason", required=True, metavar="TEXT", help="How you know; it is journaled with your name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def resolve(*, dry_run: bool, cl_ord_id: str, void: bool, reason: str, yes: bool) -> int:
    """Settle an order that is in doubt, on your word.

    Look at the broker first: an order that is there after all would be bought or sold without the books knowing it.
    """
    from oms.cli.desk import confirm, give

    if not void:
        raise UsageError("say what became of it: --void (it never reached the broker) is the one word there is")
    confirm(f"{cl_ord_id} is not at the broker, and never was; void it?", yes=yes)
    return give("resolve", {"cl_ord_id": cl_ord_id, "reason": reason}, dry_run=dry_run)
