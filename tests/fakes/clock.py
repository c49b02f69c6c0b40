"""A clock that only moves when it is told to, or slept on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from oms.ports import Clock

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


class FakeClock(Clock):
    """Starts at ``start``; :meth:`sleep` passes the time instead of waiting."""

    def __init__(self, start: datetime = START) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=max(seconds, 0.0)))

    def advance(self, by: timedelta) -> None:
        """Let time pass on both clocks."""
        with self._lock:
            self._now += by
            self._elapsed += by.total_seconds()

    def jump(self, by: timedelta) -> None:
        """Set the wall clock, forward or back; elapsed time does not notice."""
        self._now += by
