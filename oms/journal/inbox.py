"""The mailbox: operators' commands wait in a small database of their own for the one process that writes the journal.

It keeps a rollback journal with ``synchronous=EXTRA``: several processes may write it, each commit is on the disk, and
SQLite's trouble with two writers of a write-ahead log cannot arise.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from oms.errors import DamagedError
from oms.journal.connection import BUSY_S, make_private_file, refuse_network_file_system, translate
from oms.journal.scalars import from_instant, to_instant
from oms.ports import Message

_APPLICATION_ID = 0x6F6D7369
"""SQLite's mark of whose file it is: "omsi"."""

_TABLE = """\
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,
    taken_at INTEGER,
    answer TEXT
)"""
_HIGHEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'messages'"
_UNREAD = "SELECT id, at, author, command, arguments FROM messages WHERE id > ? ORDER BY id"


class Inbox:
    """The mailbox of one journal: ``oms.ports.Mailbox`` for the engine, :meth:`post` and :meth:`answer` for others.

    Every method raises StorageError where the file cannot be read or written now, DamagedError where it is no mailbox.
    """

    def __init__(self, path: Path) -> None:
        """Open the mailbox; it is made where it is missing."""
        self._path = path.absolute()
        refuse_network_file_system(self._path)
        make_private_file(self._path)
        self._seen: int | None = None
        """SQLite's data version when ``_highest`` was read."""
        self._highest = 0
        with self._asking("opening the mailbox"):
            self._raw = sqlite3.connect(self._path, isolation_level=None, timeout=BUSY_S)
            self._raw.execute("PRAGMA synchronous = EXTRA")
            self._raw.execute("PRAGMA fullfsync = ON")
            self._prepare()

    def _prepare(self) -> None:
        if self._raw.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID:
            return
        # Looked at under the lock: another process may be making this very mailbox just now.
        self._raw.execute("BEGIN IMMEDIATE")
        mark = self._raw.execute("PRAGMA application_id").fetchone()[0]
        names = self._raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if mark != _APPLICATION_ID:
            if names or mark:
                self._raw.execute("ROLLBACK")
                raise DamagedError(f"{self._path} is the database of another program, not a mailbox; move it away")
            self._raw.execute(_TABLE)
            self._raw.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._raw.execute("COMMIT")

    # The operators' side

    def post(self, author: str, command: str, arguments: Mapping[str, str] | None = None) -> int:
        """Leave a command; it counts from the moment this returns. Returns its id, by which it is answered."""
        text = json.dumps(dict(arguments or {}), sort_keys=True)
        with self._asking("posting a command"):
            self._raw.execute("BEGIN IMMEDIATE")
            done = self._raw.execute(
                "INSERT INTO messages (at, author, command, arguments) VALUES (?, ?, ?, ?)",
                (to_instant(datetime.now(UTC)), author, command, text),
            )
            self._raw.execute("COMMIT")
        self._seen = None
        assert done.lastrowid is not None
        return done.lastrowid

    def post_once(self, author: str, command: str, arguments: Mapping[str, str]) -> None:
        """Leave a command unless the very same, to the last argument, was ever left: for work that may be repeated."""
        text = json.dumps(dict(arguments), sort_keys=True)
        with self._asking("posting a command"):
            self._raw.execute("BEGIN IMMEDIATE")
            self._raw.execute(
                "INSERT INTO messages (at, author, command, arguments) SELECT ?, ?, ?, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM messages WHERE command = ? AND arguments = ?)",
                (to_instant(datetime.now(UTC)), author, command, text, command, text),
            )
            self._raw.execute("COMMIT")
        self._seen = None

    def highest(self) -> int:
        """Id of the newest command ever left; 0 where there was none."""
        with self._asking("reading the mailbox"):
            found: int = self._raw.execute(_HIGHEST).fetchone()[0]
        return found

    def answer(self, inbox_id: int) -> str | None:
        """What became of a command; None while no process has journaled it."""
        with self._asking("reading an answer"):
            row = self._raw.execute("SELECT answer FROM messages WHERE id = ?", (inbox_id,)).fetchone()
        return None if row is None else row[0]

    # The engine's side

    def unread(self, after: int) -> list[Message]:
        """Commands with an id above ``after``, oldest first; one look at the file's header when there is none."""
        with self._asking("reading the mailbox"):
            version = self._raw.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen:
                self._highest = self._raw.execute(_HIGHEST).fetchone()[0]
                self._seen = version
            if self._highest == after:
                return []
            if self._highest < after:
                self._continue_after(after)
            rows = self._raw.execute(_UNREAD, (after,)).fetchall()
        return [
            Message(inbox_id=i, at=from_instant(at), author=author, command=command, arguments=json.loads(arguments))
            for i, at, author, command, arguments in rows
        ]

    def _continue_after(self, after: int) -> None:
        """The file is younger than the journal, so somebody removed the old one: its numbers go on, none is used twice."""
        self._raw.execute("BEGIN IMMEDIATE")
        self._raw.execute("UPDATE messages SET id = id + ?", (after,))
        highest = self._raw.execute("SELECT coalesce(max(id), ?) FROM messages", (after,)).fetchone()[0]
        self._raw.execute("DELETE FROM sqlite_sequence WHERE name = 'messages'")
        self._raw.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('messages', ?)", (highest,))
        self._raw.execute("COMMIT")
        self._highest = highest

    def taken(self, inbox_id: int, answer: str) -> None:
        """Say that the command is journaled, with the answer for its author."""
        with self._asking("answering a command"):
            self._raw.execute("BEGIN IMMEDIATE")
            self._raw.execute(
                "UPDATE messages SET taken_at = ?, answer = ? WHERE id = ?",
                (to_instant(datetime.now(UTC)), answer, inbox_id),
            )
            self._raw.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            meaning = translate(error, self._path, doing)
            with suppress(sqlite3.Error, AttributeError):  # the first error is the one to tell
                self._raw.rollback()
            raise meaning from error
