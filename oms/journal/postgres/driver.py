"""psycopg's connection as the journal speaks to it: ``?`` for values, one exchange with the server a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import Int8Dumper

from oms.journal.postgres.exchange import Value, exchange_of
from oms.journal.postgres.writing import in_its_keys, whole_insert
from oms.journal.statements import Found

BATCH = 2000
"""Rows fetched at a time from an answer of any size."""


@lru_cache(maxsize=512)
def in_its_words(sql: str) -> str:
    """A statement with ``?`` for its values, as psycopg wants it. No statement of ours has either sign in a text."""
    return in_its_keys(sql).replace("%", "%%").replace("?", "%s")


@lru_cache(maxsize=128)
def for_all_rows(sql: str) -> str | None:
    """An insert of one row of our tables as an insert of many, its columns given as arrays; None for anything else."""
    whole = whole_insert(sql)
    if whole is None:
        return None
    head, types, rest = whole
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    # Our own names only, out of a statement of ours.
    return f"{head} SELECT * FROM unnest({arrays}){rest}".replace("?", "%s")  # noqa: S608


class _Answer:
    """A cursor whose figures are asked for only when somebody looks: in a pipeline that costs an exchange."""

    __slots__ = ("_cursor", "_owner")

    def __init__(self, owner: PostgresStatements, cursor: psycopg.Cursor[Any]) -> None:
        self._owner = owner
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        self._owner.settle()
        return self._cursor.rowcount

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor.fetchall())

    def close(self) -> None:
        self._cursor.close()


class PostgresStatements:
    """``oms.journal.statements.Statements`` over one connection of psycopg."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self._pipeline: psycopg.Pipeline | None = None

    def exchange(self, sql: str, values: Sequence[Value]) -> PGresult:
        """Run one statement of the hot path; see :class:`oms.journal.postgres.exchange.Exchange`."""
        return exchange_of(self.raw).run(sql, values)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Found:
        """Run one statement; its values stand for ``?``."""
        # Without values psycopg takes the text as it is, percent signs and all.
        if parameters:
            return _Answer(self, self.raw.execute(in_its_words(sql), parameters))
        return _Answer(self, self.raw.execute(sql))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Run one statement for each of these rows; an insert of whole rows of ours is one statement for them all."""
        rows = list(parameters)
        whole = for_all_rows(sql)
        if whole is not None and rows:
            self.raw.execute(whole, [list(column) for column in zip(*rows, strict=True)])
        elif rows:
            with self.raw.cursor() as cursor:
                cursor.executemany(in_its_words(sql), rows)

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of an answer of any size, a batch at a time; within a transaction."""
        with self.raw.cursor(name="oms_stream") as cursor:
            cursor.itersize = BATCH
            yield from cursor.execute(in_its_words(sql), parameters)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what the block runs without waiting for each answer; errors come at its end at the latest."""
        with self.raw.pipeline() as pipeline:
            self._pipeline = pipeline
            try:
                yield
            finally:
                self._pipeline = None

    def settle(self) -> None:
        """Wait until the server has answered everything that was sent."""
        if self._pipeline is not None:
            self._pipeline.sync()


def over(raw: Any) -> PostgresStatements:
    """A connection of psycopg as the journal speaks to it."""
    assert isinstance(raw, psycopg.Connection)
    return PostgresStatements(raw)


def prepare(raw: psycopg.Connection[Any]) -> None:
    """Once per connection: every whole number is sent as a bigint, so that a statement is prepared once and not per size."""
    raw.adapters.register_dumper(int, Int8Dumper)
