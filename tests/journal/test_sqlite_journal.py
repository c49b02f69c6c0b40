"""The journal in SQLite: the contract of every journal, and what is its own."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oms import crashpoints
from oms.errors import FenceLostError, LeaseHeldError, RefusedError, StorageError
from oms.journal.machine import ProcessInfo, process_started, this_process
from oms.journal.reader import open_reader
from oms.journal.store import SqliteJournal, open_journal
from oms.journal.verify import verify
from oms.model.event import AttentionRaised
from oms.model.order import Side
from tests.contract.journal_contract import JournalContract, Open, contents
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened, full_story, write

ATTENTION = AttentionRaised(rule="test", text="test")


def outside(path: Path) -> sqlite3.Connection:
    """Somebody else's connection."""
    return sqlite3.connect(path, isolation_level=None, timeout=0)


class TestContract(JournalContract):
    """SQLite keeps every promise of the port."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def open_one(self, open_one: Open) -> Open:
        return open_one


class TestTheFile:
    """Where the journal lies and how it looks from outside."""

    @pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
    def test_only_its_owner_can_read_it(self, journal: SqliteJournal, path: Path) -> None:
        """The folder is 0700 and every file in it 0600, the write-ahead log and the anchors included."""
        journal.append_barrier([account_opened()])
        journal.anchor()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        files = sorted(path.parent.iterdir())
        assert len(files) >= 4
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    def test_another_account_is_refused(self, journal: SqliteJournal, path: Path, clock: FakeClock) -> None:
        """A journal never changes its account or its mode: exit 5."""
        journal.close()
        with pytest.raises(RefusedError, match="'paper-main'"):
            open_journal(f"sqlite:///{path}", "other", "paper", clock)
        with pytest.raises(RefusedError, match="mode 'paper'"):
            open_journal(f"sqlite:///{path}", ACCOUNT, "live", clock)

    def test_it_works_in_memory(self, clock: FakeClock) -> None:
        """A simulation may keep its journal in memory, shared between lives."""
        url = "sqlite:///file:shared?mode=memory&cache=shared&uri=true"
        keeper = open_journal(url, ACCOUNT, "paper", clock, process=_gone(1))
        full_story(keeper)
        successor = open_journal(url, ACCOUNT, "paper", clock)
        assert contents(successor.state) == contents(keeper.state)
        successor.close()
        keeper.close()


class TestAppendOnly:
    """What is written stays as it was written."""

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE events SET data = '{}' WHERE seq = 1",
            "DELETE FROM events WHERE seq = 2",
            "DELETE FROM events",
            (
                "INSERT OR REPLACE INTO events SELECT account, seq, at, cycle_id, version, cl_ord_id, symbol, kind, '{}',"
                " hash FROM events WHERE seq = 1"
            ),
            (
                "REPLACE INTO events SELECT account, (SELECT max(seq) + 1 FROM events), at, cycle_id, version, cl_ord_id,"
                " symbol, kind, '{}', hash FROM events WHERE version = 1"
            ),
            (
                "INSERT INTO events SELECT account, seq + 1000, at, NULL, NULL, cl_ord_id, symbol, kind, data, hash"
                " FROM events WHERE seq = 1"
            ),
            "UPDATE OR REPLACE events SET seq = 1 WHERE seq = 2",
            "UPDATE facts SET data = '{}' WHERE seq = 1",
            "UPDATE OR REPLACE facts SET seq = 1 WHERE seq = 2",
            "DELETE FROM facts WHERE seq = 2",
            "DELETE FROM facts",
            (
                "REPLACE INTO facts (seq, at, cycle, version, ord, symbol, code, data, hash)"
                " SELECT seq, at, cycle, version, ord, symbol, code, '{}', hash FROM facts WHERE seq = 1"
            ),
            (
                "REPLACE INTO facts (seq, at, cycle, version, ord, symbol, code, data, hash) SELECT (SELECT max(seq) + 1"
                " FROM facts), at, cycle, version, ord, symbol, code, '{}', hash FROM facts WHERE version = 1"
            ),
            (
                "INSERT INTO facts (seq, at, symbol, code, data, hash)"
                " SELECT seq + 1000, at, symbol, code, data, hash FROM facts WHERE seq = 1"
            ),
            "UPDATE words SET word = 'another' WHERE id = 1",
            "DELETE FROM words WHERE id = 1",
            "REPLACE INTO words (id, word) VALUES (1, 'another')",
            "REPLACE INTO words (id, word) SELECT 1000, word FROM words WHERE id = 1",
            "UPDATE configs SET canonical = ''",
            "DELETE FROM configs",
            "REPLACE INTO configs SELECT config_hash, '', at FROM configs",
        ],
    )
    def test_a_written_row_cannot_be_changed(self, journal: SqliteJournal, path: Path, statement: str) -> None:
        """Update, delete and replace are refused even to a connection of somebody else's, without our pragmas."""
        journal.keep_config("h", "{}")
        journal.append_barrier([account_opened()])
        write(journal, Script().commits())
        other = outside(path)
        before = other.execute("SELECT * FROM events").fetchall()
        assert other.execute("SELECT count(*) FROM words").fetchone()[0] > 2
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(statement)
        assert other.execute("SELECT * FROM events").fetchall() == before
        other.close()


class TestDurability:
    """What a commit means, and what happens when one fails."""

    def test_a_barrier_runs_with_full_sync_and_a_soft_commit_without(self, journal: SqliteJournal) -> None:
        """The level is read at the moment of the commit."""
        seen = []

        def look(name: str) -> None:
            if name in ("journal.before_commit", "journal.before_barrier"):
                seen.append((name, journal._raw.execute("PRAGMA synchronous").fetchone()[0]))

        crashpoints.strike = look
        try:
            journal.append_barrier([account_opened()])
            journal.append([ATTENTION])
            journal.append([ATTENTION])
            journal.append_barrier([ATTENTION])
        finally:
            crashpoints.strike = None
        assert [level for _, level in seen] == [2, 1, 1, 2]
        assert (journal.commits.soft, journal.commits.barrier) == (2, 2)

    def test_a_barrier_says_what_it_covers(self, journal: SqliteJournal) -> None:
        """The head that a barrier has covered is kept apart from the head."""
        journal.append_barrier([account_opened()])
        journal.append([ATTENTION])
        assert (journal.head.seq, journal.head.barrier_seq) == (2, 1)
        journal.append_barrier([ATTENTION])
        assert (journal.head.seq, journal.head.barrier_seq) == (3, 3)

    @pytest.mark.parametrize("point", ["journal.before_commit", "journal.after_soft_commit"])
    def test_a_torn_commit_is_whole_or_absent(self, journal: SqliteJournal, open_one: Open, point: str) -> None:
        """Struck before its commit an append leaves nothing, struck after it everything."""
        journal.append_barrier([account_opened()])
        _strike_at(point, lambda: journal.append([ATTENTION, ATTENTION]))
        successor = open_one(alive=False)
        assert successor.state.seq == (1 if point == "journal.before_commit" else 3)
        successor.close()

    def test_after_a_failure_the_object_is_of_no_more_use(self, journal: SqliteJournal) -> None:
        """Every later use is refused with the first failure's reason; closing is quiet and keeps the lease row."""
        journal.append_barrier([account_opened()])
        _strike_at("journal.before_commit", lambda: journal.append([ATTENTION]))
        for use in (
            lambda: journal.append([ATTENTION]),
            lambda: journal.append_barrier([ATTENTION]),
            lambda: journal.known_numbers(["1"]),
            lambda: journal.config("h"),
            lambda: journal.keep_config("h", "{}"),
            journal.renew,
            journal.tidy,
            journal.anchor,
        ):
            with pytest.raises(StorageError, match="earlier failure"):
                use()
        journal.close()
        journal.close()

    def test_a_lease_taken_but_never_used_is_taken_again(self, open_one: Open) -> None:
        """Death right after the lease's commit leaves a journal that the next process opens."""
        _strike_at("lease.after_commit", open_one)
        with pytest.raises(LeaseHeldError):
            open_one()

    def test_death_before_the_leases_commit_leaves_it_free(self, open_one: Open) -> None:
        """Nothing of it is kept."""
        _strike_at("lease.before_commit", open_one)
        assert open_one().lease.fence == 1

    def test_an_impossible_fact_ends_the_use_of_the_object_but_not_of_the_journal(
        self, journal: SqliteJournal, open_one: Open
    ) -> None:
        """What the fold refuses is never written."""
        journal.append_barrier([account_opened()])
        with pytest.raises(Exception, match="account_opened is the first row"):
            journal.append([account_opened()])
        with pytest.raises(StorageError):
            journal.append([ATTENTION])
        successor = open_one(alive=False)
        assert successor.state.seq == 1
        successor.close()

    def test_a_moved_head_stops_the_holder(self, journal: SqliteJournal, path: Path) -> None:
        """An append names fence, head row and head hash; any other head means that somebody else wrote."""
        journal.append_barrier([account_opened()])
        other = outside(path)
        other.execute("UPDATE heads SET hash = zeroblob(32)")
        other.close()
        with pytest.raises(FenceLostError, match="moved on"):
            journal.append([ATTENTION])

    def test_a_checkpoint_changes_nothing(
        self, journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch, open_one: Open
    ) -> None:
        """Tidying folds the log into the database when it has grown, also past an open reader."""
        monkeypatch.setattr("oms.journal.store.CHECKPOINT_BYTES", 1)
        full_story(journal)
        reader = outside(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        journal.tidy()
        journal.append([ATTENTION])
        reader.close()
        journal.tidy()
        assert path.with_name("oms.db-wal").stat().st_size == 0
        journal.close()
        again = open_one()
        assert contents(again.state) == contents(journal.state)
        again.close()


class TestTheHolder:
    """Who may take over from whom."""

    @pytest.mark.skipif(sys.platform == "win32", reason="the process is ended with a signal")
    def test_a_killed_process_is_replaced_at_once(self, path: Path, clock: FakeClock, open_one: Open) -> None:
        """A real process that was killed holds nobody up; while it lives it does."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        try:
            started = process_started(child.pid)
            held = open_one()
            held._break("handed over to the child")
            raw = outside(path)
            raw.execute("UPDATE lease SET pid = ?, process_started = ?", (child.pid, started))
            raw.close()
            with pytest.raises(LeaseHeldError, match=f"process {child.pid}"):
                open_one()
        finally:
            child.kill()
            child.wait()
        successor = open_one()
        assert successor.lease.fence == held.lease.fence + 1
        successor.close()

    def test_a_number_that_another_process_uses_now_is_no_holder(self, open_one: Open, path: Path) -> None:
        """The start of the process tells the old life of a number from the new one."""
        held = open_one()
        held._break("dead")
        raw = outside(path)
        raw.execute("UPDATE lease SET pid = ?, process_started = '1'", (os.getppid(),))
        raw.close()
        open_one().close()

    def test_another_namespace_proves_nothing(self, open_one: Open, path: Path) -> None:
        """A number that counts in another container says nothing here."""
        held = open_one()
        held._break("dead")
        raw = outside(path)
        raw.execute("UPDATE lease SET pid = 999999999, process_started = '1', pid_namespace = 'elsewhere'")
        raw.close()
        with pytest.raises(LeaseHeldError):
            open_one()

    def test_this_process_tells_when_it_started(self) -> None:
        """The system tells the start of a process, and two looks agree."""
        here = this_process()
        assert here.started is not None
        assert here == this_process()


class TestLoad:
    """A start reads the tables and one cycle, and has what a fold of everything gives."""

    def test_load_equals_a_full_fold(self, journal: SqliteJournal, path: Path) -> None:
        """The state from the tables is the state from the facts alone, and the tables are what the facts cast."""
        full_story(journal)
        journal.close()
        reader = open_reader(f"sqlite:///{path}")
        verdict = verify(reader)
        assert verdict.ok, verdict
        assert verdict.seq == journal.state.seq
        reader.close()

    def test_a_closed_order_of_long_ago_takes_a_late_fill(self, journal: SqliteJournal, open_one: Open) -> None:
        """Two cycles later, and after a restart, the fill is booked to its order and its shares to the account."""
        journal.append_barrier([account_opened()])
        for number in (1, 2, 3):
            write(journal, Script(number).commits())
        journal.close()
        again = open_one()
        first = Script(1)
        sell = first.intents(Side.SELL)[0]
        again.append([first.filled(sell, 1, 6, late=True)])
        order = again.state.order(sell.cl_ord_id)
        assert order is not None
        assert (order.cum_qty, len(order.exec_ids)) == (6, 3)
        again.close()
        third = open_one()
        assert contents(third.state) == contents(again.state)
        third.close()


def _gone(pid: int) -> ProcessInfo:
    return replace(this_process(), pid=pid, started="long ago")


class _Struck(BaseException):
    """The process dies here."""


def _strike_at(point: str, act: Any) -> None:
    def strike(name: str) -> None:
        if name == point:
            raise _Struck(name)

    crashpoints.strike = strike
    try:
        with pytest.raises(_Struck):
            act()
    finally:
        crashpoints.strike = None
