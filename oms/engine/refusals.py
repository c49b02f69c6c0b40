"""Why an order may not be sent now: our own rules, looked at before each decision and again before each send."""

from __future__ import annotations

from datetime import date, datetime

from oms.engine.orders import Seen
from oms.model.account import Session
from oms.model.cycle import Cycle
from oms.model.detail import HaltScope
from oms.model.event import OrderBlocked
from oms.model.order import Order, OrderPhase, OrdStatus, Side
from oms.model.plan import promised_of
from oms.model.rules import FundsPolicy, Rules
from oms.model.state import AccountState

STALE = "stale_on_resume"
"""Rule of what an earlier process or an earlier day left behind and that may not be sent any more."""


NOT_ARMED = "not_armed"
"""Rule of what real money is not let out for."""


def unarmed(state: AccountState, rules: Rules, now: datetime) -> str:
    """Why no order may be sent for real money; empty where one may, or where the money is not real."""
    if state.opened is None or state.opened.mode != "live":
        return ""
    if state.armed is None:
        if state.disarmed is None:
            return "live trading is not armed"
        return f"live trading was disarmed by {state.disarmed.author}" + because(state.disarmed.reason)
    if now >= state.armed.until:
        return f"live trading was armed until {state.armed.until:%Y-%m-%d %H:%M} UTC"
    if state.armed.limits_hash not in rules.licences:
        return "live trading is armed for tighter limits than this cycle runs under"
    return ""


def because(reason: str) -> str:
    """A reason as it ends a sentence; nothing where none was given."""
    return f": {reason}" if reason else ""


def brake(state: AccountState, side: Side, rules: Rules, now: datetime) -> str | None:
    """The rule that stops every new order of this side: ``not_armed`` or ``halted``; None where none does."""
    if unarmed(state, rules, now):
        return NOT_ARMED
    stops = state.halt is not None and (side is Side.BUY or state.halt.scope is HaltScope.ALL)
    return "halted" if stops else None


def bar(state: AccountState, symbol: str, rules: Rules, now: datetime) -> str | None:
    """The list that bars buys of a symbol: ``blacklist`` or ``symbol_frozen``; None where none does."""
    if symbol in rules.blacklist or state.is_blacklisted(symbol, now):
        return "blacklist"
    return "symbol_frozen" if symbol in state.frozen else None


def may_be_sent(state: AccountState, order: Order, rules: Rules, now: datetime) -> bool:
    """Whether neither the brake nor a list of an operator's stops this order at this instant."""
    if brake(state, order.side, rules, now) is not None or order.symbol in state.frozen:
        return False
    return order.side is Side.SELL or bar(state, order.symbol, rules, now) is None


def blocked(order: Order, rule: str, limit: str, value: str, reason: str) -> OrderBlocked:
    """The fact that a rule of ours refused an order, with the rule's limit and the value it met."""
    return OrderBlocked(
        cycle_id=order.cycle_id,
        cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        rule=rule,
        limit=limit,
        value=value,
        reason=reason,
    )


def is_day_of(cycle: Cycle, side: Side, session: Session, rules: Rules) -> bool:
    """Whether ``session`` is the one in which this side of the cycle may be sent.

    It is the day of the cycle; for buys that waited for settled cash, the day on which they were revalidated.
    """
    if side is Side.BUY and rules.funds is FundsPolicy.SETTLED_CASH and cycle.revalidated is not None:
        inputs = cycle.revalidated.inputs
        return session.day == inputs.day if inputs.day is not None else session.is_open(inputs.market_time)
    return session.day == cycle.opened.trading_day


def refusal(state: AccountState, cycle: Cycle, order: Order, seen: Seen, rules: Rules) -> OrderBlocked | None:
    """The first rule that refuses this order, with its limit and value; None when it may be sent."""
    if cycle.aborted is not None:
        return blocked(order, cycle.aborted.rule, "same trading day", str(seen.now), cycle.aborted.reason)
    session, braked = seen.session, brake(state, order.side, rules, seen.now)
    if session is None or not is_day_of(cycle, order.side, session, rules) or not session.is_open(seen.market_time):
        rule = braked or "market_closed"
        return blocked(order, rule, "open market", str(seen.market_time), "the market is closed")
    if order.side is Side.BUY and seen.market_time >= session.closes - rules.no_buys_before_close:
        rule = braked or "no_buys_before_close"
        limit = f"{rules.no_buys_before_close} before {session.closes}"
        return blocked(order, rule, limit, str(seen.market_time), "too near to the close of the market")
    if order.deadline is not None and seen.now >= order.deadline and braked is None:
        return blocked(order, "order_deadline", str(order.deadline), str(seen.now), "not sent before its deadline")
    if order.symbol in state.frozen:
        reason = state.frozen[order.symbol]
        return blocked(order, "symbol_frozen", order.symbol, order.symbol, f"{order.symbol} is frozen: {reason}")
    if order.side is Side.SELL:
        return _bad_faith(state, order, session.day, rules)
    return _buy_refusal(state, cycle, order, seen, rules)


def _bad_faith(state: AccountState, order: Order, day: date, rules: Rules) -> OrderBlocked | None:
    """Shares that unsettled money bought are not sold before it has settled."""
    back = state.held_back(day).get(order.symbol) if rules.keeps_faith else None
    if back is None:
        return None
    others = [other for other in state.orders if other.cl_ord_id != order.cl_ord_id]
    free = max(back.free - promised_of(others, order.symbol), 0)
    if order.order_qty <= free:
        return None
    reason = back.reason(order.order_qty, free)
    return blocked(order, back.rule, f"{free} shares until {back.until}", str(order.order_qty), reason)


def _buy_refusal(state: AccountState, cycle: Cycle, order: Order, seen: Seen, rules: Rules) -> OrderBlocked | None:
    """Rules that may have come to bear since the buys were revalidated."""
    if cycle.has_unresolved_sell or not all(sell.is_closed for sell in cycle.sells):
        text = "a sell of this cycle was in quarantine, or was found open after all, so no buy follows"
        return blocked(order, "unresolved_sell", "0", "1", text)
    if bar(state, order.symbol, rules, seen.now) == "blacklist":
        return blocked(order, "blacklist", order.symbol, order.symbol, f"{order.symbol} is on the blacklist")
    rejections = sum(1 for other in cycle.orders.values() if other.ord_status is OrdStatus.REJECTED)
    if rejections >= rules.max_rejections:
        text = f"{rejections} orders of this cycle were rejected by the broker"
        return blocked(order, "repeated_rejections", str(rules.max_rejections), str(rejections), text)
    trades = trades_today(state, cycle, besides=order)
    if trades >= rules.max_trades_per_day:
        text = f"{trades} trades of this trading day are made, unsure, or promised to buys before this one"
        return blocked(order, "max_trades_per_day", str(rules.max_trades_per_day), str(trades), text)
    return None


def trades_today(state: AccountState, cycle: Cycle, besides: Order | None = None) -> int:
    """Trades of the day, with those that may have become trades without our knowing.

    With ``besides``, one of the cycle's buys: without itself, and with the unsent buys that stand before it.
    """
    others = [order for order in cycle.orders.values() if besides is None or order.cl_ord_id != besides.cl_ord_id]
    unsure = sum(1 for order in others if order.is_unresolved and order.acknowledged_at is None)
    ahead = 0
    if besides is not None:
        unsent = [order for order in others if order.side is Side.BUY and order.phase is OrderPhase.LOCAL]
        ahead = sum(1 for order in unsent if order.index < besides.index)
    return state.trades_today + unsure + ahead
