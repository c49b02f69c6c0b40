"""Questions about what happened: cycles, orders, and the facts themselves, filtered by bound parameters.

No question scans a table: each enters by a key or an index, and a test reads the query plans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, literal_column, select

from oms.errors import UsageError
from oms.journal import tables
from oms.journal.answers import Answer, day, instant, money, order_answer
from oms.journal.loading import facts_of_cycle
from oms.journal.projection import ORDERS
from oms.journal.reader import Reader
from oms.model.cycle import Phase
from oms.model.event import BuysRevalidated, CycleOpened, FundsObserved, Recorded

EVERY = 2**62
"""More rows than any table has."""

BATCH = 5000
"""Rows read at a time when a whole journal is streamed."""

_EVENT_COLUMNS = tuple(
    tables.events.c[name]
    for name in ("seq", "at", "account", "cycle_id", "cl_ord_id", "symbol", "kind", "data", "hash")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which facts are asked for; what is None does not matter."""

    cycle_id: str | None = None
    cl_ord_id: str | None = None
    symbol: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    after: int = 0
    """Only facts with a higher seq."""


# Cycles


def cycle_list(
    reader: Reader,
    *,
    limit: int = 50,
    is_open: bool | None = None,
    outcome: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Answer:
    """Cycles, newest first."""
    cycles = tables.cycles
    statement = select(cycles).where(cycles.c.account == reader.account, cycles.c.opened_seq > 0)
    if is_open is not None:
        done: ColumnElement[str] = literal_column(f"'{Phase.DONE.value}'")
        statement = statement.where(cycles.c.phase != done if is_open else cycles.c.phase == done)
    if outcome is not None:
        statement = statement.where(cycles.c.outcome == outcome)
    if since is not None:
        statement = statement.where(cycles.c.opened_at >= since)
    if until is not None:
        statement = statement.where(cycles.c.opened_at < until)
    statement = statement.order_by(cycles.c.opened_seq.desc()).limit(limit)
    with reader.asking("listing cycles") as connection:
        rows = connection.execute(statement).mappings().all()
    return {"schema": "oms.cycle-list/1", "cycles": [_cycle(row) for row in rows]}


def cycle_show(reader: Reader, cycle_id: str) -> Answer:
    """One cycle with its orders, its facts, the funds it saw and the buys that were cut.

    Raises:
        UsageError: there is no such cycle.
    """
    cycles, orders = tables.cycles, tables.orders
    with reader.asking("reading a cycle") as connection:
        row = connection.execute(select(cycles).where(cycles.c.cycle_id == cycle_id)).mappings().first()
        if row is None:
            raise UsageError(f"there is no cycle {cycle_id} in {reader.where}; `cycle list` shows those there are")
        of_cycle = select(orders).where(orders.c.cycle_id == cycle_id).order_by(orders.c.side.desc(), orders.c.idx)
        found = [ORDERS.value(order) for order in connection.execute(of_cycle).mappings()]
        facts = list(facts_of_cycle(connection, cycle_id))
        events = _events(connection, _filtered(reader.account, EventFilter(cycle_id=cycle_id)), EVERY, newest=False)
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
) -> Answer:
    """Orders, those of the newest cycle first; ``unresolved`` only those that are in doubt."""
    orders, cycles = tables.orders, tables.cycles
    statement = (
        select(orders)
        .join(cycles, orders.c.cycle_id == cycles.c.cycle_id)
        .where(cycles.c.account == reader.account, cycles.c.opened_seq > 0)
    )
    if unresolved:
        not_closed = orders.c.phase != literal_column("'CLOSED'")
        statement = statement.where(
            orders.c.account == reader.account, not_closed, orders.c.phase == literal_column("'AMBIGUOUS'")
        )
    if cycle_id is not None:
        statement = statement.where(orders.c.cycle_id == cycle_id)
    if symbol is not None:
        statement = statement.where(orders.c.symbol == symbol)
    statement = statement.order_by(cycles.c.opened_seq.desc(), orders.c.side.desc(), orders.c.idx).limit(limit)
    with reader.asking("listing orders") as connection:
        rows = connection.execute(statement).mappings().all()
    return {"schema": "oms.order-list/1", "orders": [order_answer(ORDERS.value(row)) for row in rows]}


def order_show(reader: Reader, cl_ord_id: str) -> Answer:
    """One order with its facts and its executions.

    Raises:
        UsageError: there is no such order.
    """
    orders, fills = tables.orders, tables.fills
    with reader.asking("reading an order") as connection:
        row = connection.execute(select(orders).where(orders.c.cl_ord_id == cl_ord_id)).mappings().first()
        if row is None:
            raise UsageError(f"there is no order {cl_ord_id} in {reader.where}; `order list` shows those there are")
        wanted = EventFilter(cycle_id=row["cycle_id"], cl_ord_id=cl_ord_id)
        events = _events(connection, _filtered(reader.account, wanted), EVERY, newest=False)
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
    """Facts that match, in their order; of more than ``limit`` the newest, or else the oldest."""
    wanted = wanted or EventFilter()
    with reader.asking("querying the journal") as connection:
        if wanted.cl_ord_id is not None and wanted.cycle_id is None:
            wanted = _with_cycle(connection, wanted)
        events = _events(connection, _filtered(reader.account, wanted), limit, newest=newest)
    return {"schema": "oms.journal-query/1", "events": events}


def journal_tail(reader: Reader, limit: int = 20, after: int = 0) -> Answer:
    """The newest facts, oldest of them first; ``after`` leaves out what was seen already."""
    return journal_query(reader, EventFilter(after=after), limit=limit)


def journal_stream(reader: Reader, after: int = 0) -> Iterator[Answer]:
    """Every fact after a place, in order, a batch at a time: for exports of any size."""
    while True:
        batch = journal_query(reader, EventFilter(after=after), limit=BATCH, newest=False)["events"]
        if not batch:
            return
        yield from batch
        after = batch[-1]["seq"]


def _with_cycle(connection: Connection, wanted: EventFilter) -> EventFilter:
    """An order's facts are found through its cycle; an index of their own would cost every row."""
    orders = tables.orders
    cycle_id = connection.execute(select(orders.c.cycle_id).where(orders.c.cl_ord_id == wanted.cl_ord_id)).scalar()
    return EventFilter(
        cycle_id=cycle_id or "",
        cl_ord_id=wanted.cl_ord_id,
        symbol=wanted.symbol,
        kind=wanted.kind,
        since=wanted.since,
        until=wanted.until,
        after=wanted.after,
    )


def _filtered(account: str, wanted: EventFilter) -> ColumnElement[bool]:
    events = tables.events
    conditions = [events.c.account == account, events.c.seq > wanted.after]
    for name in ("cycle_id", "cl_ord_id", "symbol"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(events.c[name] == value)
    if wanted.kind in tables.WATCHED_KINDS:
        # Spelled out, not bound, so that SQLite sees that the partial index serves it.
        conditions.append(events.c.kind == literal_column(f"'{wanted.kind}'"))
    elif wanted.kind is not None:
        conditions.append(events.c.kind == wanted.kind)
    if wanted.since is not None:
        conditions.append(events.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.at < wanted.until)
    return and_(*conditions)


def _events(connection: Connection, condition: ColumnElement[bool], limit: int, *, newest: bool) -> list[Answer]:
    statement = events_statement(condition, limit, newest=newest)
    rows = connection.execute(statement).mappings().all()
    return [_event(row) for row in (reversed(rows) if newest else rows)]


def events_statement(condition: ColumnElement[bool], limit: int, *, newest: bool) -> Select[Any]:
    """The one query for facts, whatever is asked for."""
    seq = tables.events.c.seq
    return select(*_EVENT_COLUMNS).where(condition).order_by(seq.desc() if newest else seq).limit(limit)


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
