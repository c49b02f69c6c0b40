"""How fast and how often Yahoo is asked: a steady pace, and a long pause after a refusal."""

from __future__ import annotations

import threading

from oms.ports import Clock

REQUESTS_PER_SECOND = 3.0
"""Users were refused after about 950 requests in one go, and not at 2 to 5 a second (yfinance issues 2125, 2128)."""
BURST = 4.0
"""Requests that may leave at once after a pause: one for each thread."""
REFUSED_S = (300.0, 900.0, 3600.0)
"""Pauses after the first, second and every further run that Yahoo refused."""
OUTAGE_S = 60.0
"""Pause after a run in which nothing but errors came back."""


class TimeUp(Exception):
    """The deadline of a run has passed, or would before the request may leave."""


class Pace:
    """A bucket that fills with permits, one for each request. May be used from any thread."""

    def __init__(self, clock: Clock, rate: float = REQUESTS_PER_SECOND) -> None:
        self._clock = clock
        self._rate = rate
        self._lock = threading.Lock()
        self._permits = BURST
        self._at = clock.elapsed()

    def take(self, until: float) -> None:
        """Wait for a permit. Raises TimeUp where none comes before ``until``, in seconds of ``clock.elapsed()``."""
        with self._lock:
            now = self._clock.elapsed()
            self._permits = min(BURST, self._permits + (now - self._at) * self._rate)
            self._at = now
            wait = max(0.0, (1.0 - self._permits) / self._rate)
            if now + wait >= until:
                raise TimeUp("not asked before the deadline")
            self._permits -= 1.0  # below zero: those who come next wait behind this one
        if wait:
            self._clock.sleep(wait)


class Breaker:
    """Opens when Yahoo refuses or fails, and stays open for a while. May be used from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._closed_from = 0.0
        self._refusals = 0
        self._why = ""

    def wait(self) -> tuple[float, str]:
        """Seconds that Yahoo is still left alone, and why; zero where it may be asked."""
        with self._lock:
            left = max(0.0, self._closed_from - self._clock.elapsed())
            return left, self._why if left else ""

    def refused(self) -> None:
        """Yahoo refused (429). Several threads may notice the same refusal; it counts once."""
        with self._lock:
            if self._clock.elapsed() < self._closed_from:
                return
            pause = REFUSED_S[min(self._refusals, len(REFUSED_S) - 1)]
            self._refusals += 1
            self._closed_from = self._clock.elapsed() + pause
            self._why = "Yahoo refused (429, too many requests)"

    def failed(self) -> None:
        """A run brought nothing but errors."""
        with self._lock:
            self._closed_from = max(self._closed_from, self._clock.elapsed() + OUTAGE_S)
            self._why = self._why if self._refusals else "Yahoo does not answer usably"

    def answered(self) -> None:
        """A run ended without a refusal: the next pause is the shortest again."""
        with self._lock:
            self._refusals = 0
