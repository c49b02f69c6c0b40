"""When the next cycle is due on a market whose time is real; on one that only plays days, it is due at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from oms.engine.driver import Driver

GLANCE_S = 0.2
"""Longest sleep without a look at operators' commands and signals, seconds."""


class Cadence:
    """A drift-free beat: cycles are due at the start plus whole intervals, however long each of them took."""

    def __init__(self, driver: Driver, interval: timedelta) -> None:
        self._driver = driver
        self._interval = interval
        self._started = driver.clock.now()

    def wait_for_the_next(self) -> int | None:
        """Wait for the next beat; the exit code of a signal that came meanwhile, else None.

        Beats that were missed, by a long cycle or a sleep of the machine, are left out. Days that are only played
        follow each other at once.
        """
        if self._driver.market.skips_nights:
            return self._driver.stop_signal()
        return self._wait_until(self._next_beat(), "the next cycle is due")

    def wait_after_trouble(self, why: str) -> int | None:
        """Wait a beat before trying again what has just failed."""
        beat = self._interval if not self._driver.market.skips_nights else self._driver.rules.poll
        return self._wait_until(self._driver.clock.now() + beat, why)

    def _next_beat(self) -> datetime:
        passed = (self._driver.clock.now() - self._started) // self._interval
        if passed < 0:  # the clock was set back: the beat begins anew
            self._started, passed = self._driver.clock.now(), 0
        return self._started + (passed + 1) * self._interval

    def _wait_until(self, until: datetime, why: str) -> int | None:
        longest = (until - self._driver.clock.now()).total_seconds()
        began = self._driver.clock.elapsed()
        while True:
            signal = self._driver.stop_signal()
            # By the clock that cannot jump: a wall clock that is set back does not make the wait longer.
            left = longest - (self._driver.clock.elapsed() - began)
            if signal is not None or left <= 0:
                return signal
            self._driver.pass_time(min(max(left, 0.001), GLANCE_S), why)
