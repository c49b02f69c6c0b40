"""Hands without threads: parallel calls leave and come back in an order that the seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from oms.ports import Handle, Hands
from oms.sim.timeline import Timeline, micros

T = TypeVar("T")


class SimHandle(Generic[T]):
    """One call under way."""

    def __init__(self) -> None:
        self._done = False
        self._answer: T | None = None
        self._error: Exception | None = None

    def done(self) -> bool:
        return self._done

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        if not self._done:
            raise AssertionError("asked for the result of a call that is still under way")
        return self._answer  # type: ignore[return-value]  # a call that is done has its answer, None included

    def ended(self, answer: T | None, error: Exception | None) -> None:
        """The call came back."""
        self._answer, self._error, self._done = answer, error, True


class SimHands(Hands):
    """The threads of one process. They stand still with it when it is suspended, and are gone with it when it dies.

    What is no ``Exception`` (a simulated death) goes through: it is about the process.
    """

    def __init__(self, timeline: Timeline, chance: random.Random, slowness: Callable[[], float]) -> None:
        self._timeline = timeline
        self._chance = chance
        self._slowness = slowness
        """Seconds by which the broker holds back the answer of the call that has just run."""
        self._suspended = False
        self._dead = False
        self._backlog: list[Callable[[], None]] = []

    def start(self, call: Callable[[], T]) -> Handle[T]:
        handle: SimHandle[T] = SimHandle()
        self._later(self._some_time(), lambda: self._run(handle, call))
        return handle

    def wait(self, handles: Sequence[Handle[Any]], timeout: float) -> None:
        self._timeline.until(
            self._timeline.us + max(micros(timeout), 1), lambda: any(handle.done() for handle in handles)
        )

    def close(self) -> None:
        self._dead = True

    def suspend(self) -> None:
        """The process is stopped; time goes on without it."""
        self._suspended = True

    def wake(self) -> None:
        """The process goes on; what its threads were about to do happens now."""
        self._suspended = False
        backlog, self._backlog = self._backlog, []
        for what in backlog:
            self._later(self._some_time(), what)

    def _run(self, handle: SimHandle[T], call: Callable[[], T]) -> None:
        answer: T | None = None
        error: Exception | None = None
        try:
            answer = call()
        except Exception as caught:  # noqa: BLE001  # whatever it is, it belongs to whoever asks for the result
            error = caught
        self._later(self._some_time() + micros(self._slowness()), lambda: handle.ended(answer, error))

    def _later(self, us: int, what: Callable[[], None]) -> None:
        def happen() -> None:
            if self._dead:
                return
            if self._suspended:
                self._backlog.append(what)
                return
            what()

        self._timeline.after(us, happen)

    def _some_time(self) -> int:
        """Microseconds on the way: mostly a few milliseconds, now and then much longer."""
        return int(1_000 * 2 ** self._chance.uniform(0, 6))
