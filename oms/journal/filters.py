"""Which facts, cycles and orders are asked for, and by which door each question enters: bound values only, no table scan.

Columns come from the tables' own definitions and every value is bound, so no filter can become part of the language.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, literal_column, or_, select

from oms.journal import tables
from oms.journal.scalars import storable, to_instant
from oms.journal.statuses import ORD_STATUS, entry_of
from oms.model.cycle import Phase
from oms.model.event import CycleOpened
from oms.model.order import OrdStatus

EVERY = 2**62
"""More rows than any table has."""

RULE_KINDS = ("order_blocked", "attention_raised", "cycle_aborted", "buys_revalidated")
"""Kinds of facts in which a rule decided something, those with long texts last; a test compares them with the model.

``cycle_opened`` names the rules that refused a wish of the plan; each of them comes again as ``order_blocked``.
"""

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

    @property
    def by_time(self) -> bool:
        """The facts are found by their time, and listed by it: nothing narrower is known about them."""
        timed = self.since is not None or self.until is not None
        named = any(part is not None for part in (self.cycle_id, self.symbol, self.rule))
        return timed and not named and self.kind not in tables.WATCHED_KINDS

    @property
    def by_rule(self) -> bool:
        """The facts are found by the kinds that name rules: nothing narrower is known about them."""
        return self.rule is not None and all(part is None for part in (self.cycle_id, self.symbol, self.kind))

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
    if not wanted.by_rule:
        by = (tables.events.c.at, tables.events.c.seq) if wanted.by_time else None
        return connection.execute(_page(account, wanted, limit, newest=newest, by=by)).mappings().all()
    found: list[RowMapping] = []
    for kind in RULE_KINDS:
        # Once a page is full, only what lies before its last row can still belong to it.
        edge = found[-1]["seq"] if len(found) == limit else None
        page = _page(account, replace(wanted, kind=kind), limit, newest=newest, edge=edge)
        found += connection.execute(page).mappings().all()
        found = sorted(found, key=lambda row: row["seq"], reverse=newest)[:limit]
    return found


def count_statement(account: str, wanted: EventFilter) -> Select[Any]:
    """How many facts match."""
    condition = events_condition(account, wanted)
    if wanted.by_rule:
        condition = and_(condition, or_(*[_of_kind(kind) for kind in RULE_KINDS]))
    return select(func.count()).select_from(tables.events).where(condition)


def _page(
    account: str,
    wanted: EventFilter,
    limit: int,
    *,
    newest: bool,
    by: Sequence[ColumnElement[Any]] | None = None,
    edge: int | None = None,
) -> Select[Any]:
    seq = tables.events.c.seq
    columns = by or (seq,)
    order = [column.desc() for column in columns] if newest else list(columns)
    statement = select(*EVENT_COLUMNS).where(events_condition(account, wanted)).order_by(*order).limit(limit)
    if edge is None:
        return statement
    return statement.where(seq > edge if newest else seq < edge)


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
        # The stored text is canonical JSON in ASCII: no other content of a fact can look like this.
        conditions.append(events.c.kind != CycleOpened.kind)
        conditions.append(func.instr(events.c.data, f'"rule":{json.dumps(wanted.rule)}') > 0)
    if wanted.text is not None:
        conditions.append(func.instr(func.lower(events.c.data), func.lower(json.dumps(wanted.text)[1:-1])) > 0)
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


def cycles_statement(account: str, wanted: CycleFilter, limit: int) -> Select[Any]:
    """Cycles, newest first."""
    cycles, orders = tables.cycles, tables.orders
    conditions: list[ColumnElement[bool]] = [cycles.c.account == account, cycles.c.opened_seq > 0]
    if wanted.is_open is not None:
        done: ColumnElement[str] = literal_column(f"'{Phase.DONE.value}'")
        conditions.append(cycles.c.phase != done if wanted.is_open else cycles.c.phase == done)
    if wanted.phase is not None:
        conditions.append(cycles.c.phase == wanted.phase.value)
    if wanted.outcome is not None:
        conditions.append(cycles.c.outcome == storable(wanted.outcome))
    if wanted.symbol is not None:
        traded = select(orders.c.cycle_id).where(orders.c.symbol == storable(wanted.symbol))
        conditions.append(cycles.c.cycle_id.in_(traded))
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
        conditions += [orders.c.phase != literal_column("'CLOSED'"), orders.c.phase == literal_column("'AMBIGUOUS'")]
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
