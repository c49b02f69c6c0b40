"""Looking at a market that may hang: whoever looks waits a moment, and the look goes on without them.

A real broker answers whatever becomes of somebody else's prices. So that the paper broker does as well where its prices
come from a server, its reads wait for one look no longer than its patience; while that look hangs, they wait no more at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Job(Generic[T]):
    """One look under way, or the answer of one."""

    wanted: frozenset[str]
    began: float
    ended: threading.Event = field(default_factory=threading.Event)
    answer: T | None = None


class Glimpses(Generic[T]):
    """At most one look at a time, each on a thread of its own that keeps no process from ending."""

    def __init__(self, see: Callable[[frozenset[str]], T], patience_s: float) -> None:
        """``see`` looks at some symbols; it may take long, and must not raise."""
        self._see = see
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._job: _Job[T] | None = None

    def look(self, wanted: frozenset[str]) -> T | None:
        """What is seen of these symbols, where that takes no longer than the patience; else None."""
        with self._lock:
            job = self._job
            if job is None or job.ended.is_set():
                job = self._job = self._begin(wanted)
        # Whoever finds a look under way waits for what is left of its patience: together nobody waits longer.
        job.ended.wait(max(job.began + self._patience_s - time.monotonic(), 0.0))
        return job.answer if job.ended.is_set() and job.wanted >= wanted else None

    def _begin(self, wanted: frozenset[str]) -> _Job[T]:
        job: _Job[T] = _Job(wanted=wanted, began=time.monotonic())

        def see() -> None:
            try:
                job.answer = self._see(wanted)
            finally:
                job.ended.set()

        threading.Thread(target=see, name="paper-market", daemon=True).start()
        return job
