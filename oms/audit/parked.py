"""Orders that outlived their cycle, and symbols that were frozen, as they stood after a row of the journal.

Only an order that was in quarantine outlives its cycle. Where no fact of its cycle came later, it was what it is now, and
the tables say so at once; only the others are folded from their facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, literal_column, select

from oms.journal import tables
from oms.journal.loading import STORED, recorded
from oms.journal.recalling import whole_orders
from oms.journal.statuses import is_unclosed
from oms.model import lifecycle
from oms.model.event import (
    OrderAcknowledged,
    OrderEvent,
    OrderPlanned,
    OrderQuarantined,
    OrderVoided,
    Recorded,
    SymbolFrozen,
    SymbolUnfrozen,
)
from oms.model.order import Order
from oms.model.state import AccountState, order_in, quarantine_reason


def of_kinds(connection: Connection, kinds: Sequence[str], seq: int) -> list[Recorded]:
    """Every fact of these rare kinds up to a row, in order."""
    events = tables.events
    found: list[Recorded] = []
    for kind in kinds:
        # Spelled out, not bound, so that SQLite sees that the index of kinds serves it; the word is our own.
        statement = select(*STORED).where(events.c.kind == literal_column(f"'{kind}'"), events.c.seq <= seq)
        found += [recorded(row) for row in connection.execute(statement)]
    return sorted(found, key=lambda fact: fact.seq)


def order_at(connection: Connection, cl_ord_id: str, seq: int) -> Order | None:
    """An order of any age as it was after a row."""
    order: Order | None = None
    for fact in _facts_of(connection, cl_ord_id, seq):
        if isinstance(fact.event, OrderPlanned):
            order = lifecycle.planned(fact.event, fact.at)
        elif isinstance(fact.event, OrderEvent) and order is not None:
            order = lifecycle.apply(order, fact.event, fact.at)
    return order


def _facts_of(connection: Connection, cl_ord_id: str, seq: int) -> list[Recorded]:
    events, orders = tables.events, tables.orders
    cycle_id = connection.execute(select(orders.c.cycle_id).where(orders.c.cl_ord_id == cl_ord_id)).scalar()
    statement = (
        select(*STORED)
        .where(events.c.cycle_id == cycle_id, events.c.cl_ord_id == cl_ord_id, events.c.seq <= seq)
        .order_by(events.c.version)
    )
    return [recorded(row) for row in connection.execute(statement)]


def park(connection: Connection, state: AccountState, current: str, seq: int) -> None:
    """Give the state, whose cycle is ``current``, what was parked and frozen after row ``seq``."""
    quarantined = connection.execute(_quarantines(state.account, seq)).all()
    known = _as_they_were(connection, state.account, {row.cl_ord_id: row.newest for row in quarantined}, seq)
    for row in quarantined:
        order = known.get(row.cl_ord_id)
        if order is not None and row.cycle_id != current:
            state.parked[row.cl_ord_id] = order
    state.frozen = _frozen(connection, quarantined, known, seq)


def _quarantines(account: str, seq: int) -> Select[Any]:
    """Every fact that put an order into quarantine, in order, each with the newest row of its cycle."""
    events = tables.events
    later = events.alias()
    newest = (
        select(later.c.seq)
        .where(later.c.account == account, later.c.cycle_id == events.c.cycle_id)
        .order_by(later.c.version.desc())
        .limit(1)
    )
    return (
        select(
            *(events.c[name] for name in ("seq", "cycle_id", "cl_ord_id", "symbol")),
            newest.correlate(events).scalar_subquery().label("newest"),
        )
        .where(events.c.account == account, events.c.seq <= seq)
        .where(events.c.kind == literal_column(f"'{OrderQuarantined.kind}'"))
        .order_by(events.c.seq)
    )


def _as_they_were(connection: Connection, account: str, newest: Mapping[str, int], seq: int) -> dict[str, Order]:
    """Those of these orders that were not closed after a row, each named with the newest row of its cycle."""
    if not newest:
        return {}
    orders = tables.orders
    rows = connection.execute(select(orders).where(orders.c.account == account, *is_unclosed())).mappings().all()
    settled = [row for row in rows if newest.get(row["cl_ord_id"], seq + 1) <= seq]
    known = {order.cl_ord_id: order for order in whole_orders(connection, account, settled)}
    for key in (key for key, last in newest.items() if last > seq):
        order = order_at(connection, key, seq)
        if order is not None and not order.is_closed:
            known[key] = order
    return known


def _frozen(
    connection: Connection, quarantined: Sequence[Row[Any]], known: Mapping[str, Order], seq: int
) -> dict[str, str]:
    """Frozen symbols and why: what froze or released each last, unless the order that it is about was found since."""
    last: dict[str, tuple[int, str | None]] = {
        row.symbol: (row.seq, quarantine_reason(row.cl_ord_id)) for row in quarantined
    }
    for fact in of_kinds(connection, (SymbolFrozen.kind, SymbolUnfrozen.kind), seq):
        event = fact.event
        assert isinstance(event, SymbolFrozen | SymbolUnfrozen)
        if fact.seq > last.get(event.symbol, (0, None))[0]:
            last[event.symbol] = (fact.seq, event.reason if isinstance(event, SymbolFrozen) else None)
    frozen = {}
    for symbol, (since, reason) in last.items():
        key = None if reason is None else order_in(reason)
        is_waiting = key is None or (key in known and known[key].quarantined)
        if reason is not None and (is_waiting or not _was_found(connection, str(key), symbol, since, seq)):
            frozen[symbol] = reason
    return frozen


def _was_found(connection: Connection, cl_ord_id: str, symbol: str, since: int, seq: int) -> bool:
    """Whether an order was found at the broker, or proved never to have come there, between two rows."""
    return any(
        isinstance(fact.event, OrderAcknowledged | OrderVoided) and fact.event.symbol == symbol
        for fact in _facts_of(connection, cl_ord_id, seq)
        if fact.seq > since
    )
