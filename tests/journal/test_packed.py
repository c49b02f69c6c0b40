"""Short numbers for long keys: a journal of an older release keeps every row, and no word is ever lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, event

from oms.journal import migration, packed, tables
from oms.journal.connection import address_of, driver, writer_engine
from oms.journal.packed import Packing
from oms.journal.reader import open_reader
from oms.journal.recalling import known_numbers, recall_orders
from oms.journal.store import SqliteJournal
from oms.journal.verify import verify
from tests.journal.facts import ACCOUNT, account_opened

OpenOne = Callable[..., SqliteJournal]


def older_copy(newer: Path, older: Path) -> None:
    """The same journal as the release before this schema wrote it."""
    engine = writer_engine(address_of(older), create=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as made:
        with made.begin():
            made.exec_driver_sql("BEGIN IMMEDIATE")
            command.upgrade(migration.alembic_config(made), "0006")
        raw = driver(made)
        raw.execute("ATTACH DATABASE ? AS newer", (str(newer),))
        for table in tables.metadata.sorted_tables:
            names = ", ".join(column.name for column in table.columns)
            order = {"events": " ORDER BY seq", "orders": " ORDER BY rowid", "fills": " ORDER BY rowid"}.get(
                table.name, ""
            )
            raw.execute(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM newer.{table.name}{order}")
    engine.dispose()


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in a journal, but who holds it."""
    with closing(sqlite3.connect(path)) as raw:
        return {
            table.name: raw.execute(
                f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name}"
                + (" ORDER BY rowid" if table.name in ("orders", "fills") else "")
            ).fetchall()
            for table in tables.metadata.sorted_tables
            if table.name not in ("lease", "tasks")
        }


def test_a_journal_of_the_release_before_is_the_same_afterwards(story: Path, path: Path, open_one: OpenOne) -> None:
    """Moved up, every row of every table reads as before, in the same order, with the chain whole."""
    before = rows(story)
    assert len(before["events"]) > 50
    assert before["orders"]
    assert before["fills"]
    kept = story.with_name("kept.db")
    story.rename(kept)
    older_copy(kept, path)
    said: list[str] = []
    open_one(say=said.append).close()
    assert "moved up" in said[0]
    assert rows(path) == before
    with closing(open_reader(f"sqlite:///{path}")) as reader:
        verdict = verify(reader)
    assert verdict.ok, verdict


def test_what_migrations_make_is_what_the_tables_say(path: Path, open_one: OpenOne) -> None:
    """Views, tables, indices and guards of a migrated file and of one made at once are the same words."""
    open_one().close()
    made = writer_engine("sqlite://")
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as at_once:
        tables.create_all(at_once)
        wanted = in_words(at_once)
    migrated = writer_engine(address_of(path))
    with migrated.connect() as connection:
        found = in_words(connection)
    made.dispose()
    migrated.dispose()
    packed_names = {*packed.VIEWS, *packed.TRIGGERS, *(t.name for t in packed.metadata.sorted_tables)}
    packed_names |= {str(i.name) for t in packed.metadata.sorted_tables for i in t.indexes}
    for name in packed_names:
        assert found[name] == wanted[name], name


def in_words(connection: Connection) -> dict[str, str]:
    found = driver(connection).execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in found}


def test_a_word_keeps_its_number_whatever_is_remembered(
    path: Path, open_one: OpenOne, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that remembers two words only, and one that remembers none, give each the number it has."""
    journal = open_one()
    journal.append_barrier([account_opened()])
    journal.close()
    monkeypatch.setattr(packed, "WORDS_REMEMBERED", 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        packing = Packing(raw)
        first = [packing.number(word) for word in ("c-1", "c-2", "c-3", "c-1", "c-2", "c-3")]
        assert first[:3] == first[3:]
        assert len(set(first)) == 3
        assert packing.number(None) is None
        assert [Packing(raw).number(word) for word in ("c-3", "c-2", "c-1")] == first[2::-1]


def test_orders_are_recalled_by_key_without_a_walk(story: Path) -> None:
    """However many are asked for at once, each is found through its word, and so are its executions."""
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        plans.extend(row[3] for row in plan)

    with closing(open_reader(f"sqlite:///{story}")) as reader, reader.asking("recalling orders") as connection:
        keys = driver(connection).execute("SELECT cl_ord_id, order_no FROM orders WHERE cum_qty > 0").fetchall()
        event.listen(connection, "before_cursor_execute", explain)
        found = recall_orders(connection, ACCOUNT, [key for key, _ in keys])
        assert len(found) == len(keys) > 1
        assert all(order.exec_ids for order in found.values())
        known = known_numbers(driver(connection), ACCOUNT, [number for _, number in keys])
        assert known == {number: key for key, number in keys}
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")], plans
