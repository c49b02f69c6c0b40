"""Orders that others made in the same account, in the broker's app or with another program, as they were last seen."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from oms.journal import tables
from oms.journal.answers import money, number
from oms.journal.reader import Reader
from oms.questions.asking import Desk


def foreign(desk: Desk, *, is_open: bool = False) -> dict[str, Any]:
    """Every foreign order, or only those that may still trade. This program never touches one.

    Raises:
        DamagedError, StorageError: the journal is damaged, or cannot be read now.
    """
    nothing: list[dict[str, Any]] = []
    return {"schema": "oms.order-foreign/1", "orders": desk.ask(lambda reader: _rows(reader, is_open=is_open), nothing)}


def _rows(reader: Reader, *, is_open: bool) -> list[dict[str, Any]]:
    seen = tables.external_orders
    wanted = select(seen).where(seen.c.account == reader.account).order_by(seen.c.order_id)
    with reader.asking("reading foreign orders") as connection:
        rows = connection.execute(wanted).mappings().all()
    return [
        {
            "order_id": row["order_id"],
            "symbol": row["symbol"],
            "side": row["side"],
            "order_qty": number(row["order_qty"]),
            "cum_qty": number(row["cum_qty"]),
            "price": money(row["price"]),
            "raw_status": row["raw_status"],
            "open": bool(row["open"]),
        }
        for row in rows
        if row["open"] or not is_open
    ]
