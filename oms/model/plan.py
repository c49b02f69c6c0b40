"""From signals and what is held to the plan of a cycle: every sell, every buy, each with its limit and its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal

from oms.model import risk
from oms.model.account import Funds, Position, Quote
from oms.model.detail import Intent
from oms.model.order import ZERO, Order, OrdType, Side
from oms.model.pricing import is_buyable, is_usable, limit_for
from oms.model.rules import Rules
from oms.model.settlement import GOOD_FAITH, HeldBack
from oms.model.signal import Signal, Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What the planner sees: one reading of the account and of prices."""

    funds: Funds
    positions: Mapping[str, Position]
    quotes: Mapping[str, Quote]
    held_back: Mapping[str, HeldBack] = field(default_factory=dict)
    """Shares that may not be sold yet, by symbol: unsettled money bought them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All sells, then the original buys, in the order they were wished for."""

    sells: tuple[Intent, ...]
    buys: tuple[Intent, ...]
    source: str

    @property
    def is_empty(self) -> bool:
        return not self.sells and not self.buys


def cl_ord_id(account: str, cycle_id: str, side: Side, index: int) -> str:
    """The key of one intent: the same for the same place in the same cycle, at most 32 ASCII characters."""
    digest = hashlib.sha256(f"{account}|{cycle_id}|{side.value}|{index}".encode()).hexdigest()
    return f"{side.value[0]}{index:03d}-{digest[:20]}"


def make_plan(
    signals: Signals, seen: Market, orders: Sequence[Order], rules: Rules, *, account: str, cycle_id: str
) -> Plan:
    """Turn wishes into intents; a wish that no rule can let through stays in the plan with the rule that refuses it.

    A wish without a quantity takes what there is (a sell) or what the caps leave room for (a buy), and is left out
    where that is nothing.
    """
    sold: list[Intent] = []
    bought: list[Intent] = []
    sides: dict[str, set[Side]] = {}
    for signal in signals.signals:
        wishes = sold if signal.side is Side.SELL else bought
        key = cl_ord_id(account, cycle_id, signal.side, len(wishes))
        if signal.side is Side.SELL:
            intent = _sell(signal, seen, orders, rules, key=key, index=len(wishes))
        else:
            intent = _buy(signal, seen, rules, key=key, index=len(wishes))
        if intent is None:
            continue
        twice = risk.once_in_the_plan(signal.symbol, signal.side, sides)
        sides.setdefault(signal.symbol, set()).add(signal.side)
        if twice is not None:
            intent = replace(intent, rule=twice.rule, reason=twice.reason)
        wishes.append(intent)
    return Plan(sells=tuple(sold), buys=tuple(bought), source=signals.source)


def _sell(
    signal: Signal, seen: Market, orders: Sequence[Order], rules: Rules, *, key: str, index: int
) -> Intent | None:
    position = seen.positions.get(signal.symbol)
    promised = promised_of(orders, signal.symbol)
    sellable = _sellable(position, promised)
    back = seen.held_back.get(signal.symbol)
    free = sellable if back is None else min(sellable, max(back.free - promised, 0))
    # A wish without a quantity takes what may be sold; where that is nothing yet, it says why.
    quantity = signal.quantity if signal.quantity is not None else free or sellable
    if quantity <= 0:
        return None
    found = risk.first(
        (
            ("no_short", lambda: risk.no_short(quantity, sellable)),
            (GOOD_FAITH, lambda: risk.good_faith(quantity, back, promised)),
        )
    )
    refusal = None if found is None else (found.rule, found.reason)
    quote = seen.quotes.get(signal.symbol)
    return _intent(signal, quote, quantity, rules, key=key, index=index, refusal=refusal)


def promised_of(orders: Sequence[Order], symbol: str) -> int:
    """Shares of a symbol that open and unresolved sells may still take."""
    return sum(o.leaves_qty for o in orders if o.side is Side.SELL and o.symbol == symbol and not o.is_closed)


def _sellable(position: Position | None, promised: int) -> int:
    """Whole shares that are held and not promised to an open or unresolved sell."""
    if position is None:
        return 0
    free = min(position.sellable, position.qty - promised)
    return max(int(free.to_integral_value(rounding=ROUND_FLOOR)), 0)


def _buy(signal: Signal, seen: Market, rules: Rules, *, key: str, index: int) -> Intent | None:
    quote = seen.quotes.get(signal.symbol)
    if signal.quantity is not None:
        return _intent(signal, quote, signal.quantity, rules, key=key, index=index)
    quantity = _room(quote, seen.positions.get(signal.symbol), rules)
    if quote is None or quantity < 1 or quantity * quote.last < rules.min_order_value:
        return None
    return _intent(signal, quote, quantity, rules, key=key, index=index)


def _room(quote: Quote | None, position: Position | None, rules: Rules) -> int:
    """Shares that the position cap leaves room for, whole lots."""
    if quote is None or not is_buyable(quote, rules.collar):
        return 0
    worst = limit_for(quote, Side.BUY, rules.collar)
    held = position.qty * max(worst, quote.last) if position is not None else ZERO
    room = min(rules.max_position_value - held, rules.max_order_value)
    shares = min(int((room / worst).to_integral_value(rounding=ROUND_FLOOR)), rules.max_order_quantity)
    return max(shares, 0) // quote.lot * quote.lot


def _prices(quote: Quote, signal: Signal, rules: Rules) -> bool:
    """Whether a wish gets its limit with this quote."""
    if signal.side is Side.BUY and signal.price is None:
        return is_buyable(quote, rules.collar)
    return is_usable(quote)


def _intent(
    signal: Signal,
    quote: Quote | None,
    quantity: int,
    rules: Rules,
    *,
    key: str,
    index: int,
    refusal: tuple[str, str] | None = None,
) -> Intent:
    """One wish with its limit: the signal's own where it has one, else the quote and the collar."""
    worst = signal.price
    if quote is not None and _prices(quote, signal, rules):
        worst = signal.price or limit_for(quote, signal.side, rules.collar)
    elif refusal is None:
        refusal = ("no_quote", "the broker has no usable quote for it")
    rule, reason = refusal or (None, "")
    is_market = rules.ord_type is OrdType.MARKET and signal.price is None
    return Intent(
        cl_ord_id=key,
        side=signal.side,
        index=index,
        symbol=signal.symbol,
        quantity=quantity,
        ord_type=OrdType.MARKET if is_market else OrdType.LIMIT,
        limit=None if is_market else worst,
        worst_px=worst if worst is not None else Decimal(0),
        score=signal.score,
        rule=rule,
        reason=reason,
    )
