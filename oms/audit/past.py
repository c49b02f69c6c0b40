"""What was true at an earlier moment: the account's state rebuilt from the journal up to there.

The fold begins at the nearest cheap place, where the last cycle opened. What had gone before is gathered there by the
indices: the executions for shares, cash and the day's profit, the rare facts for brakes, lists and parked orders. From
there on the engine's own fold takes over, so its result is the state that a fold of every fact up to the moment gives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from sqlalchemy import Connection, Select, func, literal_column, select

from oms.audit.books import Book, cash_moved
from oms.audit.parked import of_kinds, order_at, park
from oms.errors import DamagedError, UsageError
from oms.journal import tables
from oms.journal.answers import instant
from oms.journal.loading import STORED, fold_cycle, ledgers_of, recorded
from oms.journal.reader import Reader
from oms.journal.scalars import from_micro, to_micro
from oms.journal.shortcuts import holdings_of
from oms.journal.statements import statements, stream
from oms.model.cycle import ImpossibleFact
from oms.model.event import (
    AccountOpened,
    BuysRevalidated,
    CycleOpened,
    FundsObserved,
    OrderAcknowledged,
    PositionAdopted,
    Reconciled,
    Recorded,
    Selected,
)
from oms.model.state import SCREENS_KEPT, AccountState

_LISTS = (
    *("halted", "released", "blacklisted", "unblacklisted", "symbol_frozen", "symbol_unfrozen"),
    *("external_order_seen", "command_answered", "account_bound", "live_armed", "live_disarmed", "broker_probed"),
    "reconciled",
)
"""Kinds of facts that change the account and belong to no cycle; each is found by the index of kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The account as it was when a fact had just been journaled."""

    state: AccountState
    at: datetime
    """When that fact was journaled."""
    head: bytes
    """Its hash."""
    selected: Recorded | None
    revalidated: Recorded | None
    reading: Recorded | None
    """The newest fact that carries a reading of the funds."""


def moment(reader: Reader, at: datetime) -> Moment:
    """The account as it was at an instant.

    Raises:
        UsageError: the journal begins later.
        DamagedError: its facts do not follow from one another.
    """
    with reader.asking("going back in time") as connection:
        seq = last_before(connection, at)
        if seq is None:
            raise UsageError(f"the journal begins after {instant(at)}; nothing is known of that time")
        return moment_of(connection, reader.account, seq)


def last_before(connection: Connection, at: datetime) -> int | None:
    """The newest fact that was journaled at or before an instant."""
    events = tables.events
    statement = (
        select(events.c.seq, events.c.at)
        .where(events.c.at <= at)
        .order_by(events.c.at.desc(), events.c.seq.desc())
        .limit(1)
    )
    return connection.execute(statement).scalar()


def moment_of(connection: Connection, account: str, seq: int) -> Moment:
    """The account as it was when row ``seq`` had just been journaled."""
    events = tables.events
    row = connection.execute(select(events.c.at, events.c.hash).where(events.c.seq == seq)).one()
    try:
        state = _state(connection, account, seq)
    except ImpossibleFact as error:
        raise DamagedError(f"the journal does not add up before row {seq}: {error}; run `journal verify`") from error
    readings = [_last(connection, kind, seq) for kind in (FundsObserved.kind, CycleOpened.kind, BuysRevalidated.kind)]
    known = [fact for fact in readings if fact is not None]
    return Moment(
        state=state,
        at=row.at,
        head=row.hash,
        selected=_last(connection, Selected.kind, seq),
        revalidated=readings[2],
        reading=max(known, key=lambda fact: fact.seq, default=None),
    )


def _last(connection: Connection, kind: str, seq: int) -> Recorded | None:
    return next(iter(newest_before(connection, kind, seq, 1)), None)


def newest_before(connection: Connection, kind: str, seq: int, most: int) -> list[Recorded]:
    """The newest facts of a kind up to a row, newest first."""
    return list(islice(_newest_first(connection, kind, seq, most), most))


def _newest_first(connection: Connection, kind: str, seq: int, most: int | None = None) -> Iterator[Recorded]:
    """The same as they are asked for."""
    events = tables.events
    rows = connection.execute(
        select(*STORED)
        # Spelled out, not bound, so that SQLite sees that the index of kinds serves it; the word is our own.
        .where(events.c.kind == literal_column(f"'{kind}'"), events.c.seq <= seq)
        .order_by(events.c.seq.desc())
        .limit(most)
    )
    return (recorded(row) for row in rows)


def _state(connection: Connection, account: str, seq: int) -> AccountState:
    events = tables.events
    state = _start(connection, account, _place(connection, account, seq))
    state.recall = lambda cl_ord_id: order_at(connection, cl_ord_id, state.seq)
    between = select(*STORED).where(events.c.seq > state.seq, events.c.seq <= seq).order_by(events.c.seq)
    for row in connection.execute(between):
        state.apply(recorded(row))
    return state


def _place(connection: Connection, account: str, seq: int) -> int:
    """The row before the newest cycle that had opened at row ``seq``, where one stands before it; 0 otherwise."""
    cycles = tables.cycles
    newest = (
        select(cycles.c.opened_seq)
        .where(cycles.c.account == account, cycles.c.opened_seq > 0, cycles.c.opened_seq <= seq)
        .order_by(cycles.c.opened_seq.desc())
        .limit(2)
    )
    found = connection.execute(newest).scalars().all()
    return found[0] - 1 if len(found) == 2 else 0


def _begin_of_day(connection: Connection, account: str, opened_seq: int, day: date) -> int:
    """The row before the first cycle of the run of cycles of one trading day that the cycle of a row belongs to."""
    cycles = tables.cycles
    of_account = (cycles.c.account == account, cycles.c.opened_seq > 0)
    earlier = connection.execute(
        select(cycles.c.opened_seq)
        .where(*of_account, cycles.c.opened_seq < opened_seq, cycles.c.trading_day != day)
        .order_by(cycles.c.opened_seq.desc())
        .limit(1)
    ).scalar()
    first: int = connection.execute(
        select(func.min(cycles.c.opened_seq)).where(*of_account, cycles.c.opened_seq > (earlier or 0))
    ).scalar_one()
    return first - 1


def _start(connection: Connection, account: str, seq: int) -> AccountState:
    """The state after row ``seq``, the last one before a cycle opened, gathered instead of folded."""
    state = AccountState(account)
    if not seq:
        return state
    events, cycles = tables.events, tables.cycles
    opened = recorded(connection.execute(select(*STORED).where(events.c.seq == 1)).one())
    if isinstance(opened.event, AccountOpened):
        state.apply(opened)
    for fact in of_kinds(connection, _LISTS, seq):
        _apply_out_of_turn(state, fact)
    state.attention = connection.execute(_counted("attention_raised", seq)).scalar_one()
    last = connection.execute(
        select(cycles.c.cycle_id, cycles.c.trading_day, cycles.c.opened_seq)
        .where(cycles.c.account == account, cycles.c.opened_seq > 0, cycles.c.opened_seq <= seq)
        .order_by(cycles.c.opened_seq.desc())
        .limit(1)
    ).one()
    state.trading_day = last.trading_day
    of_cycle = select(*STORED).where(events.c.cycle_id == last.cycle_id, events.c.seq <= seq).order_by(events.c.version)
    state.cycle = fold_cycle(recorded(row) for row in connection.execute(of_cycle))
    park(connection, state, last.cycle_id, seq)
    began = _begin_of_day(connection, account, last.opened_seq, last.trading_day)
    _book_fills(connection, state, seq, began)
    state.trades_today = _trades(connection, account, began, seq)
    state.ledgers = ledgers_of(connection, state, last.opened_seq, seq)
    state.screens = _screens(connection, seq)
    state.seq = seq
    return state


def _screens(connection: Connection, seq: int) -> tuple[Selected, ...]:
    """The newest screens of different days up to a row, newest first."""
    found: list[Selected] = []
    for fact in _newest_first(connection, Selected.kind, seq):
        event = fact.event
        if isinstance(event, Selected) and (not found or event.as_of != found[-1].as_of):
            found.append(event)
        if len(found) == SCREENS_KEPT:
            break
    return tuple(found)


def _trades(connection: Connection, account: str, began: int, seq: int) -> int:
    """Orders that the broker acknowledged for the first time between two rows."""
    events = tables.events
    acknowledged = (events.c.account == account, events.c.kind == OrderAcknowledged.kind)
    keys = connection.execute(
        select(events.c.cl_ord_id, events.c.cycle_id, func.min(events.c.seq))
        .where(*acknowledged, events.c.seq > began, events.c.seq <= seq)
        .group_by(events.c.cl_ord_id, events.c.cycle_id)
    ).all()
    # Only an order of an earlier day can have been acknowledged before, and few of these are met again.
    earlier = select(tables.cycles.c.cycle_id).where(
        tables.cycles.c.cycle_id.in_({cycle_id for _, cycle_id, _ in keys}), tables.cycles.c.opened_seq <= began
    )
    old = set(connection.execute(earlier).scalars())
    return sum(not (cycle in old and _was_acknowledged(connection, cycle, key, began)) for key, cycle, _ in keys)


def _was_acknowledged(connection: Connection, cycle_id: str, cl_ord_id: str, seq: int) -> bool:
    order = order_at(connection, cl_ord_id, seq)
    return order is not None and order.cycle_id == cycle_id and order.acknowledged_at is not None


def _counted(kind: str, seq: int) -> Select[int]:
    events = tables.events
    return select(func.count()).where(events.c.kind == literal_column(f"'{kind}'"), events.c.seq <= seq)


def _apply_out_of_turn(state: AccountState, fact: Recorded) -> None:
    """Apply a fact although others stand before it, which are known not to matter to it."""
    state.seq = fact.seq - 1
    state.apply(fact)


def _book_fills(connection: Connection, state: AccountState, seq: int, day: int) -> None:
    """Shares and cash from every execution up to a row, in the whole millionths in which the table keeps them.

    The walk begins at the last place where they were written down, or with what the account held at first. What the
    executions after row ``day`` realised is the profit of that day.
    """
    begun = _last_books(connection, state, min(seq, day))
    books = {symbol: Book.of(held) for symbol, held in state.holdings.items()}
    cash, realised = to_micro(state.cash), 0
    adopted = adoptions(connection, begun, seq)
    _drop_adopted(state, connection, seq)
    sql = (
        "SELECT seq, symbol, side, last_qty, last_px, fee FROM fills"
        " WHERE account = ? AND seq > ? AND seq <= ? ORDER BY seq"
    )
    for at, symbol, side, qty, px, fee in stream(statements(connection), sql, (state.account, begun, seq)):
        adopt(books, adopted, at)
        cash += cash_moved(side, qty, px, fee)
        profit = books.setdefault(symbol, Book()).take(side, qty, px, fee)
        realised += profit if at > day else 0
    adopt(books, adopted, seq)
    state.cash, state.realised_today = from_micro(cash), from_micro(realised)
    state.holdings = {symbol: book.holding() for symbol, book in books.items()}


def adoptions(connection: Connection, begun: int, seq: int) -> deque[tuple[int, PositionAdopted]]:
    """What operators adopted from the broker after row ``begun`` and up to row ``seq``, each with its row."""
    facts = of_kinds(connection, (PositionAdopted.kind,), seq)
    return deque(
        (fact.seq, fact.event) for fact in facts if fact.seq > begun and isinstance(fact.event, PositionAdopted)
    )


def adopt(books: dict[str, Book], adopted: deque[tuple[int, PositionAdopted]], until: int) -> None:
    """Book, and take off ``adopted``, what was adopted up to a row, in its place among the executions."""
    while adopted and adopted[0][0] <= until:
        _, event = adopted.popleft()
        books.setdefault(event.symbol, Book()).adopt(event.qty, event.cost)


def _drop_adopted(state: AccountState, connection: Connection, seq: int) -> None:
    """Of the differences of the last comparison, keep those that nobody has adopted since; adopting was a command."""
    adopted = adoptions(connection, 0, seq)
    state.inbox_id = max(state.inbox_id, *(event.inbox_id or 0 for _, event in adopted), 0)
    last = next(iter(newest_before(connection, Reconciled.kind, seq, 1)), None)
    if last is None:
        return
    since = {event.symbol for at, event in adopted if at > last.seq}
    state.differences = tuple(d for d in state.differences if d.cost is None or d.symbol not in since)


def _last_books(connection: Connection, state: AccountState, seq: int) -> int:
    """Take over the newest books that were kept up to a row, and say after which row; 0 where there are none."""
    sql = "SELECT seq, cash, held FROM books WHERE account = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
    row = statements(connection).execute(sql, (state.account, seq)).fetchone()
    if row is None:
        return 0
    state.cash = from_micro(row[1])
    state.holdings = dict(holdings_of(row[2]))
    begun: int = row[0]
    return begun
