"""What a cycle does next: a pure decision from the journaled state and what this process has seen.

Level-triggered: it never remembers where it was, it looks at what is true. So a process that starts, one that resumes
after a kill, and one that has run for weeks all take the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from oms.engine.orders import Ask, Decision, Finished, Look, ReadFunds, Seen, Stop, Wait
from oms.engine.reconciliation import facts
from oms.engine.refusals import STALE, bar, is_halted, trades_today
from oms.engine.round import held_by_halt, work
from oms.model.account import Funds, Position, Quote
from oms.model.cycle import Cycle, Phase
from oms.model.detail import Outcome, RevalidationInputs, SettledBy
from oms.model.event import (
    AttentionRaised,
    BuysClosed,
    BuysRevalidated,
    CycleAborted,
    CycleResumed,
    Event,
    FundsObserved,
    FundsSettled,
    OrderBlocked,
    OrderInDoubt,
    OrderPlanned,
    SellsClosed,
)
from oms.model.liquidity import (
    RULE_VERSION,
    NotFinite,
    budget,
    committed_to,
    cost_ceiling,
    reserved_for,
    revalidate,
    spendable,
)
from oms.model.order import ZERO, CloseReason, Order, OrderPhase, OrdStatus, Side
from oms.model.rules import FundsPolicy, Rules
from oms.model.state import AccountState
from oms.ports import OrdersRead


def decide(state: AccountState, seen: Seen, rules: Rules) -> Decision:
    """The facts to journal now and the one thing to do then."""
    cycle = state.open_cycle
    if seen.read is not None:
        return Decision(events=(*_resumption(cycle, seen), *_facts(state, seen, seen.read)))
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
            return _settling(state, cycle, seen, rules)
        case Phase.REVALIDATING:
            return _revalidating(state, cycle, seen, rules)
        case Phase.BUYING:
            return _buying(state, cycle, seen, rules)
        case Phase.DONE:
            return Decision(then=Finished())


def _trouble(seen: Seen, rules: Rules) -> Decision | None:
    """Something outside has just failed: wait before trying again, and in the end leave it to the next run."""
    if seen.retry_at is None or seen.now >= seen.retry_at:
        return None
    given_up = seen.troubled_since is not None and seen.now >= seen.troubled_since + rules.settle_deadline
    if given_up and not seen.patient:
        return Decision(then=Stop(exit_code=75, why=f"{seen.trouble}; the cycle stays open, the next run goes on"))
    return Decision(then=Wait(until=seen.retry_at, why=seen.trouble))


def _facts(state: AccountState, seen: Seen, read: OrdersRead) -> Iterator[Event]:
    return facts(state, read, executions=seen.capabilities.reports_executions, known=seen.known)


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
    return rules.funds is not FundsPolicy.SETTLED_CASH


def _abort(cycle: Cycle, seen: Seen) -> CycleAborted:
    day = seen.session.day if seen.session is not None else None
    reason = f"opened for {cycle.opened.trading_day}, found open on {day}; nothing more is sent"
    return CycleAborted(cycle_id=cycle.cycle_id, rule=STALE, reason=reason)


# SELLING ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _selling(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    sells = cycle.sells
    return work(state, cycle, sells, seen, rules) or Decision(events=(_sells_closed(cycle, seen, rules),))


def _sells_closed(cycle: Cycle, seen: Seen, rules: Rules) -> SellsClosed:
    return SellsClosed(
        cycle_id=cycle.cycle_id,
        proceeds=cycle.proceeds,
        fees=cycle.sell_fees,
        unresolved=sum(1 for order in cycle.sells if order.quarantined),
        deadline=seen.now + rules.settle_deadline,
    )


# SETTLING ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _settling(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    """Wait until two equal readings cover the booked proceeds, or the absolute deadline has passed."""
    if cycle.sells_closed is None:
        raise AssertionError("SETTLING begins with sells_closed")
    late_sells = [order for order in cycle.sells if not order.is_finished_for_cycle]
    if late_sells:
        return work(state, cycle, late_sells, seen, rules) or Decision()
    try:
        observed = _observation(cycle, seen, rules)
    except NotFinite as error:
        return Decision(then=_unreadable(seen, rules, str(error)))
    if observed is not None:
        return Decision(events=(observed,))
    settled = _settled(cycle, seen, rules)
    if settled is not None:
        return Decision(events=(settled,))
    return Decision(then=_next_reading(cycle, seen, rules))


def _observation(cycle: Cycle, seen: Seen, rules: Rules) -> FundsObserved | None:
    """A reading that is not journaled yet, begun after this phase began."""
    funds = seen.funds
    last = cycle.readings[-1].funds.at if cycle.readings else cycle.phase_since
    if funds is None or funds.at < cycle.phase_since or (cycle.readings and funds.at <= last):
        return None
    return FundsObserved(cycle_id=cycle.cycle_id, funds=funds, spendable=spendable(funds, rules.funds))


def _settled(cycle: Cycle, seen: Seen, rules: Rules) -> FundsSettled | None:
    readings = cycle.readings
    if not readings:
        return None
    last = readings[-1]
    if not any(order.cum_qty for order in cycle.sells):
        return _funds_settled(cycle, SettledBy.NO_SELLS, (last,))
    for earlier in readings[:-1]:
        agree = earlier.spendable == last.spendable >= cycle.expected_spendable
        if agree and last.funds.at - earlier.funds.at >= rules.confirm:
            return _funds_settled(cycle, SettledBy.COVERED, (earlier, last))
    assert cycle.sells_closed is not None
    if seen.now >= cycle.sells_closed.deadline or cycle.aborted is not None:
        return _funds_settled(cycle, SettledBy.DEADLINE, readings[-2:])
    return None


def _funds_settled(cycle: Cycle, by: SettledBy, readings: Sequence[FundsObserved]) -> FundsSettled:
    amounts = tuple(reading.spendable for reading in readings)
    return FundsSettled(
        cycle_id=cycle.cycle_id, by=by, expected=cycle.expected_spendable, spendable=min(amounts), readings=amounts
    )


def _next_reading(cycle: Cycle, seen: Seen, rules: Rules) -> ReadFunds | Wait:
    """At once where one more reading may confirm the last; else once a poll."""
    if not cycle.readings:
        return ReadFunds()
    last = cycle.readings[-1]
    covered = last.spendable >= cycle.expected_spendable
    due = last.funds.at + (rules.confirm if covered and len(cycle.readings) == 1 else rules.poll)
    if covered and len(cycle.readings) > 1 and cycle.readings[-2].spendable != last.spendable:
        due = last.funds.at + rules.confirm
    if seen.now >= due:
        return ReadFunds()
    why = f"{last.spendable} spendable, {cycle.expected_spendable} expected from the sells"
    return Wait(until=due, why=why)


def _unreadable(seen: Seen, rules: Rules, why: str) -> ReadFunds | Wait | Stop:
    """Figures that are not finite: the cycle holds until they are, or leaves it to the next run."""
    assert seen.funds is not None
    due = seen.funds.at + rules.poll
    if seen.now >= due:
        return ReadFunds()
    if not seen.patient and seen.now >= seen.started_at + rules.settle_deadline:
        return Stop(exit_code=75, why=why)
    return Wait(until=due, why=why)


# REVALIDATING ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _revalidating(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    late_sells = [order for order in cycle.sells if not order.is_finished_for_cycle]
    if late_sells:
        return work(state, cycle, late_sells, seen, rules) or Decision()
    if is_halted(state, Side.BUY) and cycle.opened.buys and _may_still_buy(cycle, seen, rules):
        return held_by_halt(state, seen, rules)
    if not _has_fresh_look(cycle, seen, rules):
        return Decision(then=Look(symbols=tuple(buy.symbol for buy in cycle.opened.buys)))
    assert seen.funds is not None and seen.positions is not None
    try:
        inputs = _inputs(state, cycle, seen, rules, seen.funds)
    except NotFinite as error:
        return Decision(then=_unreadable(seen, rules, str(error)))
    revalidated = _revalidated(cycle, seen, rules, inputs)
    return Decision(events=(revalidated, *_planned_buys(cycle, revalidated)))


def _may_still_buy(cycle: Cycle, seen: Seen, rules: Rules) -> bool:
    return _blocked_by(cycle, seen, rules) is None


def _has_fresh_look(cycle: Cycle, seen: Seen, rules: Rules) -> bool:
    """Orders, positions, funds and quotes, all read in this phase and recently."""
    oldest = max(cycle.phase_since, seen.now - rules.max_funds_age)
    instants = [seen.asked_at, seen.positions_at, seen.funds.at if seen.funds is not None else None]
    if cycle.opened.buys:
        instants.append(seen.quotes_at)
    return all(at is not None and at >= oldest for at in instants)


def _blocked_by(cycle: Cycle, seen: Seen, rules: Rules) -> str | None:
    """A rule that refuses every buy of the cycle."""
    session = seen.session
    if cycle.aborted is not None:
        return cycle.aborted.rule
    if cycle.has_unresolved_sell:
        return "unresolved_sell"
    if session is None or not session.is_open(seen.market_time):
        return "market_closed"
    if seen.market_time >= session.closes - rules.no_buys_before_close:
        return "no_buys_before_close"
    rejections = sum(1 for order in cycle.orders.values() if order.ord_status is OrdStatus.REJECTED)
    return "repeated_rejections" if rejections >= rules.max_rejections else None


def _revalidated(cycle: Cycle, seen: Seen, rules: Rules, inputs: RevalidationInputs) -> BuysRevalidated:
    return BuysRevalidated(
        cycle_id=cycle.cycle_id,
        rule_version=RULE_VERSION,
        inputs=inputs,
        budget=budget(inputs, rules),
        buys=revalidate(cycle.opened.buys, inputs, rules),
        deadline=seen.now + rules.order_deadline,
    )


def _inputs(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules, funds: Funds) -> RevalidationInputs:
    symbols = sorted(buy.symbol for buy in cycle.opened.buys)
    settled = cycle.settled.spendable if cycle.settled is not None else ZERO
    external = [order for order in state.external.values() if order.open and order.side is Side.BUY]
    committed = committed_to(state.orders)
    reserved = reserved_for(state.orders, rules.fee_allowance)
    for order in external:
        leaves = max(order.order_qty - order.cum_qty, ZERO)
        value = leaves * (order.price or _last(seen.quotes.get(order.symbol)))
        reserved += cost_ceiling(1, value, rules.fee_allowance)
        committed[order.symbol] = committed.get(order.symbol, ZERO) + value
    return RevalidationInputs(
        funds=funds,
        spendable=min(settled, spendable(funds, rules.funds)),
        reserved=reserved,
        quotes=tuple(seen.quotes[symbol] for symbol in symbols if symbol in seen.quotes),
        market_time=seen.market_time,
        held=tuple(_held(seen, symbol) for symbol in symbols if _holds(seen, symbol)),
        committed=tuple(sorted((symbol, value) for symbol, value in committed.items() if symbol in symbols)),
        barred=tuple(_barred(state, symbols, seen, rules)),
        trades_today=trades_today(state, cycle),
        loss_today=max(-state.realised_today, ZERO),
        blocked_by=_blocked_by(cycle, seen, rules),
    )


def _last(quote: Quote | None) -> Decimal:
    return quote.last if quote is not None else ZERO


def _holds(seen: Seen, symbol: str) -> bool:
    return seen.positions is not None and symbol in seen.positions


def _held(seen: Seen, symbol: str) -> Position:
    assert seen.positions is not None
    return seen.positions[symbol]


def _barred(state: AccountState, symbols: Sequence[str], seen: Seen, rules: Rules) -> Iterator[tuple[str, str]]:
    for symbol in symbols:
        rule = bar(state, symbol, rules, seen.now)
        if rule is not None:
            yield symbol, rule


def _planned_buys(cycle: Cycle, revalidated: BuysRevalidated) -> Iterator[Event]:
    """Every buy gets its row: with the quantity it may have, or blocked with the rule that cut it to nothing."""
    for intent, answer in zip(cycle.opened.buys, revalidated.buys, strict=True):
        yield OrderPlanned(
            cycle_id=cycle.cycle_id,
            cl_ord_id=intent.cl_ord_id,
            symbol=intent.symbol,
            side=intent.side,
            index=intent.index,
            ord_type=intent.ord_type,
            order_qty=answer.quantity or intent.quantity,
            price=answer.limit,
            worst_px=answer.worst_px,
            score=intent.score,
        )
    for intent, answer in zip(cycle.opened.buys, revalidated.buys, strict=True):
        if answer.quantity == 0:
            yield OrderBlocked(
                cycle_id=cycle.cycle_id,
                cl_ord_id=intent.cl_ord_id,
                symbol=intent.symbol,
                rule=answer.rule,
                limit=str(intent.quantity),
                value="0",
                reason=answer.reason,
            )


# BUYING ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _buying(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    step = work(state, cycle, cycle.buys, seen, rules)
    if step is not None:
        return step
    last_look = _last_look(cycle, seen, rules)
    if last_look is not None:
        return last_look
    return Decision(
        events=(*_differences(state, cycle, seen), BuysClosed(cycle_id=cycle.cycle_id, outcome=outcome(cycle)))
    )


def _last_look(cycle: Cycle, seen: Seen, rules: Rules) -> Decision | None:
    """Closed orders are read once more after a grace time, since a fill may have won against a cancel."""
    sent = [order for order in cycle.orders.values() if order.sends]
    if not sent:
        return None
    short = [o for o in sent if o.closed_at is not None and o.cum_qty < o.order_qty]
    due = max((o.closed_at + rules.grace for o in short if o.closed_at is not None), default=None)
    if due is not None and seen.now < due:
        return Decision(then=Wait(until=due, why="a last look at orders that were closed before they were filled"))
    after = max([o.last_fill_at or o.closed_at or cycle.phase_since for o in sent] + ([due] if due else []))
    if all(at is not None and at >= after for at in (seen.positions_at, seen.asked_at)):
        return None
    return Decision(then=Look(symbols=()))


def _differences(state: AccountState, cycle: Cycle, seen: Seen) -> Iterator[AttentionRaised]:
    """Shares at the broker against shares in the journal: shown, never silently corrected."""
    if seen.positions is None or state.unresolved:
        return
    for symbol in sorted(
        [*seen.positions, *(s for s, h in state.holdings.items() if h.qty and s not in seen.positions)]
    ):
        there = seen.positions[symbol].qty if symbol in seen.positions else ZERO
        here = state.holdings[symbol].qty if symbol in state.holdings else ZERO
        if there != here:
            text = f"the broker holds {there} {symbol}, the journal {here}"
            yield AttentionRaised(cycle_id=cycle.cycle_id, symbol=symbol, rule="positions_differ", text=text)


def outcome(cycle: Cycle) -> Outcome:
    """How the cycle went: complete where nothing that was sent fell short."""
    if cycle.aborted is not None:
        return Outcome.ABORTED
    if not cycle.opened.sells and not cycle.opened.buys:
        return Outcome.NOTHING_TO_DO
    return Outcome.PARTIAL if any(_fell_short(order) for order in cycle.orders.values()) else Outcome.COMPLETE


def _fell_short(order: Order) -> bool:
    if order.close_reason is CloseReason.BLOCKED:
        return order.side is Side.SELL or order.rule in (STALE, "order_deadline", "halted", "price_collar")
    return order.phase is not OrderPhase.CLOSED or order.cum_qty < order.order_qty
