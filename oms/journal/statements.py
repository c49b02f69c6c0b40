"""What the writer, the loader and the verifier ask of a driver's connection, whichever database it belongs to.

SQLite's own connection is one. On PostgreSQL a thin wrapper is, so that the same statements, with ``?`` for their values,
serve both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection


class Found(Protocol):
    """The answer to one statement."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed."""
        ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> object: ...


class Statements(Protocol):
    """A connection that runs statements as they are, within transactions that are begun and ended by hand."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Found: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object: ...


def statements(connection: Connection) -> Statements:
    """The driver's own connection below SQLAlchemy's, as the journal speaks to it."""
    raw = connection.connection.driver_connection
    assert raw is not None
    if connection.dialect.name == "postgresql":
        from oms.journal.postgres.driver import over  # the driver is there only where a journal is on PostgreSQL

        return over(raw)
    speaking: Statements = raw
    return speaking


def stream(raw: Statements, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
    """The rows of an answer of any size, a batch at a time; within a transaction on PostgreSQL."""
    streamed = getattr(raw, "stream", None)
    return iter(raw.execute(sql, parameters)) if streamed is None else streamed(sql, parameters)
