"""A word to systemd: ready, alive, stopping; one datagram each (``man 3 sd_notify``), and nothing where nobody listens."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress


def tell(state: str, env: Mapping[str, str] = os.environ) -> None:
    """Send a state such as ``READY=1``. Nobody listening is no failure: trading does not depend on it."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letterbox:
        letterbox.setblocking(False)  # a systemd that does not read must not stop the trading
        letterbox.sendto(state.encode(), f"\0{address[1:]}" if address[0] == "@" else address)


class Watchdog:
    """Says that the engine's own thread is alive, three times as often as systemd asks for."""

    def __init__(self, env: Mapping[str, str] = os.environ, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._env = env
        self._elapsed = elapsed
        asked = env.get("WATCHDOG_USEC", "")
        mine = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._every_s = int(asked) / 3e6 if asked.isdigit() and mine else None
        self._told_at: float | None = None

    def alive(self) -> None:
        """Called at every step; nearly free."""
        if self._every_s is None:
            return
        now = self._elapsed()
        if self._told_at is None or now - self._told_at >= self._every_s:
            self._told_at = now
            tell("WATCHDOG=1", self._env)
