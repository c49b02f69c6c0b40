"""Opening a journal: what is made, what is moved up, and what is refused with which exit code."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from sqlalchemy import Connection

from oms.errors import DamagedError, OmsError, RefusedError, StorageError, TryAgainError, UsageError
from oms.journal import connection as connections
from oms.journal import migration, schema, tables
from oms.journal.connection import file_system, refuse_network_file_system, writer_engine
from oms.journal.migration import alembic_config, head
from oms.journal.reader import open_reader
from oms.journal.store import SqliteJournal, open_journal
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT

OpenOne = Callable[..., SqliteJournal]


def made(path: Path) -> Connection:
    """A database that the migrations made."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.touch()
    made = writer_engine(f"sqlite:///{path}").connect()
    schema.make(made, in_memory=False)
    return made


def shape(connection: Connection) -> dict[str, str]:
    """Every table, index and trigger, blanks made alike."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: re.sub(r"\s+", " ", sql).replace("( ", "(").replace(" )", ")") for name, sql in rows}


class TestSchema:
    """Migrations and tables are one."""

    def test_migrated_is_the_same_as_created(self, path: Path) -> None:
        """Migrating an empty database and creating every table at once end in the same schema."""
        created = writer_engine("sqlite://").connect()
        schema.make(created, in_memory=True)
        migrated = made(path)
        assert shape(migrated) == shape(created)
        assert migrated.exec_driver_sql("PRAGMA application_id").scalar() == tables.APPLICATION_ID
        migrated.close()
        created.close()

    def test_alembic_finds_nothing_to_do(self, path: Path) -> None:
        """`alembic check` is clean after all migrations."""
        migrated = made(path)
        alembic.command.check(alembic_config(migrated))
        migrated.close()

    def test_the_constant_is_alembics_head(self) -> None:
        """The stamp that lets a start go without Alembic is the newest migration's."""
        assert head() == tables.SCHEMA_REVISION

    def test_a_current_database_needs_no_alembic(self, journal: SqliteJournal, url: str) -> None:
        """Opening and reading a current journal imports no Alembic, and reading imports none of the writer."""
        journal.close()
        program = (
            "import sys\n"
            "from oms.journal import views\n"
            f"views.status(views.open_reader({url!r}))\n"
            "assert 'oms.journal.store' not in sys.modules\n"
            "from oms.journal.store import open_journal\n"
            "from tests.fakes.clock import FakeClock\n"
            f"open_journal({url!r}, {ACCOUNT!r}, 'paper', FakeClock()).close()\n"
            "heavy = {'alembic', 'pandas', 'tigeropen', 'yfinance', 'pydantic', 'click'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
        )
        root = Path(__file__).parents[2]
        subprocess.run(
            [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True
        )

    def test_money_is_never_real(self, story: Path) -> None:
        """After everything has happened, no column of any table holds a floating-point number."""
        raw = sqlite3.connect(story)
        for table in tables.metadata.tables.values():
            for column in table.columns:
                kinds = {k for (k,) in raw.execute(f"SELECT DISTINCT typeof({column.name}) FROM {table.name}")}
                assert "real" not in kinds, f"{table.name}.{column.name}"
        raw.close()


class TestMovingUp:
    """A database of an older release."""

    @pytest.fixture
    def older(self, journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        journal.close()
        raw = sqlite3.connect(path)
        raw.execute("UPDATE alembic_version SET version_num = '0000'")
        raw.commit()
        raw.close()
        monkeypatch.setattr(migration, "revisions", lambda: frozenset({"0000", tables.SCHEMA_REVISION}))
        return path

    def test_a_copy_is_made_first(self, older: Path, open_one: OpenOne, monkeypatch: pytest.MonkeyPatch) -> None:
        """The database as it was lies beside the new one, named with its schema and the time, and whole."""

        def upgrade(connection: Connection) -> None:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{tables.SCHEMA_REVISION}'")

        monkeypatch.setattr(migration, "upgrade", upgrade)
        said: list[str] = []
        open_one(say=said.append).close()
        (copy,) = older.parent.glob("oms.db.0000.*.bak")
        assert str(copy) in said[0]
        raw = sqlite3.connect(copy)
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0000",)
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        raw.close()

    def test_readers_ask_for_the_upgrade(self, older: Path) -> None:
        """A reader changes nothing; it names the command that does."""
        with pytest.raises(DamagedError, match="db upgrade"):
            open_reader(f"sqlite:///{older}")

    def test_a_failing_migration_leaves_the_old_schema(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
    ) -> None:
        """All of it happens in one transaction: after a failure in the middle nothing of it is there."""
        path.parent.mkdir()
        connections.make_private_file(path)
        monkeypatch.setattr(alembic.command, "upgrade", _upgrade_and_fail)
        with pytest.raises(RuntimeError, match="power cut"):
            open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock)
        monkeypatch.undo()
        raw = sqlite3.connect(path)
        assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        raw.close()
        open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock).close()


_REAL_UPGRADE = alembic.command.upgrade


def _upgrade_and_fail(*arguments: Any) -> None:
    _REAL_UPGRADE(*arguments)
    raise RuntimeError("power cut")


def _text(path: Path) -> None:
    path.write_text("# this is no database\n" * 100)


def _other_app(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.close()


def _newer(path: Path) -> None:
    connection = made(path)
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def _no_stamp(path: Path) -> None:
    connection = made(path)
    connection.exec_driver_sql("DELETE FROM alembic_version")
    connection.close()


def _no_trigger(path: Path) -> None:
    connection = made(path)
    connection.exec_driver_sql("DROP TRIGGER events_no_update")
    connection.close()


def _no_table(path: Path) -> None:
    connection = made(path)
    connection.exec_driver_sql("DROP TABLE fill_rows")
    connection.close()


def _torn(path: Path) -> None:
    made(path).close()
    content = bytearray(path.read_bytes())
    content[100:4000] = os.urandom(3900)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_text, "not a database of this program"),
        (_other_app, "another program"),
        (_newer, "newer release"),
        (_no_stamp, "half migrated"),
        (_no_trigger, "events_no_update missing"),
        (_no_table, "fill_rows.* missing"),
        (_torn, "damaged"),
    ],
)
def test_what_is_no_sound_journal_is_refused(
    spoil: Callable[[Path], None], words: str, path: Path, clock: FakeClock
) -> None:
    """Exit 3 with a sentence, for the writer and for readers, and the file is left as it is."""
    path.parent.mkdir()
    spoil(path)
    before = path.read_bytes()
    for attempt in (
        lambda: open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock),
        lambda: open_reader(f"sqlite:///{path}"),
    ):
        with pytest.raises(DamagedError, match=words) as caught:
            attempt()
        assert caught.value.exit_code == 3
    assert path.read_bytes() == before


class TestNotNow:
    """What passes: exit 75."""

    def test_a_locked_database(
        self, journal: SqliteJournal, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lock that another process keeps longer than the wait is told as such."""
        journal.close()
        monkeypatch.setattr(connections, "BUSY_S", 0.05)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked the database for more than") as caught:
            open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock)
        assert caught.value.exit_code == 75
        other.close()

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written(self, journal: SqliteJournal, path: Path, clock: FakeClock) -> None:
        """A read-only folder is named."""
        journal.close()
        path.parent.chmod(0o500)
        with pytest.raises(TryAgainError, match="cannot be written"):
            open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock)
        path.parent.chmod(0o700)

    def test_a_file_that_sqlite_may_not_write(
        self, journal: SqliteJournal, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite's own word about a read-only database becomes a sentence."""
        journal.close()
        real = connections._opener
        monkeypatch.setattr(connections, "_opener", lambda path, mode: real(path, "ro"))
        with pytest.raises(StorageError, match="cannot be written"):
            open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock)

    def test_a_full_disk(self, journal: SqliteJournal) -> None:
        """A database that may not grow ends the use of the journal with the right sentence."""
        from tests.journal.facts import Script, account_opened

        journal.append_barrier([account_opened()])
        pages = journal._raw.execute("PRAGMA page_count").fetchone()[0]
        journal._raw.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match="the disk is full") as caught:
            journal.append([Script(sells=200, buys=200).opened()])
        assert caught.value.exit_code == 75


class TestWhere:
    """Where a journal may lie."""

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
    def test_a_network_file_system_is_refused(self, tmp_path: Path, kind: str) -> None:
        """Exit 5: locks do not hold there."""
        mounts = tmp_path / "mounts"
        mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path}/my\\040share {kind} rw 0 0\n")
        refuse_network_file_system(tmp_path / "here" / "oms.db", mounts)
        with pytest.raises(RefusedError, match=kind):
            refuse_network_file_system(tmp_path / "my share" / "deep" / "oms.db", mounts)

    def test_the_nearest_mount_counts(self, tmp_path: Path) -> None:
        """A local disk mounted below a network share is local."""
        mounts = tmp_path / "mounts"
        mounts.write_text(f"server:/x / nfs rw 0 0\n/dev/vdb {tmp_path} ext4 rw 0 0\n")
        assert file_system(tmp_path / "oms.db", mounts) == "ext4"
        assert file_system(Path("/elsewhere/oms.db"), mounts) == "nfs"

    def test_paths_with_odd_letters_work(self, tmp_path: Path, clock: FakeClock) -> None:
        """Blanks, percent signs, question marks and accents are letters like others."""
        path = tmp_path / "a b%20?é#" / "oms.db"
        from sqlalchemy import URL

        url = URL.create("sqlite", database=str(path)).render_as_string()
        open_journal(url, ACCOUNT, "paper", clock).close()
        assert path.exists()
        open_reader(url).close()

    @pytest.mark.parametrize("url", ["", "oms.db", "mysql://x/y", "sqlite:///file:x.db?uri=true"])
    def test_other_addresses_are_usage_errors(self, url: str, clock: FakeClock) -> None:
        """Exit 2 for what is no SQLite file."""
        with pytest.raises(UsageError):
            open_journal(url, ACCOUNT, "paper", clock)

    def test_a_reader_makes_nothing(self, path: Path) -> None:
        """Reading where no journal is says so and leaves no file."""
        with pytest.raises(OmsError, match="no journal"):
            open_reader(f"sqlite:///{path}")
        assert not path.exists()
