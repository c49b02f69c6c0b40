"""Many seeds: lived on every core, counted together, each failure with the one line that lives it again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection

from oms.errors import TryAgainError
from oms.model.rules import Rules
from oms.sim.faults import Fault
from oms.sim.judge import Verdict, judge
from oms.sim.scenario import draw
from oms.sim.sky import Tally

CHUNK = 20
"""Seeds that one process lives before it reports."""
PHASES = ("-", "SELLING", "SETTLING", "REVALIDATING", "BUYING")
MOST_JOBS = 61
"""Windows can wait for no more processes at once."""
LOOK_EVERY_S = 0.2
"""Seconds after which a campaign in other processes looks whether it shall stop."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A seed under which a law broke."""

    seed: int
    violations: tuple[str, ...]


@dataclass(kw_only=True)
class Report:
    """What a campaign showed."""

    seeds: int = 0
    tally: Tally = field(default_factory=Tally)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Report) -> None:
        """Count another part of the same campaign."""
        self.seeds += other.seeds
        self.tally.add(other.tally)
        self.failures += other.failures


def live(seed: int, rules: Rules | None = None, *, in_ram: bool = False, cycles: int | None = None) -> Verdict:
    """One seed."""
    return judge(draw(seed, rules, on_sqlite=not in_ram, cycles=cycles))


Stopped = Callable[[], bool]
"""Asked between two worlds; True ends the campaign with what was lived so far."""


def _part(seeds: Sequence[int], one: Callable[[int], Verdict], stopped: Stopped | None = None) -> Report:
    report = Report()
    for seed in seeds:
        if stopped is not None and stopped():
            break
        verdict = one(seed)
        report.seeds += 1
        report.tally.add(verdict.tally)
        if verdict.failed:
            report.failures.append(Failure(seed=seed, violations=verdict.violations))
    return report


def campaign(
    seeds: range,
    rules: Rules | None = None,
    *,
    jobs: int = 1,
    in_ram: bool = False,
    cycles: int | None = None,
    stopped: Stopped = lambda: False,
) -> Iterator[Report]:
    """Live these seeds; answers the same growing report after each part of them."""
    whole = Report()
    began = time.monotonic()
    chunk = max(CHUNK // (cycles or 1), 1)
    parts = [seeds[start : start + chunk] for start in range(0, len(seeds), chunk)]
    one = partial(live, rules=rules, in_ram=in_ram, cycles=cycles)
    jobs = min(jobs, len(parts), MOST_JOBS)
    for part in _in_turn(parts, one, stopped) if jobs == 1 else _in_parallel(parts, one, jobs, stopped):
        whole.add(part)
        whole.seconds = time.monotonic() - began
        yield whole
    whole.failures.sort(key=lambda failure: failure.seed)


def _in_turn(parts: Sequence[Sequence[int]], one: Callable[[int], Verdict], stopped: Stopped) -> Iterator[Report]:
    for part in parts:
        if stopped():
            return
        yield _part(part, one, stopped)


def _in_parallel(
    parts: Sequence[Sequence[int]], one: Callable[[int], Verdict], jobs: int, stopped: Stopped
) -> Iterator[Report]:
    """Each job is a fresh interpreter: no thread and no connection of this one goes along.

    A job ends when this end of the pipe is closed, be it by us or by our death: none goes on for nobody.
    """
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    with theirs, ours, ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(theirs,)) as pool:
        waiting = iter(parts)
        pending: set[Future[Report]] = set()
        try:
            while not stopped():
                for part in islice(waiting, 2 * jobs - len(pending)):
                    with _deaf():
                        pending.add(pool.submit(_part, part, one))
                if not pending:
                    break
                done, pending = wait(pending, LOOK_EVERY_S, FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise TryAgainError(
                "a process of the campaign was killed, or had no memory left: fewer --jobs, or --in-ram, need less"
            ) from None
        finally:
            if pending:
                pool.shutdown(wait=False, cancel_futures=True)
                ours.close()


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started in here never hear Ctrl-C, from their first instruction on; we hear it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: Connection) -> None:
    """What a job does first: Ctrl-C at the terminal is its parent's business, and it ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where a mask is not inherited
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    with suppress(OSError):  # how Windows says it
        parent.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(0)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Corner:
    """One fault in one phase: how often it struck there, and how many statuses of orders it met."""

    fault: str
    counts: tuple[int, ...]
    """In the order of :data:`PHASES`."""
    statuses: int


def coverage(tally: Tally) -> list[Corner]:
    """Every fault there is, visited or not."""
    found = []
    for fault in Fault:
        met = {key: count for key, count in tally.corners.items() if key[1] == str(fault)}
        counts = tuple(sum(count for key, count in met.items() if key[0] == phase) for phase in PHASES)
        found.append(Corner(fault=str(fault), counts=counts, statuses=len({key[2] for key in met} - {"-"})))
    return found


ELSEWHERE: dict[str, str] = {
    "late": "SELLING BUYING",
    "very_late": "SELLING BUYING",
    "reply_lost": "SELLING BUYING",
    "request_lost": "SELLING BUYING",
    "not_sent": "SELLING BUYING",
    "garbage": "SELLING BUYING",
    "slow_reply": "SELLING BUYING",
    "refused": "SELLING BUYING",
    "async_reject": "SELLING BUYING",
    "partial": "SELLING BUYING",
    "slow_fill": "SELLING BUYING",
    "stuck": "SELLING BUYING",
    "bad_numbers": "SELLING BUYING",
    "cancel_lost": "SELLING BUYING",
    "cancel_race": "SELLING BUYING",
    "slow_cancel": "SELLING BUYING",
    "fill_after_cancel": "SELLING BUYING",
    "unknown_status": "SELLING BUYING",
    "hidden": "SELLING BUYING",
    "stirred": "SELLING SETTLING REVALIDATING BUYING",
}
"""Faults of requests happen only in the phases that send any; all others may strike anywhere."""
WHOLE_WORLD = ("mark_lost", "near_close", "funds_late", "list_lag")
"""Faults that are true of a whole world; they strike at no instant, so they have no corner."""


def unvisited(tally: Tally) -> list[str]:
    """Corners that could be visited and were not, as ``fault in PHASE``."""
    found = []
    for corner in coverage(tally):
        if corner.fault in WHOLE_WORLD:
            continue
        possible = ELSEWHERE.get(corner.fault, " ".join(PHASES)).split()
        for phase, count in zip(PHASES, corner.counts, strict=True):
            if not count and phase in possible:
                found.append(f"{corner.fault} in {phase if phase != '-' else 'between cycles'}")
    return found
