"""Rounds by turns: programs that run cycles when asked, each in a process of its own, timed and counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from oms.bench import floor, syncs
from oms.bench.peers import dbos_cycle_file, eventsourcing_cycle_file
from oms.errors import TryAgainError

ROOT = Path(__file__).parent.parent.parent
OURS = (
    "import pathlib, sys; sys.path.insert(0, sys.argv[1]); from oms.bench import cycle, cycle_on_postgres;"
    "folder, told, orders, url = pathlib.Path(sys.argv[2]), sys.argv[3] == 'told', int(sys.argv[4]) // 2, sys.argv[5:];"
    "made = cycle_on_postgres.made(folder, url[0]) if url else cycle.CycleBench(folder, orders, orders);"
    "cycle.serve(folder, sys.stdin, sys.stdout, made, told=told)"
)

PATIENCE_S = 600.0
"""Longest wait for a program to say its word; then it is killed."""


@cache
def _compiled() -> TemporaryDirectory[str]:
    """Where this run keeps compiled modules; it is removed when Python ends."""
    return TemporaryDirectory(prefix="oms-bench-compiled-")


def environment() -> dict[str, str]:
    """That of every process that is timed: compiled modules are kept and found again, as where a program is at home.

    A setting that forbids it would make each start compile every module, of the product more than of others, whose were
    compiled when they were installed.
    """
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPYCACHEPREFIX": _compiled().name}


@dataclass(frozen=True, kw_only=True)
class Program:
    """How a program is started."""

    name: str
    command: tuple[str, ...]
    folder: Path


def ours(folder: Path, *, told: bool, orders: int = 20, url: str | None = None) -> Program:
    """The product: its engine on its journal."""
    place = _folder(folder, f"ours-{'told' if told else 'worker'}-{orders}")
    more = () if url is None else (url,)
    arguments = (str(ROOT), str(place), "told" if told else "worker", str(orders), *more)
    return Program(name="oms", command=(sys.executable, "-P", "-c", OURS, *arguments), folder=place)


def the_floor(folder: Path, rows: Path, *, in_memory: bool = False) -> Program:
    """The least durable work with these rows."""
    place = _folder(folder, "floor")
    more = ("memory",) if in_memory else ()
    command = (sys.executable, "-P", floor.__file__, "cycles", str(place), str(rows), *more)
    return Program(name="three commits of the same rows (sqlite3)", command=command, folder=place)


def floor_on_postgres(folder: Path, url: str) -> Program:
    """The least durable work on a server."""
    place = _folder(folder, "floor-postgres")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from oms.bench.floor_on_postgres import serve; serve(sys.argv[2])"
    )
    command = (sys.executable, "-P", "-c", code, str(ROOT), url)
    return Program(name="three commits of the same bytes", command=command, folder=place)


def dbos(folder: Path, python: str, tuning: str, url: str | None = None) -> Program:
    """DBOS, on a database of its own, ``shipped`` or tuned to ``wal``."""
    place = _folder(folder, f"dbos-{tuning}")
    where = url or f"sqlite:///{(place / 'dbos.db').as_posix()}"
    kind = "on PostgreSQL" if url else "as shipped" if tuning == "shipped" else "tuned to a write-ahead log"
    return Program(
        name=f"DBOS {kind}", command=(python, "-P", str(dbos_cycle_file()), "cycles", where, tuning), folder=place
    )


def eventsourcing(folder: Path, python: str) -> Program:
    """The eventsourcing library, saved after each event."""
    place = _folder(folder, "eventsourcing")
    command = (python, "-P", str(eventsourcing_cycle_file()), "cycles", str(place / "events.db"))
    return Program(name="eventsourcing, per event", command=command, folder=place)


def _folder(parent: Path, name: str) -> Path:
    made = parent / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made


class Running:
    """A program that is up and waits for its next round."""

    def __init__(self, program: Program, process: subprocess.Popen[str], counter: Path | None) -> None:
        self.name = program.name
        self._process = process
        self._counter = counter

    def ask(self, cycles: int) -> list[float]:
        """Run so many cycles; the seconds of each."""
        assert self._process.stdin is not None
        print(cycles, file=self._process.stdin, flush=True)
        took: list[float] = json.loads(self.line())
        return took

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        found = self._process.stdout.readline()
        if not found:
            raise TryAgainError(f"bench: {self.name} ended before it answered")
        return found

    def processor_s(self) -> float | None:
        """Seconds that its threads have been on a processor; None where the system does not tell."""
        try:
            tasks = [task.read_text("ascii") for task in Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")]
        except OSError:
            return None
        return sum(int(task.split()[0]) for task in tasks) / 1e9 if tasks else None

    def syncs(self) -> int:
        """How often it has asked the disk so far."""
        if self._counter is None:
            raise TryAgainError(syncs.NEEDED)
        return syncs.read_counter(self._counter)


@contextmanager
def running(program: Program, *, slow_us: int = 0, count: bool = False) -> Iterator[Running]:
    """Start a program and wait until it is ready; it ends with the block."""
    counter = program.folder / "fsyncs.count"
    preloaded = syncs.new_counter(counter) if count or slow_us else {}
    if slow_us and not preloaded:
        raise TryAgainError(syncs.NEEDED)
    around = {**environment(), **preloaded, **(syncs.slowed(slow_us) if slow_us else {})}
    with (program.folder / "stderr.txt").open("w+", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            program.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=around,
            text=True,
        )
        with process:
            made = Running(program, process, counter if preloaded else None)
            try:
                made.line()
                yield made
            except TryAgainError as error:
                complaints.seek(0)
                last = complaints.read().strip().splitlines()[-1:]
                raise TryAgainError(": ".join([str(error), *last])) from error
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.terminate()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a program went, round by round."""

    rates: list[float]
    """Cycles a second."""
    processor_s: list[float]
    """Seconds on a processor for each cycle; empty where the system does not tell."""


def paces(programs: Sequence[Program], rounds: int, cycles: Sequence[int], *, slow_us: int = 0) -> list[Pace]:
    """Rounds of each program by turns, each of so many cycles; one round before them warms up."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(running(program, slow_us=slow_us)) for program in programs]
        found = [Pace(rates=[], processor_s=[]) for _ in crowd]
        for number in range(rounds + 1):
            for each, size, seen in zip(crowd, cycles, found, strict=True):
                before = each.processor_s()
                took = sum(each.ask(size))
                after = each.processor_s()
                if number:
                    seen.rates.append(size / took)
                    if before is not None and after is not None:
                        seen.processor_s.append((after - before) / size)
    return found


def syncs_a_cycle(program: Program, rounds: int, cycles: int) -> list[float]:
    """Syncs of the disk for each cycle, round by round."""
    with running(program, count=True) as each:
        each.ask(2)
        found = []
        for _ in range(rounds):
            before = each.syncs()
            each.ask(cycles)
            found.append((each.syncs() - before) / cycles)
    return found


def until_word(command: Sequence[str], word: str) -> tuple[float, list[str]]:
    """Seconds from the start of a process until it prints a line that begins with ``word``; and that line in words.

    The process is killed then.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True)
    with process:
        assert process.stdout is not None
        patience = threading.Timer(PATIENCE_S, process.kill)
        patience.start()
        found = process.stdout.readline()
        took = time.perf_counter() - began
        patience.cancel()
        process.kill()
        assert process.stdin is not None
        process.stdin.close()
    if not found.startswith(word):
        raise TryAgainError(f"bench: {command[-1]} answered {found!r}, not {word}")
    return took, found.split()
