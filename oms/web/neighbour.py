"""The engine beside the dashboard: a process of its own, so that no page slows an order; started again where that helps."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from oms.errors import EXIT_DONE, TryAgainError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""An engine that ran for so long begins again with the shortest pause."""


class Neighbour:
    """One engine process after another.

    Its standard input is a pipe from us that is never written: the engine ends when that is closed, so that it does not
    outlive a dashboard that was killed. It has a process group of its own: a Ctrl-C reaches it once, through us.
    """

    def __init__(
        self, command: Sequence[str], say: Callable[[str], None], first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._command = list(command)
        self._say = say
        self._first_pause_s = first_pause_s
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="engine's supervisor", daemon=True)
        self.code: int | None = None
        """How the last engine ended; None while one runs or is to run again."""

    def start(self) -> None:
        """Start the engine, and keep it going."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the engine to end at its next step; a second time, at once. Safe inside a signal handler."""
        self._stopping.set()
        process = self._process
        if process is not None:
            with suppress(OSError):
                process.terminate()

    def wait(self) -> int:
        """Its exit code, once it has ended and is not started again."""
        while self._thread.is_alive():  # in steps, so that signals are still heard
            self._thread.join(0.2)
        return EXIT_DONE if self.code is None else self.code

    def _supervise(self) -> None:
        pause = self._first_pause_s
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run()
            if not self._is_worth_another(code):
                self.code = code
                self._say(self._last_word(code))
                return
            if time.monotonic() - began >= STEADY_S:
                pause = self._first_pause_s
            self._say(f"the engine ended ({_ending(code)}); it starts again in {pause:.0f} s")
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _run(self) -> int:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, start_new_session=sys.platform != "win32"
        )
        if self._stopping.is_set():  # it was asked to stop between the check and the start
            self._process.terminate()
        with self._process:
            return self._process.wait()

    def _is_worth_another(self, code: int) -> bool:
        """A cause outside the program, or a death by a signal that was not ours."""
        return not self._stopping.is_set() and (code == TryAgainError.exit_code or code < 0)

    def _last_word(self, code: int) -> str:
        if self._stopping.is_set():
            return "the engine has ended"
        if code == EXIT_DONE:
            return "the engine has done all there was to do; the dashboard goes on"
        return f"the engine ended ({_ending(code)}) and is not started again; the dashboard goes on"


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
