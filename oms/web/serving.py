"""Serving: one socket, one application, and the engine beside it, from the start to the last signal."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from oms.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TERMINATED
from oms.questions.asking import Desk
from oms.web.application import make_app
from oms.web.gate import Doors, Gate
from oms.web.listening import Tls
from oms.web.neighbour import Neighbour
from oms.web.stream import Tide

_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}
GRACE_S = 3
"""Seconds in which answers that have begun may end."""


class _Server(uvicorn.Server):
    """A server that leaves the signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Catch none; see :class:`Service`."""
        yield


def server_of(app: Gate, tls: Tls | None = None) -> uvicorn.Server:
    """A server for sockets that are bound already: quiet, bounded, and silent about what it is made of."""
    return _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=500,
            h11_max_incomplete_event_size=32 * 1024,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
        )
    )


class Service:
    """One run of ``serve``."""

    def __init__(
        self, desk: Desk, doors: Doors, listening: socket.socket, tls: Tls | None, engine: Neighbour | None
    ) -> None:
        self._listening = listening
        self._engine = engine
        self._code: int | None = None
        self._tide = Tide(desk)
        self._server = server_of(make_app(desk, doors, self._tide), tls)

    def run(self) -> int:
        """Serve until a signal; answers the exit code: the engine's where it failed, else the signal's."""
        before = {number: signal.signal(number, self._caught) for number in _CODES}
        try:
            if self._engine is not None:
                self._engine.start()
            self._server.run(sockets=[self._listening])
            ended = EXIT_DONE if self._engine is None else self._end(self._engine)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        own = EXIT_DONE if self._code is None else self._code
        return own if ended in (EXIT_DONE, *_CODES.values()) or ended < 0 else ended

    def _end(self, engine: Neighbour) -> int:
        if self._code is None:  # the server ended by itself; a signal has reached the engine already
            engine.stop()
        return engine.wait()

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        """The first signal ends all at its next step, the second at once."""
        self._code = _CODES[signal.Signals(number)]
        self._tide.leave()
        self._server.should_exit = True
        if self._engine is not None:
            self._engine.stop()
