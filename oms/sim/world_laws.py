"""Laws that only a simulated world can judge, since only there the machine's days are the market's and all is known."""

from __future__ import annotations

from collections.abc import Iterator

from oms.model import lifecycle
from oms.model.event import BuysClosed, BuysRevalidated, OrderEvent, OrderPlanned, OrderReserved, OrderSending
from oms.model.liquidity import cost_ceiling
from oms.model.order import ZERO, Order, OrderPhase, Side
from oms.model.rules import FundsPolicy
from oms.sim.evidence import Evidence


def check_world(evidence: Evidence) -> Iterator[str]:
    """Every violation, as a sentence with its numbers."""
    yield from _sent_on_a_later_day(evidence)
    yield from _decided_against_open_orders(evidence)
    yield from _reserved_without_a_restart_token(evidence)


def _sent_on_a_later_day(evidence: Evidence) -> Iterator[str]:
    """I9: a cycle sends only on its own trading day; one that waited for settled cash buys on a later one."""
    for cycle in evidence.cycles.values():
        waits = evidence.rules_of(cycle).funds is FundsPolicy.SETTLED_CASH
        for fact, event in cycle.of(OrderSending):
            intent = cycle.intents.get(event.cl_ord_id)
            is_allowed = waits and intent is not None and intent.order.side is Side.BUY
            if fact.at.date() > cycle.opened.trading_day and not is_allowed:
                yield f"I9 (a cycle sends only on its own day) is broken by {event.cl_ord_id}: sent at {fact.at}"


def _decided_against_open_orders(evidence: Evidence) -> Iterator[str]:
    """I7, I10: no cycle ends over a live order, and what open and doubtful buys may still cost is set aside."""
    orders: dict[str, Order] = {}
    for fact in evidence.facts:
        event = fact.event
        if isinstance(event, OrderPlanned):
            orders[event.cl_ord_id] = lifecycle.planned(event, fact.at)
        elif isinstance(event, OrderEvent) and event.cl_ord_id in orders:
            orders[event.cl_ord_id] = lifecycle.apply(orders[event.cl_ord_id], event, fact.at)
        elif isinstance(event, BuysClosed):
            for order in orders.values():
                if order.cycle_id == event.cycle_id and order.phase is OrderPhase.LIVE:
                    yield f"I7 (a cycle ends when its orders have) is broken by {order.cl_ord_id}: {order.ord_status.value}"
        elif isinstance(event, BuysRevalidated):
            rules = evidence.rules_of(evidence.cycles[event.cycle_id])
            doubtful = [order for order in orders.values() if order.side is Side.BUY and not order.is_closed]
            aside = sum((cost_ceiling(o.leaves_qty, o.worst_px, rules.fee_allowance) for o in doubtful), ZERO)
            new = sum((cost_ceiling(b.quantity, b.worst_px, rules.fee_allowance) for b in event.buys), ZERO)
            if new and new + aside > rules.funds_fraction * event.inputs.spendable:
                yield (
                    f"I10 (open and doubtful buys are set aside) is broken by {event.cycle_id}: {new} and {aside} of "
                    f"{event.inputs.spendable}"
                )


def _reserved_without_a_restart_token(evidence: Evidence) -> Iterator[str]:
    """I2: every number is journaled with the token that tells whether what followed may be lost."""
    for intent in evidence.intents.values():
        for fact, event in intent.of(OrderReserved):
            if not event.restart_token:
                yield f"I2 (a number carries the restart token) is broken by row {fact.seq}"
