"""What a cycle does next: a pure decision from the journaled state and what this process has seen.

Level-triggered: it never remembers where it was, it looks at what is true. So a process that starts, one that resumes
after a kill, and one that has run for weeks all take the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from oms.engine.money import may_be_spent
from oms.engine.orders import Ask, Decision, Finished, Look, Seen, Stop, Wait
from oms.engine.patience import has_passed, not_before
from oms.engine.reconciliation import facts
from oms.engine.refusals import NOT_ARMED, STALE, is_day_of
from oms.engine.revalidation import revalidating
from oms.engine.round import work
from oms.engine.settling import sells_closed, settling
from oms.model.cycle import Cycle, Phase
from oms.model.detail import Outcome
from oms.model.event import (
    AttentionRaised,
    BuysClosed,
    CycleAborted,
    CycleResumed,
    Event,
    FundsObserved,
    OrderInDoubt,
    OrderNotFound,
)
from oms.model.liquidity import NotFinite, cost_ceiling
from oms.model.order import ZERO, CloseReason, Order, OrdStatus, Side
from oms.model.rules import FundsPolicy, Rules
from oms.model.state import AccountState
from oms.ports import OrdersRead

FALLING_SHORT = frozenset(
    {
        *(STALE, NOT_ARMED, "order_deadline", "halted", "price_collar", "market_closed", "no_buys_before_close"),
        "unresolved_sell",
    }
)
"""Rules that keep back a buy which the money and the limits would have allowed."""


def decide(state: AccountState, seen: Seen, rules: Rules) -> Decision:
    """The facts to journal now and the one thing to do then."""
    cycle = state.open_cycle
    if seen.read is not None:
        return Decision(events=(*_resumption(cycle, seen), *_facts(state, seen, seen.read, rules)))
    trouble = _trouble(seen, rules)
    if trouble is not None:
        return trouble
    if cycle is None:
        return _between_cycles(state, seen)
    if cycle.fence != seen.fence:
        return Decision(then=Ask())
    if cycle.aborted is None and _is_stale(cycle, seen, rules):
        return Decision(events=(_abort(cycle, seen),))
    match cycle.phase:
        case Phase.SELLING:
            return _selling(state, cycle, seen, rules)
        case Phase.SETTLING:
            return settling(state, cycle, seen, rules)
        case Phase.REVALIDATING:
            return revalidating(state, cycle, seen, rules)
        case Phase.BUYING:
            return _buying(state, cycle, seen, rules)
        case Phase.DONE:
            return Decision(then=Finished())


def _trouble(seen: Seen, rules: Rules) -> Decision | None:
    """Something outside has just failed: wait before trying again, and in the end leave it to the next run."""
    if seen.retry_at is None or has_passed(seen.retry_at - rules.poll, rules.poll, seen.now):
        return None
    given_up = seen.troubled_since is not None and seen.now >= seen.troubled_since + rules.settle_deadline
    if given_up and not seen.patient:
        return Decision(then=Stop(exit_code=75, why=f"{seen.trouble}; the cycle stays open, the next run goes on"))
    return Decision(then=Wait(until=seen.retry_at, why=seen.trouble))


def _facts(state: AccountState, seen: Seen, read: OrdersRead, rules: Rules) -> Iterator[Event]:
    """What the reading adds; readings that miss an order are counted as far as anybody asks how many there were."""
    executions = seen.capabilities.reports_executions
    for event in facts(state, read, executions=executions, known=seen.known, older=seen.older):
        if not (isinstance(event, OrderNotFound) and event.reads > rules.doubt_reads):
            yield event


def _between_cycles(state: AccountState, seen: Seen) -> Decision:
    """Orders of the last cycle are read once more at a start, and unresolved ones of any cycle are asked about."""
    if seen.asked_at is None and any(order.sends for order in state.orders):
        return Decision(then=Ask())
    return Decision(then=Finished())


def _resumption(cycle: Cycle | None, seen: Seen) -> Iterator[Event]:
    """What a new process finds: orders that were SENDING are in doubt, and so are reserved ones after a power cut."""
    if cycle is None or cycle.fence == seen.fence:
        return
    yield CycleResumed(
        cycle_id=cycle.cycle_id,
        fence=seen.fence,
        phase=cycle.phase.value,
        host=seen.host,
        pid=seen.pid,
        restart_token=seen.restart_token,
    )
    for order in cycle.orders.values():
        reason = _doubt_at_start(order, seen)
        if reason is not None:
            yield OrderInDoubt(cycle_id=order.cycle_id, cl_ord_id=order.cl_ord_id, symbol=order.symbol, reason=reason)


def _doubt_at_start(order: Order, seen: Seen) -> str | None:
    if order.ord_status is OrdStatus.SENDING:
        return "found SENDING at a start: the request may have left"
    if order.ord_status is OrdStatus.RESERVED and order.restart_token != seen.restart_token:
        return "found RESERVED after a restart of the machine: what followed may be lost"
    return None


def _is_stale(cycle: Cycle, seen: Seen, rules: Rules) -> bool:
    """Open in a later trading day: nothing more is sent, unless the cycle waits for settled cash."""
    if seen.session is None or seen.session.day <= cycle.opened.trading_day:
        return False
    if rules.funds is not FundsPolicy.SETTLED_CASH:
        return True
    waiting = cycle.phase in (Phase.SETTLING, Phase.REVALIDATING)
    return not waiting and not is_day_of(cycle, Side.BUY, seen.session, rules)


def _abort(cycle: Cycle, seen: Seen) -> CycleAborted:
    day = seen.session.day if seen.session is not None else None
    reason = f"opened for {cycle.opened.trading_day}, found open on {day}; nothing more is sent"
    return CycleAborted(cycle_id=cycle.cycle_id, rule=STALE, reason=reason)


# SELLING ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _selling(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    sells = cycle.sells
    return work(state, cycle, sells, seen, rules) or Decision(events=(sells_closed(cycle, seen, rules),))


# BUYING ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _buying(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    # A sell that was found open after all is followed to its end as well, once the buys are done.
    step = work(state, cycle, cycle.buys, seen, rules) or work(state, cycle, cycle.sells, seen, rules)
    if step is not None:
        return step
    last_look = _last_look(cycle, seen, rules)
    if last_look is not None:
        return last_look
    closed = BuysClosed(cycle_id=cycle.cycle_id, outcome=outcome(cycle))
    told = (*_differences(state, cycle, seen), *_dear_buys(cycle, rules))
    return Decision(events=(*told, *_funds_left(state, cycle, seen, rules), closed))


def _funds_left(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Iterator[FundsObserved]:
    """The reading of the last look: what is left after the buys, for whoever asks until the next cycle."""
    if seen.funds is None or seen.funds.at < cycle.phase_since:
        return
    try:
        left = may_be_spent(state, cycle, seen.funds, seen, rules)
        yield FundsObserved(cycle_id=cycle.cycle_id, funds=seen.funds, spendable=left)
    except NotFinite:
        # Figures that cannot be read decide nothing here; the next cycle reads its own.
        return


def _last_look(cycle: Cycle, seen: Seen, rules: Rules) -> Decision | None:
    """Closed orders are read once more after a grace time, since a fill may have won against a cancel."""
    sent = [order for order in cycle.orders.values() if order.sends]
    if not sent:
        return None
    closed_at = max((o.closed_at for o in sent if o.closed_at is not None and o.cum_qty < o.order_qty), default=None)
    if closed_at is not None and not has_passed(closed_at, rules.grace, seen.now):
        why = "a last look at orders that were closed before they were filled"
        return Decision(then=Wait(until=closed_at + rules.grace, why=why))
    changed = [o.last_fill_at or cycle.phase_since for o in sent]
    after = not_before(max([*changed, *([closed_at + rules.grace] if closed_at else [])]), seen)
    if all(at is not None and at >= after for at in (seen.positions_at, seen.asked_at)):
        return None
    return Decision(then=Look(symbols=()))


def _differences(state: AccountState, cycle: Cycle, seen: Seen) -> Iterator[AttentionRaised]:
    """Shares at the broker against shares in the journal: shown, never silently corrected."""
    if seen.positions is None:
        return
    unsure = {order.symbol for order in state.unresolved}
    for symbol in sorted({*seen.positions, *(s for s, h in state.holdings.items() if h.qty)} - unsure):
        there = seen.positions[symbol].qty if symbol in seen.positions else ZERO
        here = state.holdings[symbol].qty if symbol in state.holdings else ZERO
        if there != here:
            text = f"the broker holds {there} {symbol}, the journal {here}"
            yield AttentionRaised(cycle_id=cycle.cycle_id, symbol=symbol, rule="positions_differ", text=text)


def _dear_buys(cycle: Cycle, rules: Rules) -> Iterator[AttentionRaised]:
    """Buys that cost more than the budget has set aside for them: the next one would be overdrawn as well."""
    for order in cycle.buys:
        cost, most = order.notional + order.fees, cost_ceiling(order.cum_qty, order.worst_px, rules.fee_allowance)
        if cost > most:
            text = (
                f"{order.cum_qty} {order.symbol} cost {cost:,.2f} with {order.fees:,.2f} of fees, {most:,.2f} were set "
                "aside; raise execution.fee_allowance if such fees are to be expected"
            )
            yield AttentionRaised(cycle_id=cycle.cycle_id, symbol=order.symbol, rule="fees_above_allowance", text=text)


def outcome(cycle: Cycle) -> Outcome:
    """How the cycle went: complete where nothing that was sent fell short."""
    if cycle.aborted is not None:
        return Outcome.ABORTED
    if not cycle.opened.sells and not cycle.opened.buys:
        return Outcome.NOTHING_TO_DO
    return Outcome.PARTIAL if any(_fell_short(order) for order in cycle.orders.values()) else Outcome.COMPLETE


def _fell_short(order: Order) -> bool:
    if order.ever_quarantined:
        return True
    if order.close_reason is CloseReason.BLOCKED:
        return order.side is Side.SELL or order.rule in FALLING_SHORT
    return order.cum_qty < order.order_qty
