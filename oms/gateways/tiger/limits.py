"""The rate limits of Tiger's gateway: per developer id and method, over a rolling minute.

The figures are those of Tiger's page on rate limits: 120, 60 or 10 calls a minute by method, and for paper accounts
placing, modifying and cancelling together 120. Who exceeds them for long is blacklisted, so 60 % are used as a steady
rate; bursts of 36 % on top, which let a round of 20 sells and 20 buys leave at once, stay within the limit in every minute.
"""

from __future__ import annotations

import threading

from oms.ports import Clock

SHARE = 0.60
"""Part of a limit that is used as a steady rate."""
BURST = 0.36
"""Part of a limit that may leave at once; together with the steady rate below 1 in any rolling minute."""
_BURSTY = frozenset({"order_transactions"})
"""Asked for once per fill, and fills come together: for these the two parts change places."""

_WRITES = frozenset({"place_order", "modify_order", "cancel_order"})
_FAST = (
    frozenset({"order_no", "orders", "active_orders", "inactive_orders", "filled_orders", "quote_real_time"}) | _WRITES
)
_SLOW = frozenset({"market_state", "grab_quote_permission", "get_quote_permission"})


def per_minute(method: str) -> int:
    """Tiger's own limit of a method, calls a minute; a method that is not listed counts as one of 60."""
    if method in _FAST:
        return 120
    return 10 if method in _SLOW else 60


class MethodLimits:
    """Permits for calls, one bucket a method (generic cell rate algorithm on an injected clock); safe between threads."""

    def __init__(self, clock: Clock, *, is_paper: bool) -> None:
        self._clock = clock
        self._is_paper = is_paper
        self._lock = threading.Lock()
        self._empty_at: dict[str, float] = {}

    def take(self, method: str, patience: float) -> bool:
        """Take a permit, waiting up to ``patience`` seconds for it; False where that is not enough, and none is taken."""
        with self._lock:
            now = self._clock.elapsed()
            limit = per_minute(method)
            share, burst = (BURST, SHARE) if method in _BURSTY else (SHARE, BURST)
            interval = 60.0 / (limit * share)
            bucket = "writes" if self._is_paper and method in _WRITES else method
            empty_at = max(self._empty_at.get(bucket, now), now)
            wait = empty_at - now - interval * (limit * burst - 1)
            if wait > patience:
                return False
            self._empty_at[bucket] = empty_at + interval
        if wait > 0:
            self._clock.sleep(wait)
        return True
