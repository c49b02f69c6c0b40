"""An account's state from its shadow and the facts of its last cycle only, however long the journal is.

It must be the same state that a fold of every fact gives; ``journal verify`` and the tests compare them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    bindparam,
    literal_column,
    select,
)

from oms.errors import DamagedError
from oms.journal import tables
from oms.journal.asking import Question
from oms.journal.chain import genesis
from oms.journal.codec import decode
from oms.journal.projection import BLACKLIST, EXTERNAL, HOLDINGS
from oms.journal.recalling import recall_orders, whole_orders
from oms.journal.scalars import TEXT, WHOLE
from oms.journal.statuses import is_unclosed
from oms.model.arming import AccountBound, LiveArmed, LiveDisarmed
from oms.model.currencies import Ledgers, ledgers_of_start
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
from oms.model.probing import BrokerProbed
from oms.model.state import SCREENS_KEPT, AccountState, booked, ledgers_at

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


_RARE = tuple(kind.kind for kind in (BrokerProbed, AccountBound, LiveArmed, LiveDisarmed, Selected, Reconciled))
"""Kinds of which a start needs the newest fact."""

# Questions are built once: at a start building them would cost more than asking them.
_EVENTS, _ORDERS, _CYCLES = tables.events.c, tables.orders.c, tables.cycles.c
_ACCOUNT, _CYCLE_ID, _CL_ORD_ID = (
    bindparam("account", type_=TEXT),
    bindparam("cycle_id", type_=TEXT),
    bindparam("cl_ord_id", type_=TEXT),
)
_OPENED_SEQ, _SEQ = bindparam("opened_seq", type_=WHOLE), bindparam("seq", type_=WHOLE)
_OF_ACCOUNT = _EVENTS.account == _ACCOUNT
_LAST_ROW = Question(
    select(_EVENTS.seq, _EVENTS.hash).where(_OF_ACCOUNT, _EVENTS.seq > 0).order_by(_EVENTS.seq.desc()).limit(1)
)
# Not max(): over a journal with archives that would read every part of it.
_LAST_SEQ = select(_EVENTS.seq).where(_OF_ACCOUNT, _EVENTS.seq > 0).order_by(_EVENTS.seq.desc()).limit(1)
_FIRST_ROW = Question(select(*STORED).where(_OF_ACCOUNT, _EVENTS.seq == 1))
_LAST_CYCLE = Question(
    select(_CYCLES.cycle_id, _CYCLES.opened_seq)
    .where(_CYCLES.account == _ACCOUNT)
    .order_by(_CYCLES.opened_seq.desc())
    .limit(1)
)
_ARCHIVED_VERSION = Question(
    select(tables.archived_cycles.c.version).where(tables.archived_cycles.c.cycle_id == _CYCLE_ID)
)
_MONEY_MOVED = Question(
    select(*STORED)
    .where(
        _OF_ACCOUNT,
        _EVENTS.seq > _OPENED_SEQ,
        _EVENTS.seq <= _SEQ,
        _EVENTS.kind.in_([OrderFilled.kind, BuysRevalidated.kind]),
    )
    .order_by(_EVENTS.seq)
)
_UNCLOSED = Question(
    select(tables.orders)
    .where(_ORDERS.account == _ACCOUNT, *is_unclosed(), _ORDERS.cycle_id != _CYCLE_ID)
    .order_by(literal_column("orders.rowid"))
)
_TOUCHED = Question(
    select(_EVENTS.cl_ord_id)
    .distinct()
    .where(
        _OF_ACCOUNT,
        _EVENTS.seq > _OPENED_SEQ,
        _EVENTS.cl_ord_id.is_not(None),
        _EVENTS.cycle_id != _CYCLE_ID,
        _EVENTS.kind != AttentionRaised.kind,
    )
)


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
    newest = newest_of_each(connection, account, _RARE)
    _load_licence(state, newest)
    # A journal without such facts is not asked for more of them.
    state.screens = _screens(connection, account) if Selected.kind in newest else ()
    state.differences = standing_differences(connection, account) if Reconciled.kind in newest else ()
    state.ledgers = ledgers_of(connection, state, opened_seq, head.seq)
    return Loaded(state=state, head=head, opened_seq=opened_seq)


def read_head(connection: Connection, account: str) -> Head:
    """The end of the chain, checked against its last row."""
    last = _LAST_ROW.first(connection, account=account)
    found = _all_of(tables.heads).first(connection, account=account)
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


def last_seq(connection: Connection, account: str) -> int:
    """The newest row of an account; 0 where it has none."""
    return connection.execute(_LAST_SEQ, {"account": account}).scalar() or 0


def last_version(connection: Connection, cycle_id: str, account: str | None = None) -> int:
    """Version of the newest fact of a cycle; 0 where it has none."""
    question = _newest_version(is_account_named=account is not None)
    found = question.first(connection, cycle_id=cycle_id, account=account)
    if found is None:
        found = _ARCHIVED_VERSION.first(connection, cycle_id=cycle_id)
    return found.version if found is not None else 0


@cache
def _facts_of_cycle(*, is_account_named: bool) -> Select[Any]:
    """The facts of a cycle. No two accounts share one, but who names the account spares a look into every partition."""
    found = select(*STORED).where(_EVENTS.cycle_id == _CYCLE_ID)
    return found.where(_OF_ACCOUNT) if is_account_named else found


@cache
def _newest_version(*, is_account_named: bool) -> Question:
    facts = _facts_of_cycle(is_account_named=is_account_named)
    return Question(facts.with_only_columns(_EVENTS.version).order_by(_EVENTS.version.desc()).limit(1))


@cache
def _whole_cycle(*, is_account_named: bool) -> Question:
    return Question(_facts_of_cycle(is_account_named=is_account_named).order_by(_EVENTS.version))


@lru_cache(maxsize=256)
def _of_kind(kind: str, limit: int | None) -> Select[Any]:
    """The newest facts of a kind that has an index."""
    # Spelled out, not bound: SQLite uses a partial index only where it can see that the condition implies it.
    named = _EVENTS.kind == literal_column(f"'{kind}'")
    return select(*STORED).where(named, _OF_ACCOUNT).order_by(_EVENTS.seq.desc()).limit(limit)


@lru_cache(maxsize=16)
def _newest_of_each(kinds: tuple[str, ...]) -> Question:
    rows = [_of_kind(kind, 1).with_only_columns(_EVENTS.seq).scalar_subquery() for kind in kinds]
    return Question(select(*STORED).where(_OF_ACCOUNT, _EVENTS.seq.in_(rows)))


@cache
def _all_of(table: Table) -> Question:
    """Every row of an account in a small table."""
    return Question(select(table).where(table.c.account == _ACCOUNT))


def recorded(row: Any) -> Recorded:
    """The fact that a stored row holds, with its place."""
    event = decode(row.kind, row.data, row.cycle_id, row.cl_ord_id, row.symbol)
    return Recorded(seq=row.seq, at=row.at, event=event)


def facts_of_cycle(connection: Connection, cycle_id: str, account: str | None = None) -> Iterator[Recorded]:
    """Every fact of one cycle, in order."""
    return map(recorded, rows_of_cycle(connection, cycle_id, account))


def rows_of_cycle(connection: Connection, cycle_id: str, account: str | None = None) -> Iterable[Any]:
    """The same as stored."""
    return _whole_cycle(is_account_named=account is not None).rows(connection, cycle_id=cycle_id, account=account)


def last_cycle(connection: Connection, account: str) -> Any:
    """The newest cycle's ``cycle_id`` and the row ``opened_seq`` at which it opened; None before the first."""
    return _LAST_CYCLE.first(connection, account=account)


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


def newest_of_each(connection: Connection, account: str, kinds: tuple[str, ...]) -> dict[str, Recorded]:
    """The newest fact of each of such kinds that the account has, by kind; in one question."""
    rows = _newest_of_each(kinds).rows(connection, account=account)
    return {row.kind: recorded(row) for row in rows}


def _newest_first(connection: Connection, account: str, kind: str, limit: int | None = None) -> Iterator[Recorded]:
    """Facts of such a kind, newest first, read as they are asked for."""
    return (recorded(row) for row in _rows_of_kind(connection, account, kind, limit))


def _rows_of_kind(connection: Connection, account: str, kind: str, limit: int | None) -> Iterable[Any]:
    return connection.execute(_of_kind(kind, limit), {"account": account})


def _load_account(connection: Connection, state: AccountState) -> None:
    account = _all_of(tables.accounts).first(connection, account=state.account)
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
    first = _FIRST_ROW.first(connection, account=state.account)
    if first is not None:
        opened = recorded(first).event
        state.opened = opened if isinstance(opened, AccountOpened) else None


def _load_licence(state: AccountState, newest: Mapping[str, Recorded]) -> None:
    """Whose account it is at the broker, whether real money is armed, and what a trial of the broker showed."""
    named = [newest[each.kind] for each in (BrokerProbed, AccountBound, LiveArmed, LiveDisarmed) if each.kind in newest]
    for fact in sorted(named, key=lambda fact: fact.seq):
        match fact.event:
            case BrokerProbed() as probed:
                state.probed = probed
            case AccountBound() as bound:
                state.bound = bound
            case LiveArmed() as armed:
                state.armed, state.disarmed = armed, None
            case LiveDisarmed() as disarmed:
                state.armed, state.disarmed = None, disarmed
            case _:
                raise AssertionError(fact)


def _load_cycle(connection: Connection, state: AccountState) -> int:
    last = last_cycle(connection, state.account)
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


def ledgers_of(connection: Connection, state: AccountState, opened_seq: int, seq: int) -> Ledgers | None:
    """The settlement ledgers at row ``seq``: as the cycle that opened at row ``opened_seq`` found them, and what was
    filled since.
    """
    if state.cycle is None:
        opened = state.opened
        return None if opened is None else ledgers_of_start(opened.currency, opened.cash, opened.others)
    return ledgers_since(connection, state.account, ledgers_at(state.cycle.opened), opened_seq, seq)


def ledgers_since(connection: Connection, account: str, ledgers: Ledgers, opened_seq: int, seq: int) -> Ledgers | None:
    """The ledgers at row ``seq``, from those with which the cycle of row ``opened_seq`` began."""
    found: Ledgers | None = ledgers
    for row in _MONEY_MOVED.rows(connection, account=account, opened_seq=opened_seq, seq=seq):
        event = recorded(row).event
        assert isinstance(event, OrderFilled | BuysRevalidated)
        found = booked(found, event)
    return found


def _load_parked(connection: Connection, state: AccountState, opened_seq: int) -> None:
    current = "" if state.cycle is None else state.cycle.cycle_id
    earlier = {"account": state.account, "cycle_id": current}
    for order in whole_orders(connection, state.account, _UNCLOSED.mappings(connection, **earlier)):
        state.parked[order.cl_ord_id] = order
    touched = [row.cl_ord_id for row in _TOUCHED.rows(connection, **earlier, opened_seq=opened_seq)]
    state.parked.update(recall_orders(connection, state.account, touched))


def _load_lists(connection: Connection, state: AccountState) -> None:
    account = state.account
    for row in _all_of(tables.holdings).mappings(connection, account=account):
        state.holdings[row["symbol"]] = HOLDINGS.value(row)
    for row in _all_of(tables.blacklist).mappings(connection, account=account):
        state.blacklist[row["symbol"]] = BLACKLIST.value(row)
    for row in _all_of(tables.frozen).mappings(connection, account=account):
        state.frozen[row["symbol"]] = row["reason"]
    for row in _all_of(tables.external_orders).mappings(connection, account=account):
        state.external[row["order_id"]] = EXTERNAL.value(row)


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
