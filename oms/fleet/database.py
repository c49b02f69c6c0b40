"""The fleet's own tables, asked in plain SQL over the connections that the journals use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from oms.config import LoadedConfig
from oms.errors import UsageError
from oms.journal.access import is_postgres
from oms.journal.postgres.address import Address, parse, writers
from oms.journal.postgres.driver import PostgresStatements, over
from oms.journal.postgres.journal import connected
from oms.journal.postgres.meaning import SAFE_TO_REPEAT, is_database_error, state_of, translate

ATTEMPTS = 5
"""Times that a statement is tried which the server undid as a whole, and which may be repeated."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where the fleet is; every method raises StorageError where the server cannot be asked now."""

    address: Address

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with self.session() as pg:
            return [tuple(row) for row in pg.execute(sql, values).fetchall()]

    def one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The only row, or None."""
        found = self.ask(sql, values)
        return found[0] if found else None

    def do(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; how many rows it changed. What the server undid as a whole is tried again."""
        for attempt in range(ATTEMPTS):
            try:
                with self._raw() as pg:
                    return pg.execute(sql, values).rowcount
            except Exception as error:
                if state_of(error) not in SAFE_TO_REPEAT or attempt == ATTEMPTS - 1:
                    raise self._meaning(error) from error
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def session(self) -> Iterator[PostgresStatements]:
        """A kept connection for a few statements; a transaction is begun and ended by hand."""
        try:
            with self._raw() as pg:
                yield pg
        except Exception as error:
            raise self._meaning(error) from error

    @contextmanager
    def _raw(self) -> Iterator[PostgresStatements]:
        connection: Connection = writers(self.address.server, self.address.schema).connect()
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
        UsageError: the journal of this configuration is a file.
    """
    url = loaded.config.journal.url
    if not is_postgres(url):
        raise UsageError(
            "a fleet needs its journals on PostgreSQL: set journal.url to postgresql://user@host/database; "
            "`db migrate-to` moves a journal there"
        )
    address = parse(url)
    connected(address).close()
    return Database(address)
