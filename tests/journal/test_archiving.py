"""Closed years in archives: every question sees them, no start needs them, and no kill leaves a fact in no place."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oms import crashpoints
from oms.audit import sql
from oms.audit.explain import explain_cycle
from oms.audit.export import export
from oms.audit.then import funds_at, positions_at, status_at
from oms.errors import DamagedError
from oms.journal import archives, archiving, history, marks, shortcuts, views, walking
from oms.journal.archiving import Moved, archive, listed
from oms.journal.history import EventFilter
from oms.journal.reader import Reader, open_reader
from oms.journal.rebuild import rebuild
from oms.journal.store import SqliteJournal
from oms.journal.verify import Verdict, verify
from oms.model.order import OrdStatus, Side
from oms.model.rules import Rules
from tests.backup.home import dies_at
from tests.contract.journal_contract import LEASE_S, contents
from tests.fakes.clock import START, FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened, oddities

OpenOne = Callable[..., SqliteJournal]
Tamper = Callable[[str], None]
YEAR = START.year
CYCLES = 8
"""Two in each half of four years."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances so small that a short life has many blocks, books and batches."""
    monkeypatch.setattr(marks, "BLOCK", 16)
    monkeypatch.setattr(marks, "BLOCKS_AT_ONCE", 1000)
    monkeypatch.setattr(shortcuts, "BOOKED_EVERY", 11)
    monkeypatch.setattr(archiving, "BATCH", 10)


@pytest.fixture
def years(journal: SqliteJournal, clock: FakeClock, path: Path) -> Path:
    """A journal of four years, two cycles in each, one order left in quarantine in the first."""
    journal.append_barrier([account_opened()])
    for number in range(1, CYCLES + 1):
        clock.jump(datetime(YEAR + (number + 1) // 2, 3 if number % 2 else 9, 1, 14, 30, tzinfo=UTC) - clock.now())
        script = Script(number, sells=2, buys=2, fence=journal.lease.fence)
        for is_barrier, facts in script.commits(park_last_buy=number == 2):
            clock.advance(timedelta(seconds=1))
            (journal.append_barrier if is_barrier else journal.append)(facts)
        if number in (1, 5):
            journal.append(oddities())
    journal.tidy()
    journal.close()
    return path


def archived(path: Path, clock: FakeClock, before: int, **options: Any) -> Moved:
    return archive(
        f"sqlite:///{path}", ACCOUNT, "paper", clock, datetime(before, 1, 1, tzinfo=UTC), author="ada", **options
    )


def reader_of(path: Path) -> Reader:
    return open_reader(f"sqlite:///{path}")


def verdict_of(path: Path, *, full: bool = True) -> Verdict:
    with closing(reader_of(path)) as reader:
        return verify(reader, full=full)


def answers(path: Path, upto: int) -> dict[str, Any]:
    """What is answered to every kind of question about the facts up to a row."""
    found: dict[str, Any] = {}
    with closing(reader_of(path)) as reader:
        whole = [event for event in history.journal_stream(reader) if event["seq"] <= upto]
        found["facts"] = whole
        filters = {
            "kind": EventFilter(kind="order_filled"),
            "rare": EventFilter(kind="cycle_opened"),
            "symbol": EventFilter(symbol="S1"),
            "rule": EventFilter(rule="positions_differ"),
            "text": EventFilter(text="exec_id"),
            "absent": EventFilter(text="nowhere at all"),
            "year": EventFilter(since=datetime(YEAR + 1, 1, 1, tzinfo=UTC), until=datetime(YEAR + 2, 1, 1, tzinfo=UTC)),
            "cycle": EventFilter(cycle_id=whole[5]["cycle_id"]),
        }
        for name, wanted in filters.items():
            rows = list(history.journal_stream(reader, wanted))
            found[f"query {name}"] = [row for row in rows if row["seq"] <= upto]
            assert len(rows) == history.journal_count(reader, wanted), name
            found[f"oldest {name}"] = history.journal_query(reader, wanted, limit=2, newest=False)
        found["cycles"] = history.cycle_list(reader)
        for cycle in found["cycles"]["cycles"]:
            found[f"show {cycle['cycle_id']}"] = history.cycle_show(reader, cycle["cycle_id"])
            found[f"explain {cycle['cycle_id']}"] = explain_cycle(reader, cycle["cycle_id"], lambda _: Rules())
        found["orders"] = history.order_list(reader)
        found["unresolved"] = history.order_list(reader, unresolved=True)
        found["filled"] = history.order_list(reader, statuses=(OrdStatus.FILLED,))
        key = found["orders"]["orders"][-1]["cl_ord_id"]
        found["order"] = history.order_show(reader, key)
        for month in range(4, 44, 5):
            then = datetime(YEAR + 1 + month // 12, 1 + month % 12, 2, tzinfo=UTC)
            found[f"then {then}"] = (status_at(reader, then), positions_at(reader, then), funds_at(reader, then))
        found["positions"] = views.positions(reader)
    for view in ("v_events", "v_cuts", "v_fills", "v_blocked", "v_funds"):
        found[view] = sql.answer(path, f"SELECT * FROM {view} WHERE seq <= {upto} ORDER BY seq")
    return found


def glance(path: Path, upto: int) -> list[Any]:
    """What is answered to a few questions about the facts up to a row, by each of the doors."""
    with closing(reader_of(path)) as reader:
        return [
            [event for event in history.journal_stream(reader) if event["seq"] <= upto],
            history.journal_query(reader, EventFilter(kind="order_filled"), limit=1000),
            history.journal_query(reader, EventFilter(text="exec_id"), limit=1000),
            positions_at(reader, datetime(YEAR + 2, 6, 1, tzinfo=UTC)),
            sql.answer(path, "SELECT * FROM v_cuts"),
        ]


def rows_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as raw:
        counted: int = raw.execute("SELECT count(*) FROM main.events").fetchone()[0]
    return counted


def test_several_processes_walk_archives_and_database(
    years: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With parts of a few rows, three processes find the chain whole through every file, and name a row changed in one."""
    archived(years, clock, YEAR + 2)
    archived(years, clock, YEAR + 3)
    monkeypatch.setattr(walking, "PART", 7)
    monkeypatch.setattr(walking, "WORTH_A_PROCESS", 10)
    with closing(reader_of(years)) as reader:
        whole = verify(reader, fold=False, jobs=3)
        first, second = (archives.folder_of(years) / each.file for each in listed(reader))
    assert (whole.ok, whole.problem) == (True, "")
    for file, row in ((first, 10), (second, listed(reader)[1].first_seq)):
        before = file.read_bytes()
        file.chmod(0o600)
        with closing(sqlite3.connect(file)) as raw, raw:
            raw.execute("UPDATE events SET at = at + 1 WHERE seq = ?", (row,))
        with closing(reader_of(years)) as reader:
            found = verify(reader, fold=False, jobs=3)
            alone = verify(reader, fold=False)
        assert (found.bad_row, found.problem, found.remedy) == (row, alone.problem, alone.remedy)
        file.write_bytes(before)


def test_every_question_sees_what_was_archived(years: Path, clock: FakeClock) -> None:
    """After closed years have moved, every answer about them is the answer that was given before, byte for byte."""
    upto = rows_in(years)
    before = answers(years, upto)
    moved = archived(years, clock, YEAR + 3)
    assert moved.archive is not None
    assert moved.archive.first_seq == 1
    assert rows_in(years) < upto / 2 + 40
    assert moved.freed > upto / 3
    after = answers(years, upto)
    for name, answer in before.items():
        assert after[name] == answer, name
    assert verdict_of(years).ok
    assert verdict_of(years, full=False).ok


def test_the_engine_starts_as_before_and_needs_no_archive(years: Path, clock: FakeClock, open_one: OpenOne) -> None:
    """With its years archived, and the archive gone, a start gives the same state; it trades and ends a year's late fact."""
    opened = open_one()
    before = contents(opened.state)
    opened.close()
    moved = archived(years, clock, YEAR + 4)
    assert moved.archive is not None
    folder = archives.folder_of(years)
    folder.rename(folder.with_name("elsewhere"))
    opened = open_one()
    after = contents(opened.state)
    assert {**after, "seq": 0, "inbox_id": 0} == {**before, "seq": 0, "inbox_id": 0}
    with closing(reader_of(years)) as reader:
        assert views.status(reader)["quarantined"] == 1
        views.positions(reader)
        views.funds(reader)
        with pytest.raises(DamagedError, match="put it back"):
            history.journal_query(reader)
    first = Script(1, sells=2, buys=2, fence=opened.lease.fence)
    opened.append_barrier([first.filled(first.intents(Side.SELL)[0], 1, 6, late=True)])
    opened.close()
    folder.with_name("elsewhere").rename(folder)
    with closing(reader_of(years)) as reader:
        facts = history.journal_query(reader, EventFilter(cycle_id=first.cycle_id), limit=1000)["events"]
    assert facts[-1]["kind"] == "order_filled"
    assert facts[-1]["seq"] > moved.archive.last_seq
    assert verdict_of(years).ok


def test_years_move_one_after_another(years: Path, clock: FakeClock) -> None:
    """Each call takes what was closed since the last; the files follow one another without a gap."""
    for before in (YEAR + 2, YEAR + 3, YEAR + 4):
        archived(years, clock, before)
    with closing(reader_of(years)) as reader:
        chain = listed(reader)
    assert [found.file.partition("-facts")[0] for found in chain] == [
        f"oms-{YEAR}-{YEAR + 1}",
        f"oms-{YEAR + 2}",
        f"oms-{YEAR + 3}",
    ]
    assert [found.first_seq for found in chain[1:]] == [found.last_seq + 1 for found in chain[:-1]]
    assert chain[1].previous == chain[0].head
    assert verdict_of(years).ok
    again = archived(years, clock, YEAR + 4)
    assert again.archive is None
    assert again.freed == 0


def test_too_many_archives_become_one(years: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite attaches only a few files: from a number on, the next archive takes the earlier ones in."""
    upto = rows_in(years)
    before = answers(years, upto)
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    for year in (YEAR + 2, YEAR + 3, YEAR + 4):
        archived(years, clock, year)
    with closing(reader_of(years)) as reader:
        (only,) = listed(reader)
    assert (only.first_seq, only.file.split("-facts")[0]) == (1, f"oms-{YEAR}-{YEAR + 3}")
    assert [file.name for file in archives.folder_of(years).iterdir()] == [only.file]
    assert {name: answer for name, answer in answers(years, upto).items() if answer != before[name]} == {}
    assert verdict_of(years).ok


def test_a_cycle_over_the_turn_of_the_year_stays_whole(years: Path, clock: FakeClock, open_one: OpenOne) -> None:
    """Facts leave in whole cycles, and the last cycle never leaves."""
    journal = open_one()
    across = Script(20, sells=1, buys=1, fence=journal.lease.fence)
    clock.jump(datetime(YEAR + 4, 12, 31, 23, 59, 58, tzinfo=UTC) - clock.now())
    for is_barrier, facts in across.commits():
        clock.advance(timedelta(seconds=1))
        (journal.append_barrier if is_barrier else journal.append)(facts)
    last = Script(21, sells=1, buys=1, fence=journal.lease.fence)
    for is_barrier, facts in last.commits():
        (journal.append_barrier if is_barrier else journal.append)(facts)
    journal.close()
    moved = archived(years, clock, YEAR + 5)
    assert moved.archive is not None
    with closing(reader_of(years)) as reader:
        cycles = history.cycle_list(reader)["cycles"]
        opened = history.journal_query(reader, EventFilter(cycle_id=across.cycle_id, kind="cycle_opened"))["events"][0]
    assert cycles[1]["cycle_id"] == across.cycle_id
    assert moved.archive.last_seq == opened["seq"] - 1


@pytest.mark.parametrize("point", [name for name in crashpoints.POINTS if name.startswith("archive.")])
def test_a_killed_archive_loses_and_doubles_nothing(years: Path, clock: FakeClock, point: str) -> None:
    """SIGKILL at each of its points: every question is answered as before, the journal is sound, the next call finishes."""
    upto = rows_in(years)
    before = glance(years, upto)
    assert dies_at(point, 2 if point == "archive.during_removal" else 1, lambda: archived(years, clock, YEAR + 4))
    assert glance(years, upto) == before
    assert verdict_of(years).ok
    clock.advance(timedelta(seconds=LEASE_S + 1))
    archived(years, clock, YEAR + 4)
    assert glance(years, upto) == before
    assert verdict_of(years).ok
    assert rows_in(years) < upto / 2
    assert [file.name for file in archives.folder_of(years).iterdir() if file.suffix != ".db"] == []


CHANGES = {
    "a changed fact": (
        "UPDATE events SET data = '{}' WHERE seq = 9",
        "row 9 is not what was written",
        9,
    ),
    "a fact taken out": ("DELETE FROM events WHERE seq = 9", "row 9 is missing", 9),
    "a fact of another account": ("UPDATE events SET account = 'other' WHERE seq = 9", "row 9 is not what was", 9),
    "the tail cut off": (
        "DELETE FROM events WHERE seq > (SELECT max(seq) - 3 FROM events)",
        "does not end with row",
        None,
    ),
}


@pytest.mark.parametrize(("change", "words", "row"), CHANGES.values(), ids=CHANGES)
def test_a_changed_archive_is_found(years: Path, clock: FakeClock, change: str, words: str, row: int | None) -> None:
    """Whatever is done to the file, verification names the row; the remedy is a good copy of the file."""
    moved = archived(years, clock, YEAR + 3)
    assert moved.archive is not None
    file = archives.folder_of(years) / moved.archive.file
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    file.chmod(0o600)
    with closing(sqlite3.connect(file)) as raw:
        raw.executescript(change)
    verdict = verdict_of(years)
    assert not verdict.ok
    assert words in verdict.problem
    assert verdict.bad_row == (row or moved.archive.last_seq)
    assert "good copy of the archive" in verdict.remedy


def test_a_byte_that_no_fact_needs_is_found_too(years: Path, clock: FakeClock) -> None:
    """The whole verification compares every byte of the file, the quick one its size and its end."""
    moved = archived(years, clock, YEAR + 3)
    assert moved.archive is not None
    file = archives.folder_of(years) / moved.archive.file
    file.chmod(0o600)
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE about SET value = 'nobody' WHERE name = 'account'")
        raw.commit()
    assert "its bytes have changed" in verdict_of(years).problem
    with file.open("ab") as opened:
        opened.write(b"more")
    assert "bytes and should have" in verdict_of(years, full=False).problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE events SET data = '{}' WHERE seq = 1", "row 1 in the database is not the one in"),
        ("UPDATE archived_cycles SET version = version + 1", "table archived_cycles"),
        ("DELETE FROM archived_cycles WHERE cycle_id = (SELECT min(cycle_id) FROM archived_cycles)", "archived_cycles"),
        ("UPDATE archives SET last_seq = last_seq + 1", "does not end with row"),
        ("UPDATE archives SET head = zeroblob(32)", "does not end with row"),
        ("DELETE FROM archives", "row 2 is missing"),
    ],
)
def test_a_changed_register_is_found(years: Path, clock: FakeClock, tamper: Tamper, change: str, words: str) -> None:
    """What the database says about its archives is verified against them."""
    archived(years, clock, YEAR + 3)
    tamper(change)
    verdict = verdict_of(years)
    assert not verdict.ok
    assert words in verdict.problem


def test_the_guard_lets_only_archived_facts_go(years: Path, clock: FakeClock) -> None:
    """No statement removes a fact that lies in no archive, or changes what the register says."""
    archived(years, clock, YEAR + 3)
    with closing(sqlite3.connect(years)) as raw:
        for statement in (
            "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
            "DELETE FROM events WHERE seq = 1",
            "UPDATE archives SET last_seq = 99999",
            "DELETE FROM archives",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)


def test_tables_are_cast_anew_over_archives(years: Path, url: str, clock: FakeClock, tamper: Tamper) -> None:
    """`journal rebuild` folds the archived facts as well."""
    archived(years, clock, YEAR + 3)
    tamper(
        "DELETE FROM fills; DELETE FROM orders; UPDATE accounts SET cash = 1; DELETE FROM text_marks; DELETE FROM books"
    )
    assert not verdict_of(years).ok
    rebuild(url, ACCOUNT, "paper", clock)
    assert verdict_of(years).ok


def test_an_export_holds_the_archived_facts(years: Path, clock: FakeClock, tmp_path: Path) -> None:
    """An export of the whole journal begins with its first fact, wherever that lies."""
    archived(years, clock, YEAR + 3)
    with closing(reader_of(years)) as reader:
        made = export(reader, tmp_path / "out")
    assert made.first_seq == 1
    assert made.rows == made.last_seq


def test_a_broken_chain_is_not_archived(years: Path, clock: FakeClock, tamper: Tamper) -> None:
    """Facts that are not what was written stay where they are, and nothing is left behind."""
    tamper("UPDATE events SET data = '{}' WHERE seq = 9")
    with pytest.raises(DamagedError, match="row 9 is not what was written"):
        archived(years, clock, YEAR + 3)
    assert list(archives.folder_of(years).iterdir()) == []
    with closing(reader_of(years)) as reader:
        assert listed(reader) == []


def test_nothing_to_move_is_no_error(journal: SqliteJournal, path: Path, clock: FakeClock) -> None:
    """A journal without a closed year, or without a cycle, is left alone."""
    journal.append_barrier([account_opened()])
    journal.close()
    assert archived(path, clock, YEAR + 9).archive is None
