"""The commands of the audit over one real paper cycle: what they print, the shape of their JSON, their exit codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.audit.test_verification import hash_anew
from tests.cli.conftest import Oms, folder, oms, tiny
from tests.journal.tampering import put_guard_on, take_guard_off

__all__ = ["folder", "oms", "tiny"]


@pytest.fixture
def traded(tiny: Path, oms: Oms) -> Path:
    """One cycle: 60 AAA sold, 400 BBB wished for, fewer bought."""
    done = oms("run", "--signals", "plan.csv")
    assert done.code == 0, done.err
    return tiny


def test_every_audit_command_answers(traded: Path, oms: Oms) -> None:
    """Explanation, SQL, time travel, counting, anchoring and verification with its laws, each in words and as JSON."""
    order = oms("order", "list", "--symbol", "BBB", "--json").json["orders"][0]["cl_ord_id"]
    asked = {
        ("explain",): "oms.cycle.explain/1",
        ("explain", order): "oms.order.explain/1",
        ("explain", "BBB"): "oms.symbol.explain/1",
        ("cycle", "explain"): "oms.cycle.explain/1",
        ("order", "explain", order): "oms.order.explain/1",
        ("sql", "select count(*) as n from v_orders"): "oms.sql/1",
        ("status", "--at", "now"): "oms.status/1",
        ("positions", "--at", "now"): "oms.positions/1",
        ("funds", "--at", "now"): "oms.funds/1",
        ("journal", "query", "--rule", "funds_fraction", "--count"): "oms.journal-count/1",
        ("journal", "anchor"): "oms.journal.anchor/1",
        ("journal", "verify", "--laws"): "oms.journal-verify/1",
    }
    for words, schema in asked.items():
        said, answered = oms(*words), oms(*words, "--json")
        assert (said.code, answered.code) == (0, 0), (words, said.err, answered.err)
        assert said.out, words
        assert answered.json["schema"] == schema, words
        assert "Traceback" not in said.err


def test_the_decision_of_a_real_cycle_comes_out_the_same(traded: Path, oms: Oms) -> None:
    """Under the configuration kept with it, byte for byte; and the cut is told with its rule."""
    answer = oms("explain", "--json").json
    assert answer["decision"]["same"] is True
    assert any("BUY BBB 400 ->" in sentence["text"] for sentence in answer["sentences"])


def test_a_decision_that_was_changed_ends_with_3(traded: Path, oms: Oms) -> None:
    """Somebody who gives the cut buy more shares in the journal is contradicted by the rule."""
    raw = sqlite3.connect(traded / "var" / "oms.db")
    guard = take_guard_off(raw)
    raw.execute(
        "UPDATE events SET data = replace(data, '\"budget\":\"', '\"budget\":\"9') WHERE kind = 'buys_revalidated'"
    )
    put_guard_on(raw, guard)
    raw.commit()
    raw.close()
    done = oms("explain")
    assert done.code == 3
    assert "comes out differently" in done.out
    assert "budget: 9" in done.out


TAMPERINGS = {
    "a changed row": (
        "UPDATE events SET data = replace(data, ':', ': ') WHERE seq = 6",
        6,
        "row 6 is not what was written",
    ),
    "a deleted row": ("DELETE FROM events WHERE seq = 6", 6, "row 6 is missing"),
    "a swapped pair": (
        (
            "UPDATE events SET seq = -1 WHERE seq = 6; UPDATE events SET seq = 6 WHERE seq = 7;"
            "UPDATE events SET seq = 7 WHERE seq = -1"
        ),
        6,
        "row 6 is not what was written",
    ),
    "a cut tail": (
        (
            "DELETE FROM events WHERE seq > 9; UPDATE heads SET seq = 9, barrier_seq = 9,"
            " hash = (SELECT hash FROM events WHERE seq = 9), barrier_hash = (SELECT hash FROM events WHERE seq = 9)"
        ),
        None,
        "is missing: the tail was cut off",
    ),
    "a changed projection": (
        "UPDATE orders SET cum_qty = 1 WHERE side = 'SELL'",
        None,
        "cum_qty is 1 and should be 60",
    ),
}


def test_every_tampering_ends_with_3_and_names_its_place(traded: Path, oms: Oms) -> None:
    """What was done to the file, the command line names: the row, or the table with its row, and what to do about it."""
    database = traded / "var" / "oms.db"
    last = oms("journal", "verify", "--full", "--json").json["seq"]
    whole = database.read_bytes()
    for name, (change, row, words) in TAMPERINGS.items():
        database.write_bytes(whole)
        change_file(database, change)
        _is_found(oms, name, row or (last if name == "a cut tail" else None), words)
    database.write_bytes(whole)
    hash_anew(database, 6, "UPDATE events SET at = at + 1 WHERE seq = 6")
    _is_found(oms, "a tail hashed anew", last, "is not the one that was anchored")


def _is_found(oms: Oms, name: str, row: int | None, words: str) -> None:
    done = oms("journal", "verify", "--full", "--json")
    assert done.code == 3, name
    assert words in done.json["problem"], name
    assert done.json["bad_row"] == row, name
    said = oms("journal", "verify", "--full")
    assert said.code == 3, name
    assert words in said.out + said.err, name
    assert done.json["remedy"] in said.out + said.err, name


def change_file(path: Path, statements: str) -> None:
    """Change the file as somebody with a database tool would, the guard taken off first and put back after."""
    raw = sqlite3.connect(path, isolation_level=None)
    guard = take_guard_off(raw)
    raw.executescript(statements)
    put_guard_on(raw, guard)
    raw.close()


def test_an_export_goes_out_and_in(traded: Path, oms: Oms) -> None:
    """Exported, checked, brought in as a new journal; a changed file ends with 3."""
    assert oms("journal", "export", "out", "--by-day").code == 0
    assert oms("journal", "import", "out", "--check").code == 0
    made = oms("journal", "import", "out", "--into", "new.db", "--json")
    assert (made.code, made.json["into"]) == (0, "new.db")
    (file,) = (traded / "out").glob("events*")
    file.write_text(file.read_text("utf-8").replace("AAA", "AAB"), "utf-8")
    done = oms("journal", "import", "out", "--check")
    assert done.code == 3
    assert "not what was written" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("sql",),
        ("sql", "delete from events"),
        ("sql", "select 1", "--json", "--format", "csv"),
        ("status", "--at", "2001-01-01"),
        ("status", "--at", "nonsense"),
        ("status", "--at", "now", "--watch"),
        ("explain", "not a symbol!"),
        ("order", "explain", "none"),
        ("cycle", "explain", "none"),
        ("cycle", "list", "--state", "SLEEPING"),
        ("journal", "import", "nowhere", "--check"),
        ("journal", "import", "nowhere"),
        ("journal", "export", "out", "--since", "yesterday"),
    ],
    ids=" ".join,
)
def test_what_is_asked_wrongly_is_said(traded: Path, oms: Oms, words: tuple[str, ...]) -> None:
    """Exit 2 with one sentence, and no traceback."""
    done = oms(*words)
    assert done.code == 2, (done.out, done.err)
    assert done.err.strip()
    assert "Traceback" not in done.err


def test_rows_of_sql_come_as_csv_and_json_lines(traded: Path, oms: Oms) -> None:
    """The same rows in either form."""
    statement = "select symbol, side, ord_status from v_orders order by symbol"
    lines = oms("sql", statement, "--format", "csv").out.splitlines()
    assert lines[0] == "symbol,side,ord_status"
    rows = [json.loads(line) for line in oms("sql", statement, "--format", "jsonl").out.splitlines()]
    assert [",".join(row.values()) for row in rows] == lines[1:]
