"""What the program goes by, and what is kept of it: ``config check|show|history|diff``, ``backups list``, ``db current``."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from oms.errors import DamagedError
from oms.questions.asking import Desk

if TYPE_CHECKING:
    from oms.config import LoadedConfig
    from oms.configuration.loosening import Change


def check(loaded: LoadedConfig) -> dict[str, Any]:
    """That the configuration, its universe and its strategy are sound.

    Raises:
        UsageError: they are not; every problem is named.
    """
    from oms.choice_wiring import strategy_of, universe_of

    universe = universe_of(loaded)
    strategy_of(loaded)
    return {
        "schema": "oms.config-check/1",
        "ok": True,
        "file": None if loaded.path is None else str(loaded.path),
        "account": loaded.config.account,
        "mode": loaded.config.mode,
        "hash": loaded.hash,
        "universe": len(universe),
        "warnings": list(loaded.warnings),
    }


def show(loaded: LoadedConfig, *, origins: bool) -> dict[str, Any]:
    """The whole effective configuration without secrets; with ``origins``, where each value came from."""
    answer: dict[str, Any] = {
        "schema": "oms.config-show/1",
        "hash": loaded.hash,
        "config": json.loads(loaded.canonical),
    }
    if origins:
        answer["origins"] = dict(loaded.origins)
    return answer


def history(loaded: LoadedConfig) -> dict[str, Any]:
    """Every configuration that a cycle ran under, with what each changed; the present one last."""
    from oms.backup.versions import versions
    from oms.configuration.loosening import changes

    rows = []
    before = None
    changed: list[Change]
    for version in versions(loaded):
        try:
            config, problem = version.config(), ""
        except DamagedError as error:
            config, problem = None, str(error)
        changed = changes(before, config) if before is not None and config is not None else []
        rows.append(
            {
                "hash": version.hash,
                "at": version.at,
                "cycles": version.cycles,
                "current": version.current,
                "changes": [change.answer() for change in changed],
                "problem": problem or None,
            }
        )
        before = config or before
    return {"schema": "oms.config-history/1", "versions": rows}


def diff(loaded: LoadedConfig, old: str, new: str = "current") -> dict[str, Any]:
    """Two kept configurations compared by meaning; a loosened limit is marked.

    Raises:
        UsageError: a name fits none, or more than one.
        DamagedError: one of them does not fit this version of the program.
    """
    from oms.backup.versions import version
    from oms.configuration.loosening import changes

    first, second = version(loaded, old), version(loaded, new)
    return {
        "schema": "oms.config-diff/1",
        "old": first.hash,
        "new": second.hash,
        "changes": [change.answer() for change in changes(first.config(), second.config())],
    }


def backups(loaded: LoadedConfig) -> dict[str, Any]:
    """The backups on the shelf, newest first; those that cannot be read with their problem."""
    from oms.backup import shelf

    found = shelf.every(loaded)
    sealed = [
        {"id": path.name.split(".tar")[0], "path": str(path), "size": path.stat().st_size}
        for path in shelf.encrypted(loaded)
    ]
    good = [kept.answer() for kept in found if kept.manifest is not None]
    bad = [{"id": kept.id, "problem": kept.problem} for kept in found if kept.manifest is None]
    return {"schema": "oms.backups-list/1", "backups": good, "encrypted": sealed, "damaged": bad}


def database(desk: Desk) -> dict[str, Any]:
    """Which schema the database has, and which one this program needs.

    Raises:
        StorageError: it cannot be read now.
    """
    from oms.journal.tables import SCHEMA_REVISION
    from oms.places import places

    where = places(desk.loaded, dry_run=desk.dry_run)
    if where.file is None:
        from oms.journal.postgres.administration import current  # its driver is an extra

        place, needed, found, problem = current(where.journal_url)
    else:
        place, needed = str(where.file), SCHEMA_REVISION
        found, problem = _examined(where.journal_url) if where.file.exists() else ("none", "")
    return {
        "schema": "oms.db-current/1",
        "file": place,
        "found": found,
        "needed": needed,
        "problem": problem,
    }


def _examined(url: str) -> tuple[str, str]:
    """The schema of a database that is there, and what is wrong with it."""
    from sqlalchemy.exc import DBAPIError

    from oms.journal import schema
    from oms.journal.connection import reader_engine, sqlite_file, translate

    path = sqlite_file(url)
    assert path is not None
    engine = reader_engine(path)
    try:
        with engine.connect() as connection:
            try:
                state = schema.examine(connection, path)
            except DamagedError as error:
                return "unusable", str(error)
            if state is schema.Found.EMPTY:
                return "empty", ""
            return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()), ""
    except (DBAPIError, sqlite3.Error) as error:
        raise translate(error, path, "looking at its schema") from error
    finally:
        engine.dispose()
