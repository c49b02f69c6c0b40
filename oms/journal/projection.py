"""The shadow that the facts cast: which rows a few facts changed, and how they are written.

Appending, rebuilding and verifying all use this one code: what it writes after each fact, and what it writes after a
fresh fold of every fact, must be the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oms.journal import tables
from oms.journal.casting import Cast, delete_sql, insert_sql, upsert_sql
from oms.journal.packed import Packing
from oms.journal.scalars import storable, to_instant, to_micro
from oms.journal.shortcuts import BookRow, book_row, rules_of
from oms.journal.statements import Statements
from oms.model.cycle import Cycle, Phase
from oms.model.event import (
    AccountOpened,
    Blacklisted,
    CycleOpened,
    Event,
    ExternalOrderSeen,
    OrderEvent,
    OrderFilled,
    OrderPlanned,
    PositionAdopted,
    Recorded,
)
from oms.model.order import Order
from oms.model.state import AccountState, Holding

ORDERS = Cast(Order, tables.orders, {"index": "idx"}, omit=("exec_ids",))
FILLS = Cast(OrderFilled, tables.fills, omit=("cum_qty",))
HOLDINGS = Cast(Holding, tables.holdings)
BLACKLIST = Cast(Blacklisted, tables.blacklist)
EXTERNAL = Cast(ExternalOrderSeen, tables.external_orders)

Rows = list[tuple[Any, ...]]


def check_exact(event: Event) -> None:
    """Refuse, before anything is written, amounts that the tables cannot keep exactly.

    Raises:
        ValueError: an amount is finer than a millionth.
    """
    match event:
        case OrderFilled():
            amounts = [event.last_px, event.fee]
        case OrderPlanned():
            amounts = [event.worst_px, *([] if event.price is None else [event.price])]
        case AccountOpened():
            amounts = [event.cash, *(p.qty for p in event.positions)]
        case PositionAdopted():
            amounts = [event.qty, event.cost]
        case _:
            return
    for amount in amounts:
        to_micro(amount)


@dataclass(frozen=True, slots=True)
class _Casts:
    table: str
    upsert: str
    delete: str


_ADDED_ONLY = (tables.fills, tables.bound_rules)
"""Tables whose rows are never written twice."""
_CASTS = {t.name: _Casts(t.name, upsert_sql(t), delete_sql(t)) for t in tables.SHADOWS if t not in _ADDED_ONLY}
_INSERT_FILL = insert_sql(tables.fills)
_INSERT_RULE = insert_sql(tables.bound_rules)


class Shadow:
    """Collects what facts changed and writes the changed rows; one per journal."""

    def __init__(self, state: AccountState, opened_seq: int = 0, packing: Packing | None = None) -> None:
        """Begin with what the tables already show: ``state``, whose cycle opened at row ``opened_seq``.

        ``packing`` writes the tables that SQLite packs.
        """
        self._packing = packing
        self._account = state.account
        self._opened_seq = opened_seq
        """Row at which the current cycle opened."""
        self._written_account: tuple[Any, ...] | None = None
        self._written_cycle: tuple[Any, ...] | None = None
        self._written_blacklist = dict(state.blacklist)
        self._written_frozen = dict(state.frozen)
        self._forget()

    def _forget(self) -> None:
        self._cycles: dict[str, tuple[Cycle, int]] = {}
        self._orders: dict[str, Order] = {}
        self._fills: Rows = []
        self._holdings: dict[str, Holding] = {}
        self._external: dict[str, ExternalOrderSeen] = {}
        self._rules: list[tuple[str, str, int]] = []
        self._books: list[BookRow] = []

    def note(self, state: AccountState, recorded: Recorded, cycle_id: str | None) -> None:
        """Remember what the fact just applied to ``state`` changed."""
        event = recorded.event
        if isinstance(event, CycleOpened):
            self._opened_seq = recorded.seq
        cycle = state.cycle
        if cycle is not None and cycle_id == cycle.cycle_id:
            self._cycles[cycle.cycle_id] = (cycle, self._opened_seq)
        if isinstance(event, OrderEvent):
            self._note_order(state, event, recorded)
        else:
            self._note_account(state, event)
        for rule in rules_of(event):
            self._rules.append((self._account, rule, recorded.seq))
        booked = book_row(state, recorded.seq)
        if booked is not None:
            self._books.append(booked)

    def _note_order(self, state: AccountState, event: OrderEvent, recorded: Recorded) -> None:
        order = state.order(event.cl_ord_id)
        assert order is not None
        self._orders[event.cl_ord_id] = order
        if isinstance(event, OrderFilled):
            at = to_instant(recorded.at)
            self._fills.append(FILLS.row(event, account=self._account, seq=recorded.seq, at=at))
            self._holdings[event.symbol] = state.holdings[event.symbol]

    def _note_account(self, state: AccountState, event: Event) -> None:
        if isinstance(event, ExternalOrderSeen):
            self._external[event.order_id] = event
        elif isinstance(event, PositionAdopted):
            self._holdings[event.symbol] = state.holdings[event.symbol]
        elif isinstance(event, AccountOpened):
            self._holdings.update(state.holdings)

    def write(self, raw: Statements, state: AccountState) -> None:
        """Write every row that changed since the last time; within the caller's transaction."""
        account = self._account
        for cycle, opened_seq in self._cycles.values():
            cycle_row = _cycle_row(account, cycle, opened_seq)
            if cycle_row != self._written_cycle:
                _put(raw, "cycles", [cycle_row])
                self._written_cycle = cycle_row
        if self._orders:
            orders = [ORDERS.row(order, account=account) for order in self._orders.values()]
            if self._packing is None:
                _put(raw, "orders", orders)
            else:
                self._packing.put_orders(orders)
        if self._fills:
            if self._packing is None:
                raw.executemany(_INSERT_FILL, self._fills)
            else:
                self._packing.add_fills(self._fills)
        if self._holdings:
            rows = (HOLDINGS.row(h, account=account, symbol=s) for s, h in self._holdings.items())
            _put(raw, "holdings", rows)
        if self._external:
            _put(raw, "external_orders", (EXTERNAL.row(seen, account=account) for seen in self._external.values()))
        if self._rules:
            raw.executemany(_INSERT_RULE, self._rules)
        if self._books:
            _put(raw, "books", self._books)
        self._write_lists(raw, state)
        row = _account_row(state)
        if row != self._written_account:
            _put(raw, "accounts", [row])
            self._written_account = row
        self._forget()

    def _write_lists(self, raw: Statements, state: AccountState) -> None:
        """Short lists are compared whole: many kinds of fact may change them."""
        account = self._account
        if state.blacklist != self._written_blacklist:
            listed = {symbol: BLACKLIST.row(entry, account=account) for symbol, entry in state.blacklist.items()}
            _replace(raw, "blacklist", account, self._written_blacklist, listed)
            self._written_blacklist = dict(state.blacklist)
        if state.frozen != self._written_frozen:
            frozen = {symbol: (account, symbol, storable(reason)) for symbol, reason in state.frozen.items()}
            _replace(raw, "frozen", account, self._written_frozen, frozen)
            self._written_frozen = dict(state.frozen)


def _put(raw: Statements, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    raw.executemany(_CASTS[table].upsert, rows)


def _replace(
    raw: Statements, table: str, account: str, before: Iterable[str], after: Mapping[str, tuple[Any, ...]]
) -> None:
    raw.executemany(_CASTS[table].delete, [(account, symbol) for symbol in before if symbol not in after])
    _put(raw, table, after.values())


def _cycle_row(account: str, cycle: Cycle, opened_seq: int) -> tuple[Any, ...]:
    opened = cycle.opened
    deadline = _deadline(cycle)
    cut = 0 if cycle.revalidated is None else sum(b.quantity < b.original for b in cycle.revalidated.buys)
    return (
        cycle.cycle_id,
        account,
        opened_seq,
        cycle.state,
        to_instant(cycle.phase_since),
        None if deadline is None else to_instant(deadline),
        None if cycle.outcome is None else cycle.outcome.value,
        to_instant(cycle.opened_at),
        None if cycle.closed_at is None else to_instant(cycle.closed_at),
        opened.trading_day.isoformat(),
        opened.settles.isoformat(),
        cycle.fence,
        cycle.resumed,
        len(opened.sells),
        len(opened.buys),
        cut,
        opened.config_hash,
        storable(opened.source),
        None if cycle.aborted is None else cycle.aborted.rule,
        None if cycle.aborted is None else storable(cycle.aborted.reason),
    )


def _deadline(cycle: Cycle) -> datetime | None:
    """Absolute end of the phase the cycle is in."""
    match cycle.phase:
        case Phase.SELLING:
            return cycle.opened.deadline
        case Phase.SETTLING:
            return None if cycle.sells_over is None else cycle.sells_over.deadline
        case Phase.BUYING:
            return None if cycle.revalidated is None else cycle.revalidated.deadline
        case _:
            return None


def _account_row(state: AccountState) -> tuple[Any, ...]:
    opened, halt = state.opened, state.halt
    return (
        state.account,
        None if opened is None else opened.mode,
        None if opened is None else opened.broker,
        None if opened is None else opened.currency,
        to_micro(state.cash),
        None if state.trading_day is None else state.trading_day.isoformat(),
        state.trades_today,
        to_micro(state.realised_today),
        None if halt is None else halt.scope.value,
        None if halt is None else storable(halt.reason),
        None if halt is None else storable(halt.author),
        None if halt is None else halt.inbox_id,
        state.inbox_id,
        state.attention,
    )
