"""Where an instant stands on the axis of a cycle: to scale where it can be, stretched where a phase would vanish."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAST = 0.09
"""Smallest part of the axis that a phase gets: orders of a few milliseconds are seen."""
MOST_OF_GAP = 0.22
"""Largest part of the axis that a time without a process gets: a night does not squeeze the trades."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds since the cycle opened → x, straight between the knots."""

    seconds: tuple[float, ...]
    xs: tuple[float, ...]
    is_stretched: bool
    """The axis is not to scale."""

    def x(self, second: float) -> float:
        """Where a second stands; times outside stand at the ends."""
        seconds, xs = self.seconds, self.xs
        if second <= seconds[0]:
            return xs[0]
        if second >= seconds[-1]:
            return xs[-1]
        at = bisect_right(seconds, second)
        before, after = seconds[at - 1], seconds[at]
        return xs[at - 1] + (xs[at] - xs[at - 1]) * (second - before) / (after - before)


def scale(knots: Iterable[float], gaps: Sequence[tuple[float, float]], left: float, right: float) -> Scale:
    """An axis from ``left`` to ``right`` over these instants; ``gaps`` are stretches in which no process was there."""
    seconds = sorted({0.0, *knots, *(edge for gap in gaps for edge in gap)})
    if len(seconds) == 1:
        seconds.append(seconds[0] + 1.0)
    spans = list(itertools.pairwise(seconds))
    lengths = [after - before for before, after in spans]
    is_gap = [any(start <= before and after <= end for start, end in gaps) for before, after in spans]
    parts = _shares(lengths, is_gap)
    true = [length / sum(lengths) for length in lengths]
    xs = [left]
    for part in parts:
        xs.append(xs[-1] + part * (right - left))
    stretched = any(abs(a - b) > 0.01 for a, b in zip(parts, true, strict=True))
    return Scale(tuple(seconds), tuple(xs), stretched)


def _shares(lengths: Sequence[float], is_gap: Sequence[bool]) -> list[float]:
    """The part of the axis of each stretch: in proportion, but none below its least and no gap above its most."""
    least = min(LEAST, 0.6 / len(lengths))
    fixed: dict[int, float] = {}
    while True:
        free = [i for i in range(len(lengths)) if i not in fixed]
        room = 1.0 - sum(fixed.values())
        total = sum(lengths[i] for i in free)
        parts = {i: (lengths[i] / total * room if total else room / len(free)) for i in free}
        low = [i for i in free if parts[i] < least - 1e-9]
        high = [i for i in free if is_gap[i] and parts[i] > MOST_OF_GAP + 1e-9]
        if len(free) == len(high) or (not low and not high):
            return [fixed.get(i, parts.get(i, 0.0)) for i in range(len(lengths))]
        # A gap that is too long frees room, which can lift what would be too short: settle it first.
        fixed |= dict.fromkeys(high, MOST_OF_GAP) if high else dict.fromkeys(low, least)
        if len(fixed) == len(lengths):
            whole = sum(fixed.values())
            return [fixed[i] / whole for i in range(len(lengths))]
