"""SETTLING: waiting until the broker's funds show what the sells brought, and no longer than an instant in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from oms.engine.money import may_be_spent, waits_for_settlement
from oms.engine.orders import Decision, NextDay, ReadFunds, Seen, Stop, Wait
from oms.engine.patience import has_passed, not_before, unreadable
from oms.engine.round import work
from oms.model.cycle import Cycle
from oms.model.detail import SettledBy
from oms.model.event import FundsObserved, FundsSettled, SellsClosed
from oms.model.liquidity import NotFinite
from oms.model.rules import FundsPolicy, Rules
from oms.model.state import AccountState

SLOW_POLLS = 60
"""Polls between two readings while the money is known to come only on another day."""
AFTER_OPEN = timedelta(hours=1)
"""Distance from a settlement date's opening bell that no change of the clocks can eat up."""


def sells_closed(cycle: Cycle, seen: Seen, rules: Rules) -> SellsClosed:
    """The fact that begins this phase, with its absolute deadline."""
    return SellsClosed(
        cycle_id=cycle.cycle_id,
        proceeds=cycle.proceeds,
        fees=cycle.sell_fees,
        unresolved=sum(1 for order in cycle.sells if order.quarantined),
        deadline=_deadline(cycle, seen, rules),
    )


def _deadline(cycle: Cycle, seen: Seen, rules: Rules) -> datetime:
    soon = seen.now + rules.settle_deadline
    if rules.funds is not FundsPolicy.SETTLED_CASH or seen.session is None or not cycle.proceeds:
        return soon
    nights = cycle.opened.settles - cycle.opened.trading_day
    return max(soon, seen.session.opens + nights + AFTER_OPEN)


def settling(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    """Wait until two equal readings cover the booked proceeds, or the absolute deadline has passed."""
    late_sells = [order for order in cycle.sells if not order.is_finished_for_cycle]
    if late_sells:
        return work(state, cycle, late_sells, seen, rules) or Decision()
    if waits_for_settlement(cycle, seen, rules) and seen.plays_days:
        return Decision(then=NextDay())
    try:
        observed = _observation(state, cycle, seen, rules)
    except NotFinite as error:
        return Decision(then=unreadable(cycle, seen, rules, str(error)))
    if observed is not None:
        return Decision(events=(observed,))
    settled = _settled(cycle, seen, rules)
    if settled is not None:
        return Decision(events=(settled,))
    return Decision(then=_next_reading(cycle, seen, rules))


def _observation(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> FundsObserved | None:
    """A reading that is not journaled yet, begun after this phase and after the last sell fill that we know of."""
    funds = seen.funds
    sold = [order.last_fill_at for order in cycle.sells if order.last_fill_at is not None]
    oldest = not_before(max([cycle.phase_since, *sold]), seen)
    journaled = [reading.funds.at for reading in cycle.readings]
    if funds is None or funds.at < oldest or funds.at in journaled:
        return None
    return FundsObserved(cycle_id=cycle.cycle_id, funds=funds, spendable=may_be_spent(state, cycle, funds, seen, rules))


def _settled(cycle: Cycle, seen: Seen, rules: Rules) -> FundsSettled | None:
    readings = cycle.readings
    if not readings:
        return None
    last = readings[-1]
    if not any(order.cum_qty for order in cycle.sells):
        return _funds_settled(cycle, SettledBy.NO_SELLS, (last,))
    if last.spendable >= cycle.expected_spendable:
        for earlier in _equal_before_last(readings):
            if last.funds.at - earlier.funds.at >= rules.confirm:
                return _funds_settled(cycle, SettledBy.COVERED, (earlier, last))
    assert cycle.sells_over is not None
    if seen.now >= cycle.sells_over.deadline or cycle.aborted is not None:
        return _funds_settled(cycle, SettledBy.DEADLINE, readings[-2:])
    return None


def _equal_before_last(readings: Sequence[FundsObserved]) -> list[FundsObserved]:
    """The readings before the last one that say the same, back to the first that does not: a figure that flickers is
    no agreement.
    """
    equal: list[FundsObserved] = []
    for reading in reversed(readings[:-1]):
        if reading.spendable != readings[-1].spendable:
            break
        equal.append(reading)
    return equal


def _funds_settled(cycle: Cycle, by: SettledBy, readings: Sequence[FundsObserved]) -> FundsSettled:
    amounts = tuple(reading.spendable for reading in readings)
    return FundsSettled(
        cycle_id=cycle.cycle_id, by=by, expected=cycle.expected_spendable, spendable=min(amounts), readings=amounts
    )


def _next_reading(cycle: Cycle, seen: Seen, rules: Rules) -> ReadFunds | Wait | Stop:
    """At once where one more reading may confirm the last; else once a poll."""
    if not cycle.readings:
        return ReadFunds()
    last = cycle.readings[-1]
    covered = last.spendable >= cycle.expected_spendable
    may_confirm = covered and not _equal_before_last(cycle.readings)
    span = rules.confirm if may_confirm else rules.poll
    why = f"{last.spendable} spendable, {cycle.expected_spendable} expected from the sells"
    if waits_for_settlement(cycle, seen, rules) and not covered:
        if not seen.patient:
            stop = f"{why}; they settle on {cycle.opened.settles}, the cycle stays open, the next run goes on"
            return Stop(exit_code=75, why=stop)
        span = SLOW_POLLS * rules.poll
    # Where the money shows already, only time can confirm it.
    if (seen.stirred and not covered) or has_passed(last.funds.at, span, seen.now):
        return ReadFunds()
    return Wait(until=last.funds.at + span, why=why)
