"""The schema that a database on PostgreSQL has against the one this release needs: made, found right, moved up, or refused.

A migration may add what an older program does not miss, and says in ``meta`` which is the oldest schema whose program still
works on it: so workers of two releases serve the same database while one replaces the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from oms.errors import DamagedError, StorageError
from oms.journal.postgres.address import Address
from oms.journal.postgres.meaning import state_of
from oms.journal.schema import Found

REVISION = "p0002"
"""Newest migration; a test compares it with Alembic's head."""
READABLE_BY = "readable_by"
"""Row of ``meta``: the oldest schema whose program may work on this database."""

LOOK_AGAIN_S = 60.0
"""Seconds for which a schema that was found right is not looked at again by this process."""
LOCK_S = 2
"""Seconds that a migration waits for a lock; for so long at most it holds trading up."""
ATTEMPTS = 30
_PAUSE_S = 1.0
_LOCK_NOT_AVAILABLE = "55P03"
_UNDEFINED_TABLE = "42P01"

_seen: dict[tuple[str, str], float] = {}
"""When this process last found each database right."""


def examine(connection: Connection, address: Address) -> Found:
    """What this database is.

    Raises:
        DamagedError: it was made by a newer release that this one cannot work with, or is half migrated.
    """
    known = (str(address.server), address.schema)
    if time.monotonic() - _seen.get(known, float("-inf")) < LOOK_AGAIN_S:
        return Found.CURRENT
    found = _examine(connection, address.shown)
    if found is Found.CURRENT:
        _seen[known] = time.monotonic()
    return found


def forget() -> None:
    """Look at every database again: it may have been dropped and made anew."""
    _seen.clear()


def stamped(connection: Connection) -> str | None:
    """The schema's own mark; None where there is none."""
    try:
        stamps = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    except ProgrammingError as error:
        if state_of(error) == _UNDEFINED_TABLE:
            return None
        raise
    if len(stamps) != 1:
        raise DamagedError(f"the database is half migrated: it carries {len(stamps)} schema stamps; restore a backup")
    return str(stamps[0])


def _examine(connection: Connection, where: str) -> Found:
    revision = stamped(connection)
    if revision is None:
        return Found.EMPTY
    if revision == REVISION:
        return Found.CURRENT
    if revision < REVISION:
        return Found.OLDER
    oldest = connection.execute(text("SELECT value FROM meta WHERE name = :n"), {"n": READABLE_BY}).scalar()
    if oldest is not None and oldest <= REVISION:
        return Found.CURRENT  # of a newer release, which says that ours still may
    raise DamagedError(
        f"{where} was made by a newer release (schema {revision}, usable from {oldest} on; this one has {REVISION}): "
        "install that release"
    )


def make_or_move_up(connection: Connection, address: Address, say: Callable[[str], None]) -> None:
    """Run what migrations are missing, each in short transactions that wait for no lock longer than trading can.

    Raises:
        StorageError: others held the tables for too long.
    """
    lock = f"oms.schema/{address.schema}"
    connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:lock, 0))"), {"lock": lock})
    try:
        before = stamped(connection)
        if before == REVISION:
            return
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {address.schema}"))
        for attempt in range(ATTEMPTS):
            try:
                _upgrade(connection)
                break
            except DBAPIError as error:
                if state_of(error) != _LOCK_NOT_AVAILABLE or attempt == ATTEMPTS - 1:
                    raise
                time.sleep(_PAUSE_S)
        else:  # pragma: no cover - the last attempt raises
            raise StorageError("the tables were locked for too long")
        if before is not None:
            say(f"{address.shown} was moved up from schema {before} to {REVISION}")
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:lock, 0))"), {"lock": lock})


def _upgrade(connection: Connection) -> None:
    from oms.journal.postgres.migration import upgrade

    connection.execute(text(f"SET lock_timeout = '{LOCK_S}s'"))
    try:
        upgrade(connection)
    finally:
        connection.execute(text("RESET lock_timeout"))
