"""Limits from quotes: the collar, the tick, and how far a quote may have moved."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from oms.model.account import Quote
from oms.model.order import Side

ONE = Decimal(1)


def to_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    """``price`` moved to a multiple of ``tick``."""
    return (price / tick).quantize(ONE, rounding=rounding) * tick


def limit_for(quote: Quote, side: Side, collar: Decimal) -> Decimal:
    """The worst price accepted: the quote and the collar, rounded to the tick so that it stays inside the collar."""
    if side is Side.BUY:
        return to_tick(quote.last * (ONE + collar), quote.tick, ROUND_FLOOR)
    return max(to_tick(quote.last * (ONE - collar), quote.tick, ROUND_CEILING), quote.tick)


def within_collar(price: Decimal, quote: Quote, collar: Decimal) -> bool:
    """Whether ``price`` lies at most ``collar`` (a fraction) away from a usable quote, a tick of rounding allowed."""
    return is_usable(quote) and abs(price - quote.last) <= quote.last * collar + quote.tick


def is_buyable(quote: Quote, collar: Decimal) -> bool:
    """A usable quote from which a buy gets a limit: shares that cost less than a tick have none inside the collar."""
    return is_usable(quote) and limit_for(quote, Side.BUY, collar) > 0


def is_usable(quote: Quote) -> bool:
    """A quote that can price an order: finite and positive. NaN fails every comparison, so it fails here."""
    return all(figure.is_finite() and figure > 0 for figure in (quote.last, quote.tick)) and quote.lot >= 1
