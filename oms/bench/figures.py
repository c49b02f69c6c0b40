"""What a measurement needs to know, and how its rounds become figures of the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oms.bench.goals import BY_ID
from oms.bench.record import Beside, Figure, Spread

ROUNDS = 7
"""Rounds by turns behind a ratio, at the least."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How large the run is, and what there is beside the product."""

    folder: Path
    """Whose disk is measured; everything below it is made and removed."""
    quick: bool
    rows: int
    """Facts of the long journal."""
    peers: str | None
    """An interpreter that has the other products."""
    postgres: str | None
    """A server on which databases may be made; without one it is started where the development packages are there."""
    say: Callable[[str], None]
    rounds: int = ROUNDS


def beside(what: str, rounds: Sequence[float], unit: str, ratio: float | None = None) -> Beside:
    """What was measured beside a figure."""
    return Beside(
        what=what, spread=Spread.of(rounds), unit=unit, ratio=None if ratio is None else float(f"{ratio:.4g}")
    )


def against(what: str, rounds: Sequence[float], unit: str, ours: Sequence[float]) -> Beside:
    """The same, with ours against it."""
    made = beside(what, rounds, unit)
    if not made.spread.median:
        return made
    return beside(what, rounds, unit, Spread.of(ours).median / made.spread.median)


def found(
    goal: str,
    mark: str,
    rounds: Sequence[float],
    size: str,
    *,
    floor: Beside | None = None,
    peers: Sequence[Beside] = (),
    by_processor: Sequence[float] = (),
) -> Figure:
    """One mark of a goal, measured."""
    of = BY_ID[goal].mark(mark)
    measured = Spread.of(rounds)
    return Figure(
        goal=goal,
        mark=mark,
        sentence=of.sentence,
        unit=of.unit,
        at_most=of.at_most,
        at_least=of.at_least,
        measured=measured,
        met=of.met(measured.median),
        by_processor=Spread.of(by_processor) if by_processor else None,
        floor=floor,
        peers=tuple(peers),
        size=size,
    )


def missing(goal: str, marks: Sequence[str], why: str) -> list[Figure]:
    """Marks of a goal for which nothing was measured."""
    return [
        Figure(
            goal=goal,
            mark=of.name,
            sentence=of.sentence,
            unit=of.unit,
            at_most=of.at_most,
            at_least=of.at_least,
            why_not=why,
        )
        for of in BY_ID[goal].marks
        if of.name in marks
    ]


def every_mark(goal: str) -> list[str]:
    """The names of a goal's marks."""
    return [mark.name for mark in BY_ID[goal].marks]


NO_PEERS = "needs an interpreter with the other products: --peers PYTHON, which `bench peers FOLDER` makes"
"""Why a comparison was not measured."""
