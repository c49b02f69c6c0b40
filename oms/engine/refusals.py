"""Why an order may not be sent now: our own rules, looked at before each decision and again before each send."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from oms.engine.orders import Seen
from oms.model import risk
from oms.model.account import Session
from oms.model.changing import replace
from oms.model.cycle import Cycle
from oms.model.detail import HaltScope
from oms.model.event import OrderBlocked
from oms.model.liquidity import committed_to, cost_ceiling
from oms.model.order import ZERO, Order, OrderPhase, OrdStatus, Side
from oms.model.plan import promised_of
from oms.model.rules import FundsPolicy, Rules
from oms.model.settlement import GOOD_FAITH
from oms.model.state import AccountState, Holding

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


class Tally:
    """What the rules for buys count over all orders of an account and its open cycle: once for a whole round of orders.

    It is true for the facts it was made from. Each figure is reckoned when a rule first asks for it, so that one that
    cannot be reckoned refuses under that rule's name.
    """

    def __init__(self, state: AccountState, cycle: Cycle, rules: Rules) -> None:
        self._state, self._cycle, self._rules = state, cycle, rules
        self._seq = state.seq

    def fits(self, state: AccountState, rules: Rules) -> bool:
        """Whether it was made from these very facts under these very limits."""
        return state is self._state and state.seq == self._seq and rules is self._rules

    @cached_property
    def open_sells(self) -> int:
        """Sells of the cycle after which no buy may follow."""
        return sum(1 for sell in self._cycle.sells if sell.ever_quarantined or not sell.is_closed)

    @cached_property
    def rejected(self) -> int:
        """Orders of the cycle that the broker rejected."""
        return sum(1 for other in self._cycle.orders.values() if other.ord_status is OrdStatus.REJECTED)

    @cached_property
    def committed(self) -> Mapping[str, Decimal]:
        """What our unclosed buys may still add, by symbol."""
        return committed_to(self._state.orders)

    @cached_property
    def cost(self) -> Decimal:
        """What the buys of the cycle may cost that are sent or may be."""
        alive = [order for order in self._cycle.buys if order.sends or not order.is_closed]
        return sum((cost_ceiling(o.order_qty, o.worst_px, self._rules.fee_allowance) for o in alive), ZERO)

    @cached_property
    def _trades(self) -> int:
        return trades_today(self._state, self._cycle)

    @cached_property
    def _unsent(self) -> list[int]:
        """Places of the cycle's unsent buys."""
        return sorted(o.index for o in self._cycle.buys if o.phase is OrderPhase.LOCAL)

    def trades_before(self, order: Order) -> int:
        """Trades of the day without this order, and with the unsent buys that stand before it."""
        return self._trades - _may_be_a_trade(order) + bisect_left(self._unsent, order.index)


class Tallies:
    """Remembers the last tally, for those who ask for one order after the other."""

    def __init__(self) -> None:
        self._last: Tally | None = None

    def of(self, state: AccountState, cycle: Cycle, rules: Rules) -> Tally:
        """The tally of these facts."""
        if self._last is None or not self._last.fits(state, rules):
            self._last = Tally(state, cycle, rules)
        return self._last


def refusal(  # noqa: PLR0917  # all that a decision is made from, each of a type of its own
    state: AccountState, cycle: Cycle, order: Order, seen: Seen, rules: Rules, tally: Tally | None = None
) -> OrderBlocked | None:
    """The first rule that refuses this order, with its limit and value; None when it may be sent.

    ``tally``, of these very facts, spares counting again where several orders are looked at.
    """
    if cycle.aborted is not None:
        return blocked(order, cycle.aborted.rule, "same trading day", str(seen.now), cycle.aborted.reason)
    braked = brake(state, order.side, rules, seen.now)
    found = risk.first(_of_any(cycle, order, seen, rules, braked))
    if found is not None:
        # At the close a brake that is on is the reason why an order was not sent before.
        found = replace(found, rule=braked or found.rule)
    if found is None:
        found = risk.first(_of_side(state, cycle, order, seen, rules, tally or Tally(state, cycle, rules)))
    return None if found is None else blocked(order, found.rule, found.limit, found.value, found.reason)


def _of_any(
    cycle: Cycle, order: Order, seen: Seen, rules: Rules, braked: str | None
) -> Iterator[tuple[str, risk.Check]]:
    """Whether it is still the time for this order."""
    session, now, is_buy = seen.session, seen.market_time, order.side is Side.BUY
    its_day = session is not None and is_day_of(cycle, order.side, session, rules)
    yield "market_closed", lambda: risk.market_open(session, now, is_its_day=its_day)
    if is_buy and session is not None:
        yield "no_buys_before_close", lambda: risk.before_the_close(session, now, rules)
    if braked is None:
        yield "order_deadline", lambda: risk.deadline(seen.now, order.deadline)


def _of_side(  # noqa: PLR0917  # as refusal
    state: AccountState, cycle: Cycle, order: Order, seen: Seen, rules: Rules, tally: Tally
) -> Iterator[tuple[str, risk.Check]]:
    """What the plan and the revalidation have looked at and may have come to bear since; a sell meets no buy's rule."""
    yield "symbol_frozen", lambda: risk.frozen(order.symbol, state.frozen.get(order.symbol))
    if order.side is Side.SELL:
        yield GOOD_FAITH, lambda: _good_faith(state, order, seen, rules)
        return
    is_listed = bar(state, order.symbol, rules, seen.now) == "blacklist"
    granted = cycle.revalidated.budget if cycle.revalidated is not None else ZERO
    yield "unresolved_sell", lambda: risk.unresolved_sells(tally.open_sells)
    yield "blacklist", lambda: risk.not_listed(order.symbol, is_listed=is_listed)
    yield "repeated_rejections", lambda: risk.rejections(tally.rejected, rules)
    yield "max_trades_per_day", lambda: risk.trades(tally.trades_before(order), rules)
    yield "daily_loss_limit", lambda: risk.daily_loss(max(-state.realised_today, ZERO), rules)
    yield "max_order_quantity", lambda: risk.order_quantity(order.order_qty, rules)
    yield "max_order_value", lambda: risk.order_value(order.order_qty * order.worst_px, rules)
    yield "max_position_value", lambda: risk.position_value(_exposure(state, order, seen, tally), rules)
    yield "funds_fraction", lambda: risk.within_budget(tally.cost, granted)


def _good_faith(state: AccountState, order: Order, seen: Seen, rules: Rules) -> risk.Refusal | None:
    """Shares that unsettled money bought are not sold before it has settled."""
    if not rules.keeps_faith or seen.session is None:
        return None
    back = state.held_back(seen.session.day).get(order.symbol)
    others = [other for other in state.orders if other.cl_ord_id != order.cl_ord_id]
    return risk.good_faith(order.order_qty, back, promised_of(others, order.symbol))


def _exposure(state: AccountState, order: Order, seen: Seen, tally: Tally) -> Decimal:
    """What is held of the symbol and what our buys of it may still add, this one included, at this order's limit.

    The higher of what broker and journal hold counts, as in the revalidation.
    """
    held = state.holdings.get(order.symbol, Holding()).qty
    if seen.positions is not None and order.symbol in seen.positions:
        held = max(held, seen.positions[order.symbol].qty)
    return held * order.worst_px + tally.committed.get(order.symbol, ZERO)


def trades_today(state: AccountState, cycle: Cycle) -> int:
    """Trades of the day, with those that may have become trades without our knowing, be they of an earlier cycle."""
    earlier = [order for order in state.unresolved if order.cycle_id != cycle.cycle_id]
    return state.trades_today + sum(_may_be_a_trade(order) for order in (*cycle.orders.values(), *earlier))


def _may_be_a_trade(order: Order) -> bool:
    """Whether an order may have become a trade of the day without our knowing."""
    return order.is_unresolved and order.acknowledged_at is None
