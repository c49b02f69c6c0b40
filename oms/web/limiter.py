"""How often somebody may try: so many at once, then one more each so many seconds (the leaky bucket as a meter, GCRA)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_PEERS = 10_000


class Limiter:
    """A meter for each peer; the memory of all of them is bounded. Not for several threads."""

    def __init__(self, burst: int, every_s: float, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._room_s = burst * every_s
        self._elapsed = elapsed
        self._full_until: OrderedDict[str, float] = OrderedDict()
        """The instant at which each peer's bucket will be empty again."""

    def wait_s(self, peer: str) -> float:
        """How long this peer must wait for its next try; 0 where it may try now."""
        now = self._elapsed()
        return max(0.0, self._full_until.get(peer, now) + self._every_s - now - self._room_s)

    def count(self, peer: str) -> None:
        """One try of this peer."""
        now = self._elapsed()
        self._full_until[peer] = max(self._full_until.pop(peer, now), now) + self._every_s
        while len(self._full_until) > MOST_PEERS:
            self._full_until.popitem(last=False)
