"""An account's journal on PostgreSQL: the lease row locked, one exchange with the server a commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection

from oms import crashpoints
from oms.errors import RefusedError, StorageError
from oms.journal.account import INSERT_EVENT, AccountJournal, Row
from oms.journal.lease import LeaseRow
from oms.journal.machine import ProcessInfo, this_process
from oms.journal.postgres import schema
from oms.journal.postgres.address import Address, writers
from oms.journal.postgres.commit_doubt import fate_of
from oms.journal.postgres.driver import PostgresStatements
from oms.journal.postgres.exchange import text_of
from oms.journal.postgres.flushing import DURABLE, flusher_of
from oms.journal.postgres.meaning import is_database_error, state_of, translate
from oms.journal.postgres.writing import SOFTENED, Gathered
from oms.journal.schema import Found
from oms.ports import Clock, Lease

_ADVANCE = "SELECT advance(?, ?, ?, ?, ?, ?, ?)"
MODE = "mode/"
"""Before an account's name: the row of ``meta`` that says which mode its journal was made for."""
MOVING = "moving/"
"""Likewise: a move of a journal into this database has begun and is not finished."""


class PostgresJournal(AccountJournal):
    """An account's journal on PostgreSQL."""

    def __init__(
        self,
        connection: Connection,
        address: Address,
        account: str,
        clock: Clock,
        lease: LeaseRow,
    ) -> None:
        """Take the lease and load the account; see :func:`oms.journal.store.open_journal`."""
        self._address = address
        self._token = ""
        self._committing: tuple[int, bytes] | None = None
        """The head that a commit under way would leave."""
        self._flusher = flusher_of(address.server, address.schema)
        self._is_owed = False
        """The barrier under way is committed softly, and its way to the disk is still to be waited for."""
        self._has_left = False
        self._flusher.enter()
        try:
            super().__init__(connection, account, clock, lease, where=address.shown, anchors_file=address.anchors)
        except BaseException:
            self._leave()
            raise

    @property
    def _pg(self) -> PostgresStatements:
        raw = self._raw
        assert isinstance(raw, PostgresStatements)
        return raw

    @contextmanager
    def _transaction(self, *, is_barrier: bool) -> Iterator[None]:
        pg = self._pg
        with pg.together():
            pg.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            if not is_barrier:
                pg.execute(f"SELECT {SOFTENED}")
            yield
        self._committing = None
        if self._is_owed:
            self._is_owed = False
            self._flusher.cover(self._token, self)

    def _take(self, lease: LeaseRow) -> Lease:
        pg = self._pg
        lock_account(pg, self._account)
        pg.execute(
            "INSERT INTO restart_token (one, token) VALUES (1, ?) ON CONFLICT (one) DO NOTHING", (token_hex(16),)
        )
        found = pg.execute(
            "SELECT t.token, d.oid::text, current_setting('synchronous_commit'), current_setting('fsync')"
            " FROM restart_token t, pg_database d WHERE d.datname = current_database()"
        ).fetchone()
        self._token, database, commit, fsync = found
        if commit not in DURABLE or fsync != "on":
            raise RefusedError(
                f"{self._where}: the server runs with synchronous_commit={commit} and fsync={fsync}, so a commit need "
                "not reach its disk and nothing may rest on it"
            )
        # A copy of the database has another number, so it never passes for the original.
        known = sha256(f"oms.restart/1:{database}:{self._token}".encode()).hexdigest()[:16]
        taken = replace(lease.take(pg), restart_token=known)
        if self._flusher.is_shared:
            pg.execute(f"SELECT {SOFTENED}")
            self._is_owed = True
        return taken

    def _store(self, rows: Sequence[Row], before: str, *, is_barrier: bool) -> None:
        gathered = Gathered()
        gathered.executemany(INSERT_EVENT, rows)
        self._shadow.write(gathered, self.state)
        seq, link_hash = rows[-1][1], rows[-1][-1]
        if gathered.is_whole:
            crashpoints.point(before)
            named = [text_of(value) for value in self._named(seq, link_hash, is_barrier=is_barrier)]
            is_shared = is_barrier and self._flusher.is_shared
            self._committing = (seq, link_hash)
            self._pg.exchange(*gathered.statement(named, is_shared=is_shared))
            self._committing = None
            if is_shared:
                self._flusher.cover(self._token, self)
        else:
            # What is rare, such as a shorter blacklist, need not be one exchange.
            with self._transaction(is_barrier=is_barrier):
                self._pg.execute(_ADVANCE, self._named(seq, link_hash, is_barrier=is_barrier))
                gathered.write_to(self._raw)
                crashpoints.point(before)
                self._committing = (seq, link_hash)
                self._raw.execute("COMMIT")
        self._moved(seq, link_hash, is_barrier=is_barrier)

    def _named(self, seq: int, link_hash: bytes, *, is_barrier: bool) -> tuple[str | int | bytes | None, ...]:
        """What ``advance`` is asked: it refuses another holder's fence, and a head that is not the one we know."""
        head, token = self._head, self._token if is_barrier else None
        return self._account, self.lease.fence, head.seq, head.hash, seq, link_hash, token

    def _look_up(self, order_nos: Collection[str]) -> dict[str, str]:
        """In one question, however many."""
        sql = "SELECT order_no, cl_ord_id FROM orders WHERE account = ? AND order_no = ANY(?::text[])"
        return dict(self._pg.execute(sql, (self._account, list(order_nos))).fetchall())

    def _meaning(self, error: Exception, doing: str) -> Exception | None:
        if not is_database_error(error):
            return None
        meaning = translate(error, self._where, doing)
        if self._committing is None or state_of(error) is not None or not isinstance(meaning, StorageError):
            return meaning
        # The connection was lost with a commit under way: the server is asked, for the person who reads this. The
        # holder ends in any case, and the next start finds in the database what there is.
        fate = fate_of(self._address, self._account, *self._committing)
        return StorageError(f"{meaning}; {fate}")

    def _let_go(self) -> None:
        """The connection goes back to those that this process keeps."""
        self._leave()
        self._connection.close()

    def _drop(self) -> None:
        self._leave()
        self._connection.invalidate()
        self._connection.close()

    def _leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            self._flusher.leave(self)


def lock_account(pg: PostgresStatements, account: str) -> None:
    """From here to the end of the transaction no other process can take the lease, nor its holder append."""
    pg.execute("INSERT INTO lease (account, fence) VALUES (?, 0) ON CONFLICT (account) DO NOTHING", (account,))
    pg.execute("SELECT 1 FROM lease WHERE account = ? FOR UPDATE", (account,)).fetchone()


def open_postgres(
    address: Address,
    account: str,
    mode: str,
    clock: Clock,
    lease_seconds: float,
    *,
    process: ProcessInfo | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> PostgresJournal:
    """Open an account's journal for writing; see :func:`oms.journal.store.open_journal`."""
    connection = connected(address, say)
    try:
        stamp(connection, address, account, mode)
        row = LeaseRow(account, clock, lease_seconds, process or this_process())
        return PostgresJournal(connection, address, account, clock, row)
    except BaseException as error:
        if not connection.closed:
            connection.invalidate()
            connection.close()
        if isinstance(error, Exception) and is_database_error(error):
            raise translate(error, address.shown, "opening the journal") from error
        raise


def connected(address: Address, say: Callable[[str], None] = lambda _: None) -> Connection:
    """A connection that may write, to a database whose schema is this release's.

    Raises:
        StorageError, CredentialsError: the server cannot be reached, or lets this user not in.
        DamagedError: the schema is of no use to this release.
    """
    connection: Connection | None = None
    try:
        connection = writers(address.server, address.schema).connect()
        if schema.examine(connection, address) is not Found.CURRENT:
            schema.make_or_move_up(connection, address, say)
        return connection
    except BaseException as error:
        if connection is not None:
            connection.invalidate()
            connection.close()
        if isinstance(error, Exception) and is_database_error(error):
            raise translate(error, address.shown, "opening the journal") from error
        raise


def stamp(connection: Connection, address: Address, account: str, mode: str) -> None:
    """Write down at an account's first start which mode it is for, or check it."""
    kept = stamps(connection, account)
    if MOVING in kept:
        raise RefusedError(
            f"{address.shown}: a move of the journal of {account} from {kept[MOVING]} is not finished; "
            "run `db migrate-to` again, which goes on where it stopped"
        )
    if MODE not in kept:
        # Another process may be doing the same at this moment: the first one's word counts.
        sql = "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"
        connection.exec_driver_sql(sql, (MODE + account, mode))
        kept = stamps(connection, account)
    if kept[MODE] != mode:
        raise RefusedError(
            f"{address.shown}: the journal of {account} was made for mode {kept[MODE]!r}, and the configuration says "
            f"{mode!r}: a journal never changes its mode; name another account or database"
        )


def stamps(connection: Connection, account: str) -> dict[str, Any]:
    """What ``meta`` says about an account, by the kind of mark."""
    rows = connection.exec_driver_sql(
        "SELECT name, value FROM meta WHERE name IN (%s, %s)", (MODE + account, MOVING + account)
    )
    return {str(name)[: -len(account)]: value for name, value in rows}
