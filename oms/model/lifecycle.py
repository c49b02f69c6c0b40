"""How each fact about an order changes it: one small rule per kind of fact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from oms.model.changing import replace
from oms.model.event import (
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInDoubt,
    OrderNotFound,
    OrderNotSent,
    OrderPlanned,
    OrderQuarantined,
    OrderRejected,
    OrderReserved,
    OrderSending,
    OrderVoided,
)
from oms.model.order import CloseReason, Fill, Order, OrderPhase, Pending


def planned(event: OrderPlanned, at: datetime) -> Order:
    """The first fact about an order makes it."""
    return Order(
        cl_ord_id=event.cl_ord_id,
        cycle_id=event.cycle_id,
        side=event.side,
        index=event.index,
        symbol=event.symbol,
        ord_type=event.ord_type,
        order_qty=event.order_qty,
        price=event.price,
        worst_px=event.worst_px,
        score=event.score,
        planned_at=at,
    )


def apply(order: Order, event: OrderEvent, at: datetime) -> Order:
    """The order after one more fact."""
    return _RULES[type(event)](order, event, at)


def _blocked(order: Order, event: OrderBlocked, at: datetime) -> Order:
    return replace(order.closed(CloseReason.BLOCKED, at, event.reason), rule=event.rule)


def _reserved(order: Order, event: OrderReserved, at: datetime) -> Order:
    del at
    return replace(
        order,
        order_no=event.order_no,
        deadline=event.deadline,
        restart_token=event.restart_token,
        fence=event.fence,
    )


def _sending(order: Order, event: OrderSending, at: datetime) -> Order:
    del event
    return replace(
        order,
        phase=OrderPhase.AMBIGUOUS,
        sends=order.sends + 1,
        # Readings without it are counted since the last request.
        not_found=0,
        first_sent_at=order.first_sent_at or at,
        sent_at=at,
    )


def _not_sent(order: Order, event: OrderNotSent, at: datetime) -> Order:
    """One attempt did not happen; an earlier doubt is never cleared by that."""
    del event, at
    if order.phase is not OrderPhase.AMBIGUOUS:
        # Known to the broker, or closed, in the meantime: that outweighs one attempt.
        return order
    sends = max(order.sends - 1, 0)
    if order.in_doubt or sends:
        return replace(order, sends=sends)
    return replace(order, phase=OrderPhase.LOCAL, sends=0, first_sent_at=None, sent_at=None)


def _acknowledged(order: Order, event: OrderAcknowledged, at: datetime) -> Order:
    known = replace(order, order_id=event.order_id, acknowledged_at=order.acknowledged_at or at)
    if order.is_closed and order.close_reason not in (CloseReason.VOID, CloseReason.BLOCKED):
        return known
    # A voided order that is there after all was voided in error: it lives, and is tracked to its end.
    return replace(
        known,
        phase=OrderPhase.LIVE,
        close_reason=None,
        closed_at=None,
        in_doubt=False,
        quarantined=False,
        raw_status=None,
        not_found=0,
    )


def _in_doubt(order: Order, event: OrderInDoubt, at: datetime) -> Order:
    del at
    if order.is_closed:
        return order
    return replace(
        order,
        phase=OrderPhase.AMBIGUOUS,
        in_doubt=True,
        raw_status=event.raw_status,
        repeat_refused=order.repeat_refused or event.repeat_refused,
        text=event.reason,
        # An order found only RESERVED may have been sent by a machine that lost its last soft commits.
        sends=max(order.sends, 1),
        first_sent_at=order.first_sent_at or order.planned_at,
    )


def _not_found(order: Order, event: OrderNotFound, at: datetime) -> Order:
    del at
    return replace(order, not_found=event.reads)


def _quarantined(order: Order, event: OrderQuarantined, at: datetime) -> Order:
    del at
    if order.is_closed:
        return order
    return replace(
        order,
        phase=OrderPhase.AMBIGUOUS,
        in_doubt=True,
        quarantined=True,
        ever_quarantined=True,
        text=event.reason,
    )


def _voided(order: Order, event: OrderVoided, at: datetime) -> Order:
    return order.closed(CloseReason.VOID, at, event.evidence)


def _filled(order: Order, event: OrderFilled, at: datetime) -> Order:
    fill = Fill(
        exec_id=event.exec_id,
        last_qty=event.last_qty,
        last_px=event.last_px,
        fee=event.fee,
        transact_time=event.transact_time,
    )
    return order.with_fill(fill, at)


def _cancel_requested(order: Order, event: OrderCancelRequested, at: datetime) -> Order:
    del event
    if order.phase is not OrderPhase.LIVE:
        return order
    return replace(order, pending=Pending.CANCEL, cancel_requested_at=at)


def _canceled(order: Order, event: OrderCanceled, at: datetime) -> Order:
    return order.closed(CloseReason.CANCELED, at, event.text)


def _rejected(order: Order, event: OrderRejected, at: datetime) -> Order:
    return order.closed(CloseReason.REJECTED, at, event.text or event.code)


def _expired(order: Order, event: OrderExpired, at: datetime) -> Order:
    return order.closed(CloseReason.EXPIRED, at, event.text)


# Each rule takes its own kind of fact; the table is what makes the pairing, so the value's type is open here.
_RULES: dict[type[OrderEvent], Callable[[Order, Any, datetime], Order]] = {
    OrderBlocked: _blocked,
    OrderReserved: _reserved,
    OrderSending: _sending,
    OrderNotSent: _not_sent,
    OrderAcknowledged: _acknowledged,
    OrderInDoubt: _in_doubt,
    OrderNotFound: _not_found,
    OrderQuarantined: _quarantined,
    OrderVoided: _voided,
    OrderFilled: _filled,
    OrderCancelRequested: _cancel_requested,
    OrderCanceled: _canceled,
    OrderRejected: _rejected,
    OrderExpired: _expired,
}
