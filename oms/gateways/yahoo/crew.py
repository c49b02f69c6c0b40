"""Calls that may hang, made by threads that nobody waits for beyond a deadline."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Generic, TypeVar

from oms.ports import Clock

K = TypeVar("K")
T = TypeVar("T")

WORKERS = 4
"""Calls in flight; more bring no more at three requests a second."""
MOST_HANGING = 2 * WORKERS
"""Threads of earlier runs that still hang; with more, no further ones are started."""


class _Run(Generic[K, T]):
    """One set of calls: what is left to do, what is done and not yet handed over."""

    def __init__(self, jobs: Mapping[K, Callable[[], T]]) -> None:
        self.waiting = deque(jobs.items())
        self.changed = threading.Condition()
        self.done: deque[tuple[K, T]] = deque()
        self.is_over = False

    def work(self) -> None:
        """Take one call after the other until none is left or the run is over."""
        while True:
            with self.changed:
                if self.is_over or not self.waiting:
                    return
                key, call = self.waiting.popleft()
            result = call()
            with self.changed:
                self.done.append((key, result))
                self.changed.notify_all()

    def next(self, clock: Clock, until: float) -> tuple[K, T] | None:
        """The next result; None where none came before ``until``."""
        with self.changed:
            while not self.done:
                left = until - clock.elapsed()
                if left <= 0:
                    return None
                self.changed.wait(left)
            return self.done.popleft()

    def end(self) -> None:
        """Start no further call; what a hanging one still brings is dropped."""
        with self.changed:
            self.is_over = True


class Crew:
    """Up to four daemon threads for each run; a call that hangs keeps neither a run nor the process from ending."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads: list[threading.Thread] = []

    @property
    def hanging(self) -> int:
        """Threads of earlier runs whose call has not come back."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return len(self._threads)

    def results(self, jobs: Mapping[K, Callable[[], T]], until: float) -> Generator[tuple[K, T]]:
        """Run the calls, which must not raise, and answer each one's result as it comes.

        Ends when all have answered or ``clock.elapsed()`` reaches ``until``; a key without a result did not answer in
        time. Leaving the iteration early starts no further call.
        """
        if self.hanging >= MOST_HANGING:
            return
        run = _Run(jobs)
        for number in range(min(WORKERS, len(jobs))):
            thread = threading.Thread(target=run.work, daemon=True, name=f"yahoo-{number}")
            self._threads.append(thread)
            thread.start()
        try:
            for _ in jobs:
                if (result := run.next(self._clock, until)) is None:
                    return
                yield result
        finally:
            run.end()
