"""A round of orders, all sells or all buys of a cycle: what each of them needs next until none can still trade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oms.engine.doubt import held_for_a_person, settle_doubt
from oms.engine.orders import Ask, Cancel, Decision, Look, Reserve, Seen, Send, Stop, Wait
from oms.model.cycle import Cycle
from oms.model.detail import HaltScope
from oms.model.event import Event, OrderBlocked, OrderCancelRequested, OrderReserved
from oms.model.liquidity import cost_ceiling, spendable
from oms.model.order import ZERO, Order, OrderPhase, OrdStatus, Pending, Side
from oms.model.pricing import within_collar
from oms.model.rules import Rules
from oms.model.state import AccountState

ABORTED_RULE = "stale_on_resume"


def work(state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """The next step of a round; None when every order of it is closed or parked."""
    if all(order.is_finished_for_cycle for order in orders):
        return None
    return (
        _block(state, cycle, orders, seen, rules)
        or settle_doubt(cycle, orders, seen, rules, halted=is_halted(state, orders[0].side))
        or _send(state, cycle, orders, seen, rules)
        or _cancel(orders, seen, rules)
        or _wait(orders, seen, rules)
    )


def _local(orders: Sequence[Order]) -> list[Order]:
    return [order for order in orders if order.phase is OrderPhase.LOCAL]


def _block(state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """Refuse what may no longer be sent: the rule with its limit and value goes into the journal."""
    events = tuple(
        event for order in _local(orders) if (event := _refusal(state, cycle, order, seen, rules)) is not None
    )
    return Decision(events=events) if events else None


def _refusal(state: AccountState, cycle: Cycle, order: Order, seen: Seen, rules: Rules) -> OrderBlocked | None:
    if cycle.aborted is not None:
        return blocked(order, cycle.aborted.rule, "same trading day", str(seen.now), cycle.aborted.reason)
    session = seen.session
    if session is None or session.day != cycle.opened.trading_day or not session.is_open(seen.market_time):
        rule = "halted" if is_halted(state, order.side) else "market_closed"
        return blocked(order, rule, "open market", str(seen.market_time), "the market is closed")
    if order.side is Side.BUY and seen.market_time >= session.closes - rules.no_buys_before_close:
        rule = "halted" if is_halted(state, order.side) else "no_buys_before_close"
        limit = f"{rules.no_buys_before_close} before {session.closes}"
        return blocked(order, rule, limit, str(seen.market_time), "too near to the close of the market")
    if order.deadline is not None and seen.now >= order.deadline:
        return blocked(order, "order_deadline", str(order.deadline), str(seen.now), "not sent before its deadline")
    if order.side is Side.BUY:
        return _buy_refusal(state, cycle, order, rules)
    return None


def _buy_refusal(state: AccountState, cycle: Cycle, order: Order, rules: Rules) -> OrderBlocked | None:
    """Rules that may have come to bear since the buys were revalidated."""
    if cycle.has_unresolved_sell:
        return blocked(order, "unresolved_sell", "0", "1", "a sell of this cycle was in quarantine, so no buy follows")
    if order.symbol in rules.blacklist or order.symbol in state.blacklist:
        return blocked(order, "blacklist", order.symbol, order.symbol, f"{order.symbol} is on the blacklist")
    if order.symbol in state.frozen:
        reason = state.frozen[order.symbol]
        return blocked(order, "symbol_frozen", order.symbol, order.symbol, f"{order.symbol} is frozen: {reason}")
    rejections = sum(1 for other in cycle.orders.values() if other.ord_status is OrdStatus.REJECTED)
    if rejections >= rules.max_rejections:
        text = f"{rejections} orders of this cycle were rejected by the broker"
        return blocked(order, "repeated_rejections", str(rules.max_rejections), str(rejections), text)
    if state.trades_today >= rules.max_trades_per_day:
        text = f"{state.trades_today} trades were made on this trading day"
        return blocked(order, "max_trades_per_day", str(rules.max_trades_per_day), str(state.trades_today), text)
    return None


def blocked(order: Order, rule: str, limit: str, value: str, reason: str) -> OrderBlocked:
    return OrderBlocked(
        cycle_id=order.cycle_id,
        cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        rule=rule,
        limit=limit,
        value=value,
        reason=reason,
    )


def is_halted(state: AccountState, side: Side) -> bool:
    """Whether the brake stops a new order of this side."""
    if state.halt is None:
        return False
    return side is Side.BUY or state.halt.scope is HaltScope.ALL


def held_by_halt(state: AccountState, seen: Seen, rules: Rules) -> Decision:
    """The brake is on: wait for ``release``, or end and leave the cycle open."""
    assert state.halt is not None
    why = f"halted by {state.halt.author}: {state.halt.reason or 'no reason given'}; `release` goes on"
    if seen.patient:
        return Decision(then=Wait(until=seen.now + rules.poll, why=why))
    return Decision(then=Stop(exit_code=7, why=why))


def _send(state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    unsent = _local(orders)
    if not unsent:
        return None
    if is_halted(state, unsent[0].side):
        # Orders that are out are still followed; the halt is waited for when nothing else is left to do.
        going = any(o.phase is not OrderPhase.LOCAL and not o.is_finished_for_cycle for o in orders)
        return None if going else held_by_halt(state, seen, rules)
    unnumbered = [order for order in unsent if order.order_no is None]
    if unnumbered:
        return _reserve(cycle, unnumbered, seen)
    suspects = [order for order in unsent if _found_unsent(cycle, order, seen)]
    if suspects:
        decision = _recheck(suspects, seen, rules)
        if decision is not None:
            return decision
    return Decision(then=Send(cl_ord_ids=tuple(order.cl_ord_id for order in unsent)))


def _reserve(cycle: Cycle, unnumbered: Sequence[Order], seen: Seen) -> Decision:
    missing = tuple(order.cl_ord_id for order in unnumbered if order.cl_ord_id not in seen.numbers)
    if missing:
        return Decision(then=Reserve(cl_ord_ids=missing))
    return Decision(events=tuple(_reserved(cycle, order, seen) for order in unnumbered))


def _reserved(cycle: Cycle, order: Order, seen: Seen) -> OrderReserved:
    closing = cycle.opened.deadline if order.side is Side.SELL else None
    if cycle.revalidated is not None and order.side is Side.BUY:
        closing = cycle.revalidated.deadline
    assert closing is not None, "a buy is numbered only after its cycle was revalidated"
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
    resumed = cycle.resumed_at is not None and order.planned_at is not None and order.planned_at < cycle.resumed_at
    return resumed or seen.paused


def _recheck(suspects: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """Fresh quotes, and for buys fresh funds, before an order found unsent may go; None when all may."""
    symbols = tuple(order.symbol for order in suspects)
    if not _is_fresh(seen, rules):
        return Decision(then=Look(symbols=symbols))
    stale = list(_outside_collar(suspects, seen, rules))
    going = [order for order in suspects if order.cl_ord_id not in {event.cl_ord_id for event in stale}]
    stale.extend(_uncovered(going, seen, rules))
    return Decision(events=tuple(stale)) if stale else None


def _is_fresh(seen: Seen, rules: Rules) -> bool:
    oldest = seen.now - rules.max_funds_age
    funds_at = seen.funds.at if seen.funds is not None else None
    return all(at is not None and at >= max(oldest, seen.started_at) for at in (seen.quotes_at, funds_at))


def _outside_collar(orders: Sequence[Order], seen: Seen, rules: Rules) -> Iterator[OrderBlocked]:
    for order in orders:
        quote = seen.quotes.get(order.symbol)
        if quote is None or not within_collar(order.worst_px, quote, rules.collar):
            value = "no quote" if quote is None else str(quote.last)
            text = f"found unsent at {order.worst_px}, the price is {value} now"
            yield blocked(order, ABORTED_RULE, f"{rules.collar:%} from the quote", value, text)


def _uncovered(orders: Sequence[Order], seen: Seen, rules: Rules) -> Iterator[OrderBlocked]:
    buys = [order for order in orders if order.side is Side.BUY]
    cost = sum((cost_ceiling(o.order_qty, o.worst_px, rules.fee_allowance) for o in buys), ZERO)
    if not buys or seen.funds is None:
        return
    money = spendable(seen.funds, rules.funds)
    if cost <= money * rules.funds_fraction:
        return
    for order in buys:
        text = f"found unsent; all unsent buys cost up to {cost}, {rules.funds_fraction:%} of {money} are there now"
        yield blocked(order, ABORTED_RULE, str(money), str(cost), text)


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
    why = f"{len(out)} {side} orders to be closed" + (f", {doubtful} of them in doubt" if doubtful else "")
    return held_for_a_person(orders, seen, rules) or ask_again(seen, rules, why)


def _cancel_is_due(order: Order, seen: Seen, rules: Rules) -> bool:
    if order.deadline is None or seen.now < order.deadline:
        return False
    if order.pending is not Pending.CANCEL or order.cancel_requested_at is None:
        return True
    # A cancel may be lost without a trace; asking for it again is harmless, but not at every poll.
    return seen.now >= order.cancel_requested_at + 5 * rules.poll


def ask_again(seen: Seen, rules: Rules, waiting: str) -> Decision:
    """Read the broker's orders once a poll."""
    if seen.asked_at is None or seen.now >= seen.asked_at + rules.poll:
        return Decision(then=Ask())
    return Decision(then=Wait(until=seen.asked_at + rules.poll, why=waiting))
