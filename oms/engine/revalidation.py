"""REVALIDATING: one fresh look at everything, and every planned buy cut to what the money and the limits allow now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from oms.engine.money import in_transit, may_be_spent, waits_for_settlement
from oms.engine.orders import Decision, Look, NextDay, Seen
from oms.engine.patience import not_before, unreadable
from oms.engine.refusals import bar, brake, trades_today
from oms.engine.round import held_by_brake, work
from oms.model.account import Funds, Position, Quote
from oms.model.cycle import Cycle
from oms.model.detail import RevalidationInputs
from oms.model.event import BuysRevalidated, Event, ExternalOrderSeen, OrderBlocked, OrderPlanned
from oms.model.liquidity import (
    RULE_VERSION,
    NotFinite,
    budget,
    committed_to,
    cost_ceiling,
    reserved_for,
    revalidate,
)
from oms.model.order import ZERO, OrdStatus, Side
from oms.model.rules import Rules
from oms.model.state import AccountState


def revalidating(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> Decision:
    """Follow late sells and wait out a halt first; then look, and decide every buy at once."""
    late_sells = [order for order in cycle.sells if not order.is_finished_for_cycle]
    if late_sells:
        return work(state, cycle, late_sells, seen, rules) or Decision()
    if waits_for_settlement(cycle, seen, rules) and seen.plays_days:
        # Found by a process that entered the cycle's own day again.
        return Decision(then=NextDay())
    # At the close the wait for `release` is over: the rule that blocks the buys is then the halt.
    braked = brake(state, Side.BUY, rules, seen.now) is not None
    if braked and cycle.opened.buys and _blocked_by(state, cycle, seen, rules) is None:
        return held_by_brake(state, seen, rules)
    if not _has_fresh_look(cycle, seen, rules):
        return Decision(then=Look(symbols=_symbols(state, cycle)))
    assert seen.funds is not None
    try:
        inputs = _inputs(state, cycle, seen, rules, seen.funds)
    except NotFinite as error:
        return Decision(then=unreadable(cycle, seen, rules, str(error)))
    revalidated = _revalidated(cycle, seen, rules, inputs)
    return Decision(events=(revalidated, *_planned_buys(cycle, revalidated)))


def _has_fresh_look(cycle: Cycle, seen: Seen, rules: Rules) -> bool:
    """Orders, positions, funds and quotes, all read in this phase and recently."""
    oldest = max(not_before(cycle.phase_since, seen), seen.now - rules.max_funds_age)
    instants = [seen.asked_at, seen.positions_at, seen.funds.at if seen.funds is not None else None]
    if cycle.opened.buys:
        instants.append(seen.quotes_at)
    return all(at is not None and at >= oldest for at in instants)


def _blocked_by(state: AccountState, cycle: Cycle, seen: Seen, rules: Rules) -> str | None:
    """A rule that refuses every buy of the cycle."""
    session = seen.session
    if cycle.aborted is not None:
        return cycle.aborted.rule
    if cycle.has_unresolved_sell:
        return "unresolved_sell"
    braked = brake(state, Side.BUY, rules, seen.now)
    if session is None or not session.is_open(seen.market_time):
        return braked or "market_closed"
    if seen.market_time >= session.closes - rules.no_buys_before_close:
        return braked or "no_buys_before_close"
    rejections = sum(1 for order in cycle.orders.values() if order.ord_status is OrdStatus.REJECTED)
    return "repeated_rejections" if rejections >= rules.max_rejections else None


def _symbols(state: AccountState, cycle: Cycle) -> tuple[str, ...]:
    """Those of the buys, and those of foreign market buys, which are counted at their quote."""
    foreign = sorted(order.symbol for order in state.external.values() if _is_open_buy(order) and order.price is None)
    return tuple(dict.fromkeys([*(buy.symbol for buy in cycle.opened.buys), *foreign]))


def _is_open_buy(order: ExternalOrderSeen) -> bool:
    return order.open and order.side is Side.BUY


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
    external = [order for order in state.external.values() if _is_open_buy(order)]
    committed = committed_to(state.orders)
    reserved = reserved_for(state.orders, rules.fee_allowance)
    for order in external:
        leaves = max(order.order_qty - order.cum_qty, ZERO)
        value = leaves * (order.price or _last(seen.quotes.get(order.symbol)))
        reserved += cost_ceiling(1, value, rules.fee_allowance)
        committed[order.symbol] = committed.get(order.symbol, ZERO) + value
    if not reserved.is_finite():
        raise NotFinite(f"what is on order elsewhere is not a finite amount: {reserved}")
    return RevalidationInputs(
        funds=funds,
        spendable=min(settled, may_be_spent(state, cycle, funds, seen, rules)),
        reserved=reserved,
        quotes=tuple(seen.quotes[symbol] for symbol in symbols if symbol in seen.quotes),
        market_time=seen.market_time,
        held=tuple(_held(state, seen, symbols)),
        committed=tuple(sorted((symbol, value) for symbol, value in committed.items() if symbol in symbols)),
        barred=tuple(_barred(state, symbols, seen, rules)),
        trades_today=trades_today(state, cycle),
        loss_today=max(-state.realised_today, ZERO),
        blocked_by=_blocked_by(state, cycle, seen, rules),
        day=None if seen.session is None else seen.session.day,
        settles=None if seen.session is None else seen.session.settles,
        in_transit=in_transit(state, cycle, seen),
    )


def _last(quote: Quote | None) -> Decimal:
    return quote.last if quote is not None else ZERO


def _held(state: AccountState, seen: Seen, symbols: Sequence[str]) -> Iterator[Position]:
    """What is held of these symbols; the higher of both figures where a position lags behind our own fills."""
    assert seen.positions is not None
    for symbol in symbols:
        there, here = seen.positions.get(symbol), state.shares.get(symbol, ZERO)
        if there is not None:
            yield replace(there, qty=max(there.qty, here)) if there.qty.is_finite() else there
        elif here > 0:
            yield Position(symbol=symbol, qty=here, sellable=ZERO, avg_cost=ZERO)


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
