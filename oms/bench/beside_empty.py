"""A phase's durable commit on a long journal beside the same commit on an empty one, and questions on a cold disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from oms.bench.life import Life
from oms.gateways.system_clock import SystemClock
from oms.journal.store import SqliteJournal, open_journal
from oms.model.event import Event, OrderReserved

ROUNDS = 30
"""Cycles written to each journal, in turn."""
COLD_REPEATS = 5


def commits_beside_empty(long: Path, empty: Path, account: str, first: int) -> dict[str, Any]:
    """Median milliseconds of the barrier before a sending phase on both journals; ``first`` is a cycle not yet used."""
    on_long, on_empty = (median(seconds) * 1000 for seconds in barriers(long, empty, account, first))
    return {"long_ms": round(on_long, 2), "empty_ms": round(on_empty, 2), "ratio": round(on_empty / on_long, 2)}


def barriers(long: Path, empty: Path, account: str, first: int) -> tuple[list[float], list[float]]:
    """Seconds of each such barrier, on the long journal and on the empty one by turns."""
    with ExitStack() as stack:
        journals = [
            stack.enter_context(closing(open_journal(f"sqlite:///{path.as_posix()}", account, "paper", SystemClock())))
            for path in (long, empty)
        ]
        lives = [iter(_life(first).chapters()) for _ in journals]
        for journal, life in zip(journals, lives, strict=True):
            opening = next(life)
            if not journal.state.seq:
                journal.append_barrier(opening)
        took: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for journal, life, seconds in zip(journals, lives, took, strict=True):
                seconds.extend(_written(journal, next(life)))
                journal.tidy()
    return took[0], took[1]


def _life(first: int) -> Life:
    life = Life(seed=2, first=first)
    life.now = datetime(2200, 1, 3, 14, 30, tzinfo=UTC)
    return life


def _written(journal: SqliteJournal, chapter: Iterable[Event]) -> Iterator[float]:
    """Write a cycle as an engine groups it, and time its barriers."""
    for is_intent, facts in groupby(chapter, lambda event: isinstance(event, OrderReserved)):
        if not is_intent:
            journal.append(list(facts))
            continue
        wanted = list(facts)
        began = time.perf_counter()
        journal.append_barrier(wanted)
        yield time.perf_counter() - began


def cold(path: Path, ask: Callable[[], Any]) -> float | None:
    """Median milliseconds of a question whose pages are not in memory; None where the system cannot be asked to forget."""
    seconds = cold_rounds(path, ask, COLD_REPEATS)
    return round(median(seconds) * 1000, 2) if seconds else None


def cold_rounds(path: Path, ask: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of such a question, asked so often; none where the system cannot be asked to forget."""
    seconds: list[float] = []
    if not hasattr(os, "posix_fadvise"):
        return seconds
    for _ in range(repeats):
        _forget(path)
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return seconds


def _forget(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
