"""Printing that can never hold up trading: a thread of its own writes; a reader that stalls or leaves only loses lines."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from typing import Any, TextIO

MOST_WAITING = 10_000
"""Lines that wait for a slow reader; beyond that the newest are dropped."""
LAST_WORDS_S = 2.0
"""Seconds that the end of the process waits for a reader that stalls."""


class Printer:
    """Hands text to stdout and stderr without ever waiting for them and without ever failing."""

    def __init__(self) -> None:
        self._streams: dict[bool, TextIO | None] = {False: sys.stdout, True: sys.stderr}
        self._waiting: queue.Queue[tuple[bool, str] | None] = queue.Queue(MOST_WAITING)
        self._lost: set[bool] = set()
        self._ending = False
        for stream in self._streams.values():
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        self._thread = threading.Thread(target=self._write_all, name="oms-printer", daemon=True)
        self._thread.start()

    def answer(self, line: str) -> None:
        """A line of the answer, for stdout."""
        self.put(line + "\n", err=False)

    def progress(self, line: str) -> None:
        """A line of progress, for stderr."""
        self.put(line + "\n", err=True)

    def put(self, text: str, *, err: bool) -> None:
        """Text as it is."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((err, text))

    def close(self) -> None:
        """Write what waits, but wait for no reader longer than two seconds."""
        self._ending = True
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=LAST_WORDS_S)
        self._thread.join(LAST_WORDS_S)

    def _write_all(self) -> None:
        while not (
            self._ending and self._waiting.empty()
        ):  # the queue may have been too full to take the end's own mark
            entry = self._waiting.get()
            if entry is None:
                return
            err, text = entry
            stream = self._streams[err]
            if stream is None or err in self._lost:
                continue
            try:
                _write(stream, text)
            except (OSError, ValueError):
                self._lost.add(err)
                silence(stream)


def _write(stream: TextIO, text: str) -> None:
    """Past Python's own buffer: a thread that waits inside it would block the end of the process."""
    buffer: Any = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(text)
        return
    raw = getattr(buffer, "raw", buffer)
    data = text.replace("\n", os.linesep).encode(stream.encoding or "utf-8", "replace")
    while data:
        written = raw.write(data)
        data = data[written or 0 :]


def silence(stream: TextIO) -> None:
    """Nobody reads this stream any more; what Python itself still flushes into it at the end must not fail."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
