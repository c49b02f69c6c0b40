"""One question in SQL to a journal on PostgreSQL, in a transaction that can do nothing but read, for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection

from oms.audit.public import VIEWS
from oms.errors import UsageError
from oms.journal.postgres.address import Address, readers
from oms.journal.postgres.meaning import is_database_error, state_of, translate
from oms.journal.postgres.roles import AUDITOR

BATCH = 500
"""Rows fetched at a time."""

_TOO_LATE = "57014"
_ONLY_READS = ("25006", "42501")
_OUR_FAULT = ("08", "53", "57", "XX")
"""Classes of errors that are no fault of the question."""

T = TypeVar("T")


class PostgresQuestion:
    """One statement and its answer, row by row; as :class:`oms.audit.sql.Question`."""

    def __init__(self, address: Address, statement: str, timeout_s: float) -> None:
        """Open the database and begin.

        Raises:
            UsageError: the statement is not one statement of SQL that only reads, or took too long.
            DamagedError, StorageError: the database is damaged, or cannot be read now.
        """
        self._address = address
        self._left = self._timeout = timeout_s
        self._engine = readers(address)
        self._connection: Connection | None = None
        self._cursor: psycopg.ServerCursor[Any] | None = None
        try:
            self._connection = self._working(self._engine.connect)
            raw = self._connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            self._raw = raw
            self._working(self._prepare)
            # As a cursor of the server it can only be one statement, and only one that gives rows.
            cursor = self._cursor = self._raw.cursor(name="oms_question")
            self._working(lambda: cursor.execute(statement.strip().rstrip(";").encode()))
            described = cursor.description
            if described is None:
                raise UsageError("there is nothing to ask in this statement")
        except BaseException:
            self.close()
            raise
        self.columns: list[str] = _distinct([column.name for column in described])
        """Names of the columns, a number added where two are the same."""

    def _prepare(self) -> None:
        # Roles belong to the whole server: this database may not have given it anything yet.
        member = (
            "SELECT 1 FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'MEMBER')"
            " AND has_schema_privilege(rolname, %s, 'USAGE')"
        )
        is_auditor = self._raw.execute(member, (AUDITOR, self._address.schema)).fetchone() is not None
        self._raw.execute("SET default_transaction_read_only = off")  # for the views of this connection
        for view in VIEWS:
            self._raw.execute(view.statement.encode())
            if is_auditor:
                self._raw.execute(f"GRANT SELECT ON {view.name} TO {AUDITOR}".encode())
        self._raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if is_auditor:
            # The fewest rights that are enough, whatever this user has besides.
            self._raw.execute(f"SET LOCAL ROLE {AUDITOR}".encode())

    def _working(self, work: Callable[[], T]) -> T:
        """Let the database work, on the time that is left to it."""
        began = time.monotonic()
        if self._connection is not None:
            self._raw_timeout()
        try:
            return work()
        except Exception as error:
            if is_database_error(error):
                raise self._meaning(error) from error
            raise
        finally:
            self._left -= time.monotonic() - began

    def _raw_timeout(self) -> None:
        raw = getattr(self, "_raw", None)
        if raw is not None:
            raw.execute(f"SET statement_timeout = {max(int(self._left * 1000), 1)}".encode())

    def _meaning(self, error: Exception) -> Exception:
        state = state_of(error)
        if state == _TOO_LATE:
            return UsageError(f"the question took more than {self._timeout:g} s of work; narrow it, or raise --timeout")
        if state in _ONLY_READS:
            return UsageError(f"only reading is allowed here ({str(error).splitlines()[0]})")
        if state is None or state[:2] in _OUR_FAULT:
            return translate(error, self._address.shown, "answering in SQL")
        return UsageError(f"SQL: {str(error).splitlines()[0]}")

    def rows(self) -> Iterator[Sequence[Any]]:
        """The rows, a batch at a time; bytes are shown in hexadecimal."""
        cursor = self._cursor
        assert cursor is not None
        while batch := self._working(lambda: cursor.fetchmany(BATCH)):
            for row in batch:
                yield [_plain(value) for value in row]

    def close(self) -> None:
        """Let go of the connection; what was made on it goes with it."""
        if self._cursor is not None:
            with suppress(psycopg.Error):  # the connection is thrown away in any case
                self._cursor.close()
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
        self._engine.dispose()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _distinct(names: list[str]) -> list[str]:
    from oms.audit.sql import distinct

    return distinct(names)
