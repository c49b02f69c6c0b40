"""Before the database is moved up to a newer schema, it goes to the shelf as it was, and comes back from there."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import alembic.command
import pytest

from oms import crashpoints
from oms.backup import making, shelf
from oms.backup.archive import read_archive
from oms.backup.moving_up import keeper
from oms.errors import StorageError
from oms.journal import shelving, tables
from oms.journal.connection import address_of, writer_engine
from oms.journal.migration import alembic_config
from oms.journal.reader import open_reader
from oms.journal.verify import verify
from oms.operator_desk import upgrade
from tests.backup.home import Home, dies_at

OLDER = "0002"


@pytest.fixture
def older(home: Home) -> Iterator[Home]:
    """An account that traded under an older release, and a program with a shelf."""
    as_of(home.journal, OLDER)
    shelving.keep = keeper(home.loaded)
    yield home
    shelving.keep = None


def as_of(path: Path, revision: str) -> None:
    """Replace a journal by one of an older schema with the same rows."""
    old = path.with_name("older.db")
    engine = writer_engine(address_of(old), create=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection, connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        alembic.command.upgrade(alembic_config(connection), revision)
    engine.dispose()
    with closing(sqlite3.connect(old, isolation_level=None)) as raw:
        raw.execute("ATTACH DATABASE ? AS now", (str(path),))
        known = {name for (name,) in raw.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        for name in sorted(known - {"alembic_version"}):
            order = "seq" if name == "events" else "rowid"
            names = ", ".join(row[1] for row in raw.execute(f"PRAGMA main.table_info({name})"))
            raw.execute(f"INSERT INTO main.{name} SELECT {names} FROM now.{name} ORDER BY {order}")
        raw.execute("PRAGMA journal_mode = WAL")
    for ending in ("-wal", "-shm", ""):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    old.rename(path)


def revision_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        found: str = raw.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    return found


def is_sound(path: Path) -> bool:
    with closing(open_reader(f"sqlite:///{path}")) as reader:
        return verify(reader).ok


def test_the_shelf_has_the_database_as_it_was(older: Home) -> None:
    """The next start makes a backup with the journal, says its name, migrates, and trades on."""
    said: list[str] = []
    before = older.state.seq
    upgrade(older.loaded, dry_run=False, say=said.append)
    (kept,) = shelf.every(older.loaded)
    assert kept.manifest is not None
    assert (kept.manifest.reason, kept.manifest.schema, kept.manifest.with_journal) == ("migration", OLDER, True)
    assert kept.id in said[-1]
    assert list(older.journal.parent.glob("*.bak")) == []
    assert revision_of(older.journal) == tables.SCHEMA_REVISION
    assert is_sound(older.journal)
    assert shelf.verify(kept.path).id == kept.id
    unpacked = older.folder / "unpacked.db"
    read_archive(kept.path, unpacked)
    assert revision_of(unpacked) == OLDER
    older.run()
    assert older.state.seq > before


def test_a_backup_of_the_older_release_restores(older: Home) -> None:
    """What was kept comes back as a journal of this release, with its facts."""
    upgrade(older.loaded, dry_run=False, say=lambda _: None)
    (kept,) = shelf.every(older.loaded)
    head = older.state.seq
    older.run()
    older.restore(kept.path)
    assert older.state.seq == head + 1  # the fact that says it was restored
    assert is_sound(older.journal)


def test_without_a_backup_a_plain_copy_is_laid_beside(older: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shelf that refuses does not keep the account from trading, and never leaves it without a copy."""

    def refuse(*_: object) -> None:
        raise StorageError("the shelf is full")

    monkeypatch.setattr(making, "write_archive", refuse)
    said: list[str] = []
    upgrade(older.loaded, dry_run=False, say=said.append)
    assert "the shelf is full" in said[0]
    (copy,) = older.journal.parent.glob("*.bak")
    assert str(copy) in said[-1]
    assert revision_of(copy) == OLDER
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_another_database_is_no_business_of_the_shelf(older: Home) -> None:
    """The dry run's journal, or one that is being unpacked, is copied beside itself."""
    assert keeper(older.loaded)(older.journal.with_name("oms.dry.db")) is None


@pytest.mark.parametrize("point", [name for name in crashpoints.POINTS if name.startswith("backup.")])
def test_killed_before_the_migration_the_old_database_stands(older: Home, point: str) -> None:
    """SIGKILL while the backup is made: nothing was migrated, and the next start makes one and goes on."""
    assert dies_at(point, 1, lambda: upgrade(older.loaded, dry_run=False, say=lambda _: None))
    assert revision_of(older.journal) == OLDER
    upgrade(older.loaded, dry_run=False, say=lambda _: None)
    assert [kept.problem for kept in shelf.every(older.loaded) if kept.manifest is None] == []
    assert is_sound(older.journal)
