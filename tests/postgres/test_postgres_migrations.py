"""The schema on PostgreSQL: what migrations make, and that trading goes on while they run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from sqlalchemy import text

from oms.errors import DamagedError, RefusedError
from oms.journal import tables
from oms.journal.postgres import schema
from oms.journal.postgres.address import parse, writers
from oms.journal.postgres.journal import connected, open_postgres
from oms.journal.postgres.migration import alembic_config, head, upgrade
from oms.model.event import AttentionRaised
from oms.resources import migrations_dir
from tests.fakes.clock import FakeClock
from tests.journal.facts import account_opened
from tests.postgres.server import Server


@pytest.fixture(autouse=True)
def fresh_eyes() -> Iterator[None]:
    """No database counts as looked at already."""
    schema.forget()
    yield
    schema.forget()


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    name = server.new_database(empty=True)
    yield name
    server.drop(name)


def first_schema(server: Server, database: str) -> None:
    """A database as the release with the first migration made it."""
    address = parse(server.url(database))
    server.execute("CREATE SCHEMA oms", database)
    with writers(address.server, address.schema).connect() as connection:
        upgrade(connection, "p0001")


def test_the_constant_is_alembics_head() -> None:
    """The stamp that lets a start go without Alembic is the newest migration's."""
    assert head() == schema.REVISION


def test_every_table_and_column_is_there(server: Server, database: str) -> None:
    """What the program writes is what the migrations made; what is there besides has a name here."""
    sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'oms'"
    with server.connect(database) as raw:
        found = set(raw.execute(sql.encode()).fetchall())
    ours = {(table.name, column.name) for table in tables.metadata.tables.values() for column in table.columns}
    assert ours <= found
    others = {name for name, _ in found - ours if not name.startswith(("fleet_", "events_", "v_"))}
    assert others == {
        "inbox",
        "restart_token",
        "alembic_version",
        "orders",
        "fills",
    }  # the last two for their row number


def test_trading_goes_on_while_the_schema_moves_up(server: Server, empty: str) -> None:
    """An engine of the older schema commits before, during and after the migration, on the connection it always had."""
    first_schema(server, empty)
    address = parse(server.url(empty))
    assert schema.REVISION > "p0001"
    journal = None
    try:
        with pytest.MonkeyPatch.context() as older:
            older.setattr(schema, "REVISION", "p0001")
            journal = open_postgres(address, "alpha", "paper", FakeClock(), 15.0)
        journal.append_barrier([account_opened()])
        stop, longest = threading.Event(), [0]

        def trade() -> None:
            while not stop.is_set():
                journal.append([AttentionRaised(rule="test", text="during")])
                longest[0] += 1

        trading = threading.Thread(target=trade)
        trading.start()
        connected(address).close()
        done = longest[0]
        while longest[0] < done + 5 and trading.is_alive():
            pass
        stop.set()
        trading.join()
        assert longest[0] >= done + 5
        journal.append_barrier([AttentionRaised(rule="test", text="after")])
    finally:
        if journal is not None:
            journal._break("the test is over")


def test_a_migration_that_must_wait_gives_way(server: Server, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody holds a table it waits a moment, lets go, and tries again, so that nobody queues behind it."""
    first_schema(server, empty)
    tried = []
    with server.connect(empty) as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE oms.alembic_version IN ACCESS EXCLUSIVE MODE")

        def pause(seconds: float) -> None:
            tried.append(seconds)
            holder.execute("ROLLBACK")

        monkeypatch.setattr(schema, "LOCK_S", 1)
        monkeypatch.setattr("oms.journal.postgres.schema.time.sleep", pause)
        address = parse(server.url(empty))
        with writers(address.server, address.schema).connect() as connection:
            connection.execute(text("SET lock_timeout = '1s'"))
            monkeypatch.setattr(schema, "stamped", lambda _: "p0001")
            schema.make_or_move_up(connection, address, lambda _: None)
    assert len(tried) == 1


INDEX_WHILE_TRADING = """
from alembic import op
from oms.journal.postgres.ddl import PARTITIONS, partition
revision, down_revision, branch_labels, depends_on = "p9000", "{head}", None, None

def upgrade():
    op.execute("CREATE INDEX ix_events_later ON ONLY events (account, kind)")
    with op.get_context().autocommit_block():
        for part in range(PARTITIONS):
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_later_{{part}} ON {{partition(part)}} (account, kind)")
    for part in range(PARTITIONS):
        op.execute(f"ALTER INDEX ix_events_later ATTACH PARTITION ix_later_{{part}}")
"""
"""How a later migration adds an index to the facts: part by part, with nobody waiting for it."""


def test_a_later_migration_can_build_an_index_while_trading_goes_on(
    server: Server, own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrently, part by part, then put together; an engine commits all the while, and the index is whole and used."""
    (tmp_path / "p9000_an_index.py").write_text(INDEX_WHILE_TRADING.format(head=schema.REVISION), "utf-8")

    def with_it(connection: Any = None) -> Config:
        config = alembic_config(connection)
        config.set_main_option("path_separator", "newline")
        folders = f"{migrations_dir() / 'postgres' / 'versions'}\n{tmp_path}"
        config.set_main_option("version_locations", folders)
        return config

    address = parse(server.url(own_database))
    journal = open_postgres(address, "alpha", "paper", FakeClock(), 15.0)
    stop, commits = threading.Event(), [0]

    def trade() -> None:
        journal.append_barrier([account_opened()])
        while not stop.is_set():
            journal.append([AttentionRaised(rule="test", text="during")])
            commits[0] += 1

    trading = threading.Thread(target=trade)
    trading.start()
    try:
        monkeypatch.setattr("oms.journal.postgres.migration.alembic_config", with_it)
        with writers(address.server, address.schema).connect() as connection:
            connection.execute(text("SET lock_timeout = '2s'"))
            before = commits[0]
            upgrade(connection)
            connection.execute(text("RESET lock_timeout"))
        assert commits[0] > before
        assert trading.is_alive()
    finally:
        stop.set()
        trading.join()
        journal._break("the test is over")
    with server.connect(own_database) as raw:
        sql = b"SELECT indisvalid FROM pg_index WHERE indexrelid = 'oms.ix_events_later'::regclass"
        assert raw.execute(sql).fetchall() == [(True,)]


def test_two_releases_share_a_database_that_says_so(server: Server, own_database: str) -> None:
    """A newer schema names the oldest one whose program may go on: so workers are replaced one after the other."""
    server.execute("UPDATE oms.alembic_version SET version_num = 'p9999'", own_database)
    address = parse(server.url(own_database))
    journal = open_postgres(address, "alpha", "paper", FakeClock(), 15.0)
    journal.append_barrier([account_opened()])
    journal.close()
    server.execute("UPDATE oms.meta SET value = 'p9000' WHERE name = 'readable_by'", own_database)
    schema.forget()
    with pytest.raises(DamagedError, match="newer release"):
        open_postgres(address, "alpha", "paper", FakeClock(), 15.0)


def test_only_the_owner_makes_tables(server: Server, empty: str) -> None:
    """Who may not is told who can: exit 5."""
    server.execute("CREATE USER guest_1")
    try:
        url = server.base.set(database=empty, username="guest_1").render_as_string(hide_password=False)
        with pytest.raises(RefusedError, match="may not do that"):
            open_postgres(parse(url), "alpha", "paper", FakeClock(), 15.0)
        writers(parse(url).server, "oms").dispose()
    finally:
        server.execute("DROP USER guest_1")
