"""One question in SQL to a journal, on a connection that can do nothing but read, for a limited time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from oms.audit.public import VIEWS
from oms.errors import DamagedError, UsageError
from oms.journal import archives
from oms.journal.connection import BUSY_S, translate

BATCH = 500
"""Rows fetched at a time."""
TIMEOUT_S = 30.0
"""Seconds of the database's own work; time that the reader of the answer takes is not counted."""
STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""
LONGEST = 32 * 2**20
"""Bytes of the longest single value: what a fact may have, with room; not a gigabyte made by one function."""

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer"}
_ONLY_IN_VIEWS = {"printf", "format"}
"""One call of these can run for ever, and no clock is looked at within a call."""
_VIEWS = {view.name for view in VIEWS}


def _authorize(action: int, _first: str | None, second: str | None, _database: str | None, inside: str | None) -> int:
    """Let statements through that only read; everything that is not named is refused."""
    if action not in _ALLOWED:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and second is not None:
        name = second.lower()
        if name in _FORBIDDEN_FUNCTIONS or (name in _ONLY_IN_VIEWS and inside not in _VIEWS):
            return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


class Question:
    """One statement and its answer, row by row."""

    def __init__(self, path: Path, statement: str, timeout_s: float = TIMEOUT_S) -> None:
        """Open the journal and begin.

        Raises:
            UsageError: the statement is not one statement of SQL that only reads, or took too long.
            DamagedError, StorageError: the file is damaged, or cannot be read now.
        """
        if not path.exists():
            raise UsageError(f"there is no journal at {path} yet; `run` makes it")
        self._path = path
        self._left = self._timeout = timeout_s
        self._until = 0.0
        self._late = False
        self._raw = self._opened()
        try:
            self._cursor = self._working(lambda: self._raw.execute(statement))
            if self._cursor.description is None:
                raise UsageError("there is nothing to ask in this statement")
        except BaseException:
            self._raw.close()
            raise
        self.columns: list[str] = distinct([column[0] for column in self._cursor.description])
        """Names of the columns, a number added where two are the same."""

    def _opened(self) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_S)
            raw.execute("PRAGMA trusted_schema = OFF")
            raw.execute("BEGIN")
            self._attach(raw)
            for view in VIEWS:
                raw.execute(view.statement)
            raw.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise translate(error, self._path, "opening the journal") from error
        raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        raw.set_authorizer(_authorize)
        raw.set_progress_handler(self._is_late, STEPS)
        return raw

    def _attach(self, raw: sqlite3.Connection) -> None:
        """Let the question see the facts of closed years too."""
        account = raw.execute("SELECT value FROM meta WHERE name = 'account'").fetchone()
        if account is not None:
            archives.attach(raw, account[0], self._path)

    def _is_late(self) -> bool:
        self._late = time.monotonic() > self._until
        return self._late

    def _working(self, work: Any) -> Any:
        """Let the database work, on the time that is left to it."""
        began = time.monotonic()
        self._until = began + self._left
        try:
            return work()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise self._meaning(error) from error
        finally:
            self._left -= time.monotonic() - began

    def _meaning(self, error: Exception) -> Exception:
        if self._late:
            return UsageError(f"the question took more than {self._timeout:g} s of work; narrow it, or raise --timeout")
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_AUTH:
            return UsageError(f"only reading is allowed here ({error})")
        if isinstance(error, sqlite3.DatabaseError) and code is not None:
            meant = translate(error, self._path, "answering in SQL")
            if isinstance(meant, DamagedError):
                return meant
        return UsageError(f"SQL: {error}{_nearest(str(error))}")

    def rows(self) -> Iterator[Sequence[Any]]:
        """The rows, a batch at a time; bytes are shown in hexadecimal."""
        while batch := self._working(lambda: self._cursor.fetchmany(BATCH)):
            for row in batch:
                yield [value.hex() if isinstance(value, bytes) else value for value in row]

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()


def answer(path: Path, statement: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The whole answer at once, for small ones."""
    with closing(Question(path, statement, timeout_s)) as question:
        return {"schema": "oms.sql/1", "columns": question.columns, "rows": [list(row) for row in question.rows()]}


def schema() -> str:
    """The statements that make the views."""
    return "".join(f"-- {view.meaning}\n{view.statement};\n\n" for view in VIEWS)


def distinct(names: list[str]) -> list[str]:
    """These names, a number added where two are the same."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


def _nearest(problem: str) -> str:
    """For a view or a column that is spelled wrongly, the one that was meant, or where they are listed."""
    _, found, name = problem.partition("no such table: ")
    if found:
        meant = get_close_matches(name, [view.name for view in VIEWS], 1)
        return f"; did you mean {meant[0]}?" if meant else f"; there are {', '.join(view.name for view in VIEWS)}"
    _, found, name = problem.partition("no such column: ")
    meant = get_close_matches(name.rpartition(".")[2], sorted({c.name for view in VIEWS for c in view.columns}), 1)
    return f"; did you mean {meant[0]}?" if found and meant else ""
