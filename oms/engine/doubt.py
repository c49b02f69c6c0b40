"""Orders in doubt: ask first, then what ``in_doubt.then`` says; only evidence ends a doubt, never its age."""

from __future__ import annotations

from collections.abc import Sequence

from oms.engine.orders import Ask, Decision, Seen, Send, Stop
from oms.engine.refusals import brake, refusal
from oms.model.cycle import Cycle
from oms.model.event import OrderQuarantined
from oms.model.order import Order
from oms.model.rules import DoubtPolicy, Rules
from oms.model.state import AccountState


def settle_doubt(
    state: AccountState, cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules
) -> Decision | None:
    """What doubt asks for at once; None when there is none, or when it can only be waited out."""
    doubtful = _doubtful(orders)
    if not doubtful:
        return None
    if seen.asked_at is None:
        # The driver forgets its last reading with every send, so one that it remembers was begun after all of them.
        return Decision(then=Ask())
    again = [order for order in doubtful if may_resend(state, cycle, order, seen, rules)]
    going = tuple(order.cl_ord_id for order in again if brake(state, order.side, rules, seen.now) is None)
    if going:
        return Decision(then=Send(cl_ord_ids=going))
    exhausted = [order for order in doubtful if order not in again and _asking_is_over(order, seen, rules)]
    if exhausted and rules.doubt_then is not DoubtPolicy.HOLD:
        return Decision(events=tuple(_quarantine(order) for order in exhausted))
    return None


def held_for_a_person(orders: Sequence[Order], seen: Seen, rules: Rules) -> Decision | None:
    """Under ``in_doubt.then: hold``: asking is over, so a person decides; None while asking goes on."""
    exhausted = [order for order in _doubtful(orders) if _asking_is_over(order, seen, rules)]
    if not exhausted or rules.doubt_then is not DoubtPolicy.HOLD or seen.patient:
        return None
    keys = ", ".join(order.cl_ord_id for order in exhausted)
    return Decision(then=Stop(exit_code=7, why=f"in doubt and held for a person: {keys}; see `order resolve`"))


def _doubtful(orders: Sequence[Order]) -> list[Order]:
    return [order for order in orders if order.in_doubt and not order.quarantined]


def may_resend(state: AccountState, cycle: Cycle, order: Order, seen: Seen, rules: Rules) -> bool:
    """Whether the same number may go out once more, but for the brake.

    Only where the broker is proven to refuse a repeat of it, and where a first request would be let through.
    """
    window = seen.capabilities.refuses_repeats
    if rules.doubt_then is not DoubtPolicy.RESEND or window is None or order.first_sent_at is None:
        return False
    if order.order_id is not None or order.raw_status is not None or order.repeat_refused:
        # The broker knows the number, so there is nothing to send; asking must find the order.
        return False
    provable = seen.now - order.first_sent_at + rules.doubt_margin < window
    # A clock that went back makes the age negative; then nothing is proven.
    forward = seen.now >= order.first_sent_at
    in_time = order.deadline is None or seen.now < order.deadline
    return (
        order.not_found > 0
        and order.sends < rules.max_sends
        and provable
        and forward
        and in_time
        and refusal(state, cycle, order, seen, rules) is None
    )


def _asking_is_over(order: Order, seen: Seen, rules: Rules) -> bool:
    """So many complete readings, the last of them begun when the window since the last request was over."""
    since = order.sent_at or order.first_sent_at
    over = since + rules.doubt_window if since is not None else seen.now
    if order.raw_status is not None:
        # Every reading shows it, and none can be understood: that is waited out to the end of its time.
        return seen.now >= max(over, order.deadline or over)
    return order.not_found >= rules.doubt_reads and seen.asked_at is not None and seen.asked_at >= over


def _quarantine(order: Order) -> OrderQuarantined:
    reason = f"{order.not_found} complete reads did not show it; it may still exist, so it is never sent again"
    if order.raw_status is not None:
        reason = f"the broker shows it as {order.raw_status!r}, which nobody here understands"
    return OrderQuarantined(
        cycle_id=order.cycle_id, cl_ord_id=order.cl_ord_id, symbol=order.symbol, reads=order.not_found, reason=reason
    )
