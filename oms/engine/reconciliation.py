"""What the broker says about its orders becomes facts: adopt what was missed, close what is closed, book every fill.

Identity is the reserved number first, then our mark; never symbol, side, size or nearness in time.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

from oms.model.event import (
    AttentionRaised,
    Event,
    ExternalOrderSeen,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderInDoubt,
    OrderNotFound,
    OrderRejected,
    SymbolFrozen,
)
from oms.model.order import CLOSED_AT_BROKER, BrokerOrder, BrokerState, CloseReason, Fill, Order, OrderPhase, Side
from oms.model.state import AccountState
from oms.ports import OrdersRead

NO_ORDERS: Mapping[str, Order] = {}


def facts(
    state: AccountState,
    read: OrdersRead,
    *,
    executions: bool,
    known: Container[str],
    older: Mapping[str, Order] = NO_ORDERS,
) -> Iterator[Event]:
    """The facts that one reading adds to what the journal holds already; none where it adds nothing.

    Args:
        executions: the broker reports every execution with its id (else a watermark of quantity and notional is kept).
        known: reserved numbers that belong to orders of this journal, in memory or not.
        older: those of them that are out of memory, by reserved number, for what comes late.
    """
    by_number = {**older, **{order.order_no: order for order in state.orders if order.order_no is not None}}
    by_key = {order.cl_ord_id: order for order in state.orders}
    found: set[str] = set()
    for report in read.orders:
        order = by_number.get(report.order_no or "") or by_key.get(report.user_mark or "")
        if order is None:
            yield from _foreign(state, report, known)
        elif (mismatch := _mismatch(order, report)) is not None:
            yield _attention(order, "identity", mismatch)
        elif order.cl_ord_id in found:
            yield _attention(order, "two_orders", f"the broker shows it twice, the second time as {report.order_id}")
        else:
            found.add(order.cl_ord_id)
            yield from _own(order, report, executions, _settles(state, order))
    if read.complete:
        yield from _absent(state, found)


def _settles(state: AccountState, order: Order) -> date | None:
    """Settlement date of what an order trades now: that of the cycle's day, or of the later day on which it buys.

    An order of an earlier cycle is given the current one's, which is never too early.
    """
    cycle = state.cycle
    if cycle is None:
        return None
    revalidated = cycle.revalidated
    if order.side is Side.BUY and revalidated is not None and revalidated.inputs.settles is not None:
        return revalidated.inputs.settles
    return cycle.opened.settles


def _absent(state: AccountState, found: set[str]) -> Iterator[Event]:
    """A complete read without an order in doubt is counted; it is not proof."""
    for order in state.unresolved:
        if order.cl_ord_id not in found and not order.quarantined:
            yield OrderNotFound(
                cycle_id=order.cycle_id, cl_ord_id=order.cl_ord_id, symbol=order.symbol, reads=order.not_found + 1
            )


def _mismatch(order: Order, report: BrokerOrder) -> str | None:
    """Orders out against orders in: what stands at the broker must be what was journaled."""
    sent = (order.symbol, order.side, Decimal(order.order_qty))
    there = (report.symbol, report.side, report.order_qty)
    if sent == there:
        return None
    return f"the broker shows {there} under number {report.order_no}, the journal holds {sent}"


def _foreign(state: AccountState, report: BrokerOrder, known: Container[str]) -> Iterator[Event]:
    if report.order_no in known:
        return
    before = state.external.get(report.order_id)
    if before is not None and (before.cum_qty, before.raw_status) == (report.cum_qty, report.raw_status):
        return
    yield ExternalOrderSeen(
        symbol=report.symbol,
        order_id=report.order_id,
        side=report.side,
        order_qty=report.order_qty,
        cum_qty=report.cum_qty,
        price=report.price,
        raw_status=report.raw_status,
        open=report.state not in CLOSED_AT_BROKER,
    )


def _own(order: Order, report: BrokerOrder, executions: bool, settles: date | None) -> Iterator[Event]:
    fills = _new_fills(order, report, executions) if _is_sane(report) else []
    booked = order.cum_qty + sum(fill.last_qty for fill in fills)
    riddle = _riddle(order, report, booked)
    # Whatever word the broker has for it: an order that trades is there, and counts as a trade of the day.
    trades = bool(fills) and order.order_id is None and not order.is_closed
    is_proof = trades and (booked >= order.order_qty or not order.quarantined)
    if is_proof or (riddle is None and (order.order_id is None or order.phase is OrderPhase.AMBIGUOUS)):
        yield OrderAcknowledged(
            cycle_id=order.cycle_id,
            cl_ord_id=order.cl_ord_id,
            symbol=order.symbol,
            order_id=report.order_id,
            adopted=True,
        )
    # Shares that changed hands did so whatever the status says.
    yield from _fills(order, fills, settles)
    if order.close_reason is CloseReason.REJECTED and report.state in (BrokerState.NEW, BrokerState.PENDING_NEW):
        yield _attention(order, "open_after_refusal", f"the broker refused it and shows it as {report.raw_status!r}")
    if booked >= order.order_qty or order.is_closed:
        return
    if riddle is None:
        yield from _closing(order, report)
    elif is_proof or order.raw_status != report.raw_status:
        yield OrderInDoubt(
            cycle_id=order.cycle_id,
            cl_ord_id=order.cl_ord_id,
            symbol=order.symbol,
            reason=riddle,
            raw_status=report.raw_status,
        )


def _is_sane(report: BrokerOrder) -> bool:
    """Figures that can be reckoned with: finite, whole, not negative, and every execution at a price."""
    figures = (report.cum_qty, report.notional, report.fees)
    if not all(figure.is_finite() for figure in figures) or report.cum_qty < 0:
        return False
    priced = all(f.last_px.is_finite() and f.last_px > 0 and f.fee.is_finite() and f.last_qty > 0 for f in report.fills)
    return priced and report.cum_qty == report.cum_qty.to_integral_value()


def _riddle(order: Order, report: BrokerOrder, booked: int) -> str | None:
    """Why the report cannot be understood; None when it can. What cannot be understood is no verdict."""
    shown = f"{report.raw_status!r} with {report.cum_qty} of {order.order_qty} shares"
    if report.state is BrokerState.UNKNOWN:
        return f"status {report.raw_status!r} is not known"
    if not _is_sane(report):
        return f"its figures make no sense: {shown}, worth {report.notional}"
    if report.state is BrokerState.FILLED and booked < order.order_qty:
        return f"the broker calls it {shown}, {booked} of them in its executions"
    if report.state in CLOSED_AT_BROKER and booked < report.cum_qty:
        return f"the broker calls it {shown}, but only {booked} are in its executions"
    return None


def _fills(order: Order, fills: Sequence[Fill], settles: date | None) -> Iterator[Event]:
    cum_qty = order.cum_qty
    for fill in fills:
        cum_qty += fill.last_qty
        yield OrderFilled(
            cycle_id=order.cycle_id,
            cl_ord_id=order.cl_ord_id,
            symbol=order.symbol,
            side=order.side,
            exec_id=fill.exec_id,
            last_qty=fill.last_qty,
            last_px=fill.last_px,
            fee=fill.fee,
            transact_time=fill.transact_time,
            settles=settles or fill.transact_time.date(),
            cum_qty=cum_qty,
            late=order.is_closed,
        )
    if fills and cum_qty > order.order_qty:
        text = f"{cum_qty} shares filled of {order.order_qty}; the fill is kept and the symbol takes no new order"
        yield SymbolFrozen(symbol=order.symbol, reason=text)
        yield _attention(order, "overfill", text)


def _new_fills(order: Order, report: BrokerOrder, executions: bool) -> list[Fill]:
    if executions:
        told = {fill.exec_id: fill for fill in report.fills}
        return [fill for exec_id, fill in told.items() if exec_id not in order.exec_ids]
    quantity = int(report.cum_qty) - order.cum_qty
    # Without executions the broker's cumulative figures are a watermark: the difference is one fill at its own mean.
    value = report.notional - order.notional
    if quantity <= 0 or value <= 0 or report.transact_time is None:
        return []
    return [
        Fill(
            exec_id=f"{report.order_no or report.order_id}/{int(report.cum_qty)}",
            last_qty=quantity,
            last_px=(value / quantity).quantize(Decimal("0.000001")),
            fee=report.fees - order.fees,
            transact_time=report.transact_time,
        )
    ]


def _closing(order: Order, report: BrokerOrder) -> Iterator[Event]:
    key = {"cycle_id": order.cycle_id, "cl_ord_id": order.cl_ord_id, "symbol": order.symbol}
    cum_qty = int(report.cum_qty)
    match report.state:
        case BrokerState.REJECTED if cum_qty == 0:
            yield OrderRejected(**key, code=report.raw_status, text=report.text)
        case BrokerState.CANCELED | BrokerState.REJECTED:
            yield OrderCanceled(**key, cum_qty=cum_qty, text=report.text)
        case BrokerState.EXPIRED:
            yield OrderExpired(**key, cum_qty=cum_qty, text=report.text)
        case _:
            pass


def _attention(order: Order, rule: str, text: str) -> AttentionRaised:
    return AttentionRaised(
        cycle_id=order.cycle_id, cl_ord_id=order.cl_ord_id, symbol=order.symbol, rule=rule, text=text
    )
