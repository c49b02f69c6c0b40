"""Many seeds: lived on every core, counted together, each failure with the one line that lives it again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

from oms.model.rules import Rules
from oms.sim.faults import Fault
from oms.sim.judge import Verdict, judge
from oms.sim.scenario import draw
from oms.sim.sky import Tally

CHUNK = 20
"""Seeds that one process lives before it reports."""
PHASES = ("-", "SELLING", "SETTLING", "REVALIDATING", "BUYING")


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


def _part(seeds: Sequence[int], one: Callable[[int], Verdict]) -> Report:
    report = Report(seeds=len(seeds))
    for seed in seeds:
        verdict = one(seed)
        report.tally.add(verdict.tally)
        if verdict.failed:
            report.failures.append(Failure(seed=seed, violations=verdict.violations))
    return report


def campaign(
    seeds: range, rules: Rules | None = None, *, jobs: int = 1, in_ram: bool = False, cycles: int | None = None
) -> Iterator[Report]:
    """Live these seeds; answers the same growing report after each part of them."""
    whole = Report()
    began = time.monotonic()
    chunk = max(CHUNK // (cycles or 1), 1)
    parts = [seeds[start : start + chunk] for start in range(0, len(seeds), chunk)]
    one = partial(live, rules=rules, in_ram=in_ram, cycles=cycles)
    for part in (_part(part, one) for part in parts) if jobs == 1 else _in_parallel(parts, one, jobs):
        whole.add(part)
        whole.seconds = time.monotonic() - began
        yield whole
    whole.failures.sort(key=lambda failure: failure.seed)


def _in_parallel(parts: Sequence[Sequence[int]], one: Callable[[int], Verdict], jobs: int) -> Iterator[Report]:
    """Each job is a fresh interpreter: no thread and no connection of this one goes along."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        pending: set[Future[Report]] = {pool.submit(_part, part, one) for part in parts}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()


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
