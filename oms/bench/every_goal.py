"""Every figure of speed and scale in one run, each beside its physical limit and beside other products."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from oms.bench import (
    after_a_kill,
    at_a_broker,
    beside_floor,
    long_journal,
    on_a_server,
    processes,
    without_a_world,
)
from oms.bench.figures import Setting, every_mark, missing
from oms.bench.goals import BY_ID, GOALS
from oms.bench.record import Figure, Machine, Record
from oms.errors import OmsError, UsageError

QUICK_ROWS, FULL_ROWS = 200_000, 10_000_000
"""Facts of the long journal."""
ASK_VERSIONS = (
    "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in ('dbos', 'eventsourcing')}))"
)

Measure = Callable[[Setting, Collection[str]], list[Figure]]


def _alone(measure: Callable[[Setting], list[Figure]]) -> Measure:
    return lambda setting, _: measure(setting)


MEASURES: tuple[tuple[frozenset[str], Measure], ...] = (
    (frozenset({"G1"}), _alone(beside_floor.syncs_of_a_cycle)),
    (frozenset({"G3"}), _alone(beside_floor.against_the_floor)),
    (frozenset({"G5"}), _alone(beside_floor.against_dbos)),
    (frozenset({"G2", "G5", "G10", "G16"}), on_a_server.on_a_server),
    (frozenset({"G6"}), _alone(after_a_kill.resumption)),
    (frozenset({"G7", "G8", "G9", "G10"}), long_journal.long_journal),
    (frozenset({"G11"}), _alone(processes.commands)),
    (frozenset({"G12", "G13"}), at_a_broker.at_a_broker),
    (frozenset({"G14"}), _alone(without_a_world.screened)),
    (frozenset({"G15"}), _alone(without_a_world.simulated)),
    (frozenset({"G17"}), _alone(processes.memory)),
)
"""What measures which goals."""


def wanted_goals(text: str | None) -> list[str]:
    """The goals that a list with commas names; all of them without one.

    Raises:
        UsageError: it names one that there is not.
    """
    if text is None:
        return list(BY_ID)
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BY_ID]
    if unknown or not names:
        raise UsageError(f"--only {text}: expected names from {', '.join(BY_ID)}, with commas between")
    return names


def measured(setting: Setting, goals: Collection[str]) -> Iterator[list[Figure]]:
    """The figures of these goals, one measurement after the other.

    What fails is told as not measured, with its reason; the others go on.
    """
    for able, measure in MEASURES:
        now = able & {*goals}
        if not now:
            continue
        with TemporaryDirectory(prefix="oms-bench-", dir=setting.folder) as folder:
            inside = replace(setting, folder=Path(folder))
            try:
                yield measure(inside, now)
            except Exception as error:  # noqa: BLE001  # an hour of other figures must not be lost with it
                yield [
                    each
                    for goal in sorted(now)
                    for each in missing(goal, every_mark(goal), f"failed: {_sentence(error)}")
                ]


def _sentence(error: Exception) -> str:
    """An error of ours in its own words; another one's first line, with its kind."""
    lines = str(error).splitlines() or [""]
    return lines[0] if isinstance(error, OmsError) else f"{type(error).__name__}: {lines[0]}"


def in_order(figures: Collection[Figure]) -> list[Figure]:
    """Figures in the order of the goals; of two words about one mark the measured one counts."""
    best: dict[tuple[str, str], Figure] = {}
    for figure in figures:
        known = best.get((figure.goal, figure.mark))
        if known is None or known.measured is None:
            best[figure.goal, figure.mark] = figure
    order = [(goal.id, mark.name) for goal in GOALS for mark in goal.marks]
    return [best[key] for key in order if key in best]


def recorded(setting: Setting, machine: Machine, figures: Collection[Figure]) -> Record:
    """The record of a run."""
    return Record.of("quick" if setting.quick else "full", machine, versions(setting.peers), in_order(figures))


@cache
def versions(peers: str | None) -> dict[str, str]:
    """What was beside the product."""
    found = {}
    for name in ("sqlalchemy", "psycopg"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    if peers is not None:
        found |= peer_versions(peers)
    return found


def peer_versions(python: str) -> dict[str, str]:
    """The other products that an interpreter has.

    Raises:
        UsageError: it has not all of them, or is none.
    """
    try:
        done = subprocess.run([python, "-c", ASK_VERSIONS], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(
            f"--peers {python}: expected an interpreter with dbos and eventsourcing, as requirements-peers.lock "
            f"installs them ({type(error).__name__})"
        ) from error
    answer: dict[str, str] = json.loads(done.stdout)
    return answer
