"""Classic mistakes of order managers, each planted into the engine for as long as a ``with`` lasts.

Every one of them looks reasonable in a review. The simulator must find each; which law catches it is not prescribed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any
from unittest.mock import patch

from oms.engine import (
    conductor,
    doubt,
    driver,
    errands,
    money,
    orders,
    reconciliation,
    reconciling,
    refusals,
    revalidation,
    settling,
    submission,
    worker,
)
from oms.engine import round as a_round
from oms.errors import InDoubt
from oms.model import liquidity, plan, risk
from oms.model.cycle import Cycle
from oms.model.event import OrderInDoubt, OrderNotSent, OrderRejected, OrderSending, PositionAdopted
from oms.model.order import Order, OrderPhase
from oms.model.state import AccountState
from oms.sim.ram_journal import RamJournal


@dataclass(frozen=True, kw_only=True)
class Bug:
    """One mistake."""

    name: str
    plant: Callable[[ExitStack], None]
    fast: bool = True
    """Found within the seeds of every commit."""


BUGS: list[Bug] = []


def bug(name: str, *, fast: bool = True) -> Callable[[Callable[[ExitStack], None]], None]:
    def add(plant: Callable[[ExitStack], None]) -> None:
        BUGS.append(Bug(name=name, plant=plant, fast=fast))

    return add


@contextmanager
def planted(found: Bug) -> Iterator[None]:
    """While this lasts the engine has the mistake."""
    with ExitStack() as stack:
        found.plant(stack)
        yield


def swap(stack: ExitStack, where: object, name: str, what: Any) -> None:
    stack.enter_context(patch.object(where, name, what))


def unchecked(stack: ExitStack, *checks: str) -> None:
    """The same mistake in the check before each send, which would stop what the first let through."""
    for name in checks:
        swap(stack, risk, name, lambda *_: None)


# ---- exactly once ----------------------------------------------------------------------------------------------------


@bug("a timeout counts as a rejection")
def _(stack: ExitStack) -> None:
    outcome = submission.Submission._outcome

    def wrong(self: Any, flight: Any) -> Any:
        event = outcome(self, flight)
        if isinstance(event, OrderInDoubt):
            return OrderRejected(
                cycle_id=event.cycle_id, cl_ord_id=event.cl_ord_id, symbol=event.symbol, code="timeout", text="timeout"
            )
        return event

    swap(stack, submission.Submission, "_outcome", wrong)


@bug("a timeout counts as not sent")
def _(stack: ExitStack) -> None:
    outcome = submission.Submission._outcome

    def wrong(self: Any, flight: Any) -> Any:
        event = outcome(self, flight)
        if isinstance(event, OrderInDoubt):
            return OrderNotSent(
                cycle_id=event.cycle_id, cl_ord_id=event.cl_ord_id, symbol=event.symbol, reason="timeout"
            )
        return event

    swap(stack, submission.Submission, "_outcome", wrong)


@bug("a submit is retried inside the adapter's call")
def _(stack: ExitStack) -> None:
    place = submission.Submission._place

    def wrong(self: Any, request: Any, committed: float) -> str:
        try:
            return place(self, request, committed)
        except InDoubt:
            return place(self, request, committed)

    swap(stack, submission.Submission, "_place", wrong)


@bug("re-send by age, without proof that the broker refuses repeats")
def _(stack: ExitStack) -> None:
    def wrong(state: Any, cycle: Any, order: Order, seen: Any, rules: Any) -> bool:
        return order.not_found > 0 and order.sends < 5 and not order.quarantined

    swap(stack, doubt, "may_resend", wrong)


@bug("a re-send gets a new number")
def _(stack: ExitStack) -> None:
    request = Order.request

    def wrong(self: Order) -> Any:
        found = request(self)
        return replace(found, order_no=f"{found.order_no}9") if self.sends > 1 else found

    swap(stack, Order, "request", wrong)


@bug("what goes out is not what was journaled", fast=False)
def _(stack: ExitStack) -> None:
    request = Order.request

    def wrong(self: Order) -> Any:
        found = request(self)
        return replace(found, order_qty=found.order_qty + 1)

    swap(stack, Order, "request", wrong)


@bug("SENDING is not written")
def _(stack: ExitStack) -> None:
    append = driver.Driver.append

    def wrong(self: Any, events: Sequence[Any]) -> None:
        kept = [event for event in events if not isinstance(event, OrderSending)]
        if kept:
            append(self, kept)

    swap(stack, driver.Driver, "append", wrong)


@bug("what was SENDING at a start counts as unsent", fast=False)
def _(stack: ExitStack) -> None:
    sending = conductor._doubt_at_start

    def wrong(order: Order, seen: Any) -> str | None:
        return None if order.phase is OrderPhase.AMBIGUOUS else sending(order, seen)

    swap(stack, conductor, "_doubt_at_start", wrong)
    round_local = a_round._local
    swap(
        stack,
        a_round,
        "_local",
        lambda found: [*round_local(found), *(o for o in found if o.phase is OrderPhase.AMBIGUOUS and not o.in_doubt)],
    )


@bug("the restart token is ignored")
def _(stack: ExitStack) -> None:
    found = conductor._doubt_at_start

    def wrong(order: Order, seen: Any) -> str | None:
        return found(order, replace(seen, restart_token=order.restart_token or seen.restart_token))

    swap(stack, conductor, "_doubt_at_start", wrong)


@bug("asking before acting is left out", fast=False)
def _(stack: ExitStack) -> None:
    facts = conductor._facts

    def wrong(state: Any, seen: Any, read: Any, rules: Any) -> Any:
        return facts(state, seen, replace(read, orders=()), rules)

    swap(stack, conductor, "_facts", wrong)


@bug("an order that no read shows is declared void")
def _(stack: ExitStack) -> None:
    from oms.model.event import OrderVoided

    def wrong(order: Order) -> OrderVoided:
        return OrderVoided(
            cycle_id=order.cycle_id, cl_ord_id=order.cl_ord_id, symbol=order.symbol, evidence="not found", author="oms"
        )

    swap(stack, doubt, "_quarantine", wrong)


@bug("a refused repeat counts as a rejection", fast=False)
def _(stack: ExitStack) -> None:
    outcome = submission.Submission._outcome

    def wrong(self: Any, flight: Any) -> Any:
        event = outcome(self, flight)
        if isinstance(event, OrderInDoubt) and event.repeat_refused:
            return OrderRejected(
                cycle_id=event.cycle_id, cl_ord_id=event.cl_ord_id, symbol=event.symbol, code="duplicate", text="no"
            )
        return event

    swap(stack, submission.Submission, "_outcome", wrong)


@bug("identity is inferred from symbol, side and size")
def _(stack: ExitStack) -> None:
    facts = reconciliation.facts

    def wrong(state: Any, read: Any, **how: Any) -> Any:
        doubtful = {(o.symbol, o.side, Decimal(o.order_qty)): o for o in state.orders}
        relabelled = tuple(
            replace(r, order_no=found.order_no)
            if (found := doubtful.get((r.symbol, r.side, r.order_qty))) is not None
            else r
            for r in read.orders
        )
        return facts(state, replace(read, orders=relabelled), **how)

    swap(stack, conductor, "facts", wrong)


# ---- one writer ------------------------------------------------------------------------------------------------------


@bug("the fence is not checked", fast=False)
def _(stack: ExitStack) -> None:
    def wrong(self: RamJournal) -> None:
        """Whoever writes last, writes."""
        for row in self._chain.rows[self.state.seq :]:
            self._take_in(row)

    swap(stack, RamJournal, "_must_hold", wrong)


@bug("the intent is written after the act")
def _(stack: ExitStack) -> None:
    launch = submission.Submission._launch

    def wrong(self: Any, wave: Any) -> Any:
        for order in wave:
            with suppress(Exception):
                self._broker.place(order.request())
        return launch(self, wave)

    swap(stack, submission.Submission, "_launch", wrong)


@bug("the number is journaled in a soft commit")
def _(stack: ExitStack) -> None:
    barrier = RamJournal.append_barrier

    def wrong(self: RamJournal, events: Sequence[Any]) -> None:
        durable = self._chain.durable
        barrier(self, events)
        if any(event.kind == "order_reserved" for event in events):
            self._chain.durable = durable

    swap(stack, RamJournal, "append_barrier", wrong)


# ---- order of phases -------------------------------------------------------------------------------------------------


@bug("buys do not wait for sells in doubt")
def _(stack: ExitStack) -> None:
    swap(stack, Order, "is_finished_for_cycle", property(lambda self: self.is_closed or self.is_unresolved))


@bug("an unresolved sell is ignored")
def _(stack: ExitStack) -> None:
    swap(stack, Cycle, "has_unresolved_sell", property(lambda self: False))
    swap(stack, risk, "unresolved_sells", lambda *_: None)


@bug("the halt is ignored")
def _(stack: ExitStack) -> None:
    for room in (refusals, a_round, doubt, revalidation):
        swap(stack, room, "brake", lambda *_: None)


@bug("the halt is looked at once a round only")
def _(stack: ExitStack) -> None:
    swap(stack, submission, "may_be_sent", lambda *_: True)
    swap(stack, doubt, "brake", lambda *_: None)
    swap(stack, a_round, "brake", lambda *_: None)


@bug("real money is asked for at a start only")
def _(stack: ExitStack) -> None:
    swap(stack, refusals, "unarmed", lambda *_: "")


@bug("a licence has no end", fast=False)
def _(stack: ExitStack) -> None:
    found = refusals.unarmed

    def wrong(state: AccountState, rules: Any, now: Any) -> str:
        return found(state, rules, min(now, state.armed.until - timedelta(seconds=1)) if state.armed else now)

    for room in (refusals, a_round, worker):
        swap(stack, room, "unarmed", wrong)


@bug("whatever was armed counts for every limit", fast=False)
def _(stack: ExitStack) -> None:
    found = refusals.unarmed

    def wrong(state: AccountState, rules: Any, now: Any) -> str:
        own = (state.armed.limits_hash,) if state.armed is not None else ()
        return found(state, replace(rules, licences=own), now)

    for room in (refusals, a_round, worker):
        swap(stack, room, "unarmed", wrong)


@bug("the blacklist is ignored")
def _(stack: ExitStack) -> None:
    swap(stack, refusals, "bar", lambda *_: None)
    swap(stack, revalidation, "bar", lambda *_: None)


@bug("a cycle of yesterday goes on today")
def _(stack: ExitStack) -> None:
    swap(stack, conductor, "_is_stale", lambda *_: False)
    swap(stack, refusals, "is_day_of", lambda *_: True)


@bug("the deadline is restarted on resume", fast=False)
def _(stack: ExitStack) -> None:
    swap(stack, a_round, "_cancel_is_due", lambda order, seen, rules: seen.now >= seen.started_at + timedelta(days=1))


# ---- money -----------------------------------------------------------------------------------------------------------


@bug("the whole of the funds is used")
def _(stack: ExitStack) -> None:
    def wrong(inputs: Any, rules: Any) -> Decimal:
        left: Decimal = inputs.spendable - inputs.reserved
        return max(left, Decimal(0))

    swap(stack, liquidity, "budget", wrong)
    swap(stack, revalidation, "budget", wrong)


@bug("funds of before the sells are used")
def _(stack: ExitStack) -> None:
    inputs = revalidation._inputs

    def wrong(state: Any, cycle: Cycle, seen: Any, rules: Any, funds: Any) -> Any:
        found = inputs(state, cycle, seen, rules, funds)
        return replace(found, spendable=max(cycle.opened.spendable + cycle.proceeds, found.spendable))

    swap(stack, revalidation, "_inputs", wrong)


@bug("one reading of the funds is enough")
def _(stack: ExitStack) -> None:
    from oms.model.detail import SettledBy

    def wrong(cycle: Cycle, seen: Any, rules: Any) -> Any:
        last = cycle.readings[-1:]
        return settling._funds_settled(cycle, SettledBy.COVERED, last) if last else None

    swap(stack, settling, "_settled", wrong)


@bug("the position cap is ignored")
def _(stack: ExitStack) -> None:
    bounds = liquidity._bounds

    def wrong(*given: Any, **named: Any) -> Any:
        capped = ("max_position_value", "max_order_value")
        return [bound for bound in bounds(*given, **named) if bound.rule not in capped]

    swap(stack, liquidity, "_bounds", wrong)
    unchecked(stack, "position_value", "order_value")


@bug("a buy grows to use up the money")
def _(stack: ExitStack) -> None:
    bounds = liquidity._bounds

    def wrong(*given: Any, **named: Any) -> Any:
        return [bound for bound in bounds(*given, **named) if bound.rule not in (liquidity.KEPT, "original_value")]

    swap(stack, liquidity, "_bounds", wrong)


@bug("quantities are rounded up")
def _(stack: ExitStack) -> None:
    swap(stack, liquidity, "_floor", lambda shares: int(shares.to_integral_value(rounding=ROUND_CEILING)))
    unchecked(stack, "position_value", "order_value", "within_budget")


@bug("fees are left out of the budget")
def _(stack: ExitStack) -> None:
    cut = liquidity.revalidate

    def wrong(buys: Any, inputs: Any, rules: Any) -> Any:
        return cut(buys, inputs, replace(rules, fee_allowance=Decimal(0)))

    swap(stack, revalidation, "revalidate", wrong)
    unchecked(stack, "within_budget")


@bug("each buy may use the whole budget")
def _(stack: ExitStack) -> None:
    swap(stack, liquidity, "cost_ceiling", lambda quantity, price, fee: Decimal(0))
    unchecked(stack, "within_budget")


@bug("orders in doubt reserve nothing", fast=False)
def _(stack: ExitStack) -> None:
    swap(stack, revalidation, "reserved_for", lambda orders_, fee: Decimal(0))
    swap(stack, revalidation, "committed_to", lambda orders_: {})
    unchecked(stack, "position_value")


@bug("more is sold than is held")
def _(stack: ExitStack) -> None:
    swap(stack, plan, "_sellable", lambda position, *_: 10_000 if position is not None else 0)


@bug("funds that are no number count as plenty")
def _(stack: ExitStack) -> None:
    found = liquidity.spendable

    def wrong(funds: Any, policy: Any, in_transit: Decimal = Decimal(0)) -> Decimal:
        try:
            return found(funds, policy, in_transit)
        except liquidity.NotFinite:
            return Decimal(1_000_000)

    swap(stack, money, "spendable", wrong)


@bug("the trades of a day are not counted")
def _(stack: ExitStack) -> None:
    swap(stack, refusals, "trades_today", lambda *_, **__: 0)
    swap(stack, revalidation, "trades_today", lambda *_, **__: 0)


# ---- facts -----------------------------------------------------------------------------------------------------------


@bug("a late fill is dropped", fast=False)
def _(stack: ExitStack) -> None:
    fills = reconciliation._fills

    def wrong(order: Order, *given: Any) -> Any:
        return iter(()) if order.is_closed else fills(order, *given)

    swap(stack, reconciliation, "_fills", wrong)


@bug("a cancelled order counts as not filled", fast=False)
def _(stack: ExitStack) -> None:
    own = reconciliation._own

    def wrong(order: Order, report: Any, *given: Any) -> Any:
        if report.state.value in ("CANCELED", "REJECTED", "EXPIRED"):
            report = replace(report, fills=(), cum_qty=Decimal(0), notional=Decimal(0), fees=Decimal(0))
        return own(order, report, *given)

    swap(stack, reconciliation, "_own", wrong)


@bug("an execution is booked at every reading")
def _(stack: ExitStack) -> None:
    swap(stack, reconciliation, "_new_fills", lambda order, report, executions: list(report.fills))


@bug("an unknown status word counts as a rejection", fast=False)
def _(stack: ExitStack) -> None:
    own = reconciliation._own

    def wrong(order: Order, report: Any, *given: Any) -> Any:
        from oms.model.order import BrokerState

        if report.state is BrokerState.UNKNOWN:
            report = replace(report, state=BrokerState.REJECTED)
        return own(order, report, *given)

    swap(stack, reconciliation, "_own", wrong)


@bug("the cycle ends while a cancel is under way")
def _(stack: ExitStack) -> None:
    from oms.model.order import Pending

    swap(
        stack,
        Order,
        "is_finished_for_cycle",
        property(lambda self: self.is_closed or self.quarantined or self.pending is Pending.CANCEL),
    )


@bug("proof that nothing left clears an earlier doubt", fast=False)
def _(stack: ExitStack) -> None:
    from oms.model import lifecycle

    def wrong(order: Order, event: Any, at: Any) -> Order:
        return replace(
            order, phase=OrderPhase.LOCAL, sends=0, in_doubt=False, first_sent_at=None, sent_at=None, not_found=0
        )

    stack.enter_context(patch.dict(lifecycle._RULES, {OrderNotSent: wrong}))


# ---- beside the trading ----------------------------------------------------------------------------------------------


@bug("the push is believed: nothing is asked until it stirs")
def _(stack: ExitStack) -> None:
    def wrong(seen: Any, rules: Any, waiting: str) -> Any:
        if seen.asked_at is None or seen.stirred:
            return orders.Decision(then=orders.Ask())
        return orders.Decision(then=orders.Wait(until=seen.now + rules.poll, why=waiting))

    swap(stack, a_round, "ask_again", wrong)


@bug("a follower that hangs is waited for")
def _(stack: ExitStack) -> None:
    start = errands.Errands._start

    def wrong(self: Any, desk: Any) -> None:
        start(self, desk)
        if desk.handle is not None:
            self._hands.wait([desk.handle], 3_600.0)

    swap(stack, errands.Errands, "_start", wrong)


@bug("reconciliation puts the books right by itself", fast=False)
def _(stack: ExitStack) -> None:
    journal = reconciling.Reconciling._journal

    def wrong(self: Any, found: Any) -> None:
        journal(self, found)
        adopted = [
            PositionAdopted(
                symbol=each.symbol,
                qty=each.broker,
                before=each.journal,
                cost=each.cost,
                difference=each.kind,
                reason="the broker knows best",
                author="oms",
            )
            for each in found
            if each.order is None or not each.order
        ]
        if adopted:
            self._driver.append(adopted)

    swap(stack, reconciling.Reconciling, "_journal", wrong)


# ---- settlement ------------------------------------------------------------------------------------------------------


@bug("shares that unsettled money bought are sold at once", fast=False)
def _(stack: ExitStack) -> None:
    swap(stack, AccountState, "held_back", lambda *_: {})
