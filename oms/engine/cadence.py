"""When the next cycle is due on a market whose time is real; on one that only plays days, it is due at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from oms.engine.driver import Driver

GLANCE_S = 0.2
"""Longest sleep without a look at operators' commands and signals, seconds."""


class Cadence:
    """A drift-free beat: cycles are due at the start plus whole intervals, however long each of them took.

    It beats on the clock that cannot jump and counts suspension: a wall clock that is set changes no beat, and of the beats
    that a machine slept through one is made up for.
    """

    def __init__(self, driver: Driver, interval: timedelta) -> None:
        self._driver = driver
        self._interval = interval.total_seconds()
        self._started = driver.clock.elapsed()
        self._heard = driver.state.asked_to_run

    def wait_for_the_next(self) -> int | None:
        """Wait for the next beat; the exit code of a signal that came meanwhile, else None.

        Beats that were missed, by a long cycle or a sleep of the machine, are left out. Days that are only played
        follow each other at once.
        """
        if self._driver.market.skips_nights:
            return self._driver.stop_signal()
        return self._wait_for(self._to_the_next(), "the next cycle is due")

    def wait_after_trouble(self, why: str) -> int | None:
        """Wait a beat before trying again what has just failed."""
        return self._wait_for(self._pause(), why)

    def next_beat(self, *, troubled: bool = False) -> datetime | None:
        """When the next cycle is due by the wall clock; None where it is due at once."""
        if self._driver.market.skips_nights and not troubled:
            return None
        return self._driver.clock.now() + timedelta(seconds=self._pause() if troubled else self._to_the_next())

    def _pause(self) -> float:
        return self._driver.rules.poll.total_seconds() if self._driver.market.skips_nights else self._interval

    def _to_the_next(self) -> float:
        passed = (self._driver.clock.elapsed() - self._started) // self._interval
        return self._started + (passed + 1) * self._interval - self._driver.clock.elapsed()

    def _wait_for(self, seconds: float, why: str) -> int | None:
        until = self._driver.clock.elapsed() + seconds
        while True:
            signal = self._driver.stop_signal()
            if self._driver.state.asked_to_run != self._heard:  # a person wants it now
                self._heard = self._driver.state.asked_to_run
                return signal
            left = until - self._driver.clock.elapsed()
            if signal is not None or left <= 0:
                return signal
            self._driver.pass_time(min(max(left, 0.001), GLANCE_S), why)
