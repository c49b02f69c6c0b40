"""The Clock port on this machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from oms.ports import Clock

_COUNTS_SUSPENSION: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock(Clock):
    """Real time; ``elapsed`` goes on through suspension where the system has such a clock (Linux)."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        if _COUNTS_SUSPENSION is None:
            return time.monotonic()
        return time.clock_gettime(_COUNTS_SUSPENSION)

    def sleep(self, seconds: float) -> None:
        """Wait; a negative span, of a deadline that has passed, is none."""
        time.sleep(max(seconds, 0.0))
