"""What the next cycle would do: the same plan and the same revalidation, on today's account, sending nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from oms.engine.orders import Seen
from oms.engine.ours import ours_to_sell
from oms.engine.refusals import bar
from oms.model.account import Funds, Position, Quote, Session
from oms.model.detail import Intent, RevalidationInputs, Validated
from oms.model.event import Halted
from oms.model.liquidity import NotFinite, budget, committed_to, cost_ceiling, reserved_for, revalidate, spendable
from oms.model.order import ZERO
from oms.model.plan import Market, Plan, make_plan
from oms.model.rules import Rules
from oms.model.signal import Signals
from oms.model.state import AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One reading of account and market, made for a forecast."""

    now: datetime
    market_time: datetime
    session: Session
    funds: Funds
    positions: dict[str, Position]
    quotes: dict[str, Quote]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A cycle that was only thought."""

    day: Session
    sells: tuple[Intent, ...]
    buys: tuple[tuple[Intent, Validated], ...]
    expected: Decimal
    """Spendable once every sell has filled at its limit."""
    budget: Decimal
    halted: Halted | None = None
    """The brake that is on: until it is released none of this is done."""


def forecast(state: AccountState, signals: Signals, sight: Sight, rules: Rules) -> Forecast:
    """The next cycle as the rules make it now, with every sell filled at its limit.

    Raises:
        NotFinite: the broker's funds are not finite numbers.
    """
    held_back = state.held_back(sight.session.day, sight.positions) if rules.keeps_faith else {}
    positions = ours_to_sell(sight.positions, state)
    market = Market(funds=sight.funds, positions=positions, quotes=sight.quotes, held_back=held_back)
    plan = make_plan(signals, market, state.orders, rules, account=state.account, cycle_id="plan")
    inputs = _inputs(state, plan, sight, rules)
    answers = revalidate(plan.buys, inputs, rules)
    return Forecast(
        day=sight.session,
        sells=plan.sells,
        buys=tuple(zip(plan.buys, answers, strict=True)),
        expected=inputs.spendable,
        budget=budget(inputs, rules),
        halted=state.halt,
    )


def may_buy(state: AccountState, signals: Signals, seen: Seen, rules: Rules) -> bool:
    """Whether any buy of these signals would pass revalidation as things stand, without the proceeds of any sell."""
    assert seen.session is not None
    assert seen.funds is not None
    sight = Sight(
        now=seen.now,
        market_time=seen.market_time,
        session=seen.session,
        funds=seen.funds,
        positions=dict(seen.positions or {}),
        quotes=dict(seen.quotes),
    )
    try:
        return any(validated.quantity for _, validated in forecast(state, signals, sight, rules).buys)
    except NotFinite:
        return True  # whoever opens the cycle says what is wrong with the figures


def is_news(state: AccountState, seen: Seen, sell: Intent) -> bool:
    """Whether the last cycle of this trading day has not already journaled that this sell is refused by this rule."""
    cycle = state.cycle
    if cycle is None or seen.session is None or cycle.opened.trading_day != seen.session.day:
        return True
    return not any(order.symbol == sell.symbol and order.rule == sell.rule for order in cycle.sells)


def _inputs(state: AccountState, plan: Plan, sight: Sight, rules: Rules) -> RevalidationInputs:
    bought = {buy.symbol for buy in plan.buys}
    new_day = sight.session.day != state.trading_day
    transit = state.in_transit(sight.session.day)
    # Under settled_cash the proceeds count on the day they settle, which the cycle waits for.
    proceeds = _proceeds(plan.sells, rules)
    trades = len([sell for sell in plan.sells if sell.rule is None]) + state.trades_on(sight.session.day)
    return RevalidationInputs(
        funds=sight.funds,
        spendable=spendable(sight.funds, rules.funds, transit) + proceeds,
        reserved=reserved_for(state.orders, rules.fee_allowance),
        quotes=tuple(sight.quotes[symbol] for symbol in sorted(bought) if symbol in sight.quotes),
        market_time=sight.market_time,
        held=tuple(sight.positions[symbol] for symbol in sorted(bought) if symbol in sight.positions),
        committed=tuple(sorted(committed_to(state.orders).items())),
        barred=tuple((symbol, rule) for symbol in sorted(bought) if (rule := bar(state, symbol, rules, sight.now))),
        trades_today=trades,
        loss_today=ZERO if new_day else max(-state.realised_today, ZERO),
        blocked_by="halted" if state.halt is not None else None,
    )


def _proceeds(sells: Sequence[Intent], rules: Rules) -> Decimal:
    """What the sells bring at their limits, less the same allowance for fees as buys have."""
    going = [sell for sell in sells if sell.rule is None]
    value = sum((sell.quantity * sell.worst_px for sell in going), ZERO)
    fees = sum((cost_ceiling(sell.quantity, sell.worst_px, rules.fee_allowance) for sell in going), ZERO) - value
    return value - fees
