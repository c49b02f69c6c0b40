"""Pre-trade checks in one place: each a named rule with its limit, written "accept if within".

NaN is within nothing, and a check that cannot be made refuses. What reduces risk, a sell, meets only the rules that are
about sells; the rules that a buy meets never stop it. Where several orders share a budget, :mod:`.liquidity` deals it out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from oms.model.account import Quote, Session
from oms.model.order import Side
from oms.model.pricing import is_buyable, within_collar
from oms.model.rules import Rules
from oms.model.settlement import HeldBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A rule that does not let an order through, with its limit and what it met instead."""

    rule: str
    limit: str
    value: str
    reason: str


Check = Callable[[], Refusal | None]
"""A check that is made when it is its turn; None where it accepts."""


def accept(rule: str, within: Callable[[], bool], *, limit: object, value: object, reason: str) -> Refusal | None:
    """None where the order is within the limit; what is not plainly within, or cannot be compared, is refused."""
    try:
        if within() is True:
            return None
    except Exception as error:  # noqa: BLE001  # whatever goes wrong in a control, the order is refused
        reason = f"{reason}; the check could not be made: {type(error).__name__}"
    return Refusal(rule=rule, limit=str(limit), value=str(value), reason=reason)


def first(checks: Iterable[tuple[str, Check]]) -> Refusal | None:
    """The first refusal of several checks in their order; one that fails refuses under its own name."""
    for rule, check in checks:
        try:
            refusal = check()
        except Exception as error:  # noqa: BLE001  # as in accept
            text = f"the check {rule} could not be made: {type(error).__name__}"
            return Refusal(rule=rule, limit="", value=type(error).__name__, reason=text)
        if refusal is not None:
            return refusal
    return None


# Of any order


def market_open(session: Session | None, market_time: datetime, *, is_its_day: bool = True) -> Refusal | None:
    """The exchange trades now, on the day for which the order was made."""
    return accept(
        "market_closed",
        lambda: session is not None and is_its_day and session.is_open(market_time),
        limit="open market",
        value=market_time,
        reason="the market is closed",
    )


def deadline(now: datetime, until: datetime | None) -> Refusal | None:
    """An order that was not sent before its deadline is not sent."""
    return accept(
        "order_deadline",
        lambda: until is None or now < until,
        limit=until,
        value=now,
        reason="not sent before its deadline",
    )


def frozen(symbol: str, why: str | None) -> Refusal | None:
    """A symbol whose books do not agree, or of which an order is in quarantine, takes no order."""
    return accept("symbol_frozen", lambda: why is None, limit=symbol, value=symbol, reason=f"{symbol} is frozen: {why}")


def collar(price: Decimal, quote: Quote | None, width: Decimal) -> Refusal | None:
    """A limit lies no further than ``width`` (a fraction) from a usable quote."""
    value = "no quote" if quote is None else str(quote.last)
    return accept(
        "price_collar",
        lambda: quote is not None and within_collar(price, quote, width),
        limit=f"{width:%} from the quote",
        value=value,
        reason=f"its limit {price} is too far from the price: {value}",
    )


def quote_age(quote: Quote | None, market_time: datetime, rules: Rules) -> Refusal | None:
    """A price is no older than ``market.max_quote_age``, in market time."""
    age = None if quote is None else market_time - quote.at
    return accept(
        "max_quote_age",
        lambda: age is not None and age <= rules.max_quote_age,
        limit=rules.max_quote_age,
        value=age,
        reason="there is no quote" if age is None else f"its quote is {age} old, {rules.max_quote_age} is allowed",
    )


def buyable_quote(quote: Quote | None, rules: Rules) -> Refusal | None:
    """There is a price, finite and positive, from which a buy gets a limit."""
    return accept(
        "no_quote",
        lambda: quote is not None and is_buyable(quote, rules.collar),
        limit="a finite, positive price",
        value=None if quote is None else quote.last,
        reason="the broker has no usable quote for it",
    )


def once_in_the_plan(symbol: str, side: Side, sides: Mapping[str, Collection[Side]]) -> Refusal | None:
    """A symbol stands in a plan once, and on one side; ``sides`` holds those that stand there already."""
    earlier = sides.get(symbol, ())
    if side in earlier:
        return Refusal(rule="duplicate_symbol", limit="1", value="2", reason=f"{symbol} stands in the plan already")
    return accept(
        "both_sides",
        lambda: not earlier,
        limit="one side",
        value=side.value,
        reason=f"{symbol} is on the other side of the plan",
    )


# Of a sell


def no_short(quantity: int, sellable: int) -> Refusal | None:
    """A sell takes no more than is held and not already being sold."""
    return accept(
        "no_short",
        lambda: quantity <= sellable,
        limit=sellable,
        value=quantity,
        reason=f"{quantity} to sell, {sellable} held and not already being sold",
    )


def good_faith(quantity: int, back: HeldBack | None, promised: int) -> Refusal | None:
    """A cash account sells no share before the money that bought it has settled (rule ``good_faith`` or ``free_riding``).

    ``promised`` shares are being sold by other orders, the oldest first.
    """
    if back is None:
        return None
    free = max(back.free - promised, 0)
    return accept(
        back.rule,
        lambda: quantity <= free,
        limit=f"{free} shares until {back.until}",
        value=quantity,
        reason=back.reason(quantity, free),
    )


# Of a buy


def before_the_close(session: Session, market_time: datetime, rules: Rules) -> Refusal | None:
    """No buy is sent in the last minutes of a session."""
    last = session.closes - rules.no_buys_before_close
    return accept(
        "no_buys_before_close",
        lambda: market_time < last,
        limit=f"{rules.no_buys_before_close} before {session.closes}",
        value=market_time,
        reason="too near to the close of the market",
    )


def unresolved_sells(count: int) -> Refusal | None:
    """No buy follows a sell of its cycle that was in quarantine or is open again."""
    text = "a sell of this cycle was in quarantine, or was found open after all, so no buy follows"
    return accept("unresolved_sell", lambda: count <= 0, limit=0, value=count, reason=text)


def not_listed(symbol: str, *, is_listed: bool) -> Refusal | None:
    """No buy of a symbol on the blacklist."""
    return accept(
        "blacklist", lambda: not is_listed, limit=symbol, value=symbol, reason=f"{symbol} is on the blacklist"
    )


def rejections(count: int, rules: Rules) -> Refusal | None:
    """Repeated rejections by the broker stop the buys of the cycle."""
    return accept(
        "repeated_rejections",
        lambda: count < rules.max_rejections,
        limit=rules.max_rejections,
        value=count,
        reason=f"{count} orders of this cycle were rejected by the broker",
    )


def trades(count: int, rules: Rules, reason: str = "") -> Refusal | None:
    """One more trade of this exchange day is allowed; ``count`` are made, unsure, or promised to others."""
    return accept(
        "max_trades_per_day",
        lambda: count < rules.max_trades_per_day,
        limit=rules.max_trades_per_day,
        value=count,
        reason=reason or f"{count} trades of this trading day are made, unsure, or promised to buys before this one",
    )


def daily_loss(loss: Decimal, rules: Rules) -> Refusal | None:
    """No buy once more than the limit was lost in a day."""
    limit = rules.daily_loss_limit
    return accept(
        "daily_loss_limit",
        lambda: limit is None or loss <= limit,
        limit=limit,
        value=loss,
        reason=f"{loss} lost today, the limit is {limit}",
    )


def order_quantity(quantity: int, rules: Rules) -> Refusal | None:
    """A buy has at least one share and no more than ``risk.max_order_quantity``."""
    return accept(
        "max_order_quantity",
        lambda: 1 <= quantity <= rules.max_order_quantity,
        limit=rules.max_order_quantity,
        value=quantity,
        reason=f"{quantity} shares, at most {rules.max_order_quantity} an order",
    )


def order_value(value: Decimal, rules: Rules) -> Refusal | None:
    """A buy is worth no more than ``risk.max_order_value`` at its limit."""
    return accept(
        "max_order_value",
        lambda: 0 < value <= rules.max_order_value,
        limit=rules.max_order_value,
        value=value,
        reason=f"worth {value}, at most {rules.max_order_value} an order",
    )


def position_value(value: Decimal, rules: Rules) -> Refusal | None:
    """What is held of a symbol and every buy of it that may still trade stay within ``execution.max_position_value``."""
    return accept(
        "max_position_value",
        lambda: value <= rules.max_position_value,
        limit=rules.max_position_value,
        value=value,
        reason=f"{value} held and on order, at most {rules.max_position_value} in one symbol",
    )


def within_budget(cost: Decimal, budget: Decimal) -> Refusal | None:
    """The buys of a cycle never cost more together than its budget, fees included."""
    return accept(
        "funds_fraction",
        lambda: cost <= budget,
        limit=budget,
        value=cost,
        reason=f"the buys of the cycle cost up to {cost}, its budget is {budget}",
    )


def price_floor(quote: Quote, rules: Rules) -> Refusal | None:
    """No buy of shares cheaper than ``risk.min_price``."""
    floor = rules.min_price
    return accept(
        "min_price",
        lambda: floor is None or quote.last >= floor,
        limit=floor,
        value=quote.last,
        reason=f"a share costs {quote.last}, none below {floor} is bought",
    )
