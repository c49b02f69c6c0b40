"""The chain, walked as fast as its rows can be read: by one process, or in parts by several at once.

Every row's hash covers the row before it, and both are stored. So a part can be walked from the stored hash of the row
before its first: where each part holds up to the row from which the next one was walked, the whole chain holds.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import oms
from oms.journal import archives
from oms.journal.chain import Walk, follow, genesis
from oms.journal.packed import CODES
from oms.journal.statements import Statements
from oms.journal.stretch import Source, Walker

PART = 20_000
"""Rows that are walked between two looks at what is left to do: a twentieth of a second."""
WORTH_A_PROCESS = 50_000
"""Rows for each process below which starting it takes longer than what it walks."""
PATIENCE_S = 30.0
"""Seconds for which an answer of another process is waited for when nothing else is left; then its part is walked here."""

EVERY = 2**62
"""Beyond the last row there can be."""

_LINK = "SELECT hash FROM events WHERE account = ? AND seq = ?"
_START = "import sys; sys.path.insert(0, sys.argv[1]); from oms.journal.stretch import serve; serve(sys.stdin)"


def walk(raw: Statements, account: str, start: int, head: bytes | None, last: int = EVERY) -> Walk:
    """Follow the rows after ``start``, whose hash is ``head``, up to row ``last`` or the first that does not fit."""
    if not isinstance(raw, sqlite3.Connection):
        return follow(account, archives.every_row(raw, account, start, last), start, head)
    walked = Walk(seq=start, head=genesis(account) if head is None else head, bad=None)
    walker = Walker(account, CODES)
    for source, begin, end in _sources(raw, account):
        if walked.bad is not None or walked.seq >= last:
            break
        if walked.seq + 1 < begin:  # the source before it ended too early
            return _missing(walked)
        if walked.seq < end:
            walked = walker.walk(raw, source, walked, min(end, last))
    return walked


def _missing(walked: Walk) -> Walk:
    missing = walked.seq + 1
    return Walk(seq=walked.seq, head=walked.head, bad=missing, problem=f"row {missing} is missing")


def _sources(raw: sqlite3.Connection, account: str) -> Iterator[tuple[Source, int, int]]:
    """Where rows lie, each with its first and its last, in order: the archives that are attached, and the database."""
    files = {name: file for _, name, file in raw.execute("PRAGMA database_list")}
    begin = 1
    if archives.archived_up_to(raw, account):
        for number, archive in enumerate(archives.registered(raw, account), 1):
            name = f"archive{number}"
            source = Source(archives.opening(Path(files[name])), name, packed=False)
            yield source, archive.first_seq, archive.last_seq
            begin = archive.last_seq + 1
    file = f"{Path(files['main']).as_uri()}?mode=ro" if files["main"] else ""
    yield Source(file, "main", packed=True), begin, EVERY


# Several processes


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one source after ``seq`` up to ``last``."""

    source: Source
    seq: int
    head: bytes
    last: int


def walk_together(raw: sqlite3.Connection, account: str, start: int, head: bytes | None, jobs: int) -> Walk:
    """The same by so many processes, this one among them; by this one alone where the chain is short.

    What another process says holds only where it says that a part is whole: any other part is walked here, within the
    transaction of ``raw``. So a process that cannot be started, or ends, costs time and no truth.
    """
    last = raw.execute("SELECT max(seq) FROM main.facts").fetchone()[0] or 0
    jobs = min(jobs, (last - start) // WORTH_A_PROCESS)
    parts = _parts(raw, account, Walk(seq=start, head=head or genesis(account), bad=None), last)
    if jobs < 2 or parts is None or not parts[-1].source.file:
        return walk(raw, account, start, head)
    # The last part is walked here, where no row is seen that was written meanwhile.
    waiting, answers = deque(enumerate(parts[:-1])), dict[int, Walk]()
    walker = Walker(account, CODES)

    def walked(part: _Part) -> Walk:
        return walker.walk(raw, part.source, Walk(seq=part.seq, head=part.head, bad=None), part.last)

    others = [_Other(account, waiting, answers) for _ in range(jobs - 1)]
    try:
        while waiting:
            with suppress(IndexError):  # another was quicker
                number, part = waiting.popleft()
                answers[number] = walked(part)
                if answers[number].bad is not None:
                    waiting.clear()
        for other in others:
            other.join(PATIENCE_S)
        found = Walk(seq=start, head=parts[0].head, bad=None)
        for number, part in enumerate(parts):
            found = answers[number] if number in answers else walked(part)
            if found.bad is None and number < len(parts) - 1 and found.seq != part.last:
                found = _missing(found)
            if found.bad is not None:
                break
        return found
    finally:
        for other in others:
            other.end()


def _parts(raw: sqlite3.Connection, account: str, begin: Walk, last: int) -> list[_Part] | None:
    """The chain after a row, in parts; None where the row before one of them is not there."""
    parts: list[_Part] = []
    seq, head = begin.seq, begin.head
    for source, _, end in _sources(raw, account):
        while seq < min(end, last):
            edge = min(seq + PART, end)
            # The last part has no end: a row beyond the last one is somebody's work, and must be met.
            parts.append(_Part(source, seq, head, edge if edge < last else EVERY))
            if edge >= last:
                break
            found = raw.execute(_LINK, (account, edge)).fetchone()
            if found is None or not isinstance(found[0], bytes):
                return None
            seq, head = edge, found[0]
    return parts or None


class _Other:
    """Another process, and the thread that gives it parts while there are any."""

    def __init__(self, account: str, waiting: deque[tuple[int, _Part]], answers: dict[int, Walk]) -> None:
        self._waiting = waiting
        self._answers = answers
        self._process: subprocess.Popen[str] | None = None
        with suppress(OSError):
            # Isolated, and without what is installed: it needs none of it, and starts in a third of the time.
            root = str(Path(oms.__file__).parent.parent)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="ascii",
            )
        self._thread = Thread(target=self._give, args=(account,), daemon=True)
        self._thread.start()

    def _give(self, account: str) -> None:
        with suppress(OSError, ValueError, IndexError):  # it ended, or spoke nonsense, or nothing is left
            self._tell([account, CODES])
            while True:
                number, part = self._waiting.popleft()
                self._tell([*part.source, part.seq, part.head.hex(), part.last])
                assert self._process is not None
                assert self._process.stdout is not None
                seq, head, is_whole = json.loads(self._process.stdout.readline())
                if is_whole and seq == part.last:
                    self._answers[number] = Walk(seq=seq, head=bytes.fromhex(head), bad=None)

    def _tell(self, what: Any) -> None:
        if self._process is None or self._process.stdin is None:
            raise OSError("there is no process")
        self._process.stdin.write(f"{json.dumps(what)}\n")
        self._process.stdin.flush()

    def join(self, seconds: float) -> None:
        """Wait until it has answered what it was given."""
        self._thread.join(seconds)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout) if self._process is not None else ():
            with suppress(OSError):  # what was not sent yet
                pipe.close()  # type: ignore[union-attr]  # both were asked for
