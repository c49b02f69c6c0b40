"""The world's time: what is due in it happens in order, and nothing waits for real."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from oms.ports import Clock

TICK = 20
"""Microseconds that every look at a clock takes, as every deed in the world takes time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLION = 1_000_000


class NoEnd(Exception):
    """The world has been looked at far too often: something goes round in circles."""


def micros(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * _MILLION)


def instant(us: int) -> datetime:
    """The aware UTC instant so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=us)


class Timeline:
    """True time in microseconds since 1970, and a heap of what will happen."""

    def __init__(self, start: datetime, *, patience: int = 3_000_000) -> None:
        self.us = round((start - _EPOCH).total_seconds()) * _MILLION
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._patience = patience

    def tick(self) -> int:
        """The present, which is never the same twice."""
        self.us += TICK
        self._patience -= 1
        if self._patience < 0:
            raise NoEnd("the world's patience is over")
        return self.us

    def now(self) -> datetime:
        """True time, as the broker and the exchange know it."""
        return instant(self.tick())

    def after(self, us: int, what: Callable[[], None]) -> None:
        """Let something happen so many microseconds from now."""
        self._count += 1
        heapq.heappush(self._heap, (self.us + max(us, 0), self._count, what))

    def until(self, limit: int, done: Callable[[], bool] = lambda: False) -> None:
        """Let time pass to the instant ``limit``, or to the first event after which ``done`` is true."""
        while not done() and self._heap and self._heap[0][0] <= limit:
            due, _, what = heapq.heappop(self._heap)
            self.us = max(self.us, due)
            what()
        if not done():
            self.us = max(self.us, limit)
        self.tick()


class MachineClock(Clock):
    """The machine's clock: true time, unless somebody sets it wrong; elapsed time cannot be set."""

    def __init__(self, timeline: Timeline, *, remember: bool) -> None:
        self._timeline = timeline
        self._offset = 0
        self._remember = remember
        self.truth: dict[datetime, datetime] = {}
        """What it showed, to the true instant; kept only in worlds where it is set."""

    def now(self) -> datetime:
        us = self._timeline.tick()
        shown = instant(us + self._offset)
        if self._remember:
            # The driver may add a microsecond to tell two looks apart.
            self.truth[shown] = instant(us)
        return shown

    def elapsed(self) -> float:
        return self._timeline.us / _MILLION

    def sleep(self, seconds: float) -> None:
        self._timeline.until(self._timeline.us + max(micros(seconds), 0))

    def jump(self, by: timedelta) -> None:
        """Set it forward or back."""
        self._offset += micros(by.total_seconds())
