"""The sentences that a run is told in: one fact about an order, a round of orders, a phase under way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oms.cli.layout import money, number
from oms.model.cycle import Cycle
from oms.model.event import (
    BuysRevalidated,
    OrderAcknowledged,
    OrderBlocked,
    OrderCancelRequested,
    OrderEvent,
    OrderFilled,
    OrderInDoubt,
    OrderNotSent,
    OrderQuarantined,
    OrderRejected,
    OrderSending,
    OrderVoided,
)
from oms.model.order import ZERO, Order, OrderPhase, OrdStatus
from oms.model.state import AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: the phase it belongs to (empty for what continues it) and what is said."""

    phase: str = ""
    text: str
    is_answer: bool = False
    """It is the result, not the progress towards it."""
    is_warning: bool = False
    is_detail: bool = False
    """Left out where many cycles follow one another."""

    def __str__(self) -> str:
        """The line as it stands in a plain text."""
        return f"  {self.phase:<13} {self.text}".rstrip()


def because(reason: str) -> str:
    """A reason as it ends a line; nothing where none was given."""
    return f": {reason}" if reason else ""


def said(order: Order, event: OrderEvent) -> Line | None:
    """What one fact about an order is worth saying; None for the steps of an order that goes as planned."""
    name = f"{order.side.value} {order.symbol} {number(order.order_qty)}"
    match event:
        case OrderFilled() if order.ord_status is OrdStatus.FILLED or event.late:
            late = ", late" if event.late else ""
            price = number(order.avg_px.quantize(event.last_px)) if order.avg_px is not None else "-"
            return Line(text=f"{name} filled {number(order.cum_qty)} at {price}{late}", is_detail=True)
        case OrderBlocked():
            return Line(text=f"{name} not sent ({event.rule}: {event.reason})", is_warning=True)
        case OrderRejected():
            return Line(text=f"{name} rejected by the broker ({event.code}: {event.text})", is_warning=True)
        case OrderSending(attempt=attempt) if attempt > 1:
            return Line(text=f"{name} sent again under its number {order.order_no}")
        case OrderAcknowledged(adopted=True):
            return Line(text=f"{name} found at the broker as {event.order_id}", is_detail=True)
        case OrderNotSent():
            return Line(text=f"{name} could not leave this machine ({event.reason})", is_warning=True)
        case OrderInDoubt():
            return Line(text=f"{name} in doubt ({event.reason})", is_warning=True)
        case OrderQuarantined():
            return Line(text=f"{name} in quarantine ({event.reason})", is_warning=True)
        case OrderVoided():
            return Line(text=f"{name} void ({event.evidence})")
        case OrderCancelRequested():
            return Line(text=f"{name} cancel asked for ({event.reason})", is_detail=True)
        case _ if (
            order.is_closed and order.cum_qty < order.order_qty and event.kind in ("order_canceled", "order_expired")
        ):
            return Line(text=f"{name} {order.ord_status.value.lower()} with {number(order.cum_qty)} filled")
    return None


def cuts(event: BuysRevalidated, compact: bool) -> Iterator[str]:
    """What the buys were cut to and by which rule; those that one reason dropped stand together."""
    dropped: dict[str, list[str]] = {}
    for buy in event.buys:
        why = buy.rule if compact else f"{buy.rule}: {buy.reason}"
        if buy.quantity == 0:
            dropped.setdefault(why, []).append(f"{buy.symbol} {buy.original}")
        elif buy.quantity != buy.original:
            yield f"{buy.symbol} {buy.original} -> {buy.quantity} ({why})"
    for why, names in dropped.items():
        yield f"{', '.join(names)} dropped ({why})"


def filled(orders: Sequence[Order]) -> str:
    """How many of a round were filled, and what became of the others."""
    if not orders:
        return "none"
    sent = [order for order in orders if order.ord_status is not OrdStatus.BLOCKED]
    complete = sum(1 for order in sent if order.ord_status is OrdStatus.FILLED)
    others: dict[str, int] = {}
    for order in orders:
        if order.ord_status is not OrdStatus.FILLED:
            word = "in quarantine" if order.quarantined else order.ord_status.value.lower().replace("_", " ")
            others[word] = others.get(word, 0) + 1
    rest = "".join(f", {number_} {word}" for word, number_ in others.items())
    return f"{complete}/{len(sent)} filled{rest}"


def underway(cycle: Cycle, why: str) -> tuple[float, str]:
    """How far the current phase is, from 0 to 1, and its figures."""
    match cycle.phase.value:
        case "SELLING" | "BUYING":
            orders = cycle.sells if cycle.phase.value == "SELLING" else cycle.buys
            going = [order for order in orders if order.ord_status is not OrdStatus.BLOCKED]
            closed = sum(1 for order in going if order.is_finished_for_cycle)
            return (closed / len(going) if going else 1.0), f"{closed}/{len(going)} closed"
        case "SETTLING" if cycle.readings and cycle.proceeds:
            expected = cycle.proceeds - cycle.sell_fees
            credited = max(cycle.readings[-1].spendable - cycle.opened.spendable, ZERO)
            return (
                float(credited / expected) if expected > 0 else 1.0
            ), f"{money(credited)} of {money(expected)} credited"
    return 0.0, why


def still_open(state: AccountState) -> list[str]:
    """What may still trade at the broker, one line an order."""
    out = [order for order in state.orders if order.phase in (OrderPhase.LIVE, OrderPhase.AMBIGUOUS)]
    return [
        f"{order.side.value} {order.symbol} {number(order.cum_qty)}/{number(order.order_qty)} {order.ord_status.value}"
        f" ({order.cl_ord_id})"
        for order in out
    ]
