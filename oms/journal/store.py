"""The one door through which an account's state is written: lease, load, append."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from oms import crashpoints
from oms.journal.account import AccountJournal
from oms.journal.anchors import anchors_file
from oms.journal.connection import FULL, NORMAL, driver, set_synchronous, sqlite_file, translate
from oms.journal.lease import LeaseRow
from oms.journal.machine import ProcessInfo, this_process
from oms.journal.opening import opened_for_writing
from oms.ports import Clock

CHECKPOINT_BYTES = 64 * 2**20
"""Size of the write-ahead log from which ``tidy`` folds it into the database."""


class SqliteJournal(AccountJournal):
    """An account's journal in SQLite: one file, or a database in memory."""

    def __init__(self, connection: Connection, account: str, clock: Clock, lease: LeaseRow, path: Path | None) -> None:
        """Take the lease and load the account; see :func:`open_journal`."""
        self._path = path
        self._sqlite = driver(connection)
        self._synchronous = FULL
        where = path or "the journal in memory"
        super().__init__(connection, account, clock, lease, where=where, anchors_file=path and anchors_file(path))

    @contextmanager
    def _transaction(self, *, is_barrier: bool) -> Iterator[None]:
        level = FULL if is_barrier else NORMAL
        # A barrier is never taken on trust: the level is set and read back before its transaction begins.
        if is_barrier or self._synchronous != level:
            set_synchronous(self._sqlite, level)
            self._synchronous = level
        self._sqlite.execute("BEGIN IMMEDIATE")
        yield

    def _meaning(self, error: Exception, doing: str) -> Exception | None:
        if isinstance(error, sqlite3.Error | DBAPIError):
            return translate(error, self._where, doing)
        return None

    def tidy(self) -> None:
        """At a quiet moment: fold the write-ahead log into the database when it has grown, and anchor the head."""
        super().tidy()
        if self._path is None:
            return
        log = self._path.with_name(f"{self._path.name}-wal")
        if log.exists() and log.stat().st_size >= CHECKPOINT_BYTES:
            self._checkpoint()

    def _checkpoint(self) -> None:
        crashpoints.point("checkpoint.before")
        with self._failing("folding the write-ahead log into the database"):
            # Readers may be in the way: then what can be done is done now, without waiting, and the rest next time.
            self._sqlite.execute("PRAGMA busy_timeout = 0")
            self._sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._sqlite.execute("PRAGMA busy_timeout = 5000")
        crashpoints.point("checkpoint.after")


def open_journal(
    url: str,
    account: str,
    mode: str,
    clock: Clock,
    lease_seconds: float = 15.0,
    *,
    process: ProcessInfo | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> SqliteJournal:
    """Open an account's journal for writing: make or migrate its database, take the lease, load the state.

    ``say`` is told what a person should know: that a database was migrated, and where the copy of the old one is.

    Raises:
        UsageError: ``url`` is no database address.
        DamagedError: the database is damaged, half migrated, newer than this program, or another program's.
        RefusedError: it belongs to another account or mode, or lies on a network file system.
        LeaseHeldError: another process owns the account.
        StorageError: it cannot be opened or written now.
    """
    with opened_for_writing(url, account, mode, clock, say) as connection:
        row = LeaseRow(account, clock, lease_seconds, process or this_process())
        return SqliteJournal(connection, account, clock, row, sqlite_file(url))
