"""An example of a strategy of one's own: hold what has risen longest, and let go of what has turned.

    selection:
      strategy: oms.examples.rising:choose

Copy this file beside your ``config.yaml`` as ``mine.py``, change it, and name it ``mine:choose``. It is an example of how
a strategy speaks to the engine, and no advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from oms.model.order import Side
from oms.model.signal import Signal
from oms.ports import Bar, StrategySight

FAST, SLOW = 20, 100
"""Days of the two averages that are compared."""
MOST = 5
"""Shares of at most so many companies are held."""


def choose(sight: StrategySight) -> Iterable[Signal]:
    """Sell what is held and turned down; buy what rises most, in the order of its rise. No bars, no opinion."""
    rises = {symbol: rise for symbol, bars in sight.bars.bars.items() if (rise := _rise(bars)) is not None}
    sells = [symbol for symbol in sorted(sight.held) if rises.get(symbol, Decimal(1)) < 1]
    kept = len(sight.held) - len(sells)
    best = sorted((symbol for symbol in rises if symbol in sight.universe), key=lambda symbol: (-rises[symbol], symbol))
    buys = [symbol for symbol in best if rises[symbol] > 1 and symbol not in sight.held][: max(MOST - kept, 0)]
    for symbol in sells:
        yield Signal(side=Side.SELL, symbol=symbol)  # no quantity: all that is held
    for symbol in buys:
        yield Signal(side=Side.BUY, symbol=symbol, score=round(rises[symbol] * 50, 1))  # as much as the caps allow


def _rise(bars: Sequence[Bar]) -> Decimal | None:
    """The fast average of the closes over the slow one; None where there are too few."""
    closes = [bar.close for bar in bars]
    if len(closes) < SLOW:
        return None
    return (sum(closes[-FAST:], Decimal(0)) / FAST) / (sum(closes[-SLOW:], Decimal(0)) / SLOW)
