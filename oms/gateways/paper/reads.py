"""What the paper broker shows of its book: orders as they were ``list_lag`` ago, funds and positions of now."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from oms.gateways.paper.book import Book, exec_id, order_id
from oms.gateways.paper.units import LARGEST, from_instant, from_micro, span, to_instant, to_micro
from oms.model.account import Balance, Funds, Position
from oms.model.order import BrokerOrder, BrokerState, Fill, OrdType, Side

_SHOWN = """
SELECT orders.*, shown.id AS state_id, shown.at AS shown_at, shown.state AS shown_state, shown.cum_qty AS shown_cum_qty,
       shown.notional AS shown_notional, shown.fees AS shown_fees, shown.text AS shown_text
FROM orders JOIN order_states AS shown
     ON shown.id = (SELECT max(id) FROM order_states WHERE order_seq = orders.seq AND at <= ?)
"""

_FILLS = "SELECT executions.* FROM orders JOIN executions ON executions.order_seq = orders.seq "


def orders(book: Book, since: datetime, now: datetime, list_lag: timedelta) -> tuple[BrokerOrder, ...]:
    """Every order made at or after ``since`` that is shown by now, oldest first."""
    made = to_instant(since)
    rows = book.query(_SHOWN + "WHERE orders.made_at >= ? ORDER BY orders.seq", _shown_until(now, list_lag), made)
    fills = book.query(_FILLS + "WHERE orders.made_at >= ? ORDER BY executions.seq", made)
    return _reports(rows, fills)


def order(book: Book, order_no: str, now: datetime, list_lag: timedelta) -> BrokerOrder | None:
    """The order with this number, where it is shown by now."""
    rows = book.query(_SHOWN + "WHERE orders.order_no = ?", _shown_until(now, list_lag), order_no)
    fills = book.query(_FILLS + "WHERE orders.order_no = ? ORDER BY executions.seq", order_no)
    return next(iter(_reports(rows, fills)), None)


def _shown_until(now: datetime, list_lag: timedelta) -> int:
    """The instant up to which changes are shown; without a lag all of them, even when the clock was set back."""
    return to_instant(now) - span(list_lag) if list_lag else LARGEST


def _reports(rows: list[sqlite3.Row], fills: list[sqlite3.Row]) -> tuple[BrokerOrder, ...]:
    by_order: dict[int, list[sqlite3.Row]] = {}
    for fill in fills:
        by_order.setdefault(fill["order_seq"], []).append(fill)
    return tuple(_report(row, by_order.get(row["seq"], [])) for row in rows)


def _report(row: sqlite3.Row, fills: list[sqlite3.Row]) -> BrokerOrder:
    state = BrokerState(row["shown_state"])
    is_partial = state is BrokerState.NEW and row["shown_cum_qty"] > 0
    return BrokerOrder(
        order_no=row["order_no"],
        order_id=order_id(row["seq"]),
        user_mark=row["user_mark"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        ord_type=OrdType(row["ord_type"]),
        order_qty=from_micro(row["order_qty"]),
        price=None if row["price"] is None else from_micro(row["price"]),
        state=state,
        raw_status="PARTIALLY_FILLED" if is_partial else state.value,
        cum_qty=from_micro(row["shown_cum_qty"]),
        notional=from_micro(row["shown_notional"]),
        fees=from_micro(row["shown_fees"]),
        fills=tuple(_fill(fill) for fill in fills if fill["state_id"] <= row["state_id"] and _is_whole(fill)),
        text=row["shown_text"],
        transact_time=from_instant(row["shown_at"]),
    )


def _is_whole(fill: sqlite3.Row) -> bool:
    """A Fill counts whole shares; an execution of a fraction, always another program's, shows in the sums only."""
    return from_micro(fill["qty"]) % 1 == 0


def _fill(row: sqlite3.Row) -> Fill:
    return Fill(
        exec_id=exec_id(row["seq"]),
        last_qty=int(from_micro(row["qty"])),
        last_px=from_micro(row["price"]),
        fee=from_micro(row["fee"]),
        transact_time=from_instant(row["at"]),
    )


def funds(book: Book, now: datetime) -> Funds:
    """The money at ``now``; only buying power is late."""
    figures = book.figures(now)
    exact: Mapping[str, Decimal] = {
        "cash": figures.cash,
        "settled_cash": figures.cash - figures.in_transit,
        "available": figures.available,
        "locked": figures.locked,
        "buying_power": figures.buying_power,
    }
    shown = {name: from_micro(to_micro(value)) for name, value in exact.items()}  # one spelling for one amount
    raw = {**{name: str(value) for name, value in shown.items()}, "unsettled": str(figures.unsettled)}
    others = tuple(Balance(currency=currency, cash=amount, settled_cash=amount) for currency, amount in book.balances())
    return Funds(
        currency=book.currency(),
        cash=shown["cash"],
        settled_cash=shown["settled_cash"],
        available=shown["available"],
        locked=shown["locked"],
        buying_power=shown["buying_power"],
        at=now,
        raw=raw,
        others=others,
    )


def positions(book: Book) -> list[Position]:
    """Every position, by symbol; a cost that nobody knows shows as 0."""
    promised = book.promised()
    nothing = Decimal(0)
    return [
        Position(symbol=symbol, qty=qty, sellable=qty - promised.get(symbol, nothing), avg_cost=avg_cost or nothing)
        for symbol, qty, avg_cost in book.positions()
    ]
