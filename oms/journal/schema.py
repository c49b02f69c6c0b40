"""The schema a database has against the one this release needs: made, found right, moved up, or refused.

Alembic is imported only where something must be made or moved: a database that carries ``SCHEMA_REVISION`` is used
as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import Enum
from pathlib import Path

from sqlalchemy import Connection

from oms.errors import DamagedError, OmsError
from oms.journal import shelving
from oms.journal.connection import driver, make_private_file
from oms.journal.tables import APPLICATION_ID, PACKED, SCHEMA_REVISION, TRIGGERS, create_all, tables_in_sqlite


class Found(Enum):
    """What a database turned out to be."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"


def examine(connection: Connection, where: object) -> Found:
    """What this database is.

    Raises:
        DamagedError: it belongs to another program, was made by a newer release, or is half migrated.
    """
    raw = driver(connection)
    names = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
    mark = raw.execute("PRAGMA application_id").fetchone()[0]
    if not names and mark in (0, APPLICATION_ID):
        return Found.EMPTY
    if mark != APPLICATION_ID:
        raise DamagedError(f"{where} is the database of another program; name another file in journal.url")
    revision = _revision(raw, names, where)
    if revision == SCHEMA_REVISION:
        _refuse_missing_parts(names, where)
        return Found.CURRENT
    if revision in _known_revisions():
        return Found.OLDER
    raise DamagedError(
        f"{where} was made by a newer release (schema {revision}; this one knows up to {SCHEMA_REVISION}): "
        "install that release again, or restore a backup made before the update"
    )


def _revision(raw: sqlite3.Connection, names: set[str], where: object) -> str:
    stamps = (
        [r for (r,) in raw.execute("SELECT version_num FROM alembic_version")] if "alembic_version" in names else []
    )
    if len(stamps) != 1:
        raise DamagedError(
            f"{where} is half migrated: it carries {len(stamps)} schema stamps instead of one; restore a backup"
        )
    return str(stamps[0])


def _refuse_missing_parts(names: set[str], where: object) -> None:
    inside = tables_in_sqlite()
    needed = {*PACKED, *TRIGGERS, *(t.name for t in inside), *(str(i.name) for t in inside for i in t.indexes)}
    missing = sorted(needed - names)
    if missing:
        raise DamagedError(
            f"{where} is half migrated or was changed by hand: {', '.join(missing)} missing; restore a backup"
        )


def _known_revisions() -> frozenset[str]:
    from oms.journal.migration import revisions

    return revisions()


def make(connection: Connection, *, in_memory: bool) -> None:
    """Make every table in an empty database."""
    if in_memory:
        create_all(connection)
        return
    from oms.journal.migration import upgrade

    upgrade(connection)


def move_up(connection: Connection, path: Path, now: datetime, say: Callable[[str], None]) -> str:
    """Migrate an older database once it is kept as it was; returns where it is kept, for a sentence.

    Raises:
        StorageError: it could not be kept; nothing was migrated.
    """
    from oms.journal.migration import upgrade

    kept = _on_the_shelf(path, say) or _beside(connection, path, now)
    upgrade(connection)
    # Room that the new schema does not need goes back to the disk; where that fails, new facts will use it.
    with suppress(sqlite3.OperationalError):
        driver(connection).execute("VACUUM")
    return kept


def _on_the_shelf(path: Path, say: Callable[[str], None]) -> str | None:
    if shelving.keep is None:
        return None
    try:
        return shelving.keep(path)
    except OmsError as error:
        say(f"no backup could be made before the database is moved up ({error}); a plain copy is made instead")
        return None


def _beside(connection: Connection, path: Path, now: datetime) -> str:
    raw = driver(connection)
    stamp = raw.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    copy = path.with_name(f"{path.name}.{stamp}.{now:%Y%m%dT%H%M%S}.bak")
    make_private_file(copy)  # before it has content: at no moment can others read it
    raw.execute("VACUUM INTO ?", (str(copy),))
    return str(copy)
