"""Work beside the trading: each errand runs in a thread, is supervised, and is never waited for.

An errand that hangs is given up at its limit and said to have failed; a thread of it may still be under way, and only a
few of those are let pile up. What it brings back is taken in by the engine's own thread, the only one that decides and
writes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from oms.engine.register import Register
from oms.errors import FenceLostError, StorageError
from oms.ports import Clock, Follower, Handle, Hands

FIRST_RETRY = timedelta(seconds=60)
"""A failed errand is tried again after this, or its own interval where that is shorter; then twice as late each time."""
LAST_RETRY = timedelta(minutes=10)
"""The longest pause after failures, or the errand's own interval where that is longer."""
MOST_HANGING = 3
"""Threads of one errand that were given up and have not come back; with so many no further one is started."""
FOLLOWER_LIMIT = timedelta(minutes=2)
"""A follower's round that takes longer counts as hanging."""


class Errand(Protocol):
    """One piece of standing work."""

    name: str
    interval: timedelta
    """From the beginning of one run to that of the next."""
    limit: timedelta
    """A run that takes longer is given up."""

    def is_wanted(self) -> bool:
        """Whether it should run now although its interval has not passed."""
        ...

    def begin(self) -> Callable[[], Any] | str:
        """What is to run in a thread, with all that it needs of the engine's state; or why there is nothing to do now."""
        ...

    def take(self, answer: Any) -> str:
        """In the engine's thread: what came of it; a sentence on that."""
        ...

    def failed(self, error: Exception) -> None:
        """In the engine's thread: it raised this."""
        ...


class Following(Errand):
    """A follower as an errand: nothing of the engine goes in, and nothing but a sentence comes out."""

    limit = FOLLOWER_LIMIT

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.name = follower.name
        self.interval = follower.interval

    def is_wanted(self) -> bool:
        return False

    def begin(self) -> Callable[[], str]:
        return self._follower.step

    def take(self, answer: str) -> str:
        return answer

    def failed(self, error: Exception) -> None:
        """The register has it."""


class _Desk:
    """One errand with its place in time, on the clock that cannot jump."""

    def __init__(self, errand: Errand, due: float) -> None:
        self.errand = errand
        self.due = due
        self.handle: Handle[Any] | None = None
        self.began = 0.0
        self.given_up: list[Handle[Any]] = []


class Errands:
    """Starts each errand when it is due, and takes in what has come back; :meth:`tend` never waits."""

    def __init__(self, clock: Clock, hands: Hands, register: Register) -> None:
        self._clock = clock
        self._hands = hands
        self._register = register
        self._desks: list[_Desk] = []

    def add(self, errand: Errand) -> None:
        """Supervise this one; it is due at once."""
        self._desks.append(_Desk(errand, self._clock.elapsed()))

    def tend(self) -> None:
        """A look at all of them.

        Raises:
            StorageError, FenceLostError: the journal could not take in what came back.
        """
        for desk in self._desks:
            self._tend(desk)
        self._register.write()

    def _tend(self, desk: _Desk) -> None:
        if desk.handle is not None:
            if desk.handle.done():
                self._back(desk, desk.handle)
            elif self._clock.elapsed() - desk.began > desk.errand.limit.total_seconds():
                self._give_up(desk, desk.handle)
            return
        if self._clock.elapsed() >= desk.due or (self._has_rested(desk) and desk.errand.is_wanted()):
            self._start(desk)

    def _has_rested(self, desk: _Desk) -> bool:
        """Not failing: what fails waits for its turn, however much it is wanted."""
        return self._register.task(desk.errand.name).failures == 0

    def _start(self, desk: _Desk) -> None:
        desk.given_up = [handle for handle in desk.given_up if not handle.done()]
        name = desk.errand.name
        if len(desk.given_up) >= MOST_HANGING:
            self._fail(desk, f"{len(desk.given_up)} earlier runs still hang; no further one is started")
            return
        try:
            work = desk.errand.begin()
        except (StorageError, FenceLostError):
            raise
        except Exception as error:  # noqa: BLE001  # an errand may be a user's own code; its failure is its own
            self._fail(desk, _sentence(error))
            return
        if isinstance(work, str):
            desk.due = self._next(desk)
            self._register.waits(name, work, self._instant(desk.due))
            return
        desk.began = self._clock.elapsed()
        self._register.began(name)
        desk.handle = self._hands.start(work)

    def _back(self, desk: _Desk, handle: Handle[Any]) -> None:
        desk.handle = None
        try:
            answer = handle.result()
        except Exception as error:  # noqa: BLE001  # whatever it raised in its thread is its failure and not ours
            desk.errand.failed(error)
            self._fail(desk, _sentence(error))
            return
        text = desk.errand.take(answer)
        desk.due = self._next(desk)
        self._register.went_well(desk.errand.name, text, self._instant(desk.due))

    def _give_up(self, desk: _Desk, handle: Handle[Any]) -> None:
        desk.handle = None
        desk.given_up.append(handle)
        self._fail(desk, f"it has not come back within {desk.errand.limit.total_seconds():.0f} s and was given up")

    def _fail(self, desk: _Desk, sentence: str) -> None:
        failures = self._register.task(desk.errand.name).failures
        interval = desk.errand.interval
        pause = min(interval, FIRST_RETRY) * 2 ** min(failures, 20)
        desk.due = self._clock.elapsed() + min(pause, max(interval, LAST_RETRY)).total_seconds()
        self._register.went_wrong(desk.errand.name, sentence, self._instant(desk.due))

    def _next(self, desk: _Desk) -> float:
        """The next whole interval from when it was last due: no drift, and one run for all that were slept through."""
        interval = desk.errand.interval.total_seconds()
        late = self._clock.elapsed() - desk.due
        return desk.due if late < 0 else desk.due + (late // interval + 1) * interval

    def _instant(self, due: float) -> datetime:
        return self._clock.now() + timedelta(seconds=due - self._clock.elapsed())


def _sentence(error: Exception) -> str:
    return str(error) or type(error).__name__
