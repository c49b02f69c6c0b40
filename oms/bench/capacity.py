"""How many accounts a fleet carries: the arithmetic of docs/scale.md, and the same worked out turn by turn."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

DAY_S = 23_400
"""Seconds of an exchange day of six and a half hours."""
DAYS_A_YEAR = 252


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the accounts ask for."""

    accounts: int
    every_s: float
    """Seconds between the beginnings of two turns of an account."""
    cycles_a_day: float
    """Cycles that an account really opens on an exchange day; a turn that finds nothing to do opens none."""
    events_a_cycle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What was measured; each with the command that measures it in docs/scale.md."""

    turn_s: float
    """Seconds that a turn holds its lane: a cycle, or the look that finds nothing to do."""
    cpu_s: float
    """Of which the worker's processor is busy."""
    server_cpu_s: float
    """Seconds that the server's processors are busy for a cycle."""
    bytes_an_event: float
    syncs_a_cycle: float
    own_commits_a_second: float
    """What the server commits durably, from many connections."""
    commits_a_cycle: float
    """Soft ones and barriers."""


def capacity(load: Load, found: Coefficients) -> dict[str, Any]:
    """Lanes, processors, servers and disk for a load."""
    turns_a_second = load.accounts / load.every_s
    cycles_a_second = load.accounts * load.cycles_a_day / DAY_S
    commits_a_second = cycles_a_second * found.commits_a_cycle
    events_a_day = load.accounts * load.cycles_a_day * load.events_a_cycle
    return {
        "turns_a_second": round(turns_a_second, 1),
        "lanes": _up(turns_a_second * found.turn_s),
        "processors": _up(turns_a_second * found.cpu_s),
        "server_processors": _up(cycles_a_second * found.server_cpu_s),
        "cycles_a_second": round(cycles_a_second, 2),
        "commits_a_second": round(commits_a_second, 1),
        "log_flushes_a_second": round(cycles_a_second * found.syncs_a_cycle, 2),
        # Half of what a server commits: the other half is for readers, vacuum, and bad days.
        "servers": _up(commits_a_second / (found.own_commits_a_second / 2)),
        "events_a_day": round(events_a_day),
        "gigabytes_a_day": round(events_a_day * found.bytes_an_event / 1e9, 2),
        "gigabytes_a_year": round(DAYS_A_YEAR * events_a_day * found.bytes_an_event / 1e9),
    }


def simulate(load: Load, found: Coefficients, lanes: int, seconds: float, seed: int = 1) -> dict[str, Any]:
    """Let every account come due again and again, and so many lanes take the longest due first; how late turns begin.

    One turn in a hundred takes ten times as long, as a broker that hesitates does.
    """
    chance = random.Random(seed)  # no secret: a reproducible run
    due = [(chance.random() * load.every_s, account) for account in range(load.accounts)]
    heapq.heapify(due)
    free = [0.0] * lanes
    late: list[float] = []
    while due:
        at, account = heapq.heappop(due)
        if at > seconds:
            break
        begins = max(at, heapq.heappop(free))
        took = found.turn_s * (10.0 if chance.random() < 0.01 else chance.uniform(0.5, 1.5))
        heapq.heappush(free, begins + took)
        late.append(begins - at)
        heapq.heappush(due, (max(at + load.every_s, begins + took), account))
    cut = quantiles(late, n=100) if len(late) > 1 else [0.0] * 99
    return {
        "accounts": load.accounts,
        "lanes": lanes,
        "turns": len(late),
        "late_s": {"p50": round(cut[49], 2), "p99": round(cut[98], 2), "max": round(max(late, default=0.0), 2)},
    }


def _up(figure: float) -> int:
    whole = int(figure)
    return whole + (figure > whole)
