"""A round of orders, all sells or all buys of a cycle: what each of them needs next until none can still trade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from oms.engine.doubt import held_for_a_person, settle_doubt
from oms.engine.money import may_be_spent
from oms.engine.orders import Cancel, Decision, Look, Reserve, Seen, Send, Stop, Wait
from oms.engine.patience import ask_again, has_passed, unreadable
from oms.engine.refusals import STALE, Tally, blocked, brake, refusal, unarmed
from oms.model.cycle import Cycle
from oms.model.event import Event, OrderBlocked, OrderCancelRequested, OrderReserved
from oms.model.liquidity import NotFinite, cost_ceiling, reserved_for
from oms.model.order import ZERO, Order, OrderPhase, Side
from oms.model.pricing import within_collar
from oms.model.rules import Rules
from oms.model.state import AccountState


def work(state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """The next step of a round; None when every order of it is closed or parked."""
    if all(order.is_finished_for_cycle for order in orders):
        return None
    return (
        _block(state, cycle, orders, seen, rules)
        or settle_doubt(state, cycle, orders, seen, rules)
        or _send(state, cycle, orders, seen, rules)
        or _cancel(orders, seen, rules)
        or _wait(orders, seen, rules)
    )


def _local(orders: Sequence[Order]) -> list[Order]:
    return [order for order in orders if order.phase is OrderPhase.LOCAL]


def _block(state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """Refuse what may no longer be sent: the rule with its limit and value goes into the journal."""
    tally = Tally(state, cycle, rules)
    found = (refusal(state, cycle, order, seen, rules, tally) for order in _local(orders))
    events = tuple(event for event in found if event is not None)
    return Decision(events=events) if events else None


def held_by_brake(state: AccountState, seen: Seen, rules: Rules) -> Decision:
    """The brake is on: wait for ``release``, or end and leave the cycle open; unarmed, only a new start goes on."""
    why = unarmed(state, rules, seen.now)
    if why:
        return Decision(
            then=Stop(exit_code=5, why=f"{why}; the cycle stays open and goes on once `live arm` was given")
        )
    assert state.halt is not None
    why = f"halted by {state.halt.author}: {state.halt.reason or 'no reason given'}; `release` goes on"
    if seen.patient:
        return Decision(then=Wait(until=seen.now + rules.poll, why=why))
    return Decision(then=Stop(exit_code=7, why=why))


def _send(state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    unsent = _local(orders)
    if not unsent:
        return None
    if brake(state, unsent[0].side, rules, seen.now) is not None:
        # Orders that are out are still followed; the brake is waited for when nothing else is left to do.
        going = any(o.phase is not OrderPhase.LOCAL and not o.is_finished_for_cycle for o in orders)
        return None if going else held_by_brake(state, seen, rules)
    unnumbered = [order for order in unsent if order.order_no is None]
    if unnumbered:
        return _reserve(cycle, unnumbered, seen)
    suspects = [order for order in unsent if _found_unsent(cycle, order, seen)]
    if suspects:
        decision = _recheck(state, cycle, suspects, seen, rules)
        if decision is not None:
            return decision
    return Decision(then=Send(cl_ord_ids=tuple(order.cl_ord_id for order in unsent)))


def _reserve(cycle: Cycle, unnumbered: Sequence[Order], seen: Seen) -> Decision:
    missing = tuple(order.cl_ord_id for order in unnumbered if order.cl_ord_id not in seen.numbers)
    if missing:
        return Decision(then=Reserve(cl_ord_ids=missing))
    return Decision(events=tuple(_reserved(cycle, order, seen) for order in unnumbered))


def _reserved(cycle: Cycle, order: Order, seen: Seen) -> OrderReserved:
    # Every sell is numbered before its cycle is revalidated, every buy after that.
    closing = (cycle.revalidated or cycle.opened).deadline
    return OrderReserved(
        cycle_id=order.cycle_id,
        cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        order_no=seen.numbers[order.cl_ord_id],
        side=order.side,
        ord_type=order.ord_type,
        order_qty=order.order_qty,
        price=order.price,
        deadline=closing,
        restart_token=seen.restart_token,
        fence=seen.fence,
    )


def _found_unsent(cycle: Cycle, order: Order, seen: Seen) -> bool:
    """Planned by an earlier process, or before a halt that has been waited for."""
    return order.cl_ord_id in cycle.planned_earlier or seen.paused


def _recheck(state: AccountState, cycle: Cycle, suspects: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """Fresh quotes, and for buys fresh funds, before an order found unsent may go; None when all may."""
    if not _is_fresh(seen, rules):
        return Decision(then=Look(symbols=tuple(order.symbol for order in suspects)))
    assert seen.funds is not None
    stale = list(_outside_collar(suspects, seen, rules))
    refused = [event.cl_ord_id for event in stale]
    buys = [order for order in suspects if order.side is Side.BUY and order.cl_ord_id not in refused]
    try:
        money = may_be_spent(state, cycle, seen.funds, seen, rules) if buys else ZERO
    except NotFinite as error:
        return Decision(then=unreadable(cycle, seen, rules, str(error)))
    stale.extend(_uncovered(state, buys, money, rules))
    return Decision(events=tuple(stale)) if stale else None


def _is_fresh(seen: Seen, rules: Rules) -> bool:
    oldest = seen.now - rules.max_funds_age
    funds_at = seen.funds.at if seen.funds is not None else None
    return all(at is not None and at >= max(oldest, seen.started_at) for at in (seen.quotes_at, funds_at))


def _outside_collar(orders: Sequence[Order], seen: Seen, rules: Rules) -> Iterator[OrderBlocked]:
    for order in orders:
        quote = seen.quotes.get(order.symbol)
        aged = quote is not None and seen.market_time - quote.at > rules.max_quote_age
        if quote is None or aged or not within_collar(order.worst_px, quote, rules.collar):
            value = "no quote" if quote is None else f"{quote.last} of {quote.at}"
            text = f"found unsent at {order.worst_px}, the price is {value} now"
            yield blocked(order, STALE, f"{rules.collar:%} from a fresh quote", value, text)


def _uncovered(state: AccountState, buys: Sequence[Order], money: Decimal, rules: Rules) -> Iterator[OrderBlocked]:
    """All unsent buys or none: their cost, and that of buys in doubt, must fit into the usual share of the funds.

    That share of what is left is never smaller than what is left of the first share, so nothing is refused for what was
    paid already. Buys that the broker holds are not counted: its figure has them locked.
    """
    doubtful = [order for order in state.unresolved if order.side is Side.BUY]
    cost = sum((cost_ceiling(o.order_qty, o.worst_px, rules.fee_allowance) for o in buys), ZERO)
    cost += reserved_for(doubtful, rules.fee_allowance)
    if cost <= money * rules.funds_fraction:
        return
    for order in buys:
        text = f"found unsent; buys unsent or in doubt cost up to {cost}, {rules.funds_fraction:%} of {money} are there"
        yield blocked(order, STALE, str(money), str(cost), text)


def _cancel(orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """Ask for the rest of every order that has passed its deadline to be cancelled."""
    due = [order for order in orders if order.phase is OrderPhase.LIVE and _cancel_is_due(order, seen, rules)]
    if not due:
        return None
    events: tuple[Event, ...] = tuple(
        OrderCancelRequested(
            cycle_id=order.cycle_id,
            cl_ord_id=order.cl_ord_id,
            symbol=order.symbol,
            reason="its deadline has passed",
        )
        for order in due
    )
    return Decision(events=events, then=Cancel(cl_ord_ids=tuple(order.cl_ord_id for order in due)))


def _wait(orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision:
    out = [order for order in orders if not order.is_finished_for_cycle]
    doubtful = sum(1 for order in out if order.in_doubt)
    side = orders[0].side.value.lower()
    noun = "order" if len(out) == 1 else "orders"
    why = f"{len(out)} {side} {noun} to be closed" + (f", {doubtful} of them in doubt" if doubtful else "")
    return held_for_a_person(orders, seen, rules) or ask_again(seen, rules, why)


def _cancel_is_due(order: Order, seen: Seen, rules: Rules) -> bool:
    if order.deadline is None or seen.now < order.deadline:
        return False
    if order.cancel_requested_at is None:
        return True
    # A cancel may be lost without a trace; asking for it again is harmless, but not at every poll.
    return has_passed(order.cancel_requested_at, 5 * rules.poll, seen.now)
