"""A simulated world told line by line, as a person reads it who has not written it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from oms.sim.faults import MEANING, Fault

LEGEND = "> the broker's wire   ! bad weather   the rest: processes, people, and facts with the last row of the journal"
WIDEST = 160

_DETAIL = re.compile(r"\. |fact [0-9]+ ")
"""Passages of crash points, and what is hashed once more at the end: for ``--trace``."""
_PLAIN = (
    (re.compile(r"cycle_id='[^']*', "), ""),
    (re.compile(r"Decimal\('([^']*)'\)"), r"\1"),
    (re.compile(r"<[A-Za-z.]+[A-Z_]: '?([^'>]*)'?>"), r"\1"),
)


def walker(say: Callable[[str], None]) -> Callable[[str], None]:
    """A listener of a world that passes on what a person wants to see of it, each line short."""

    def hear(line: str) -> None:
        at, _, text = line.partition("  ")
        if not _DETAIL.match(text):
            said = _plain(text)
            say(f"{at[5:23]}  {said if len(said) <= WIDEST else f'{said[: WIDEST - 1]}…'}")

    return hear


def _plain(text: str) -> str:
    for pattern, instead in _PLAIN:
        text = pattern.sub(instead, text)
    if text.startswith("! "):
        name = re.split("[#@]", text[2:])[0]
        return f"{text}: {MEANING[Fault(name)]}" if name in set(Fault) else text
    return text


def corners(unvisited: list[str], worlds: int) -> Iterator[str]:
    """The corners that no fault visited, by fault; only their number where few worlds could not visit them all."""
    if not unvisited:
        return
    yield ""
    if worlds < MANY:
        yield (
            f"{len(unvisited)} corners (a fault in a phase) were not visited, which {MANY} worlds and more would do for "
            "nearly all; --json names them"
        )
        return
    phases: dict[str, list[str]] = {}
    for corner in unvisited:
        fault, _, phase = corner.partition(" in ")
        phases.setdefault(fault, []).append(phase.lower())
    told = ", ".join(f"{fault} ({', '.join(where)})" for fault, where in phases.items())
    yield f"corners not visited ({len(unvisited)}): {told}"


MANY = 1_000
"""From so many worlds on, a corner without a visit says something."""
