"""The mailbox on PostgreSQL: a table, with numbers that count up without a gap for each account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from psycopg.pq.abc import PGresult
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from oms.journal.postgres.address import Address, writers
from oms.journal.postgres.driver import PostgresStatements, over
from oms.journal.postgres.journal import connected
from oms.journal.postgres.meaning import SAFE_TO_REPEAT, is_database_error, state_of, translate
from oms.journal.scalars import from_instant, storable, to_instant
from oms.ports import Message

ATTEMPTS = 3
"""Times that a post is tried which the server undid as a whole."""

_LOCK = (
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('oms.inbox', 0)),"
    " pg_advisory_xact_lock(hashtextextended('oms.inbox/' || ?::text, 0))"
)
"""One post at a time: else the higher of two numbers could be seen first, and the lower one be passed over for ever."""
LOCK_EVERY_MAILBOX = "SELECT pg_advisory_xact_lock(hashtextextended('oms.inbox', 0))"
"""The same for whoever posts to all: one lock, for a server has room for some thousands only."""
_NEXT = (
    "SELECT 1 + greatest((SELECT coalesce(max(id), 0) FROM inbox WHERE account = ?),"
    " (SELECT coalesce(max(inbox_id), 0) FROM accounts WHERE account = ?))"
)
_UNREAD = (
    "SELECT id, at, author, command, arguments FROM inbox WHERE account = $1::text AND id > $2::bigint ORDER BY id"
)


class PostgresInbox:
    """The mailbox of one account: ``oms.ports.Mailbox`` for the engine, :meth:`post` and :meth:`answer` for others.

    Every method raises StorageError where the server cannot be asked now.
    """

    def __init__(self, address: Address, account: str, kept: Connection | None = None) -> None:
        """Open the mailbox; the database's tables are made where they are missing.

        An engine looks into it before every send: it gives the connection that its journal keeps, and its own thread.
        """
        self._address = address
        self._account = account
        self._kept = kept
        if kept is None:
            connected(address).close()

    # The operators' side

    def post(self, author: str, command: str, arguments: Mapping[str, str] | None = None) -> int:
        """Leave a command; it counts from the moment this returns. Returns its id, by which it is answered."""
        for attempt in range(ATTEMPTS):
            try:
                with self._asking() as pg:
                    return self._post(pg, author, command, json.dumps(dict(arguments or {}), sort_keys=True))
            except Exception as error:
                # The server undid all of it and says so: nothing was posted, and it may be tried again.
                if state_of(error) not in SAFE_TO_REPEAT or attempt == ATTEMPTS - 1:
                    raise self._meaning(error, "posting a command") from error
        raise AssertionError("the last attempt returns or raises")

    def post_once(self, author: str, command: str, arguments: Mapping[str, str]) -> None:
        """Leave a command unless the very same, to the last argument, was ever left: for work that may be repeated."""
        text = json.dumps(dict(arguments), sort_keys=True)
        with self._told("posting a command") as pg:
            sql = "SELECT 1 FROM inbox WHERE account = ? AND command = ? AND arguments = ?"
            if pg.execute(sql, (self._account, storable(command), text)).fetchone() is None:
                self._post(pg, author, command, text)

    def _post(self, pg: PostgresStatements, author: str, command: str, text: str) -> int:
        pg.execute("BEGIN")
        pg.execute(_LOCK, (self._account,))
        inbox_id: int = pg.execute(_NEXT, (self._account, self._account)).fetchone()[0]
        at = to_instant(datetime.now(UTC))
        pg.execute(
            "INSERT INTO inbox (account, id, at, author, command, arguments) VALUES (?, ?, ?, ?, ?, ?)",
            (self._account, inbox_id, at, storable(author), storable(command), text),
        )
        pg.execute("COMMIT")
        return inbox_id

    def answer(self, inbox_id: int) -> str | None:
        """What became of a command; None while no process has journaled it."""
        with self._told("reading an answer") as pg:
            sql = "SELECT answer FROM inbox WHERE account = ? AND id = ?"
            row = pg.execute(sql, (self._account, inbox_id)).fetchone()
        return None if row is None else row[0]

    # The engine's side

    def unread(self, after: int) -> list[Message]:
        """Commands with an id above ``after``, oldest first."""
        with self._told("reading the mailbox") as pg:
            found = pg.exchange(_UNREAD, (self._account.encode(), b"%d" % after))
        return [_message(found, row) for row in range(found.ntuples)]

    def taken(self, inbox_id: int, answer: str) -> None:
        """Say that the command is journaled, with the answer for its author."""
        with self._told("answering a command") as pg:
            pg.execute(
                "UPDATE inbox SET taken_at = ?, answer = ? WHERE account = ? AND id = ?",
                (to_instant(datetime.now(UTC)), storable(answer), self._account, inbox_id),
            )

    def close(self) -> None:
        """Nothing is kept open between two questions."""

    @contextmanager
    def _asking(self) -> Iterator[PostgresStatements]:
        """A connection for one question; after a failure it is thrown away."""
        if self._kept is not None and not self._kept.closed:
            yield over(self._kept.connection.driver_connection)
            return
        connection = writers(self._address.server, self._address.schema).connect()
        try:
            yield over(connection.connection.driver_connection)
        except BaseException:
            connection.invalidate()
            raise
        finally:
            connection.close()

    @contextmanager
    def _told(self, doing: str) -> Iterator[PostgresStatements]:
        try:
            with self._asking() as pg:
                yield pg
        except Exception as error:
            raise self._meaning(error, doing) from error

    def _meaning(self, error: Exception, doing: str) -> Exception:
        if is_database_error(error) or isinstance(error, DBAPIError):
            return translate(error, f"the mailbox of {self._account}, {self._address.shown}", doing)
        return error


def _message(found: PGresult, row: int) -> Message:
    """One row of the mailbox; none of its columns is ever null."""
    inbox_id, at, author, command, arguments = [(found.get_value(row, column) or b"").decode() for column in range(5)]
    return Message(
        inbox_id=int(inbox_id),
        at=from_instant(int(at)),
        author=author,
        command=command,
        arguments=json.loads(arguments),
    )
