"""Which facts, cycles and orders are asked for, and by which door each question enters: bound values only, no table scan.

Columns come from the tables' own definitions and every value is bound, so no filter can become part of the language.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, exists, func, literal_column, or_, select

from oms.journal import tables
from oms.journal.marks import candidates
from oms.journal.scalars import storable, to_instant
from oms.journal.statements import statements
from oms.journal.statuses import ORD_STATUS, entry_of, is_unclosed
from oms.model.cycle import Phase
from oms.model.order import OrdStatus

EVERY = 2**62
"""More rows than any table has."""

ORDERS_AT_ONCE = 200
"""Orders of one symbol whose cycles are looked at together."""

MOST_IN_A_TIME = 50_000
"""Facts of a time up to which its first and its last row are looked for: a few milliseconds along the index."""

RULES_AT_ONCE = 500
"""Facts of one rule that are looked at together."""

EVENT_COLUMNS = tuple(
    tables.events.c[name]
    for name in ("seq", "at", "account", "cycle_id", "cl_ord_id", "symbol", "kind", "data", "hash")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which facts are asked for; what is None does not matter."""

    account: str | None = None
    """A file holds one account: any other name matches nothing."""
    cycle_id: str | None = None
    cl_ord_id: str | None = None
    symbol: str | None = None
    kind: str | None = None
    rule: str | None = None
    """Facts in which this rule decided, about themselves or about one of their orders."""
    text: str | None = None
    """Somewhere in the fact's details; the case of ASCII letters does not matter."""
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    after: int = 0
    """Only facts with a higher seq."""
    after_at: datetime | None = None
    """With ``after``: the place where a list by time goes on, for facts at this very instant."""
    before: int | None = None
    """Only facts with a lower seq: where a list from the newest backwards goes on."""
    before_at: datetime | None = None
    """With ``before``: the place where a list by time goes on, as ``after_at``."""
    up_to: int | None = None
    """Only facts up to this seq."""

    @property
    def by_time(self) -> bool:
        """The facts are found by their time, and listed by it: nothing narrower is known about them."""
        timed = self.since is not None or self.until is not None
        named = any(part is not None for part in (self.cycle_id, self.symbol, self.rule))
        return timed and not named and self.kind not in tables.WATCHED_KINDS

    @property
    def through_time(self) -> bool:
        """The facts are found by something else, which may hold many of any time, and then must be of this time."""
        timed = self.since is not None or self.until is not None
        return timed and self.cycle_id is None and (self.symbol is not None or self.rule is not None)

    @property
    def by_rule(self) -> bool:
        """The facts are found by the rules that they name: nothing narrower is known about them."""
        return self.rule is not None and all(part is None for part in (self.cycle_id, self.symbol))

    @property
    def by_text(self) -> bool:
        """The facts are found by the marks of their texts: nothing narrower is known about them."""
        named = any(part is not None for part in (self.cycle_id, self.symbol, self.rule, self.since, self.until))
        return self.text is not None and not named and self.kind not in tables.WATCHED_KINDS

    def beyond(self, seq: int, at: datetime) -> EventFilter:
        """The same question about what comes after one of its facts."""
        return replace(self, after=seq, after_at=at if self.by_time else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleFilter:
    """Which cycles are asked for; what is None does not matter."""

    is_open: bool | None = None
    phase: Phase | None = None
    outcome: str | None = None
    symbol: str | None = None
    """Cycles with an order for it."""
    resumed: bool | None = None
    cut: bool | None = None
    """Cycles in which a buy was made smaller."""
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive; both of the instant at which a cycle opened."""
    before: int | None = None
    """Only cycles that opened before this row of the journal: where a list goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are asked for; what is None does not matter."""

    statuses: tuple[OrdStatus, ...] = ()
    unresolved: bool = False
    cycle_id: str | None = None
    symbol: str | None = None
    before: int | None = None
    """Only orders planned before this row of the table: where a list goes on."""


# Facts


def find_events(
    connection: Connection, account: str, wanted: EventFilter, limit: int, *, newest: bool
) -> Sequence[RowMapping]:
    """The facts that match, newest first or oldest first, at most ``limit``."""
    if wanted.through_time:
        narrowed = _within(connection, account, wanted)
        if narrowed is None:
            return []
        wanted = narrowed
    if wanted.by_rule:
        return _by_rule(connection, account, wanted, limit, newest=newest)
    if wanted.by_text:
        return _by_text(connection, account, wanted, limit, newest=newest)
    by = (tables.events.c.at, tables.events.c.seq) if wanted.by_time else None
    return connection.execute(_page(account, wanted, limit, newest=newest, by=by)).mappings().all()


def _within(connection: Connection, account: str, wanted: EventFilter) -> EventFilter | None:
    """The same question about the rows between which all facts of its time lie, found by the index of time; None for none.

    Whatever the clock did, no fact of that time lies outside of them. Where the time holds very many facts it is left alone.
    """
    events = tables.events
    times = [events.c.account == account]
    if wanted.since is not None:
        times.append(events.c.at >= wanted.since)
    if wanted.until is not None:
        times.append(events.c.at < wanted.until)
    some = select(events.c.seq).where(*times).limit(MOST_IN_A_TIME + 1).subquery()
    first, last, counted = connection.execute(select(func.min(some.c.seq), func.max(some.c.seq), func.count())).one()
    if not counted:
        return None
    if counted > MOST_IN_A_TIME:
        return wanted
    return replace(wanted, after=max(wanted.after, first - 1), up_to=last)


def _by_rule(
    connection: Connection, account: str, wanted: EventFilter, limit: int, *, newest: bool
) -> Sequence[RowMapping]:
    """Along the list of facts that name the rule, a few at a time, until a page is full."""
    bound = tables.bound_rules
    named = (bound.c.account == account, bound.c.rule == storable(wanted.rule or ""))
    found: list[RowMapping] = []
    edge, past = wanted.after, EVERY if wanted.up_to is None else wanted.up_to + 1
    while len(found) < limit:
        places = (
            select(bound.c.seq)
            .where(*named, bound.c.seq > edge, bound.c.seq < past)
            .order_by(bound.c.seq.desc() if newest else bound.c.seq)
            .limit(min(limit, RULES_AT_ONCE))
        )
        seqs = connection.execute(places).scalars().all()
        if not seqs:
            break
        page = _page(account, wanted, limit - len(found), newest=newest).where(tables.events.c.seq.in_(seqs))
        found += connection.execute(page).mappings().all()
        edge, past = (edge, seqs[-1]) if newest else (seqs[-1], past)
    return found


def _by_text(
    connection: Connection, account: str, wanted: EventFilter, limit: int, *, newest: bool
) -> Sequence[RowMapping]:
    """Through the blocks of facts that may hold the text, until a page is full."""
    found: list[RowMapping] = []
    runs = _runs(connection, account, wanted)
    for run in reversed(runs) if newest else runs:
        if len(found) == limit:
            break
        # One lower bound, not two: SQLite enters the table by the first that it meets.
        within = replace(wanted, after=run.start - 1)
        page = _page(account, within, limit - len(found), newest=newest).where(tables.events.c.seq < run.stop)
        found += connection.execute(page).mappings().all()
    return found


def _runs(connection: Connection, account: str, wanted: EventFilter) -> list[range]:
    runs = candidates(statements(connection), account, _as_stored(wanted))
    return [range(max(run.start, wanted.after + 1), run.stop) for run in runs if run.stop > wanted.after + 1]


def count_events(connection: Connection, account: str, wanted: EventFilter) -> int:
    """How many facts match."""
    seq, bound = tables.events.c.seq, tables.bound_rules
    statement = select(func.count()).select_from(tables.events)
    if wanted.by_text:
        parts = ((replace(wanted, after=run.start - 1), run.stop) for run in _runs(connection, account, wanted))
        counts = (statement.where(events_condition(account, part), seq < stop) for part, stop in parts)
        return sum(connection.execute(count).scalar_one() for count in counts)
    statement = statement.where(events_condition(account, wanted))
    if wanted.by_rule:
        named = select(bound.c.seq).where(bound.c.account == account, bound.c.rule == storable(wanted.rule or ""))
        statement = statement.where(seq.in_(named))
    counted: int = connection.execute(statement).scalar_one()
    return counted


def _as_stored(wanted: EventFilter) -> str:
    """The text that is looked for as the journal would hold it, within quotes."""
    return json.dumps(wanted.text or "")[1:-1]


@lru_cache(maxsize=128)
def _page(
    account: str,
    wanted: EventFilter,
    limit: int,
    *,
    newest: bool,
    by: Sequence[ColumnElement[Any]] | None = None,
) -> Select[Any]:
    columns = by or (tables.events.c.seq,)
    order = [column.desc() for column in columns] if newest else list(columns)
    return select(*EVENT_COLUMNS).where(events_condition(account, wanted)).order_by(*order).limit(limit)


def events_condition(account: str, wanted: EventFilter) -> ColumnElement[bool]:
    """What a fact must be to match."""
    events = tables.events
    conditions = [events.c.account == account, *_place(wanted)]
    if wanted.account is not None:
        conditions.append(events.c.account == storable(wanted.account))
    for name in ("cycle_id", "cl_ord_id", "symbol"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(events.c[name] == storable(value))
    if wanted.kind is not None:
        conditions.append(_of_kind(wanted.kind))
    if wanted.rule is not None:
        bound = tables.bound_rules
        named = (bound.c.account == account, bound.c.rule == storable(wanted.rule), bound.c.seq == events.c.seq)
        conditions.append(exists().where(*named))
    if wanted.text is not None:
        conditions.append(func.instr(func.lower(events.c.data), func.lower(_as_stored(wanted))) > 0)
    if wanted.since is not None:
        conditions.append(events.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.at < wanted.until)
    return and_(*conditions)


def _place(wanted: EventFilter) -> list[ColumnElement[bool]]:
    events = tables.events
    conditions: list[ColumnElement[bool]] = []
    if wanted.before is not None:
        if wanted.by_time and wanted.before_at is not None:
            edge: ColumnElement[datetime] = literal_column(str(to_instant(wanted.before_at)))
            conditions += [events.c.at <= edge, or_(events.c.at < edge, events.c.seq < wanted.before)]
        else:
            conditions.append(events.c.seq < wanted.before)
    if wanted.up_to is not None:
        conditions.append(events.c.seq <= wanted.up_to)
    return conditions + _beyond(wanted)


def _beyond(wanted: EventFilter) -> list[ColumnElement[bool]]:
    events = tables.events
    if not wanted.by_time:
        return [events.c.seq > wanted.after]
    if wanted.after_at is not None:
        at: ColumnElement[datetime] = literal_column(str(to_instant(wanted.after_at)))
        return [events.c.at >= at, or_(events.c.at > at, events.c.seq > wanted.after)]
    return [events.c.seq > wanted.after] if wanted.after else []


def _of_kind(kind: str) -> ColumnElement[bool]:
    if kind in tables.WATCHED_KINDS:
        # Spelled out, not bound, so that SQLite sees that the partial index serves it; the word is our own.
        return tables.events.c.kind == literal_column(f"'{kind}'")
    return tables.events.c.kind == storable(kind)


# Cycles


def find_cycles(connection: Connection, account: str, wanted: CycleFilter, limit: int) -> Sequence[RowMapping]:
    """The cycles that match, newest first, at most ``limit``."""
    if wanted.symbol is None:
        return connection.execute(_cycles(account, wanted, limit)).mappings().all()
    orders = tables.orders
    named = (orders.c.account == account, orders.c.symbol == storable(wanted.symbol))
    planned: ColumnElement[int] = literal_column("orders.rowid")
    found: list[RowMapping] = []
    seen: set[str] = set()
    edge = EVERY
    # Along the symbol's orders, which were planned in the order of their cycles, a few at a time, until a page is full.
    while len(found) < limit:
        some = select(planned, orders.c.cycle_id).where(*named, planned < edge).order_by(planned.desc())
        rows = connection.execute(some.limit(ORDERS_AT_ONCE)).all()
        if not rows:
            break
        new = {cycle_id for _, cycle_id in rows} - seen
        page = _cycles(account, wanted, limit - len(found)).where(tables.cycles.c.cycle_id.in_(sorted(new)))
        found += connection.execute(page).mappings().all()
        seen |= new
        edge = rows[-1][0]
    return found


def _cycles(account: str, wanted: CycleFilter, limit: int) -> Select[Any]:
    cycles = tables.cycles
    conditions: list[ColumnElement[bool]] = [cycles.c.account == account, cycles.c.opened_seq > 0]
    if wanted.is_open is not None:
        done: ColumnElement[str] = literal_column(f"'{Phase.DONE.value}'")
        conditions.append(cycles.c.phase != done if wanted.is_open else cycles.c.phase == done)
    if wanted.phase is not None:
        conditions.append(cycles.c.phase == wanted.phase.value)
    if wanted.outcome is not None:
        conditions.append(cycles.c.outcome == storable(wanted.outcome))
    if wanted.resumed is not None:
        conditions.append(cycles.c.resumed > 0 if wanted.resumed else cycles.c.resumed == 0)
    if wanted.cut is not None:
        conditions.append(cycles.c.cut > 0 if wanted.cut else cycles.c.cut == 0)
    if wanted.since is not None:
        conditions.append(cycles.c.opened_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(cycles.c.opened_at < wanted.until)
    if wanted.before is not None:
        conditions.append(cycles.c.opened_seq < wanted.before)
    return select(cycles).where(*conditions).order_by(cycles.c.opened_seq.desc()).limit(limit)


# Orders


def orders_statement(account: str, wanted: OrderFilter, limit: int) -> Select[Any]:
    """Orders, the last planned first."""
    orders = tables.orders
    planned: ColumnElement[int] = literal_column("orders.rowid")
    conditions: list[ColumnElement[bool]] = [orders.c.account == account, planned > literal_column("0")]
    if wanted.unresolved:
        conditions += [*is_unclosed(), orders.c.phase == literal_column("'AMBIGUOUS'")]
    if wanted.statuses:
        conditions.append(or_(*[entry_of(status) for status in wanted.statuses]))
        conditions.append(ORD_STATUS.in_([literal_column(f"'{status.value}'") for status in wanted.statuses]))
    if wanted.cycle_id is not None:
        conditions.append(orders.c.cycle_id == storable(wanted.cycle_id))
    if wanted.symbol is not None:
        conditions.append(orders.c.symbol == storable(wanted.symbol))
    if wanted.before is not None:
        conditions.append(planned < wanted.before)
    return select(orders).where(*conditions).order_by(planned.desc()).limit(limit)
