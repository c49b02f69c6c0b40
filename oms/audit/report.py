"""``report``: the user's metrics, per day and in total, from the journal alone.

Buy success, the delay from sells to buys, use of the funds, cuts by rule, liquidity errors, duplicates. One pass over the
rows of the cycles asked for and over their revalidations, however long the rest of the journal is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, case, func, literal_column, select, type_coerce

from oms.audit.figures import Figures
from oms.journal import tables
from oms.journal.answers import Answer, day, instant
from oms.journal.reader import Reader
from oms.journal.scalars import from_micro
from oms.model.event import AttentionRaised, BuysRevalidated, OrderBlocked, OrderRejected
from oms.model.order import Side

SCHEMA = "oms.report/1"

ABOUT_MONEY = re.compile(
    r"insufficient[ _]?(?:fund|cash|balance|buying|margin|equity)|buying[ _]power|not enough|"
    r"exceed\w*\W.*(?:cash|fund|balance)",
    re.IGNORECASE,
)
"""A broker's refusal for want of money, by its code or its words."""
TWO_ORDERS = "two_orders"
"""Rule under which an order that the broker shows twice was raised."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The cycles that a report is about."""

    account: str
    first_seq: int
    """Row at which the oldest of them opened: no fact of theirs stands before it."""
    days: dict[str, date]
    """Cycle to its trading day, oldest first."""


def report(reader: Reader, since: datetime | None = None, until: datetime | None = None) -> Answer:
    """The metrics of every cycle opened from ``since`` on and before ``until``.

    ``buy_success_rate`` is the share of the buys sent that were filled whole; ``sell_to_buy_delay_s`` runs from the last
    fill of a cycle's sells to its first buy on the wire (cycles in which a fill came later still are left out);
    ``funds_used_share`` is what was bought, fees included, of what could be spent when the buys were revalidated;
    ``liquidity_errors`` are buys that the broker refused for want of money, ``duplicates`` intents that the broker showed
    as two orders.
    """
    with reader.asking("making a report") as connection:
        asked, days = _cycles(connection, reader.account, since, until)
        _count_orders(connection, asked, days)
        for cycle_id, data in _facts(connection, asked, BuysRevalidated.kind):
            _count_revalidation(days[asked.days[cycle_id]], data)
        for cycle_id, data in _facts(connection, asked, OrderBlocked.kind):
            days[asked.days[cycle_id]].blocked_by_rule[data["rule"]] += 1
        for cycle_id, data in _rejected_buys(connection, asked):
            is_about_money = ABOUT_MONEY.search(f"{data['code']} {data.get('text', '')}") is not None
            days[asked.days[cycle_id]].liquidity_errors += is_about_money
        for cycle_id, data in _facts(connection, asked, AttentionRaised.kind):
            days[asked.days[cycle_id]].duplicates += data["rule"] == TWO_ORDERS
    total = Figures()
    for figures in days.values():
        total.add(figures)
    return {
        "schema": SCHEMA,
        **total.answer(),
        "by_day": [{"day": day(each), **figures.answer()} for each, figures in sorted(days.items())],
        "since": instant(since),
        "until": instant(until),
    }


def nothing() -> Answer:
    """The report of an account that has never run."""
    return {"schema": SCHEMA, **Figures().answer(), "by_day": [], "since": None, "until": None}


def _cycles(
    connection: Connection, account: str, since: datetime | None, until: datetime | None
) -> tuple[_Asked, dict[date, Figures]]:
    cycles = tables.cycles
    wanted = [cycles.c.account == account, cycles.c.opened_seq > 0]
    if since is not None:
        wanted.append(cycles.c.opened_at >= since)
    if until is not None:
        wanted.append(cycles.c.opened_at < until)
    rows = connection.execute(
        select(cycles.c.cycle_id, cycles.c.trading_day, cycles.c.opened_seq, cycles.c.outcome)
        .where(*wanted)
        .order_by(cycles.c.opened_seq)
    ).all()
    days: dict[date, Figures] = {}
    for row in rows:
        figures = days.setdefault(row.trading_day, Figures())
        figures.cycles += 1
        figures.outcomes[row.outcome or "open"] += 1
    first = rows[0].opened_seq if rows else 1
    return _Asked(account, first, {row.cycle_id: row.trading_day for row in rows}), days


def _count_orders(connection: Connection, asked: _Asked, days: Mapping[date, Figures]) -> None:
    sold_at: dict[str, int] = {}
    for row in _by_side(connection, asked):
        figures = days[asked.days[row.cycle_id]]
        value, fees = from_micro(int(row.notional)), from_micro(int(row.fees))
        figures.fees += fees
        figures.rejected += row.rejected
        if row.side == Side.SELL.value:
            figures.sells += row.sent
            figures.sold += value
            if row.last_fill is not None:
                sold_at[row.cycle_id] = row.last_fill
        else:
            figures.buys += row.sent
            figures.buys_filled += row.filled
            figures.bought += value
            figures.spent += value + fees
            if row.first_sent is not None and row.first_sent >= sold_at.get(row.cycle_id, row.first_sent + 1):
                figures.delays.append(timedelta(microseconds=row.first_sent - sold_at[row.cycle_id]))


def _by_side(connection: Connection, asked: _Asked) -> Iterator[Row[Any]]:
    """Counts and sums over each side of each cycle, its sells before its buys."""
    cycles, orders = tables.cycles, tables.orders
    is_sent: Any = orders.c.sends > 0
    statement = (
        select(
            orders.c.cycle_id,
            orders.c.side,
            _count(is_sent).label("sent"),
            _count(is_sent & (orders.c.cum_qty >= orders.c.order_qty)).label("filled"),
            _count(orders.c.close_reason == "rejected").label("rejected"),
            func.sum(type_coerce(orders.c.notional, BigInteger)).label("notional"),
            func.sum(type_coerce(orders.c.fees, BigInteger)).label("fees"),
            func.max(type_coerce(orders.c.last_fill_at, BigInteger)).label("last_fill"),
            func.min(type_coerce(orders.c.first_sent_at, BigInteger)).label("first_sent"),
        )
        .select_from(cycles.join(orders, orders.c.cycle_id == cycles.c.cycle_id))
        .where(cycles.c.account == asked.account, cycles.c.opened_seq >= asked.first_seq)
        .group_by(orders.c.cycle_id, orders.c.side)
        .order_by(orders.c.cycle_id, orders.c.side.desc())
    )
    return (row for row in connection.execute(statement) if row.cycle_id in asked.days)


def _count(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))


def _facts(connection: Connection, asked: _Asked, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The facts of a rare kind that belong to these cycles: their details, not decoded further than needed."""
    events = tables.events
    statement = select(events.c.cycle_id, events.c.data).where(
        # Spelled out, not bound, so that the index of kinds serves it; the word is our own.
        events.c.kind == literal_column(f"'{kind}'"),
        events.c.account == asked.account,
        events.c.seq >= asked.first_seq,
    )
    for cycle_id, data in connection.execute(statement.execution_options(yield_per=500)):
        if cycle_id in asked.days:
            yield cycle_id, json.loads(data)


def _count_revalidation(figures: Figures, data: dict[str, Any]) -> None:
    buys = data["buys"]
    figures.revalidated += len(buys)
    for buy in buys:
        if buy.get("quantity", 0) < buy["original"]:
            figures.cut_by_rule[buy["rule"]] += 1
    if buys:
        figures.spendable += Decimal(data["inputs"]["spendable"])


def _rejected_buys(connection: Connection, asked: _Asked) -> Iterator[tuple[str, dict[str, Any]]]:
    events, orders = tables.events, tables.orders
    statement = (
        select(events.c.cycle_id, events.c.data)
        .join(orders, orders.c.cl_ord_id == events.c.cl_ord_id)
        .where(
            events.c.kind == literal_column(f"'{OrderRejected.kind}'"),
            events.c.account == asked.account,
            events.c.seq >= asked.first_seq,
            orders.c.side == Side.BUY.value,
        )
    )
    for cycle_id, data in connection.execute(statement):
        if cycle_id in asked.days:
            yield cycle_id, json.loads(data)
