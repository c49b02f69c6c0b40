"""Questions about what happened: cycles, orders, and the facts themselves, filtered by bound parameters.

No question scans a table: each enters by a key or an index, and a test reads the query plans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, literal_column, select

from oms.errors import UnknownName
from oms.journal import tables
from oms.journal.answers import Answer, day, instant, money, order_answer
from oms.journal.filters import (
    EVERY,
    CycleFilter,
    EventFilter,
    OrderFilter,
    count_events,
    find_cycles,
    find_events,
    orders_statement,
)
from oms.journal.loading import facts_of_cycle
from oms.journal.projection import ORDERS
from oms.journal.reader import Reader
from oms.journal.scalars import storable
from oms.model.cycle import Phase
from oms.model.event import BuysRevalidated, CycleOpened, FundsObserved, Recorded
from oms.model.order import OrdStatus, Side

__all__ = [
    "BATCH",
    "EventFilter",
    "cycle_list",
    "cycle_show",
    "journal_count",
    "journal_query",
    "journal_stream",
    "journal_tail",
    "order_list",
    "order_show",
]

BATCH = 1000
"""Facts read at a time when a whole journal is streamed."""


# Cycles


def cycle_list(
    reader: Reader,
    *,
    limit: int = 50,
    is_open: bool | None = None,
    phase: Phase | None = None,
    outcome: str | None = None,
    symbol: str | None = None,
    resumed: bool | None = None,
    cut: bool | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: str | None = None,
) -> Answer:
    """Cycles, newest first; each filter as :class:`oms.journal.filters.CycleFilter` says.

    ``next`` names the last cycle of a full page; given as ``before``, it brings the next page.

    Raises:
        UnknownName: there is no cycle ``before``.
    """
    wanted = CycleFilter(
        is_open=is_open,
        phase=phase,
        outcome=outcome,
        symbol=symbol,
        resumed=resumed,
        cut=cut,
        since=since,
        until=until,
    )
    with reader.asking("listing cycles") as connection:
        if before is not None:
            wanted = replace(wanted, before=_place_of_cycle(connection, reader, before))
        rows = find_cycles(connection, reader.account, wanted, limit)
    full = len(rows) == limit
    return {
        "schema": "oms.cycle-list/1",
        "cycles": [_cycle(row) for row in rows],
        "next": rows[-1]["cycle_id"] if full else None,
    }


def _place_of_cycle(connection: Connection, reader: Reader, cycle_id: str) -> int:
    cycles = tables.cycles
    named = cycles.c.cycle_id == storable(cycle_id)
    place: int | None = connection.execute(select(cycles.c.opened_seq).where(named)).scalar()
    if place is None:
        raise UnknownName(f"there is no cycle {cycle_id} in {reader.where}; `cycle list` shows those there are")
    return place


def cycle_show(reader: Reader, cycle_id: str) -> Answer:
    """One cycle with its orders, its facts, the funds it saw and the buys that were cut.

    Raises:
        UnknownName: there is no such cycle.
    """
    cycles, orders = tables.cycles, tables.orders
    with reader.asking("reading a cycle") as connection:
        row = connection.execute(select(cycles).where(cycles.c.cycle_id == cycle_id)).mappings().first()
        if row is None:
            raise UnknownName(f"there is no cycle {cycle_id} in {reader.where}; `cycle list` shows those there are")
        of_cycle = select(orders).where(orders.c.cycle_id == cycle_id).order_by(orders.c.side.desc(), orders.c.idx)
        found = [ORDERS.value(order) for order in connection.execute(of_cycle).mappings()]
        facts = list(facts_of_cycle(connection, cycle_id, reader.account))
        events = _events(connection, reader.account, EventFilter(cycle_id=cycle_id), EVERY, newest=False)
    return {
        "schema": "oms.cycle-show/1",
        "cycle": _cycle(row),
        "orders": [order_answer(order) for order in found],
        "events": events,
        "funds": _readings(facts),
        "cuts": _cuts(facts),
    }


def _cycle(row: RowMapping) -> Answer:
    return {
        "cycle_id": row["cycle_id"],
        "account": row["account"],
        "phase": row["phase"],
        "outcome": row["outcome"],
        "opened_at": instant(row["opened_at"]),
        "closed_at": instant(row["closed_at"]),
        "resumed": row["resumed"],
        "sells": row["sells"],
        "buys": row["buys"],
        "cut": row["cut"],
        "config_hash": row["config_hash"],
        "phase_since": instant(row["phase_since"]),
        "deadline": instant(row["deadline"]),
        "trading_day": day(row["trading_day"]),
        "settles": day(row["settles"]),
        "source": row["source"],
        "aborted": None if row["aborted_rule"] is None else f"{row['aborted_rule']}: {row['aborted_reason']}",
    }


def _readings(facts: Sequence[Recorded]) -> list[Answer]:
    """The funds that a cycle saw, oldest first."""
    readings = []
    for fact in facts:
        match fact.event:
            case CycleOpened() | FundsObserved():
                read, spendable = fact.event.funds, fact.event.spendable
            case BuysRevalidated():
                read, spendable = fact.event.inputs.funds, fact.event.inputs.spendable
            case _:
                continue
        readings.append(
            {
                "at": instant(read.at),
                "cash": money(read.cash),
                "settled_cash": money(read.settled_cash),
                "buying_power": money(read.buying_power),
                "spendable": money(spendable),
            }
        )
    return readings


def _cuts(facts: Sequence[Recorded]) -> list[Answer]:
    """The buys that revalidation made smaller, with the rule and its sentence."""
    return [
        {"symbol": b.symbol, "from": b.original, "to": b.quantity, "rule": b.rule, "reason": b.reason}
        for fact in facts
        if isinstance(fact.event, BuysRevalidated)
        for b in fact.event.buys
        if b.quantity < b.original
    ]


# Orders


def order_list(
    reader: Reader,
    *,
    limit: int = 100,
    unresolved: bool = False,
    cycle_id: str | None = None,
    symbol: str | None = None,
    statuses: tuple[OrdStatus, ...] = (),
    before: str | None = None,
) -> Answer:
    """Orders, those of the newest cycle first; ``unresolved`` only those that are in doubt.

    ``next`` names the order at which a full page ended; given as ``before``, it brings the next page.

    Raises:
        UnknownName: there is no order ``before``.
    """
    wanted = OrderFilter(statuses=statuses, unresolved=unresolved, cycle_id=cycle_id, symbol=symbol)
    with reader.asking("listing orders") as connection:
        if before is not None:
            wanted = replace(wanted, before=_place_of_order(connection, reader, before))
        rows = connection.execute(orders_statement(reader.account, wanted, limit)).mappings().all()
    # The last planned come first out of the table; within a cycle a person reads the plan's own order.
    place = {cycle: number for number, cycle in enumerate(dict.fromkeys(row["cycle_id"] for row in rows))}
    found = sorted((ORDERS.value(row) for row in rows), key=lambda o: (place[o.cycle_id], o.side is Side.BUY, o.index))
    full = len(rows) == limit
    return {
        "schema": "oms.order-list/1",
        "orders": [order_answer(order) for order in found],
        "next": rows[-1]["cl_ord_id"] if full else None,
    }


def _place_of_order(connection: Connection, reader: Reader, cl_ord_id: str) -> int:
    orders = tables.orders
    rowid: ColumnElement[int] = literal_column("orders.rowid")
    named = select(rowid).select_from(orders).where(orders.c.cl_ord_id == storable(cl_ord_id))
    place: int | None = connection.execute(named).scalar()
    if place is None:
        raise UnknownName(f"there is no order {cl_ord_id} in {reader.where}; `order list` shows those there are")
    return place


def order_show(reader: Reader, cl_ord_id: str) -> Answer:
    """One order with its facts and its executions.

    Raises:
        UnknownName: there is no such order.
    """
    orders, fills = tables.orders, tables.fills
    with reader.asking("reading an order") as connection:
        row = connection.execute(select(orders).where(orders.c.cl_ord_id == cl_ord_id)).mappings().first()
        if row is None:
            raise UnknownName(f"there is no order {cl_ord_id} in {reader.where}; `order list` shows those there are")
        wanted = EventFilter(cycle_id=row["cycle_id"], cl_ord_id=cl_ord_id)
        events = _events(connection, reader.account, wanted, EVERY, newest=False)
        executions = (
            connection.execute(select(fills).where(fills.c.cl_ord_id == cl_ord_id).order_by(fills.c.seq))
            .mappings()
            .all()
        )
    return {
        "schema": "oms.order-show/1",
        "order": order_answer(ORDERS.value(row)),
        "events": events,
        "fills": [
            {
                "exec_id": fill["exec_id"],
                "last_qty": fill["last_qty"],
                "last_px": money(fill["last_px"]),
                "fee": money(fill["fee"]),
                "transact_time": instant(fill["transact_time"]),
                "late": fill["late"],
            }
            for fill in executions
        ],
    }


# Facts


def journal_query(
    reader: Reader, wanted: EventFilter | None = None, *, limit: int = 100, newest: bool = True
) -> Answer:
    """Facts that match, in their order; of more than ``limit`` the newest, or else the oldest.

    ``next`` is the seq at which a full page ended: the filter's ``before``, or ``after`` where it began with the oldest.
    """
    with reader.asking("querying the journal") as connection:
        events = _events(connection, reader.account, wanted or EventFilter(), limit, newest=newest)
    full = bool(events) and len(events) == limit
    edge = events[0 if newest else -1]["seq"] if full else None
    return {"schema": "oms.journal-query/1", "events": events, "next": edge}


def journal_count(reader: Reader, wanted: EventFilter | None = None) -> int:
    """How many facts match."""
    with reader.asking("counting facts") as connection:
        return count_events(connection, reader.account, _with_cycle(connection, wanted or EventFilter()))


def journal_tail(reader: Reader, limit: int = 20, after: int = 0) -> Answer:
    """The newest facts, oldest of them first; ``after`` leaves out what was seen already."""
    return journal_query(reader, EventFilter(after=after), limit=limit)


def journal_stream(reader: Reader, wanted: EventFilter | None = None) -> Iterator[Answer]:
    """Every fact that matches, in order, a batch at a time: memory does not grow with the answer.

    Each batch is a read of its own, so that a slow reader of the answer never holds up the engine's checkpoints.
    """
    wanted = wanted or EventFilter()
    while True:
        with reader.asking("reading the journal") as connection:
            wanted = _with_cycle(connection, wanted)
            rows = find_events(connection, reader.account, wanted, BATCH, newest=False)
        yield from map(_event, rows)
        if len(rows) < BATCH:
            return
        wanted = wanted.beyond(rows[-1]["seq"], rows[-1]["at"])


def _with_cycle(connection: Connection, wanted: EventFilter) -> EventFilter:
    """An order's facts are found through its cycle; an index of their own would cost every row."""
    if wanted.cl_ord_id is None or wanted.cycle_id is not None:
        return wanted
    orders = tables.orders
    named = orders.c.cl_ord_id == storable(wanted.cl_ord_id)
    return replace(wanted, cycle_id=connection.execute(select(orders.c.cycle_id).where(named)).scalar() or "")


def _events(connection: Connection, account: str, wanted: EventFilter, limit: int, *, newest: bool) -> list[Answer]:
    if wanted.before is not None and wanted.by_time:
        edge = select(tables.events.c.at).where(tables.events.c.seq == wanted.before)
        wanted = replace(wanted, before_at=connection.execute(edge).scalar())
    rows = find_events(connection, account, _with_cycle(connection, wanted), limit, newest=newest)
    return [_event(row) for row in (reversed(rows) if newest else rows)]


def _event(row: RowMapping) -> Answer:
    return {
        "seq": row["seq"],
        "at": instant(row["at"]),
        "account": row["account"],
        "cycle_id": row["cycle_id"],
        "cl_ord_id": row["cl_ord_id"],
        "symbol": row["symbol"],
        "kind": row["kind"],
        "data": json.loads(row["data"]),
        "hash": row["hash"].hex(),
    }
