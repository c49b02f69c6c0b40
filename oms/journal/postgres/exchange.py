"""Statements of the hot path: prepared once a connection, and one exchange with the server each, through libpq itself.

What goes through here runs dozens of times a cycle, so it spares what psycopg does for any statement of any type: a
cursor, a look at every value's type, the columns of the answer. Each is a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from oms.errors import StorageError

_UNKNOWN_STATEMENT = "26000"
_LAST_WORDS = ("FATAL", "PANIC")
_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)

Value = bytes | None


class Exchange:
    """A connection's prepared statements, by their text with ``$1`` for values."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw
        self._names: dict[str, bytes] = {}

    def run(self, sql: str, values: Sequence[Value]) -> PGresult:
        """Run one statement with its values as text; the server's answer.

        Raises:
            psycopg.Error: what the server says, or that it was lost.
            StorageError: a transaction is open, which this statement would become a part of.
        """
        pg = self._raw.pgconn
        if pg.transaction_status != 0:
            raise StorageError("a transaction is still open where none may be")
        for value in values:
            if value is not None and b"\0" in value:
                raise ValueError("a text with a zero byte cannot be stored")  # libpq would cut it there
        name = self._names.get(sql)
        if name is not None:
            pg.send_query_prepared(name, values)
            answer = self._answer()
            if answer.status in _GOOD:
                return answer
            error = _error(answer)
            if error.sqlstate != _UNKNOWN_STATEMENT:
                raise error
            # Somebody between us and the server, or psycopg itself, has thrown it away: so nothing was run.
        name = self._names[sql] = self._names.get(sql) or b"oms_%d" % len(self._names)
        pg.send_prepare(name, sql.encode())
        self._good()
        pg.send_query_prepared(name, values)
        return self._good()

    def _good(self) -> PGresult:
        answer = self._answer()
        if answer.status not in _GOOD:
            raise _error(answer)
        return answer

    def _answer(self) -> PGresult:
        # psycopg's own loop, which sees signals and a connection that is gone.
        found: PGresult = self._raw.wait(generators.execute(self._raw.pgconn))[-1]
        return found


def _error(answer: PGresult) -> psycopg.Error:
    error = psycopg.errors.error_from_result(answer)
    if error.diag.severity_nonlocalized in _LAST_WORDS:
        # The server's last words on this connection prove nothing about the statement: it was lost.
        return psycopg.OperationalError(str(error))
    return error


_exchanges: WeakKeyDictionary[psycopg.Connection[Any], Exchange] = WeakKeyDictionary()


def exchange_of(raw: psycopg.Connection[Any]) -> Exchange:
    """The prepared statements of a connection, which outlive whoever has it now."""
    found = _exchanges.get(raw)
    if found is None:
        found = _exchanges[raw] = Exchange(raw)
    return found


def text_of(value: str | int | bytes | None) -> Value:
    """A value as PostgreSQL reads it."""
    if value is None or isinstance(value, bytes):
        return None if value is None else b"\\x" + value.hex().encode()
    return str(value).encode()


def array_of(column: Sequence[Any], kind: str) -> bytes:
    """A column of numbers (``BIGINT``), texts (``TEXT``) or bytes (``BYTEA``) as the text of an array of PostgreSQL.

    Raises:
        ValueError: a text holds a zero byte, which no database can keep.
    """
    gaps = column.count(None)
    if gaps == len(column):
        return b"{" + b",".join([b"NULL"] * gaps) + b"}"
    if kind == "BIGINT":
        # As Python itself shows a list of them, which is quicker than one by one.
        return f"{{{str(list(column))[1:-1].replace('None', 'NULL')}}}".encode()
    if kind == "BYTEA":
        return f"{{{','.join(['NULL' if value is None else _BYTES % value.hex() for value in column])}}}".encode()
    if gaps:
        return f"{{{','.join(['NULL' if value is None else _quoted(value) for value in column])}}}".encode()
    joined = "\0".join(column)
    if joined.count("\0") != len(column) - 1:
        raise ValueError("a text with a zero byte cannot be stored")
    return f"{{{_quoted(joined)}}}".replace("\0", '","').encode()


_BYTES = '"\\\\x%s"'


def _quoted(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if '"' in text:
        text = text.replace('"', '\\"')
    return f'"{text}"'
