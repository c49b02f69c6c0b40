"""How a score is made of its factors, and how one symbol's score is taken apart again for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from oms.model.detail import Score

WEIGHTS: Mapping[str, int] = {"momentum": 35, "trend": 25, "nearness": 15, "calm": 15, "support": 10}
"""Percent of the score; together 100."""
OVER_AVERAGE = "over_average"
"""Close / slow average: it has no weight, and decides whether a share may be bought or must be sold."""
NAMES = (*WEIGHTS, OVER_AVERAGE)
"""The components of a score in the order in which the journal keeps them."""
MEANING: Mapping[str, str] = {
    "momentum": "close a month ago / close a year ago - 1",
    "trend": "half close / average of 50 days - 1, half average of 50 / average of 200 days - 1",
    "nearness": "close / highest close of a year - 1",
    "calm": "minus the yearly standard deviation of daily returns",
    "support": "mean volume of 20 days / of 63 days",
    OVER_AVERAGE: "close / average of 200 days",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One factor's part in a score."""

    name: str
    value: Decimal
    percentile: Decimal
    """Its place among the scored symbols, 0 to 100; the average place where several are equal."""
    weight: int
    """Percent."""
    points: Decimal
    """What it adds to the score: weight times percentile."""


def parts(score: Score, scores: Sequence[Score]) -> list[Part]:
    """The parts that a score is the sum of, by the screen that it is from; empty where the screen did not keep them.

    A percentile is (average rank - 1/2) / N over the symbols that were scored.
    """
    ranked = [each.factors for each in scores if each.score is not None and each.factors]
    if not score.factors or score.score is None:
        return []
    found = []
    for at, (name, weight) in enumerate(WEIGHTS.items()):
        mine = score.factors[at]
        below = sum(factors[at] < mine for factors in ranked)
        equal = sum(factors[at] == mine for factors in ranked)
        percentile = Decimal(2 * below + equal) / (2 * len(ranked)) * 100
        found.append(
            Part(name=name, value=mine, percentile=percentile, weight=weight, points=percentile * weight / 100)
        )
    return found
