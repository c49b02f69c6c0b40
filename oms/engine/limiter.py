"""The message rate: how many requests may leave now (GCRA on an injected clock)."""

from __future__ import annotations

from typing import Protocol

from oms.ports import Clock


class Rate(Protocol):
    """How many requests may leave now, whoever else sends by the same credential."""

    def take(self) -> bool:
        """Take one permit; False when none is there."""
        ...

    def wait(self) -> float:
        """Seconds until the next request may leave; 0 when it may now."""
        ...


class MessageRate:
    """At most ``per_minute`` requests in any minute, of which ``burst`` may leave at once.

    The generic cell rate algorithm: one number, the instant at which the bucket is empty again.
    """

    def __init__(self, clock: Clock, per_minute: int, burst: int) -> None:
        self._clock = clock
        burst = min(burst, per_minute)
        # A minute may begin with a whole burst, so only the rest of its permits come one by one.
        self._interval = 60.0 / (per_minute - burst + 1)
        self._tolerance = self._interval * (burst - 1)
        self._empty_at = clock.elapsed()

    def wait(self) -> float:
        """Seconds until the next request may leave; 0 when it may now."""
        return max(self._empty_at - self._tolerance - self._clock.elapsed(), 0.0)

    def take(self) -> bool:
        """Take one permit; False when none is there."""
        if self.wait() > 0:
            return False
        self._empty_at = max(self._empty_at, self._clock.elapsed()) + self._interval
        return True
