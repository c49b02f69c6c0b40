"""Reading a journal while its engine runs, or when nothing runs: a read-only door that locks nobody out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from oms.errors import DamagedError, UsageError
from oms.journal import archives, schema
from oms.journal.anchors import anchors_file
from oms.journal.connection import driver, give_up_after, reader_engine, sqlite_file, translate


class NoJournal(UsageError):
    """Nothing has run yet, or a first run is just making the database."""


class Reader:
    """One journal, seen through short read transactions: each question has one consistent answer."""

    def __init__(
        self, engine: Engine | None, kept: Connection | None, path: Path | None, patience_s: float | None = None
    ) -> None:
        """Made by :func:`open_reader` and :func:`reader_over`."""
        self._engine = engine
        self._patience_s = patience_s
        self._kept = kept
        self.path = path
        """The file; None for a journal in memory."""
        self.anchors: Path | None = None if path is None else anchors_file(path)
        """File outside the database in which heads of the chain are kept."""
        self.shared = False
        """Whether its tables hold other accounts too."""
        self.where: object = path or "the journal in memory"
        with self.asking("opening the journal", whole=False) as connection:
            found = schema.examine(connection, self.where)
            if found is schema.Found.EMPTY:
                raise NoJournal(f"there is no journal in {self.where} yet; `run` makes it")
            if found is schema.Found.OLDER:
                raise DamagedError(f"{self.where} is of an older release; `db upgrade` moves it up")
            about = dict(driver(connection).execute("SELECT name, value FROM meta").fetchall())
        if not about:  # made, and not yet stamped
            raise NoJournal(f"there is no journal in {self.where} yet; `run` makes it")
        if not {"account", "mode"} <= about.keys():
            raise DamagedError(f"{self.where} does not say whose it is: it was not made by `run`")
        self.account: str = about["account"]
        self.mode: str = about["mode"]

    @contextmanager
    def asking(self, doing: str, *, whole: bool = True) -> Iterator[Connection]:
        """A connection that sees one state of the journal from its first question to its last.

        ``whole`` is for questions about the past: facts that lie in archives are seen with the others. Without it only what
        the engine itself would load is certain to be there, and no archive is needed.

        Raises:
            StorageError: the database cannot be read now, or not as fast as it must be.
            DamagedError: it is damaged, or not a journal, or an archive that is needed is not in its place.
        """
        try:
            if self._kept is not None:
                yield self._kept
                return
            assert self._engine is not None
            with self._engine.connect() as connection:
                if self._patience_s is not None:
                    give_up_after(driver(connection), self._patience_s)
                raw = driver(connection)
                raw.execute("BEGIN")
                if whole and self.path is not None:
                    archives.attach(raw, self.account, self.path)
                yield connection
        except (sqlite3.Error, DBAPIError) as error:
            raise translate(error, self.where, doing) from error

    @contextmanager
    def at_once(self) -> Iterator[Reader]:
        """This journal through one connection: all questions asked of it see one state, and share its cost.

        Raises:
            StorageError, DamagedError: as :meth:`asking`.
        """
        with self.asking("reading the journal") as connection:
            still = copy(self)
            still._kept = connection  # noqa: SLF001 - of its own kind
            yield still

    def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            self._engine.dispose()


def open_reader(url: str, patience_s: float | None = None) -> Reader:
    """Open a journal for reading only; with ``patience_s`` no question may take longer than so many seconds.

    Raises:
        NoJournal: there is none at this address.
        DamagedError: it is damaged, half migrated, of another release, or another program's.
        StorageError: it cannot be read now.
    """
    if url.startswith("postgres"):
        from oms.journal.postgres.address import parse  # its driver is an extra
        from oms.journal.postgres.reader import PostgresReader

        return PostgresReader(parse(url), patience_s)
    path = sqlite_file(url)
    if path is None:
        raise UsageError("a journal in memory can be read only by the process that holds it")
    if not path.exists():
        raise NoJournal(f"there is no journal at {path} yet; `run` makes it")
    return Reader(reader_engine(path), None, path, patience_s)


def reader_over(connection: Connection, path: Path | None = None) -> Reader:
    """Read over a connection that is open already: a journal in memory has no other, a rebuild sees its own writes."""
    return Reader(None, connection, path)
