"""The configurations that the journal keeps: listed, compared, and written back as config.yaml."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from oms import crashpoints
from oms.backup import shared_journal, shelf
from oms.backup.files import storing, sweep, sync_folder, unfinished, write_new
from oms.backup.making import Made
from oms.backup.rewriting import rewritten
from oms.config import DEFAULT_NAME, Config, LoadedConfig, config_from_canonical, load_config
from oms.configuration.loosening import Change, changes
from oms.errors import DamagedError, UsageError
from oms.journal.connection import driver, reader_engine, translate
from oms.journal.scalars import from_instant
from oms.journal.statements import statements
from oms.places import Places, places

CURRENT = "current"
"""Names the effective configuration of now where a hash is expected."""
_SHORTEST = 4
_VERSIONS = (
    "SELECT config_hash, canonical, at, (SELECT count(*) FROM cycles WHERE cycles.config_hash = configs.config_hash)"
    " FROM configs ORDER BY at, config_hash"
)
_SHARED_VERSIONS = (
    "SELECT c.config_hash, c.canonical, min(y.opened_at), count(*) FROM configs c JOIN cycles y"
    " ON y.config_hash = c.config_hash WHERE y.account = ? GROUP BY c.config_hash, c.canonical ORDER BY 3, 1"
)
"""The same of one account, where all accounts of a database share the configurations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One distinct effective configuration."""

    hash: str
    canonical: str
    at: str | None
    """When the first cycle under it opened, RFC 3339 in UTC; None where none has yet."""
    cycles: int
    current: bool

    def config(self) -> Config:
        """The configuration itself.

        Raises:
            DamagedError: this release does not know what stands in it.
        """
        return config_from_canonical(self.canonical)


def versions(loaded: LoadedConfig) -> list[Version]:
    """Every configuration that a cycle ran under, oldest first, and the one of now.

    Raises:
        StorageError, DamagedError: the journal cannot be read.
    """
    found = [
        Version(hash=each, canonical=text, at=from_instant(at).isoformat(), cycles=cycles, current=each == loaded.hash)
        for each, text, at, cycles in _kept(places(loaded))
    ]
    if not any(version.current for version in found):
        found.append(Version(hash=loaded.hash, canonical=loaded.canonical, at=None, cycles=0, current=True))
    return found


def _kept(where: Places) -> list[tuple[str, str, int, int]]:
    if where.file is not None:
        return _rows(where.file)
    reader = shared_journal.opened(where.journal_url)
    if reader is None:
        return []
    with closing(reader), reader.asking("reading the kept configurations", whole=False) as connection:
        return statements(connection).execute(_SHARED_VERSIONS, (reader.account,)).fetchall()


def _rows(journal: Path) -> list[tuple[str, str, int, int]]:
    if not journal.exists():
        return []
    engine = reader_engine(journal)
    try:
        with engine.connect() as connection:
            raw = driver(connection)
            if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'configs'").fetchone():
                return []
            rows: list[tuple[str, str, int, int]] = raw.execute(_VERSIONS).fetchall()
            return rows
    except (sqlite3.Error, DBAPIError) as error:
        raise translate(error, journal, "reading the kept configurations") from error
    finally:
        engine.dispose()


def version(loaded: LoadedConfig, wanted: str) -> Version:
    """The one whose hash begins so; ``current`` is the one of now.

    Raises:
        UsageError: none does, or several do.
    """
    found = [
        each
        for each in versions(loaded)
        if (each.current if wanted == CURRENT else len(wanted) >= _SHORTEST and each.hash.startswith(wanted.lower()))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{wanted} begins {len(found)} hashes; write more of it")
    raise UsageError(f"no kept configuration begins with {wanted}; see `config history` (at least {_SHORTEST} letters)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A kept configuration as it would be written."""

    loaded: LoadedConfig
    version: Version
    path: Path
    text: str
    changes: list[Change]
    """From the file as it is now."""


def plan_rollback(loaded: LoadedConfig, wanted: str) -> Rollback:
    """Put a kept configuration into the text of config.yaml, leaving every comment whose key stays.

    Raises:
        UsageError: there is no such configuration, or config.yaml by itself is not valid.
        DamagedError: the kept one does not fit this release, or cannot be written so that it reads the same.
    """
    chosen = version(loaded, wanted)
    target = chosen.config()
    path = (loaded.path if loaded.path is not None else loaded.base / DEFAULT_NAME).absolute()
    present, text = Config(), ""
    if path.exists():
        present, text = load_config(path, {}).config, path.read_text("utf-8")
    after = rewritten(text, present, target)
    return Rollback(loaded=loaded, version=chosen, path=path, text=after, changes=changes(present, target))


def roll_back(plan: Rollback, env: Mapping[str, str]) -> Made:
    """Write the kept configuration as config.yaml, after a backup of what is there; returns that backup.

    A running engine goes on under its own until it is started again.

    Raises:
        DamagedError: what would be written does not read back as the kept configuration; nothing was changed.
        StorageError: the disk refuses; the old file is whole.
    """
    place = Path(os.path.realpath(plan.path))
    sweep([place.parent])
    made = shelf.automatic(plan.loaded, "rollback", tolerant=True, env=env)
    staged = unfinished(place.parent, DEFAULT_NAME)
    write_new(staged, plan.text.encode())
    try:
        if load_config(staged, {}).config != plan.version.config():
            raise DamagedError(
                f"{plan.version.hash[:12]} cannot be written into {plan.path}: it would read differently"
            )
        with storing(f"writing {place}"):
            if place.exists():
                staged.chmod(place.stat().st_mode & 0o777)
            crashpoints.point("config.before_rename")
            os.replace(staged, place)
    finally:
        staged.unlink(missing_ok=True)
    crashpoints.point("config.before_sync")
    sync_folder(place.parent)
    return made
