"""The brake of a fleet: every account stopped by one command, or one of them; and released again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from oms.fleet import registry
from oms.fleet.database import Database
from oms.fleet.limits import SET
from oms.journal.postgres.driver import PostgresStatements
from oms.journal.postgres.inbox import LOCK_EVERY_MAILBOX, PostgresInbox
from oms.journal.scalars import to_instant

HALT = "halt"
"""Row of the fleet's limits that says that the brake for all is on."""

_POST_TO_ALL = (
    "INSERT INTO inbox (account, id, at, author, command, arguments)"
    " SELECT f.account, 1 + greatest(coalesce((SELECT max(i.id) FROM inbox i WHERE i.account = f.account), 0),"
    " coalesce((SELECT a.inbox_id FROM accounts a WHERE a.account = f.account), 0)), ?, ?, ?, ?"
    " FROM fleet_accounts f"
)


def halt(database: Database, author: str, scope: str, reason: str) -> int:
    """Stop every account at once: the command is in each one's mailbox, which its engine reads before every send.

    Accounts that are not running, or are added later, meet it at their next start. Returns how many got it.
    """
    arguments = {"scope": scope, "reason": reason}
    with _telling_all(database) as pg:
        told = _tell_all(pg, author, "halt", arguments)
        pg.execute(SET, (HALT, json.dumps(arguments, sort_keys=True), author))
    return told


def release(database: Database, author: str, reason: str) -> int:
    """Take the brake off every account; one that was halted by itself is released too."""
    with _telling_all(database) as pg:
        told = _tell_all(pg, author, "release", {"reason": reason})
        pg.execute("DELETE FROM fleet_limits WHERE name = ?", (HALT,))
    return told


@contextmanager
def _telling_all(database: Database) -> Iterator[PostgresStatements]:
    """One transaction in which nobody else posts to any account, so that each command gets the number after the newest."""
    with database.session() as pg:
        pg.execute("BEGIN")
        pg.execute(LOCK_EVERY_MAILBOX)
        yield pg
        pg.execute("COMMIT")


def _tell_all(pg: PostgresStatements, author: str, command: str, arguments: dict[str, str]) -> int:
    values = (to_instant(datetime.now(UTC)), author, command, json.dumps(arguments, sort_keys=True))
    return pg.execute(_POST_TO_ALL, values).rowcount


def standing_halt(database: Database) -> dict[str, str] | None:
    """The brake for all; None where it is off."""
    row = database.one("SELECT value, author FROM fleet_limits WHERE name = ?", (HALT,))
    return None if row is None else {**json.loads(row[0]), "author": row[1]}


# One account


def tell(database: Database, account: str, author: str, command: str, arguments: dict[str, str]) -> int:
    """Leave a command for one account, which its engine reads before every send; the id of it.

    Raises:
        UsageError: it does not belong to the fleet.
    """
    registry.one(database, account)
    return PostgresInbox(database.address, account).post(author, command, arguments)
