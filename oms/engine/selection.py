"""The screen: from daily bars to scores between 0 and 100, and from scores to wishes.

Universe → data gate (the market source's) → filters → factors → percentile ranks → weighted score. Symbols that cannot
be scored stay in the result with the rule that excluded them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from oms.engine.factors import Factors, PriceTable, weighted_ranks
from oms.model.detail import Score
from oms.model.order import Side
from oms.model.signal import Signal, Signals
from oms.ports import BarSet

SELL_LINE = Decimal("0.98")
"""A close below this share of its slow average is a reason to sell; the gap to 1 stops churn at the edge."""
INELIGIBLE = ("price", "turnover")
"""Filters that speak of the share itself and not of its data."""
INELIGIBLE_RUNS = 3
"""Screens of different days, in a row, that must find a share ineligible before it is sold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """What the screen lets through, and which scores are acted on."""

    top: int
    """At most this many buys are wished for."""
    min_score: Decimal
    """Lowest score that is bought, 0 to 100."""
    sell_below: Decimal
    """A holding with a lower score is sold."""
    min_history: int
    """Bars that a symbol must have."""
    min_price: Decimal = Decimal(5)
    """Lowest close that is scored, account currency."""
    min_turnover: Decimal = Decimal(20_000_000)
    """Lowest median of a day's close × volume over a quarter, account currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """The result for one day: the same input gives the same bytes."""

    as_of: date
    """Last completed session that was seen."""
    bars_hash: str
    """SHA-256 of the closes (four decimals) and volumes that were seen, in hex."""
    scores: tuple[Score, ...]
    """Scored symbols, best first, ties by symbol; then the excluded ones by symbol."""
    factors: Mapping[str, Factors]
    """Of each scored symbol."""


def screen(bars: BarSet, universe: Iterable[str], rules: SelectionRules) -> Screen:
    """Score every symbol of ``universe``; one that cannot be scored is kept with its reason."""
    symbols = sorted(set(universe))
    excluded = {symbol: reason for symbol in symbols if (reason := _data_problem(bars, symbol, rules))}
    table = PriceTable({symbol: bars.bars[symbol] for symbol in symbols if symbol not in excluded})
    closes = {symbol: bars.bars[symbol][-1].close for symbol in table.symbols}
    excluded |= _ineligible(closes, table.turnovers(), rules)
    factors = {symbol: of for symbol, of in table.factors().items() if symbol not in excluded}
    points, lookbacks = weighted_ranks(factors), table.lookbacks()
    ranked = sorted(points, key=lambda symbol: (-points[symbol], symbol))
    scores = [
        Score(
            symbol=symbol,
            score=points[symbol],
            rank=rank,
            lookback=lookbacks[symbol],
            close=closes[symbol],
            factors=factors[symbol].exact,
        )
        for rank, symbol in enumerate(ranked, 1)
    ]
    scores += [
        Score(symbol=symbol, score=None, rank=None, excluded_by=excluded[symbol], close=closes.get(symbol))
        for symbol in sorted(excluded)
    ]
    return Screen(as_of=bars.as_of, bars_hash=table.digest, scores=tuple(scores), factors=factors)


def signals(
    found: Screen,
    held: Iterable[str],
    rules: SelectionRules,
    previous: Sequence[Sequence[Score]] = (),
) -> Signals:
    """Wishes from a screen: what is held and should go, worst first, then the best to buy.

    ``previous`` are the scores of earlier days' screens, newest first: a holding is sold for its price, for its turnover,
    or because the universe no longer names it, only when the screens of three days in a row found it ineligible. A symbol
    whose data is missing, stale or not believed is never sold for that. Quantities are None: all that is held, and as
    much as the caps allow.
    """
    scores = {score.symbol: score for score in found.scores}
    sold = sorted(
        (symbol for symbol in set(held) if _should_go(symbol, scores.get(symbol), found, rules, previous)),
        key=lambda symbol: (_worth(scores.get(symbol)), symbol),
    )
    best = [score for score in found.scores if _worth_buying(score, found, rules) and score.symbol not in sold]
    wishes = (
        *(Signal(side=Side.SELL, symbol=symbol, score=_value(scores.get(symbol))) for symbol in sold),
        *(Signal(side=Side.BUY, symbol=score.symbol, score=score.score) for score in best[: rules.top]),
    )
    text = "\n".join([found.as_of.isoformat(), found.bars_hash, *(f"{w.side} {w.symbol} {w.score}" for w in wishes)])
    return Signals(signals=wishes, source="selection", digest=hashlib.sha256(text.encode()).hexdigest())


def _should_go(
    symbol: str, score: Score | None, found: Screen, rules: SelectionRules, previous: Sequence[Sequence[Score]]
) -> bool:
    if score is None or score.score is None:
        before = [next((old for old in run if old.symbol == symbol), None) for run in previous[: INELIGIBLE_RUNS - 1]]
        return len(before) == INELIGIBLE_RUNS - 1 and all(_is_ineligible(run) for run in (score, *before))
    return score.score < rules.sell_below or found.factors[symbol].over_average < SELL_LINE


def _is_ineligible(score: Score | None) -> bool:
    """Kept out for what the share is, and not for what is known of it; None: the universe does not name it."""
    return score is None or (score.excluded_by or "").startswith(INELIGIBLE)


def _worth_buying(score: Score, found: Screen, rules: SelectionRules) -> bool:
    if score.score is None or score.score < rules.min_score:
        return False
    return found.factors[score.symbol].over_average > 1


def _worth(score: Score | None) -> Decimal:
    return Decimal(-1) if score is None or score.score is None else score.score


def _value(score: Score | None) -> Decimal | None:
    return None if score is None else score.score


def _data_problem(bars: BarSet, symbol: str, rules: SelectionRules) -> str | None:
    if problem := bars.problems.get(symbol):
        return problem
    history = bars.bars.get(symbol)
    if not history:
        return "missing: the market source has no bars of it"
    if history[-1].day != bars.as_of:
        return f"stale: its last bar is of {history[-1].day}, not of {bars.as_of}"
    if len(history) < rules.min_history:
        return f"history: {len(history)} bars, at least {rules.min_history} are needed"
    return None


def _ineligible(closes: Mapping[str, Decimal], turnovers: Mapping[str, float], rules: SelectionRules) -> dict[str, str]:
    refused = {}
    for symbol, close in closes.items():
        if close < rules.min_price:
            refused[symbol] = f"price: its close of {close} is below {rules.min_price}"
        elif turnovers[symbol] < rules.min_turnover:
            refused[symbol] = f"turnover: {turnovers[symbol]:,.0f} a day (median) is below {rules.min_turnover:,}"
    return refused
