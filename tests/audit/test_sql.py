"""SQL: the views are documented and exact, the connection can only read, and no question runs for ever."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oms.audit import sql
from oms.audit.public import VIEWS, document
from oms.errors import DamagedError, UsageError
from oms.journal import history, views
from oms.journal.reader import Reader

ROOT = Path(__file__).parents[2]


def asked(path: Path, statement: str) -> list[list[object]]:
    rows: list[list[object]] = sql.answer(path, statement, 60)["rows"]
    return rows


def test_the_page_shows_every_view() -> None:
    """docs/sql.md is what the program says of its views: write it anew with oms.audit.public.document."""
    assert (ROOT / "docs" / "sql.md").read_text("utf-8") == document()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_answers_with_its_columns(story: Path, view: object) -> None:
    """Each view can be read whole, has exactly the columns of its page, and holds no floating-point number."""
    assert isinstance(view, type(VIEWS[0]))
    found = sql.answer(story, f"SELECT * FROM {view.name}")
    assert found["columns"] == [column.name for column in view.columns]
    assert not [value for row in found["rows"] for value in row if isinstance(value, float)]


def test_orders_are_those_of_the_list(story: Path, reader: Reader) -> None:
    """The view of orders says what `order list` says: status, quantities, and amounts to the last digit."""
    columns = ("cl_ord_id", "ord_status", "order_qty", "cum_qty", "leaves_qty", "price", "avg_px", "fees", "sent_at")
    rows = asked(story, f"SELECT {', '.join(columns)} FROM v_orders ORDER BY 1")
    listed = sorted(history.order_list(reader, limit=1000)["orders"], key=lambda order: order["cl_ord_id"])
    for row, order in zip(rows, listed, strict=True):
        found = dict(zip(columns, row, strict=True))
        for name in ("price", "avg_px", "fees"):
            if order[name] is not None:
                assert str(found[name]).rstrip("0") == order[name].rstrip("0")
            else:
                assert found[name] is None
            order.pop(name)
            found.pop(name)
        assert found == {name: order[name] for name in found}


def test_facts_and_positions_are_those_of_the_commands(story: Path, reader: Reader) -> None:
    """Places, times and hashes of facts, and the shares held."""
    rows = asked(story, "SELECT seq, at, kind, hash FROM v_events ORDER BY seq")
    assert rows == [[e["seq"], e["at"], e["kind"], e["hash"]] for e in history.journal_stream(reader)]
    held = asked(story, "SELECT symbol, qty_micro FROM v_positions WHERE qty_micro <> 0 ORDER BY 1")
    assert held == [[p["symbol"], int(p["qty"]) * 10**6] for p in views.positions(reader)["positions"]]


def test_cuts_are_those_of_the_cycles(story: Path, reader: Reader) -> None:
    """One row for each buy that was made smaller, with its rule."""
    shown = [cut for n in (1, 2) for cut in history.cycle_show(reader, f"20260302T17000{n}-ab3f")["cuts"]]
    rows = asked(story, "SELECT symbol, original, quantity, rule, reason FROM v_cuts ORDER BY seq")
    assert rows == [list(cut.values()) for cut in shown]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events",
        "UPDATE orders SET order_qty = 1",
        "INSERT INTO v_events VALUES (1)",
        "REPLACE INTO heads SELECT * FROM heads",
        "WITH x AS (SELECT 1) DELETE FROM events",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "DROP VIEW v_events",
        "DROP TRIGGER events_no_update",
        "ALTER TABLE events RENAME TO x",
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA table_info(events)",
        "SELECT * FROM pragma_journal_mode('delete')",
        "VACUUM",
        "VACUUM INTO 'x.db'",
        "BEGIN IMMEDIATE",
        "SAVEPOINT x",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('x')",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "SELECT 1; DELETE FROM events",
        "",
        "-- nothing",
        "nonsense",
        "SELECT \x00",
        "SELECT zeroblob(1000000000)",
        "SELECT printf('%.*c', 1000000000, 'x')",
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    ],
)  # fmt: skip
def test_nothing_but_reading_is_possible(story: Path, statement: str) -> None:
    """Whatever is tried ends as a usage error, and not a byte of the database changes."""
    before = hashlib.sha256(story.read_bytes()).hexdigest()
    with pytest.raises(UsageError):
        asked(story, statement)
    assert hashlib.sha256(story.read_bytes()).hexdigest() == before
    assert not list(story.parent.glob("x*"))


@pytest.mark.parametrize(
    "statement",
    [
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "SELECT count(*) FROM events a, events b, events c, events d, events e, events f",
    ],
)
def test_a_question_without_end_is_ended(story: Path, statement: str) -> None:
    """After its time of work it is given up with a sentence that names the remedy."""
    with pytest.raises(UsageError, match="--timeout"):
        sql.answer(story, statement, 0.05)


def test_the_first_rows_of_an_endless_answer_come_at_once(story: Path) -> None:
    """Rows are handed on as they are found."""
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, x AS x FROM c"
    with closing(sql.Question(story, endless)) as question:
        assert question.columns == ["x", "x_2"]
        assert next(question.rows()) == [1, 1]


def test_a_writer_is_not_held_up(story: Path) -> None:
    """While a question is being answered, another connection can write."""
    with closing(sql.Question(story, "SELECT * FROM v_events")) as question:
        next(question.rows())
        raw = sqlite3.connect(story, timeout=0)
        raw.execute("UPDATE lease SET fence = fence + 1")
        raw.commit()
        raw.close()


def test_what_is_no_journal_is_said(tmp_path: Path) -> None:
    """A missing file is a usage error, a file of noise is damage."""
    with pytest.raises(UsageError, match="no journal"):
        asked(tmp_path / "none.db", "SELECT 1")
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    with pytest.raises(DamagedError):
        asked(tmp_path / "noise.db", "SELECT * FROM v_events")


def test_the_views_can_be_made_elsewhere(story: Path) -> None:
    """What --schema prints makes the views on any connection to the file."""
    raw = sqlite3.connect(story)
    raw.executescript(sql.schema())
    assert raw.execute("SELECT count(*) FROM v_events").fetchone()[0] > 50
    raw.close()


@pytest.mark.parametrize(
    ("statement", "door"),
    [
        ("SELECT * FROM v_events WHERE seq = 5", "INTEGER PRIMARY KEY"),
        ("SELECT * FROM v_events WHERE cycle_id = 'c'", "uq_events_cycle_id_version"),
        ("SELECT * FROM v_events WHERE symbol = 'S'", "ix_events_symbol"),
        ("SELECT * FROM v_events WHERE at_us > 5 AND at_us < 9", "ix_events_at"),
        ("SELECT * FROM v_orders WHERE cl_ord_id = 'k'", "uq_words_word"),
        ("SELECT * FROM v_fills WHERE cl_ord_id = 'k'", "ix_fills_cl_ord_id"),
        ("SELECT * FROM v_cuts", "ix_events_kind"),
        ("SELECT * FROM v_funds", "ix_events_kind"),
        ("SELECT * FROM v_blocked", "ix_events_kind"),
        ("SELECT * FROM v_scores", "ix_events_kind"),
        ("SELECT * FROM v_operators", "ix_events_kind"),
    ],
)
def test_views_are_entered_by_an_index(story: Path, statement: str, door: str) -> None:
    """The filters that the page calls fast, and the views over rare facts, walk past no other row."""
    plan = [str(row[3]) for row in asked(story, f"EXPLAIN QUERY PLAN {statement}")]
    assert any(door in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN") and "VIRTUAL TABLE" not in line], plan


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("SELECT * FROM v_ordrs", "did you mean v_orders?"),
        ("SELECT symbl FROM v_orders", "did you mean symbol?"),
        ("SELECT o.symbl FROM v_orders AS o", "did you mean symbol?"),
        ("SELECT * FROM whatever", "there are v_"),
    ],
)
def test_a_name_that_is_spelled_wrongly_brings_the_right_one(asked: str, told: str, story: Path) -> None:
    """Of a view or a column; where none is near, the views are listed."""
    with pytest.raises(UsageError) as refused:
        sql.answer(story, asked)
    assert told in str(refused.value)
