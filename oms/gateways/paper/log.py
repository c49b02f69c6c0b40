"""The paper broker's own log, the judge of what reached it: read without touching the book."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from oms.gateways.paper.units import from_instant, from_micro
from oms.model.order import OrdType, Side


class LogKind(StrEnum):
    """What the broker received, or did by itself."""

    OPENED = "opened"
    """The book was made; the row carries the opening cash."""
    OPENED_POSITION = "opened_position"
    RESERVE_RECEIVED = "reserve_received"
    """``qty`` numbers were handed out, ``text`` says from which to which."""
    PLACE_RECEIVED = "place_received"
    """One request to place an order, whatever became of it."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Answers the request to place before it; ``text`` begins with the code."""
    CANCEL_RECEIVED = "cancel_received"
    CANCELED = "canceled"
    CANCEL_REFUSED = "cancel_refused"
    FILL = "fill"
    EXPIRED = "expired"
    REJECTED = "rejected"
    """An accepted order turned down after all, unfilled; the paper broker never does that, others do."""
    CASH_MOVED = "cash_moved"
    """Money paid in or out by hand; ``price`` is the amount."""
    SHARES_MOVED = "shares_moved"
    """Shares delivered or taken by hand; ``qty`` is signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One row of the log."""

    id: int
    """Grows by one with every row; the order in which the broker did things."""
    at: datetime
    """Real time of the broker, aware UTC, to the microsecond."""
    kind: LogKind
    order_no: str | None
    """The reserved number; None on rows of orders that other programs made."""
    order_id: str | None
    """The broker's own number of the order; None while there is none."""
    exec_id: str | None
    user_mark: str | None
    """The ``cl_ord_id`` that travelled."""
    symbol: str | None
    side: Side | None
    ord_type: OrdType | None
    qty: Decimal | None
    """Shares: of the order, of the execution on FILL, of the rest that no longer trades on CANCELED and EXPIRED."""
    price: Decimal | None
    """The limit; on FILL the price of the execution."""
    fee: Decimal | None
    """Of the execution; on FILL only."""
    text: str
    day: date | None
    """Trading day of the market; None before the first one."""
    cash: Decimal
    """Before the deed, as are the next two."""
    available: Decimal
    locked: Decimal


def read_log(path: Path) -> list[LogEntry]:
    """Every row, oldest first.

    Raises sqlite3.Error where there is no readable book at ``path``.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        return [_entry(row) for row in connection.execute("SELECT * FROM log ORDER BY id")]


def _entry(row: sqlite3.Row) -> LogEntry:
    return LogEntry(
        id=row["id"],
        at=from_instant(row["at"]),
        kind=LogKind(row["kind"]),
        order_no=row["order_no"],
        order_id=row["order_id"],
        exec_id=row["exec_id"],
        user_mark=row["user_mark"],
        symbol=row["symbol"],
        side=None if row["side"] is None else Side(row["side"]),
        ord_type=None if row["ord_type"] is None else OrdType(row["ord_type"]),
        qty=_number(row["qty"]),
        price=_number(row["price"]),
        fee=_number(row["fee"]),
        text=row["text"],
        day=None if row["day"] is None else date.fromisoformat(row["day"]),
        cash=from_micro(row["cash"]),
        available=from_micro(row["available"]),
        locked=from_micro(row["locked"]),
    )


def _number(value: int | None) -> Decimal | None:
    return None if value is None else from_micro(value)
