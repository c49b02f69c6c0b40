"""Whether a market's history is fresh enough to act on: a rule about data, before any rule about shares."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from oms.ports import BarSet

QUORUM = Decimal("0.80")
"""Share of the universe that must have its newest bar: percentile ranks among few symbols are no ranks of the universe."""

_NOT_THERE = ("missing", "stale", "rate_limited", "error")


def too_stale(bars: BarSet, universe: Collection[str]) -> str | None:
    """Why nothing may be chosen from ``bars``, as a sentence; None where enough of the universe is fresh.

    A symbol is fresh when its newest bar arrived; that a gate does not believe its history is another matter. Only a
    live source can be too stale: a replayed or made-up day has no more to say, however often it is asked.
    """
    if not bars.is_live:
        return None
    symbols = set(universe)
    absent = {symbol: bars.problems.get(symbol, "missing") for symbol in sorted(symbols - bars.bars.keys())}
    lacking = {symbol: problem for symbol, problem in absent.items() if problem.startswith(_NOT_THERE)}
    fresh = len(symbols) - len(lacking)
    if fresh >= QUORUM * len(symbols):
        return None
    symbol, problem = next(iter(lacking.items()))
    return (
        f"{fresh} of {len(symbols)} symbols have prices up to {bars.as_of}, fewer than {QUORUM:.0%}: nothing is chosen; "
        f"{symbol}, for one: {problem}"
    )
