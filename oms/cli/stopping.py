"""Ctrl-C and SIGTERM: the first asks what runs to stop at its next step, the second ends the process at once.

A terminal that is closed (SIGHUP) stops no engine.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from oms.errors import EXIT_INTERRUPTED, EXIT_TERMINATED
from oms.service.sd_notify import Watchdog

_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}
ENGINE = (
    "oms: stopping after this step; orders at the broker keep working. Once more ends it at once, "
    "which is safe too: the next run goes on."
)
"""What a person is told who stops an engine."""
HANG_UP = "oms: the terminal is gone; trading goes on, and SIGTERM stops it."


@contextmanager
def outliving_terminal() -> Iterator[None]:
    """A terminal that is closed ends neither what runs in the block nor the processes that are started in it."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class Stopping:
    """Called by the engine: the exit code it is asked to end with, None while it may go on."""

    def __init__(
        self,
        prefix: str = "",
        watchdog: Watchdog | None = None,
        notice: str = ENGINE,
        *,
        outlives_terminal: bool = True,
    ) -> None:
        """``prefix`` stands before what is said, as before every line of a dry run.

        With ``outlives_terminal`` a terminal that is closed stops nothing: nobody meant to stop trading by that.
        """
        self._outlives_terminal = outlives_terminal and hasattr(signal, "SIGHUP")
        self._hang_up = f"\n{prefix}{HANG_UP}\n".encode()
        self._notice = f"\n{prefix}{notice}\n".encode()
        self._code: int | None = None
        self._watchdog = watchdog or Watchdog({})

    def __call__(self) -> int | None:
        self._watchdog.alive()  # whoever asks is the engine's own thread, and it asks at every step and in every wait
        return self._code

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch both signals while the block runs."""
        before = {number: signal.signal(number, self._caught) for number in _CODES}
        if self._outlives_terminal and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hung_up)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hung_up(self, _number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):  # as a rule there is nobody left to read it
            os.write(2, self._hang_up)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        # print() may not be called here: the signal may have interrupted it.
        self._code = _CODES[signal.Signals(number)]
        for each in _CODES:
            signal.signal(each, signal.SIG_DFL)
        with suppress(OSError):
            os.write(2, self._notice)
