"""Verification that goes on from the last good row, anchors kept anywhere, and tails that were hashed anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oms.audit.checkpoint import anchor, checkpoint_file, read, verify_on
from oms.errors import DamagedError
from oms.journal.anchors import anchors_file, last
from oms.journal.chain import genesis, link
from oms.journal.reader import Reader, open_reader
from oms.journal.store import SqliteJournal
from oms.model.event import AttentionRaised
from tests.fakes.clock import START
from tests.journal.facts import ACCOUNT
from tests.journal.tampering import put_guard_on, take_guard_off

Tamper = Callable[[str], None]


@pytest.fixture
def reader(story: Path) -> Iterator[Reader]:
    opened = open_reader(f"sqlite:///{story}")
    yield opened
    opened.close()


def hash_anew(path: Path, first: int, change: str) -> None:
    """Change a row as somebody would who knows the chain: every later link and the head are made to fit."""
    raw = sqlite3.connect(path, isolation_level=None)
    guard = take_guard_off(raw)
    raw.execute(change)
    before = raw.execute("SELECT hash FROM events WHERE seq = ?", (first - 1,)).fetchone()
    previous, seq = before[0] if before else genesis(ACCOUNT), first - 1
    rows = raw.execute(
        "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data FROM events WHERE seq >= ? ORDER BY seq",
        (first,),
    ).fetchall()
    for row in rows:
        previous, seq = link(previous, ACCOUNT, row), row[0]
        raw.execute("UPDATE events SET hash = ? WHERE seq = ?", (previous, seq))
    raw.execute("UPDATE heads SET seq = ?, hash = ?, barrier_seq = ?, barrier_hash = ?", (seq, previous, seq, previous))
    put_guard_on(raw, guard)
    raw.close()


CHANGE = "UPDATE events SET data = replace(data, 'the broker shows 3', 'the broker shows 4') WHERE seq = 47"


def test_a_tail_that_was_hashed_anew_is_found_by_the_anchor(reader: Reader, story: Path) -> None:
    """Every link fits, but the row that was anchored outside is another one: it is named."""
    hash_anew(story, 47, CHANGE)
    verdict = verify_on(reader, START, full=True)
    assert not verdict.ok
    assert "is not the one that was anchored" in verdict.problem
    anchored = last(anchors_file(story), ACCOUNT)
    assert anchored is not None
    assert verdict.bad_row == anchored.seq


def test_without_an_anchor_the_last_verification_finds_it(reader: Reader, story: Path) -> None:
    """The row that was good the last time is another one now, even where nothing was anchored."""
    assert verify_on(reader, START, full=True).ok
    anchors_file(story).unlink()
    hash_anew(story, 47, CHANGE)
    verdict = verify_on(reader, START, full=False)
    assert not verdict.ok
    assert "good at the last verification" in verdict.problem


def test_a_cut_tail_is_found_by_the_last_verification(reader: Reader, story: Path, tamper: Tamper) -> None:
    """The row up to which all was good is gone, and it is the one that is named."""
    newest = verify_on(reader, START, full=True).seq
    anchors_file(story).unlink()
    tamper(
        "DELETE FROM events WHERE seq > 60; UPDATE heads SET seq = 60, barrier_seq = 60,"
        " hash = (SELECT hash FROM events WHERE seq = 60), barrier_hash = (SELECT hash FROM events WHERE seq = 60)"
    )
    verdict = verify_on(reader, START, full=False)
    assert (verdict.ok, verdict.bad_row) == (False, newest)
    assert "cut off" in verdict.problem


def test_the_walk_goes_on_from_the_last_good_row(
    reader: Reader, story: Path, open_one: Callable[..., SqliteJournal]
) -> None:
    """The first verification walks everything and remembers its end; the next walks only what came since."""
    first = verify_on(reader, START, full=False)
    assert (first.ok, first.full, first.rows) == (True, True, first.seq)
    journal = open_one()
    journal.append_barrier([AttentionRaised(rule="x", text="x"), AttentionRaised(rule="y", text="y")])
    journal.close()
    second = verify_on(reader, START, full=False)
    assert (second.ok, second.full, second.rows) == (True, False, 2)
    kept = read(checkpoint_file(story), ACCOUNT)
    assert kept is not None
    assert (kept.seq, kept.hash) == (second.seq, second.head)


def test_what_came_since_is_checked(reader: Reader, open_one: Callable[..., SqliteJournal], tamper: Tamper) -> None:
    """A changed row after the last good one is found without --full; one before it by --full."""
    newest = verify_on(reader, START, full=False).seq
    journal = open_one()
    journal.append_barrier([AttentionRaised(rule="x", text="x")])
    journal.close()
    tamper(f"UPDATE events SET data = '{{}}' WHERE seq = {newest + 1}")
    assert verify_on(reader, START, full=False).bad_row == newest + 1
    tamper("UPDATE events SET data = '{}' WHERE seq = 9")
    assert verify_on(reader, START, full=True).bad_row == 9


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{}", '{"account": "paper-main", "seq": "x"}', "[1]", '{"account": 1}']
)
def test_a_checkpoint_that_says_nothing_costs_only_time(reader: Reader, story: Path, text: str) -> None:
    """Whatever stands in the file, the journal is then verified whole."""
    checkpoint_file(story).write_text(text, encoding="utf-8")
    verdict = verify_on(reader, START, full=False)
    assert verdict.ok
    assert verdict.full


def test_a_bad_journal_moves_no_checkpoint(reader: Reader, story: Path, tamper: Tamper) -> None:
    """Only what was good is remembered."""
    tamper("UPDATE events SET data = '{}' WHERE seq = 9")
    assert not verify_on(reader, START, full=False).ok
    assert not checkpoint_file(story).exists()


class TestAnchoring:
    """`journal anchor`."""

    def test_a_head_is_anchored_once(self, reader: Reader, tmp_path: Path) -> None:
        """The newest covered head is added, and a second time only checked."""
        file = tmp_path / "elsewhere.anchors"
        first, second = anchor(reader, START, file), anchor(reader, START, file)
        assert (first["added"], first["checked"]) == (True, 0)
        assert (second["added"], second["checked"]) == (False, 1)
        assert first["hash"] == second["hash"]

    def test_beside_the_database_the_engines_own_anchor_is_checked(self, reader: Reader, story: Path) -> None:
        """What the engine anchored at its stop is there, and fits."""
        answer = anchor(reader, START)
        assert (answer["added"], answer["checked"]) == (False, 1)
        assert answer["file"] == str(anchors_file(story))

    def test_an_anchor_that_does_not_fit_is_damage(self, reader: Reader, story: Path, tmp_path: Path) -> None:
        """A journal hashed anew is refused, with its row, and gets no new anchor."""
        file = tmp_path / "elsewhere.anchors"
        anchor(reader, START, file)
        before = file.read_bytes()
        hash_anew(story, 47, CHANGE)
        with pytest.raises(DamagedError, match="is not the one that was anchored"):
            anchor(reader, START, file)
        assert file.read_bytes() == before
