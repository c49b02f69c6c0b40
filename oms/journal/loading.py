"""An account's state from its shadow and the facts of its last cycle only, however long the journal is.

It must be the same state that a fold of every fact gives; ``journal verify`` and the tests compare them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, literal_column, select

from oms.errors import DamagedError
from oms.journal import tables
from oms.journal.chain import genesis
from oms.journal.codec import decode
from oms.journal.projection import BLACKLIST, EXTERNAL, HOLDINGS, ORDERS
from oms.journal.statements import Statements
from oms.model.arming import AccountBound, LiveArmed, LiveDisarmed
from oms.model.cycle import Cycle, ImpossibleFact
from oms.model.detail import HaltScope
from oms.model.difference import Difference
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    BuysRevalidated,
    CycleEvent,
    CycleOpened,
    FundsObserved,
    Halted,
    OrderFilled,
    PositionAdopted,
    Reconciled,
    Recorded,
    Selected,
)
from oms.model.order import Order
from oms.model.probing import BrokerProbed
from oms.model.settlement import Ledger
from oms.model.state import SCREENS_KEPT, AccountState, booked, ledger_at

STORED = (
    tables.events.c.seq,
    tables.events.c.at,
    tables.events.c.cycle_id,
    tables.events.c.cl_ord_id,
    tables.events.c.symbol,
    tables.events.c.kind,
    tables.events.c.data,
)
"""Columns of a stored fact that :func:`recorded` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain, and the last end that a barrier covered."""

    seq: int
    hash: bytes
    barrier_seq: int
    barrier_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A state with what the writer needs besides it."""

    state: AccountState
    head: Head
    opened_seq: int
    """Row at which the state's cycle opened; 0 without one."""


def load(connection: Connection, account: str) -> Loaded:
    """The account as its journal has it.

    Raises:
        DamagedError: the journal's parts contradict each other.
    """
    state = AccountState(account)
    head = read_head(connection, account)
    state.seq = head.seq
    try:
        _load_account(connection, state)
        opened_seq = _load_cycle(connection, state)
        _load_parked(connection, state, opened_seq)
    except (ImpossibleFact, ValueError) as error:
        raise DamagedError(f"the journal of {account} does not add up: {error}; run `journal verify`") from error
    _load_lists(connection, state)
    state.ledger = ledger_of(connection, state, opened_seq, head.seq)
    return Loaded(state=state, head=head, opened_seq=opened_seq)


def read_head(connection: Connection, account: str) -> Head:
    """The end of the chain, checked against its last row."""
    events, heads = tables.events, tables.heads
    last = connection.execute(
        select(events.c.seq, events.c.hash)
        .where(events.c.account == account, events.c.seq > 0)
        .order_by(events.c.seq.desc())
        .limit(1)
    ).first()
    found = connection.execute(select(heads).where(heads.c.account == account)).first()
    start = (0, genesis(account))
    seq, link = start if last is None else (last.seq, last.hash)
    if found is None:
        if last is not None:
            raise DamagedError(f"the journal of {account} has {seq} rows and no head; run `journal verify`")
        return Head(seq=0, hash=start[1], barrier_seq=0, barrier_hash=start[1])
    if (found.seq, found.hash) != (seq, link):
        raise DamagedError(
            f"the journal of {account} ends at row {seq}, but its head says {found.seq}: rows were cut or added "
            "by hand; run `journal verify`, then restore a backup"
        )
    return Head(seq=seq, hash=link, barrier_seq=found.barrier_seq, barrier_hash=found.barrier_hash)


def known_numbers(raw: Statements, account: str, order_nos: Collection[str]) -> dict[str, str]:
    """Those of these reserved numbers that belong to an order of this journal, of any age, with its ``cl_ord_id``."""
    sql = "SELECT cl_ord_id FROM orders WHERE account = ? AND order_no = ?"
    found = {number: raw.execute(sql, (account, number)).fetchone() for number in order_nos}
    return {number: row[0] for number, row in found.items() if row is not None}


def recall_order(connection: Connection, cl_ord_id: str, account: str) -> Order | None:
    """An order of any age by our own key."""
    orders = tables.orders
    row = connection.execute(select(orders).where(orders.c.cl_ord_id == cl_ord_id, orders.c.account == account))
    return _whole_order(connection, row.mappings().first())


def _whole_order(connection: Connection, row: RowMapping | None) -> Order | None:
    """An order with its executions, which the table of fills holds."""
    if row is None:
        return None
    order = ORDERS.value(row)
    if not order.cum_qty:
        return order
    fills = tables.fills
    mine = (fills.c.cl_ord_id == order.cl_ord_id, fills.c.account == row["account"])
    statement = select(fills.c.exec_id).where(*mine).order_by(fills.c.seq)
    return replace(order, exec_ids=tuple(connection.execute(statement).scalars()))


def last_seq(connection: Connection, account: str) -> int:
    """The newest row of an account; 0 where it has none."""
    events = tables.events
    # Not max(): over a journal with archives that would read every part of it.
    newest = select(events.c.seq).where(events.c.account == account).order_by(events.c.seq.desc()).limit(1)
    return connection.execute(newest).scalar() or 0


def last_version(connection: Connection, cycle_id: str, account: str | None = None) -> int:
    """Version of the newest fact of a cycle; 0 where it has none."""
    events = tables.events
    statement = select(events.c.version).where(_of_cycle(cycle_id, account)).order_by(events.c.version.desc()).limit(1)
    found = connection.execute(statement).scalar()
    if found is None:
        moved = tables.archived_cycles
        found = connection.execute(select(moved.c.version).where(moved.c.cycle_id == cycle_id)).scalar()
    return found or 0


def _of_cycle(cycle_id: str, account: str | None) -> ColumnElement[bool]:
    """The facts of a cycle. No two accounts share one, but who names the account spares a look into every partition."""
    events = tables.events
    named = events.c.cycle_id == cycle_id
    return named if account is None else and_(named, events.c.account == account)


def recorded(row: Any) -> Recorded:
    """The fact that a stored row holds, with its place."""
    event = decode(row.kind, row.data, row.cycle_id, row.cl_ord_id, row.symbol)
    return Recorded(seq=row.seq, at=row.at, event=event)


def facts_of_cycle(connection: Connection, cycle_id: str, account: str | None = None) -> Iterator[Recorded]:
    """Every fact of one cycle, in order."""
    events = tables.events
    rows = connection.execute(select(*STORED).where(_of_cycle(cycle_id, account)).order_by(events.c.version))
    return (recorded(row) for row in rows)


def last_of_kind(connection: Connection, account: str, kind: str) -> Recorded | None:
    """The newest fact of a kind that is indexed by name (``tables.WATCHED_KINDS``)."""
    return next(iter(newest_of_kind(connection, account, kind, 1)), None)


def newest_of_kind(connection: Connection, account: str, kind: str, count: int) -> list[Recorded]:
    """The newest facts of such a kind, newest first."""
    return list(islice(_newest_first(connection, account, kind, count), count))


def newest_of_kinds(connection: Connection, account: str, kinds: Iterable[str]) -> Recorded | None:
    """The newest fact of any of such kinds; only that one is read whole."""
    rows = [row for kind in kinds for row in _rows_of_kind(connection, account, kind, 1)]
    return recorded(max(rows, key=lambda row: row.seq)) if rows else None


def _newest_first(connection: Connection, account: str, kind: str, limit: int | None = None) -> Iterator[Recorded]:
    """Facts of such a kind, newest first, read as they are asked for."""
    return (recorded(row) for row in _rows_of_kind(connection, account, kind, limit))


def _rows_of_kind(connection: Connection, account: str, kind: str, limit: int | None) -> Iterable[Any]:
    events = tables.events
    return connection.execute(
        select(*STORED)
        # Spelled out, not bound: SQLite uses a partial index only where it can see that the condition implies it.
        .where(events.c.kind == literal_column(f"'{kind}'"), events.c.account == account)
        .order_by(events.c.seq.desc())
        .limit(limit)
    )


def _load_account(connection: Connection, state: AccountState) -> None:
    account = connection.execute(select(tables.accounts).where(tables.accounts.c.account == state.account)).first()
    if account is None:
        return
    state.cash = account.cash
    state.trading_day = account.trading_day
    state.trades_today = account.trades_today
    state.realised_today = account.realised_today
    state.inbox_id = account.inbox_id
    state.attention = account.attention
    if account.halt_scope is not None:
        state.halt = Halted(
            scope=HaltScope(account.halt_scope),
            reason=account.halt_reason,
            author=account.halt_author,
            inbox_id=account.halt_inbox_id,
        )
    first = connection.execute(
        select(*STORED).where(tables.events.c.account == state.account, tables.events.c.seq == 1)
    ).first()
    if first is not None:
        opened = recorded(first).event
        state.opened = opened if isinstance(opened, AccountOpened) else None
    _load_licence(connection, state)


def _load_licence(connection: Connection, state: AccountState) -> None:
    """Whose account it is at the broker, whether real money is armed, and what a trial of the broker showed."""
    probed = last_of_kind(connection, state.account, BrokerProbed.kind)
    if probed is not None and isinstance(probed.event, BrokerProbed):
        state.probed = probed.event
    newest = [last_of_kind(connection, state.account, each.kind) for each in (AccountBound, LiveArmed, LiveDisarmed)]
    for fact in sorted((fact for fact in newest if fact is not None), key=lambda fact: fact.seq):
        match fact.event:
            case AccountBound() as bound:
                state.bound = bound
            case LiveArmed() as armed:
                state.armed, state.disarmed = armed, None
            case LiveDisarmed() as disarmed:
                state.armed, state.disarmed = None, disarmed
            case _:
                raise AssertionError(fact)


def _load_cycle(connection: Connection, state: AccountState) -> int:
    cycles = tables.cycles
    last = connection.execute(
        select(cycles.c.cycle_id, cycles.c.opened_seq)
        .where(cycles.c.account == state.account)
        .order_by(cycles.c.opened_seq.desc())
        .limit(1)
    ).first()
    if last is None:
        return 0
    state.cycle = fold_cycle(facts_of_cycle(connection, last.cycle_id, state.account))
    if state.cycle is None or state.cycle.version != last_version(connection, last.cycle_id, state.account):
        raise DamagedError(f"cycle {last.cycle_id} lacks some of its facts; run `journal verify`")
    opened_seq: int = last.opened_seq
    return opened_seq


def fold_cycle(facts: Iterator[Recorded]) -> Cycle | None:
    """One cycle from its own facts; None where there are none.

    Raises:
        ImpossibleFact: the facts are not those of one cycle in their order.
    """
    cycle: Cycle | None = None
    for fact in facts:
        event = fact.event
        if isinstance(event, CycleOpened):
            cycle = Cycle(event, fact.at)
        elif cycle is None:
            raise ImpossibleFact(f"row {fact.seq} is a {event.kind} before its cycle opened")
        elif isinstance(event, AttentionRaised):
            cycle.version += 1
        elif isinstance(event, CycleEvent | FundsObserved):
            cycle.apply(event, fact.at)
    return cycle


def ledger_of(connection: Connection, state: AccountState, opened_seq: int, seq: int) -> Ledger | None:
    """The settlement ledger at row ``seq``: as the cycle that opened at row ``opened_seq`` found it, and what was
    filled since.
    """
    if state.cycle is None:
        opened = state.opened
        return None if opened is None else Ledger(currency=opened.currency, settled=opened.cash)
    events = tables.events
    since = select(*STORED).where(
        events.c.account == state.account,
        events.c.seq > opened_seq,
        events.c.seq <= seq,
        events.c.kind.in_([OrderFilled.kind, BuysRevalidated.kind]),
    )
    ledger: Ledger | None = ledger_at(state.cycle.opened)
    for row in connection.execute(since.order_by(events.c.seq)):
        event = recorded(row).event
        assert isinstance(event, OrderFilled | BuysRevalidated)
        ledger = booked(ledger, event)
    return ledger


def _load_parked(connection: Connection, state: AccountState, opened_seq: int) -> None:
    orders, events = tables.orders, tables.events
    current = "" if state.cycle is None else state.cycle.cycle_id
    unclosed = (
        select(orders)
        .where(
            orders.c.account == state.account,
            orders.c.phase != literal_column("'CLOSED'"),
            orders.c.cycle_id != current,
        )
        .order_by(literal_column("orders.rowid"))
    )
    for row in connection.execute(unclosed).mappings().all():
        order = _whole_order(connection, row)
        assert order is not None
        state.parked[order.cl_ord_id] = order
    touched = (
        select(events.c.cl_ord_id)
        .distinct()
        .where(
            events.c.account == state.account,
            events.c.seq > opened_seq,
            events.c.cl_ord_id.is_not(None),
            events.c.cycle_id != current,
            events.c.kind != AttentionRaised.kind,
        )
    )
    for cl_ord_id in connection.execute(touched).scalars().all():
        found = recall_order(connection, cl_ord_id, state.account)
        if found is not None:
            state.parked[cl_ord_id] = found


def _load_lists(connection: Connection, state: AccountState) -> None:
    account = state.account
    for row in connection.execute(select(tables.holdings).where(tables.holdings.c.account == account)).mappings():
        state.holdings[row["symbol"]] = HOLDINGS.value(row)
    for row in connection.execute(select(tables.blacklist).where(tables.blacklist.c.account == account)).mappings():
        state.blacklist[row["symbol"]] = BLACKLIST.value(row)
    for row in connection.execute(select(tables.frozen).where(tables.frozen.c.account == account)).mappings():
        state.frozen[row["symbol"]] = row["reason"]
    seen = select(tables.external_orders).where(tables.external_orders.c.account == account)
    for row in connection.execute(seen).mappings():
        state.external[row["order_id"]] = EXTERNAL.value(row)
    state.screens = _screens(connection, account)
    state.differences = standing_differences(connection, account)


def _screens(connection: Connection, account: str) -> tuple[Selected, ...]:
    """The newest screens of different days, newest first, as a fold remembers them."""
    found: list[Selected] = []
    for fact in _newest_first(connection, account, Selected.kind):
        event = fact.event
        if isinstance(event, Selected) and (not found or event.as_of != found[-1].as_of):
            found.append(event)
        if len(found) == SCREENS_KEPT:
            break
    return tuple(found)


def standing_differences(connection: Connection, account: str) -> tuple[Difference, ...]:
    """What the last comparison found, less what was adopted since."""
    last = last_of_kind(connection, account, Reconciled.kind)
    if last is None or not isinstance(last.event, Reconciled):
        return ()
    adopted = set()
    for fact in _newest_first(connection, account, PositionAdopted.kind):
        if fact.seq < last.seq:
            break
        if isinstance(fact.event, PositionAdopted):
            adopted.add(fact.event.symbol)
    return tuple(d for d in last.event.differences if d.cost is None or d.symbol not in adopted)
