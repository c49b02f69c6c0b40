"""The doors of a journal, whichever database it is in: for writing, for reading, and for operators' commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from oms.errors import DamagedError, RefusedError
from oms.journal.account import AccountJournal
from oms.journal.inbox import Inbox
from oms.journal.machine import ProcessInfo
from oms.journal.reader import NoJournal, open_reader
from oms.journal.statements import statements
from oms.ports import Clock, Mailbox


class Post(Mailbox, Protocol):
    """A mailbox with both of its sides."""

    def post(self, author: str, command: str, arguments: Mapping[str, str] | None = None) -> int:
        """Leave a command; it counts from the moment this returns. Returns its id, by which it is answered."""
        ...

    def answer(self, inbox_id: int) -> str | None:
        """What became of a command; None while no process has journaled it."""
        ...


def is_postgres(url: str) -> bool:
    """Whether an address names a journal on PostgreSQL."""
    return url.startswith(("postgresql", "postgres:"))


def open_account(
    url: str,
    account: str,
    mode: str,
    clock: Clock,
    lease_seconds: float = 15.0,
    *,
    process: ProcessInfo | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AccountJournal:
    """Open an account's journal for writing, wherever it is; as :func:`oms.journal.store.open_journal`."""
    if is_postgres(url):
        from oms.journal.postgres.address import parse
        from oms.journal.postgres.journal import open_postgres

        address = parse(url)
        return open_postgres(address, account, mode, clock, lease_seconds, process=process, say=say)
    from oms.journal.store import open_journal

    return open_journal(url, account, mode, clock, lease_seconds, process=process, say=say)


def open_mailbox(url: str, inbox: Path, account: str, journal: AccountJournal | None = None) -> Post:
    """The mailbox of an account: a table beside its journal on PostgreSQL, else the file ``inbox``.

    Whoever holds the ``journal`` gives it, so that a look into the table needs no connection of its own.
    """
    if is_postgres(url):
        from oms.journal.postgres.address import parse
        from oms.journal.postgres.inbox import PostgresInbox

        return PostgresInbox(parse(url), account, None if journal is None else journal.connection)
    return Inbox(inbox)


def has_facts(url: str, account: str, mode: str) -> bool:
    """Whether an account's journal has its first fact.

    Raises:
        RefusedError: the journal belongs to another account or mode.
        DamagedError: it is of no use to this release.
    """
    try:
        reader = open_reader(url)
    except NoJournal:
        return False
    try:
        if (reader.account, reader.mode) != (account, mode):
            raise RefusedError(
                f"{reader.where} was made for account {reader.account!r} and mode {reader.mode!r}, and the configuration "
                f"says {account!r} and {mode!r}"
            )
        with reader.asking("looking at the journal") as connection:
            sql = "SELECT seq FROM events WHERE account = ? LIMIT 1"
            return statements(connection).execute(sql, (account,)).fetchone() is not None
    finally:
        reader.close()


def exists(url: str) -> bool:
    """Whether there is a journal at all; one that is damaged is there too."""
    try:
        open_reader(url).close()
    except NoJournal:
        return False
    except DamagedError:
        return True
    return True
