"""What Tiger pushes: changes of orders, positions and money, taken as a hint to look and never as the truth.

Nothing of a message is used but the account it is about. So a message that comes twice, late, out of order, or for
another account changes nothing, and one that never comes delays the next look until the next poll.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from oms.gateways.tiger.endpoint import Endpoint
from oms.gateways.tiger.properties import Credentials
from oms.model.foreign import printable
from oms.ports import Clock

if TYPE_CHECKING:
    from oms.gateways.tiger.push_sdk import Line

RETRY_WAITS_S: Sequence[float] = (1, 2, 5, 15, 30, 60)
"""Pauses before connecting again, seconds; the last one is repeated."""
LOGIN_LIMIT_S = 30.0
"""A login that is not answered for so long is given up, seconds."""
HEARTBEAT_S = 10.0
"""Between two signs of life, seconds; after one and a half of it without any the connection counts as lost."""
LOOK_GAP_S = 0.5
"""At most one look is asked for in so many seconds: a round of forty orders pushes hundreds of messages."""
KICKED_OUT = 4001
"""The gateway's code for "this developer id has logged in elsewhere": it keeps one connection for each."""


class PushState(StrEnum):
    """Where the connection stands, for whoever asks; nothing waits for it."""

    OFF = "off"
    """Not started, or closed."""
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """Logged in and subscribed."""
    LOST = "lost"
    """To be connected again soon."""
    ELSEWHERE = "logged in elsewhere"
    """Another program uses this developer id; to fight it for the connection would help neither."""


class TigerPush:
    """Keeps a connection to the push gateway from a thread of its own, and says when something was heard on it.

    Args:
        retry_waits: pauses before connecting again, seconds.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: Endpoint,
        clock: Clock,
        *,
        ca_file: Path | None = None,
        retry_waits: Sequence[float] = RETRY_WAITS_S,
        heartbeat_s: float = HEARTBEAT_S,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._clock = clock
        self._ca_file = ca_file
        self._retry_waits = retry_waits
        self._heartbeat_s = heartbeat_s
        self._say = say
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._over = threading.Event()
        self._answered = threading.Event()
        self._told: set[str] = set()
        self._heard = False
        self._looked_at = -LOOK_GAP_S
        self._state = PushState.OFF
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect and stay connected, without waiting for it."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="tiger-push")
        self._thread.start()

    @property
    def state(self) -> PushState:
        """Where the connection stands."""
        with self._lock:
            return self._state

    def stirred(self) -> bool:
        """Whether a message about the account came since the last time this was True; at most once in half a second."""
        with self._lock:
            now = self._clock.elapsed()
            if not self._heard or now - self._looked_at < LOOK_GAP_S:
                return False
            self._heard, self._looked_at = False, now
            return True

    def close(self) -> None:
        """End the connection; its threads end by themselves."""
        self._closing.set()
        self._over.set()
        self._answered.set()
        self._move(PushState.OFF)

    # The thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._keep_connected()
        except Exception as error:  # noqa: BLE001 - whatever it is, trading goes on without push
            self._move(PushState.OFF)
            self._tell(f"given up ({type(error).__name__}: {printable(str(error))[:200]}); going on by polling alone")

    def _keep_connected(self) -> None:
        failures = 0
        while not self._closing.is_set():
            self._move(PushState.CONNECTING)
            failures = 0 if self._stay_connected() else failures + 1
            if self._closing.is_set() or self.state is PushState.ELSEWHERE:
                return
            self._move(PushState.LOST)
            self._closing.wait(self._retry_waits[min(failures, len(self._retry_waits) - 1)])

    def _stay_connected(self) -> bool:
        """One connection from its beginning to its end; whether its login was taken."""
        from oms.gateways.tiger.push_sdk import Line  # late: its import resolves names and takes half a second

        self._over.clear()
        self._answered.clear()
        line = Line(
            self._endpoint,
            ca_file=self._ca_file,
            heartbeat_s=self._heartbeat_s,
            heard=self._hear,
            logged_in=lambda: self._subscribe(line),
            refused=self._refused,
            lost=self._lost,
        )
        try:
            if not line.connect(self._credentials.tiger_id, self._credentials.private_key):
                return False
            self._answered.wait(LOGIN_LIMIT_S)
            if self.state is not PushState.CONNECTED:
                return False
            self._over.wait()
            return True
        finally:
            line.close()

    def _lost(self) -> None:
        self._over.set()
        self._answered.set()

    def _subscribe(self, line: Line) -> None:
        """Logged in: what happened while nobody listened is looked for as well."""
        line.subscribe(self._credentials.account)
        self._move(PushState.CONNECTED)
        self._answered.set()
        self._hear(self._credentials.account)

    def _refused(self, code: int, text: str) -> None:
        if code == KICKED_OUT:
            self._move(PushState.ELSEWHERE)
            self._tell("another program has logged in with this developer id; going on by polling alone")
        else:
            self._tell(f"refused with code {code}: {printable(str(text))[:200]}; going on by polling")
        self._lost()

    def _tell(self, text: str) -> None:
        """Once for each sentence, for a connection that fails is tried again every minute."""
        if text not in self._told:
            self._told.add(text)
            self._say(f"tiger push: {text}")

    def _hear(self, account: str) -> None:
        """Another account of the same developer id is none of this engine's business."""
        if account == self._credentials.account:
            with self._lock:
                self._heard = True

    def _move(self, state: PushState) -> None:
        with self._lock:
            if self._state is not PushState.ELSEWHERE:
                self._state = state
