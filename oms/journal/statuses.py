"""The status of an order in the language of the database: what ``Order.ord_status`` derives, for filters and views.

A test compares the two over every order that can be.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, literal_column, or_

from oms.journal import tables
from oms.model.order import OrderPhase, OrdStatus

ORD_STATUS_SQL = """\
CASE orders.phase
WHEN 'LOCAL' THEN CASE WHEN orders.order_no IS NULL THEN 'PLANNED' ELSE 'RESERVED' END
WHEN 'AMBIGUOUS' THEN CASE WHEN orders.in_doubt = 1 THEN 'UNKNOWN' ELSE 'SENDING' END
WHEN 'LIVE' THEN CASE
 WHEN orders.pending = 'cancel' THEN 'PENDING_CANCEL'
 WHEN orders.pending = 'replace' THEN 'PENDING_REPLACE'
 WHEN orders.cum_qty > 0 THEN 'PARTIALLY_FILLED'
 WHEN orders.order_id IS NOT NULL THEN 'NEW'
 ELSE 'PENDING_NEW' END
ELSE CASE
 WHEN orders.close_reason = 'blocked' THEN 'BLOCKED'
 WHEN orders.close_reason = 'void' THEN 'VOID'
 WHEN orders.close_reason = 'rejected' AND orders.cum_qty = 0 THEN 'REJECTED'
 WHEN orders.close_reason = 'expired' THEN 'EXPIRED'
 WHEN orders.close_reason = 'filled' AND orders.cum_qty >= orders.order_qty THEN 'FILLED'
 ELSE 'CANCELED' END
END"""

ORD_STATUS: ColumnElement[str] = literal_column(f"({ORD_STATUS_SQL})")

_PHASES = {
    OrdStatus.PLANNED: "LOCAL",
    OrdStatus.RESERVED: "LOCAL",
    OrdStatus.SENDING: "AMBIGUOUS",
    OrdStatus.UNKNOWN: "AMBIGUOUS",
}
_REASONS = {
    OrdStatus.BLOCKED: ("blocked",),
    OrdStatus.VOID: ("void",),
    OrdStatus.REJECTED: ("rejected",),
    OrdStatus.EXPIRED: ("expired",),
    OrdStatus.FILLED: ("filled",),
    # An order that the broker rejected after it had filled a part of it counts as cancelled.
    OrdStatus.CANCELED: ("canceled", "rejected"),
}


def entry_of(status: OrdStatus) -> ColumnElement[bool]:
    """What every order of a status is in the columns that are indexed; spelled out so that SQLite sees it."""
    orders = tables.orders
    if status in _REASONS:
        return or_(*[orders.c.close_reason == literal_column(f"'{reason}'") for reason in _REASONS[status]])
    phase = _PHASES.get(status, "LIVE")
    return and_(*is_unclosed(), orders.c.phase == literal_column(f"'{phase}'"))


def is_unclosed() -> tuple[ColumnElement[bool], ...]:
    """What every order is that may still trade or is in doubt, in the words of the partial index of these.

    The second condition says the same, and makes SQLite enter the index by it rather than walk along every order.
    """
    phase = tables.orders.c.phase
    open_ones: list[ColumnElement[str]] = [
        literal_column(f"'{each.value}'") for each in OrderPhase if each is not OrderPhase.CLOSED
    ]
    return (phase != literal_column("'CLOSED'"), phase.in_(open_ones))
