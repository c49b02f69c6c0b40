"""Orders in doubt: ask first, then what ``in_doubt.then`` says; only evidence ends a doubt, never its age."""

from __future__ import annotations

from collections.abc import Sequence

from oms.engine.orders import Ask, Decision, Seen, Send, Stop
from oms.model.cycle import Cycle
from oms.model.event import OrderQuarantined
from oms.model.order import Order
from oms.model.rules import DoubtPolicy, Rules


def settle_doubt(cycle: Cycle, orders: Sequence[Order], seen: Seen, rules: Rules, *, halted: bool) -> Decision | None:
    """What doubt asks for at once; None when there is none, or when it can only be waited out."""
    doubtful = _doubtful(orders)
    if not doubtful:
        return None
    if any(not _asked_since_send(order, seen) for order in doubtful):
        return Decision(then=Ask())
    again = tuple(order.cl_ord_id for order in doubtful if may_resend(cycle, order, seen, rules))
    if again and not halted:
        return Decision(then=Send(cl_ord_ids=again))
    exhausted = [order for order in doubtful if _asking_is_over(order, seen, rules)]
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


def _asked_since_send(order: Order, seen: Seen) -> bool:
    """A complete reading was begun by this process, and after the last request left."""
    if seen.asked_at is None:
        return False
    return order.sent_at is None or seen.asked_at >= order.sent_at


def may_resend(cycle: Cycle, order: Order, seen: Seen, rules: Rules) -> bool:
    """Whether the same number may go out once more: only where the broker is proven to refuse a repeat of it."""
    window = seen.capabilities.refuses_repeats
    if rules.doubt_then is not DoubtPolicy.RESEND or window is None or order.first_sent_at is None:
        return False
    if order.order_id is not None or order.raw_status is not None or order.repeat_refused:
        # The broker knows the number, so there is nothing to send; asking must find the order.
        return False
    session = seen.session
    same_day = session is not None and session.day == cycle.opened.trading_day and session.is_open(seen.market_time)
    in_time = order.deadline is None or seen.now < order.deadline
    provable = seen.now - order.first_sent_at + rules.doubt_margin < window
    # A clock that went back makes the age negative; then nothing is proven.
    forward = seen.now >= order.first_sent_at
    return (
        order.not_found > 0
        and order.sends < rules.max_sends
        and cycle.aborted is None
        and same_day
        and in_time
        and provable
        and forward
    )


def _asking_is_over(order: Order, seen: Seen, rules: Rules) -> bool:
    since = order.sent_at or order.first_sent_at
    waited = since is None or seen.now >= since + rules.doubt_window
    return order.not_found >= rules.doubt_reads and waited


def _quarantine(order: Order) -> OrderQuarantined:
    return OrderQuarantined(
        cycle_id=order.cycle_id,
        cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        reads=order.not_found,
        reason=f"{order.not_found} complete reads did not show it; it may still exist, so it is never sent again",
    )
