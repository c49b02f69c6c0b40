"""From the start of a process to reconciled, beside DBOS and beside what a disk alone needs (G6)."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from oms.bench import floor, turns
from oms.bench.beside_floor import stored_rows
from oms.bench.figures import NO_PEERS, Setting, against, found, missing
from oms.bench.peers import dbos_cycle_file
from oms.bench.record import Beside, Figure

OURS = "import sys; sys.path.insert(0, sys.argv[1]); from oms.bench.resuming import main; main(*sys.argv[2:])"
WORDS = ("OPEN", "RECONCILED")


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What a killed process has left, and how the next one is started."""

    name: str
    left: Path
    place: Path
    resume: tuple[str, ...]

    def again(self) -> tuple[float, list[str]]:
        """Seconds from the start of a process to its word, all being as it was left."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.left, self.place)
        return turns.until_word(self.resume, WORDS[1])


def resumption(setting: Setting) -> list[Figure]:
    """G6."""
    counts = {"one": 1, "hundred": 100}
    if setting.peers is None:
        setting.say("G6: commits of a recovery …")
        _, words = _ours(setting.folder, 1).again()
        return [*missing("G6", ["one", "hundred"], NO_PEERS), _commits([float(words[1])])]
    rows = stored_rows(setting.folder)
    figures, commits = [], []
    for mark, count in counts.items():
        setting.say(f"G6: {count} open, {setting.rounds} rounds by turns …")
        crowd = [
            _ours(setting.folder, count),
            _dbos(setting.folder, setting.peers, count),
            _floor(setting.folder, rows, count),
        ]
        seconds: list[list[float]] = [[], [], []]
        for _ in range(setting.rounds):
            for each, seen in zip(crowd, seconds, strict=True):
                took, words = each.again()
                seen.append(took)
                if each is crowd[0]:
                    commits.append(float(words[1]))
        ours, theirs, bare = seconds
        figures.append(_times(mark, ours, theirs, against(crowd[2].name, bare, "s", ours), crowd[1].name))
    return [*figures, _commits(commits)]


def _times(mark: str, ours: list[float], theirs: list[float], least: Beside, name: str) -> Figure:
    return found(
        "G6",
        mark,
        [other / mine for mine, other in zip(ours, theirs, strict=True)],
        f"{median(ours):.3f} s from start to reconciled",
        floor=least,
        peers=[against(name, theirs, "s", ours)],
    )


def _commits(commits: list[float]) -> Figure:
    return found("G6", "commits", commits, "the lease, and one barrier with all that asking taught")


def _left(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Where a killed process has left its files; they are copied for each round."""
    place = folder / name
    place.mkdir(parents=True)
    make(place)
    left = folder / f"{name}-left"
    shutil.copytree(place, left)
    return left


def _ours(folder: Path, count: int) -> Killed:
    place = folder / f"resume-ours-{count}"
    start = (sys.executable, "-P", "-c", OURS, str(turns.ROOT))
    left = _left(folder, place.name, lambda at: _opened((*start, "open", str(at), str(count))))
    return Killed(name="oms", left=left, place=place, resume=(*start, "resume", str(place), str(count)))


def _dbos(folder: Path, python: str, count: int) -> Killed:
    place = folder / f"resume-dbos-{count}"
    url = f"sqlite:///{(place / 'dbos.db').as_posix()}"
    start = (python, "-P", str(dbos_cycle_file()))
    left = _left(folder, place.name, lambda _: _opened((*start, "open", url, "wal", str(count))))
    name = "DBOS tuned to a write-ahead log"
    return Killed(name=name, left=left, place=place, resume=(*start, "resume", url, "wal", str(count)))


def _opened(command: tuple[str, ...]) -> None:
    turns.until_word(command, WORDS[0])


def _floor(folder: Path, rows: Path, count: int) -> Killed:
    place = folder / f"resume-floor-{count}"
    files = [place / f"{number}.db" for number in range(count)]
    stored = pickle.loads(rows.read_bytes())  # noqa: S301  # written by the bench itself

    def make(_: Path) -> None:
        for file in files:
            floor.left_open(str(file), stored)

    left = _left(folder, place.name, make)
    command = (sys.executable, "-P", floor.__file__, "resume", str(rows), *map(str, files))
    return Killed(name="reading the same rows, and two commits (sqlite3)", left=left, place=place, resume=command)
