"""The fleet's own tables, asked in plain SQL over the connections that the journals use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine

from oms.config import LoadedConfig
from oms.errors import UnknownName
from oms.fleet import refuse_file
from oms.journal.postgres.address import Address, clerks, overseers, parse, writers
from oms.journal.postgres.driver import PostgresStatements, over
from oms.journal.postgres.journal import connected
from oms.journal.postgres.meaning import SAFE_TO_REPEAT, is_database_error, state_of, translate

ATTEMPTS = 5
"""Times that a statement is tried which the server undid as a whole, and which may be repeated."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where the fleet is; every method raises StorageError where the server cannot be asked now."""

    address: Address
    only_reads: bool = False
    """Nothing can be written through it."""
    patience_s: float | None = None
    """Longest time of one statement that only reads; None is the usual."""

    def ask(self, sql: str, values: Sequence[Any] = (), *, is_note: bool = False) -> list[tuple[Any, ...]]:
        """The rows of one statement; what it changes is a note as :meth:`note` makes one where that is said."""
        with self.session(clerks if is_note else writers) as pg:
            return [tuple(row) for row in pg.execute(sql, values).fetchall()]

    def one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The only row, or None."""
        found = self.ask(sql, values)
        return found[0] if found else None

    def do(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; how many rows it changed. What the server undid as a whole is tried again."""
        return self._done(writers, sql, values)

    def note(self, sql: str, values: Sequence[Any] = ()) -> int:
        """The same without waiting for the disk: a crash of the server may take it, and everything after it.

        For what the fleet finds out again: whose turn it is, who works, how a turn went. Never for an operator's word.
        """
        return self._done(clerks, sql, values)

    def _done(self, kept: Callable[[URL, str], Engine], sql: str, values: Sequence[Any]) -> int:
        for attempt in range(ATTEMPTS):
            try:
                with self._raw(kept) as pg:
                    return pg.execute(sql, values).rowcount
            except Exception as error:
                if state_of(error) not in SAFE_TO_REPEAT or attempt == ATTEMPTS - 1:
                    raise self._meaning(error) from error
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def session(self, kept: Callable[[URL, str], Engine] = writers) -> Iterator[PostgresStatements]:
        """A kept connection for a few statements; a transaction is begun and ended by hand."""
        try:
            with self._raw(kept) as pg:
                yield pg
        except Exception as error:
            raise self._meaning(error) from error

    @contextmanager
    def _raw(self, kept: Callable[[URL, str], Engine]) -> Iterator[PostgresStatements]:
        where = self.address.server, self.address.schema
        engine = overseers(*where, self.patience_s) if self.only_reads else kept(*where)
        connection: Connection = engine.connect()
        try:
            yield over(connection.connection.driver_connection)
        except BaseException:
            connection.invalidate()
            raise
        finally:
            connection.close()

    def _meaning(self, error: Exception) -> Exception:
        return translate(error, self.address.shown, "asking about the fleet") if is_database_error(error) else error


def database_of(loaded: LoadedConfig) -> Database:
    """The database of a fleet; its tables are made or moved up where that is needed.

    Raises:
        WrongDatabase: the journal of this configuration is a file.
    """
    address = _address(loaded)
    connected(address).close()
    return Database(address)


def database_to_look_at(loaded: LoadedConfig, patience_s: float | None = None) -> Database:
    """The same for whoever only looks: nothing is made, nothing can be written.

    Raises:
        WrongDatabase: the journal of this configuration is a file.
        UnknownName: no fleet was ever made there.
    """
    address = _address(loaded)
    database = Database(address, only_reads=True, patience_s=patience_s)
    # The queue's tables come last, with the first command that a fleet is given.
    tables = f"{address.schema}.fleet_accounts", f"{address.schema}_queue.procrastinate_jobs"
    if database.one("SELECT 1 WHERE to_regclass(?) IS NOT NULL AND to_regclass(?) IS NOT NULL", tables) is None:
        raise UnknownName(f"{address.shown} holds no fleet yet; `fleet add ACCOUNT` begins one")
    return database


def _address(loaded: LoadedConfig) -> Address:
    refuse_file(loaded)
    return parse(loaded.config.journal.url)
