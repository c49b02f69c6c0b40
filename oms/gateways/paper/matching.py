"""At which price, in which parts and for which fee an order trades: the fill model, pure.

The model, stated once:

* The reference is the quote's last price. A buy limited at or above it is marketable, so is a sell limited at or below
  it; a market order always is. What is not marketable rests and is looked at again whenever the book is used.
* A marketable order trades at last × (1 ± slippage), rounded to the tick against the order, then moved inside the day's
  low and high where the market knows them, and never beyond its limit. When the limit itself lies outside the day's
  range the order rests: nobody traded there.
* A stated share of the orders trades in two parts, the rest of the order ``fill_delay`` after the first. Which ones,
  and where they are cut, follows from the seed and the order's number alone.
* The fee is quantity × fee per share, rounded half up to 0.0001 over the whole order, however many parts it has.
* There is no limit of volume and no queue: the model is about money and time, not about market impact.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from oms.model.account import Quote
from oms.model.order import Side

FEE_STEP = Decimal("0.0001")
MARKET_ORDER_REACH = Decimal("0.05")
"""A market buy locks cash for, and trades up to, this much above the quote it arrived at."""

_CHANCE_STEPS = 2**64

DayRange = tuple[Decimal, Decimal]
"""Low and high of the trading day."""


def floor_to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The highest price on the grid that is not above ``price``."""
    return (price / tick).to_integral_value(ROUND_FLOOR) * tick


def ceil_to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The lowest price on the grid that is not below ``price``."""
    return (price / tick).to_integral_value(ROUND_CEILING) * tick


@dataclass(frozen=True, slots=True, kw_only=True)
class FillModel:
    """The figures of the model above."""

    slippage: Decimal
    """Fraction of the price, 0.0005 is 0.05 %."""
    partial_fills: Decimal
    """Share of the orders that trade in two parts, 0 to 1."""
    fee_per_share: Decimal
    """Account currency per share."""
    seed: int

    def price(self, side: Side, limit: Decimal | None, quote: Quote, day_range: DayRange | None) -> Decimal | None:
        """The price at which the order trades now, or None while it rests."""
        if limit is not None and (quote.last > limit if side is Side.BUY else quote.last < limit):
            return None
        price = _inside(self._slipped(side, quote), day_range, quote.tick)
        if limit is None:
            return price
        price = min(price, limit) if side is Side.BUY else max(price, limit)
        if day_range is not None and not day_range[0] <= price <= day_range[1]:
            return None
        return price

    def _slipped(self, side: Side, quote: Quote) -> Decimal:
        if side is Side.BUY:
            return ceil_to_tick(quote.last * (1 + self.slippage), quote.tick)
        return max(floor_to_tick(quote.last * (1 - self.slippage), quote.tick), quote.tick)

    def reach(self, quote: Quote) -> Decimal:
        """The price per share for which a market buy locks cash; it does not trade above it."""
        return ceil_to_tick(quote.last * (1 + MARKET_ORDER_REACH), quote.tick)

    def first_part(self, key: str, qty: Decimal) -> Decimal:
        """How much of an untouched order trades at once: all of it, or between one share and all but one."""
        if qty < 2 or qty != qty.to_integral_value():
            return qty
        if self._chance("split", key) >= self.partial_fills:
            return qty
        return 1 + (self._chance("where", key) * (qty - 1)).to_integral_value(ROUND_FLOOR)

    def fee(self, cum_qty: Decimal) -> Decimal:
        """Fee of an order of which ``cum_qty`` shares have traded; that of one part is a difference of two."""
        return (cum_qty * self.fee_per_share).quantize(FEE_STEP, ROUND_HALF_UP)

    def _chance(self, what: str, key: str) -> Decimal:
        """A number from 0 to below 1 that only depends on the seed, the question and the order."""
        digest = hashlib.sha256(f"{self.seed}:{what}:{key}".encode()).digest()
        return Decimal(int.from_bytes(digest[:8])) / _CHANCE_STEPS


def _inside(price: Decimal, day_range: DayRange | None, tick: Decimal) -> Decimal:
    """The price moved into the day's range: onto the nearest tick inside it, or its bound where it holds no tick."""
    if day_range is None:
        return price
    low, high = day_range
    if price > high:
        return max(floor_to_tick(high, tick), low)
    if price < low:
        return min(ceil_to_tick(low, tick), high)
    return price
