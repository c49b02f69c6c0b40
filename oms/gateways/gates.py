"""Data gates: what a daily bar or a price history must satisfy to be believed.

One pair of gates for every source of daily bars. A bar that cannot be true is left out; a history that cannot be trusted
makes its symbol unusable for that day. Each refusal is a sentence that begins with the name of its rule.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise

from oms.ports import Bar

ROUNDING = Decimal("0.01")
"""How far an open or close may lie outside low and high, account currency: sources round each price to the cent."""
PRICE_BOUND = Decimal(10_000_000)
"""No share costs as much, account currency."""
VOLUME_BOUND = 10**13
"""No share trades as often in a day."""
MOVE_BOUND = Decimal("0.40")
"""A larger move from one day's close to the next price is taken for a split or spin-off that nobody adjusted for."""
GAP_BOUND = Decimal("0.02")
"""Share of a symbol's trading days that may be without a believable bar."""


def impossible(bar: Bar) -> str | None:
    """Why ``bar`` cannot be true; None where it can. Its prices must be finite."""
    if 0 < bar.low <= bar.open <= bar.high < PRICE_BOUND and bar.low <= bar.close <= bar.high:
        return _impossible_volume(bar)
    if min(bar.open, bar.high, bar.low, bar.close) <= 0:
        return "a price is zero or negative"
    if bar.high < bar.low:
        return f"high {bar.high} is below low {bar.low}"
    if bar.high >= PRICE_BOUND:
        return f"high {bar.high} is no share price"
    for name, price in (("open", bar.open), ("close", bar.close)):
        if not bar.low - ROUNDING <= price <= bar.high + ROUNDING:
            return f"{name} {price} lies outside low {bar.low} and high {bar.high}"
    return _impossible_volume(bar)


def _impossible_volume(bar: Bar) -> str | None:
    return None if 0 <= bar.volume < VOLUME_BOUND else f"volume {bar.volume} is impossible"


def unexplained_move(before: Decimal, after: Decimal) -> str | None:
    """The move between two prices as a percentage where it is too large to be believed, such as ``-66.3 %``."""
    if abs(after - before) <= MOVE_BOUND * before:
        return None
    return f"{(after / before - 1) * 100:+.1f} %"


def history_problem(bars: Sequence[Bar], sessions: Sequence[date]) -> str | None:
    """Why believable ``bars`` of one symbol are no usable history of ``sessions``; None where they are.

    Both are oldest first; the last of ``sessions`` is the day up to which the history must reach.
    """
    if not bars:
        return "missing: there are no believable bars"
    if bars[-1].day != sessions[-1]:
        return f"stale: the last believable bar is of {bars[-1].day}, not of {sessions[-1]}"
    expected = len(sessions) - bisect_left(sessions, bars[0].day)
    if (lost := expected - len(bars)) > GAP_BOUND * expected:
        return f"gaps: {lost} of {expected} trading days have no believable bar"
    for before, after in pairwise(bars):
        if move := unexplained_move(before.close, after.close):
            return f"unbelievable: {move} on {after.day}, likely a split or spin-off that the data does not adjust for"
    return None
