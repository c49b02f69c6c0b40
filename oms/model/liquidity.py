"""Revalidation: from fresh funds and the original buys to the buys that the money can pay, with a reason for each cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from oms.model import risk
from oms.model.account import Funds, Quote
from oms.model.detail import Intent, RevalidationInputs, Validated
from oms.model.order import ZERO, Order, OrdType, Side
from oms.model.pricing import limit_for
from oms.model.risk import Refusal
from oms.model.rules import FundsPolicy, Rules

RULE_VERSION = 1
"""Grows when the rule decides differently from the same inputs."""

CENT = Decimal("0.01")
KEPT = "original"
"""Rule of a buy that nothing has cut."""


class NotFinite(ValueError):
    """A figure of the broker's is missing, infinite or not a number; the cycle holds."""


def spendable(funds: Funds, policy: FundsPolicy, in_transit: Decimal = ZERO) -> Decimal:
    """What may be spent under a policy.

    ``in_transit`` are proceeds that have not settled by our own ledger: settled cash is what both call settled.

    Raises:
        NotFinite: one of the figures it needs is not a finite number.
    """
    match policy:
        case FundsPolicy.CASH:
            figures: tuple[Decimal, ...] = (funds.cash, funds.locked, funds.available)
        case FundsPolicy.BUYING_POWER:
            figures = (funds.buying_power,)
        case FundsPolicy.SETTLED_CASH:
            figures = (funds.cash, funds.locked, funds.available, funds.settled_cash)
    # Looked at before anything is reckoned: infinity less infinity is an error, not a number.
    if not all(figure.is_finite() for figure in figures):
        raise NotFinite(f"the broker's funds are not all finite numbers: {', '.join(map(str, figures))}")
    match policy:
        case FundsPolicy.CASH:
            return min(funds.cash - funds.locked, funds.available)
        case FundsPolicy.BUYING_POWER:
            return funds.buying_power
        case FundsPolicy.SETTLED_CASH:
            settled = min(funds.settled_cash, funds.cash - in_transit)
            return min(funds.cash - funds.locked, funds.available, settled - funds.locked)


def cost_ceiling(quantity: int, price: Decimal, fee_allowance: Decimal) -> Decimal:
    """The most that ``quantity`` shares can cost at ``price``, fees included, rounded up to the cent."""
    return (quantity * price * (1 + fee_allowance)).quantize(CENT, rounding=ROUND_CEILING)


def reserved_for(orders: Sequence[Order], fee_allowance: Decimal) -> Decimal:
    """What unclosed buys may still cost."""
    return sum((cost_ceiling(o.leaves_qty, o.worst_px, fee_allowance) for o in _unclosed_buys(orders)), ZERO)


def committed_to(orders: Sequence[Order]) -> dict[str, Decimal]:
    """Value of unclosed buys by symbol, at the price they are counted with."""
    values: dict[str, Decimal] = {}
    for order in _unclosed_buys(orders):
        values[order.symbol] = values.get(order.symbol, ZERO) + order.leaves_qty * order.worst_px
    return values


def _unclosed_buys(orders: Sequence[Order]) -> Iterator[Order]:
    return (order for order in orders if order.side is Side.BUY and not order.is_closed)


def in_priority(buys: Sequence[Intent]) -> list[Intent]:
    """Best score first; buys without a score come after, in the order they were given."""
    return sorted(buys, key=lambda buy: (buy.score is None, -(buy.score or ZERO), buy.index))


def budget(inputs: RevalidationInputs, rules: Rules) -> Decimal:
    """Money for this cycle's buys, in whole cents: a fraction of the fresh funds less what is promised; never below zero."""
    left = rules.funds_fraction * inputs.spendable - inputs.reserved
    return max(left.quantize(CENT, rounding=ROUND_FLOOR), ZERO)


@dataclass(frozen=True, slots=True)
class _Bound:
    """The most shares that one rule allows, and its sentence."""

    rule: str
    quantity: int
    reason: str


def revalidate(buys: Sequence[Intent], inputs: RevalidationInputs, rules: Rules) -> tuple[Validated, ...]:
    """Cut each buy to what every rule allows, the best first; the answer keeps the plan's order.

    Deterministic: the same plan, inputs and rules give the same answer, which ``explain`` checks.
    """
    quotes = {quote.symbol: quote for quote in inputs.quotes}
    left = budget(inputs, rules)
    trades_left = rules.max_trades_per_day - inputs.trades_today
    done: dict[str, Validated] = {}
    for buy in in_priority(buys):
        answer = _validate(buy, quotes.get(buy.symbol), inputs, rules, left=left, trades_left=trades_left)
        done[buy.cl_ord_id] = answer
        if answer.quantity:
            left -= cost_ceiling(answer.quantity, answer.worst_px, rules.fee_allowance)
            trades_left -= 1
    return tuple(done[buy.cl_ord_id] for buy in buys)


def _validate(
    buy: Intent,
    quote: Quote | None,
    inputs: RevalidationInputs,
    rules: Rules,
    *,
    left: Decimal,
    trades_left: int,
) -> Validated:
    refusal = _refusal(buy, quote, inputs, rules, trades_left)
    if refusal is not None:
        rule, reason = refusal
        return _answer(buy, _Bound(rule, 0, reason), limit=buy.limit, worst=buy.worst_px)
    assert quote is not None
    worst = limit_for(quote, Side.BUY, rules.collar)
    limit = worst if buy.ord_type is OrdType.LIMIT else None
    bounds = _bounds(buy, quote, worst, inputs, rules, left=left)
    binding = min(bounds, key=lambda bound: bound.quantity)
    quantity = max(binding.quantity, 0) // quote.lot * quote.lot
    cut_to_nothing = quantity == 0 and binding.rule != KEPT
    if not cut_to_nothing and (quantity == 0 or quantity * worst < rules.min_order_value):
        reason = f"{quantity} x {worst} is below the smallest order of {rules.min_order_value}; {binding.reason}"
        return _answer(buy, _Bound("min_order_value", 0, reason), limit=limit, worst=worst)
    return _answer(buy, _Bound(binding.rule, quantity, binding.reason), limit=limit, worst=worst)


def _answer(buy: Intent, bound: _Bound, *, limit: Decimal | None, worst: Decimal) -> Validated:
    return Validated(
        cl_ord_id=buy.cl_ord_id,
        symbol=buy.symbol,
        original=buy.quantity,
        quantity=bound.quantity,
        limit=limit,
        worst_px=worst,
        rule=bound.rule,
        reason=bound.reason,
    )


def _refusal(
    buy: Intent, quote: Quote | None, inputs: RevalidationInputs, rules: Rules, trades_left: int
) -> tuple[str, str] | None:
    """The first rule that refuses this buy as a whole."""
    barred = dict(inputs.barred)
    used_up = f"{rules.max_trades_per_day} trades a day are allowed, all are used or promised"
    found = risk.first(
        (
            ("plan", lambda: _named(buy.rule, buy.reason)),
            ("cycle", lambda: _named(inputs.blocked_by, f"{inputs.blocked_by} blocks every buy of this cycle")),
            ("list", lambda: _named(barred.get(buy.symbol), f"{buy.symbol} is barred")),
            ("daily_loss_limit", lambda: risk.daily_loss(inputs.loss_today, rules)),
            ("max_trades_per_day", lambda: risk.trades(rules.max_trades_per_day - trades_left, rules, used_up)),
            ("no_quote", lambda: risk.buyable_quote(quote, rules)),
            ("min_price", lambda: None if quote is None else risk.price_floor(quote, rules)),
            ("max_position_value", lambda: _countable(_held(buy.symbol, inputs))),
            ("max_quote_age", lambda: risk.quote_age(quote, inputs.market_time, rules)),
        )
    )
    return None if found is None else (found.rule, found.reason)


def _named(rule: str | None, reason: str) -> Refusal | None:
    """A rule that was found to refuse already."""
    return None if rule is None else Refusal(rule=rule, limit="", value="", reason=reason)


def _countable(held: Decimal) -> Refusal | None:
    """Shares that are a number, so that a limit can be checked with them."""
    return risk.accept(
        "max_position_value",
        held.is_finite,
        limit="a finite number",
        value=held,
        reason=f"{held} shares held is no number that a limit could be checked with",
    )


def _held(symbol: str, inputs: RevalidationInputs) -> Decimal:
    return next((position.qty for position in inputs.held if position.symbol == symbol), ZERO)


def _bounds(
    buy: Intent, quote: Quote, worst: Decimal, inputs: RevalidationInputs, rules: Rules, *, left: Decimal
) -> list[_Bound]:
    """What each rule allows, in shares; the first of equals is the binding one."""
    held = _held(buy.symbol, inputs)
    counted = max(worst, quote.last)
    value_held = (held * counted).quantize(CENT, rounding=ROUND_CEILING)
    committed = dict(inputs.committed).get(buy.symbol, ZERO)
    room = rules.max_position_value - value_held - committed
    original_value = buy.quantity * buy.worst_px
    with_fees = worst * (1 + rules.fee_allowance)
    return [
        _Bound(KEPT, buy.quantity, "as planned"),
        _Bound(
            "original_value",
            _floor(original_value / worst),
            f"{buy.quantity} x {buy.worst_px} was the plan, the price is {worst} now",
        ),
        _Bound(
            "max_position_value",
            _floor(room / counted),
            f"{value_held:,.2f} held and {committed:,.2f} on order leave {max(room, ZERO):,.2f} "
            f"of {rules.max_position_value:,}",
        ),
        _Bound("max_order_quantity", rules.max_order_quantity, f"at most {rules.max_order_quantity} shares an order"),
        _Bound("max_order_value", _floor(rules.max_order_value / worst), f"at most {rules.max_order_value} an order"),
        _Bound(
            "funds_fraction",
            # What is left is whole cents, so what fits before its cost is rounded up to the cent fits after it too.
            _floor(left / with_fees),
            f"{left:,.2f} left of {rules.funds_fraction:%} of {inputs.spendable:,.2f}",
        ),
    ]


def _floor(shares: Decimal) -> int:
    return int(shares.to_integral_value(rounding=ROUND_FLOOR))
