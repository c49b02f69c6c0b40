"""Verification: whatever was changed by hand is found and named, and tables can be cast anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oms.errors import DamagedError
from oms.journal.anchors import Anchor, add, anchors_file, every, last
from oms.journal.reader import open_reader
from oms.journal.rebuild import rebuild
from oms.journal.store import SqliteJournal
from oms.journal.verify import Verdict, verify
from oms.model.event import AttentionRaised
from tests.contract.journal_contract import contents
from tests.fakes.clock import START, FakeClock
from tests.journal.facts import ACCOUNT, full_story

Tamper = Callable[[str], None]


def verdict_of(path: Path, *, full: bool = True) -> Verdict:
    reader = open_reader(f"sqlite:///{path}")
    try:
        return verify(reader, full=full)
    finally:
        reader.close()


def test_an_untouched_journal_is_good(story: Path) -> None:
    """Chain, tables and anchors agree, in the quick and in the full check."""
    for full in (True, False):
        verdict = verdict_of(story, full=full)
        assert verdict.ok, verdict
        assert verdict.anchors == 1
        assert verdict.rows == verdict.seq > 50


def test_a_journal_that_was_only_just_made_is_good(journal: SqliteJournal, path: Path) -> None:
    """Its process may have died, or its machine lost its power, before the first fact: that is no damage."""

    journal.close()
    verdict = verdict_of(path)
    assert verdict.ok, verdict
    assert verdict.seq == 0


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ("UPDATE events SET data = replace(data, '10.11', '10.12') WHERE seq = 5", 5),
        ("UPDATE events SET at = at + 1 WHERE seq = 12", 12),
        ("UPDATE events SET symbol = 'X' WHERE seq = 5", 5),
        ("UPDATE events SET kind = 'order_expired' WHERE seq = 13", 13),
        ("UPDATE events SET version = 99 WHERE seq = 6", 6),
        ("UPDATE words SET word = 'c-other' WHERE id = (SELECT cycle FROM facts WHERE seq = 7)", 2),
        ("UPDATE events SET hash = zeroblob(32) WHERE seq = 8", 8),
        ("UPDATE events SET data = CAST(data AS BLOB) WHERE seq = 8", 8),
        ("DELETE FROM events WHERE seq = 20", 20),
        (
            (
                "UPDATE events SET seq = -1 WHERE seq = 10; UPDATE events SET seq = 10 WHERE seq = 11;"
                "UPDATE events SET seq = 11 WHERE seq = -1"
            ),
            10,
        ),
        ("DELETE FROM events WHERE seq = 1", 1),
    ],
)
def test_a_changed_row_is_named(story: Path, tamper: Tamper, change: str, row: int) -> None:
    """One changed, deleted or swapped row is found, and it is the first bad one that is named."""
    tamper(change)
    verdict = verdict_of(story)
    assert not verdict.ok
    assert verdict.bad_row == row, verdict
    assert "backup" in verdict.remedy


def test_a_cut_tail_is_found(story: Path, tamper: Tamper) -> None:
    """Without the last rows the chain is whole, but the head and the anchor know better."""
    tamper("DELETE FROM events WHERE seq > (SELECT max(seq) - 3 FROM events)")
    verdict = verdict_of(story)
    assert not verdict.ok
    assert "cut" in verdict.problem


def test_a_tail_cut_with_its_head_is_found_by_the_anchor(journal: SqliteJournal, path: Path, tamper: Tamper) -> None:
    """Even somebody who corrects the head cannot correct what lies outside the database; the next start refuses too."""
    full_story(journal)
    journal.append_barrier([AttentionRaised(rule="x", text="x")])
    journal.close()
    tamper(
        "DELETE FROM events WHERE seq > 40;"
        "UPDATE heads SET seq = 40, hash = (SELECT hash FROM events WHERE seq = 40),"
        " barrier_seq = 40, barrier_hash = (SELECT hash FROM events WHERE seq = 40)"
    )
    verdict = verdict_of(path)
    assert not verdict.ok
    assert "anchored" in verdict.problem
    assert "cut" in verdict.problem


def test_a_start_on_a_cut_journal_is_refused(
    journal: SqliteJournal, tamper: Tamper, open_one: Callable[..., SqliteJournal]
) -> None:
    """Exit 3, naming the anchor, before anything is sent."""
    full_story(journal)
    journal.append_barrier([AttentionRaised(rule="x", text="x")])
    journal.close()
    tamper(
        "DELETE FROM events WHERE seq > 2; DELETE FROM cycles; DELETE FROM orders; DELETE FROM fills;"
        "UPDATE heads SET seq = 2, hash = (SELECT hash FROM events WHERE seq = 2),"
        " barrier_seq = 2, barrier_hash = (SELECT hash FROM events WHERE seq = 2)"
    )
    with pytest.raises(DamagedError, match="tail was cut off"):
        open_one()


def test_a_start_on_a_head_that_disagrees_is_refused(
    story: Path, tamper: Tamper, open_one: Callable[..., SqliteJournal]
) -> None:
    """The head is checked against the last row at every start."""
    assert story.exists()
    tamper("UPDATE heads SET seq = seq + 1")
    with pytest.raises(DamagedError, match="head says"):
        open_one()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE orders SET cum_qty = cum_qty - 1 WHERE cum_qty = 5 AND symbol = 'S1'", "cum_qty is 4 and should be 5"),
        ("UPDATE orders SET phase = 'CLOSED' WHERE cycle_id LIKE '%0003-%'", "phase is 'CLOSED'"),
        ("UPDATE accounts SET cash = cash + 1", "table accounts"),
        ("UPDATE accounts SET halt_scope = NULL", "halt_scope is None and should be 'all'"),
        ("DELETE FROM holdings WHERE symbol = 'S1'", "table holdings, row paper-main/S1: it is missing"),
        ("INSERT INTO blacklist VALUES ('paper-main', 'AAPL', 'x', 'x', NULL, NULL)", "follows from no fact"),
        ("DELETE FROM fills WHERE seq = (SELECT min(seq) FROM fills)", "table fills"),
        ("UPDATE cycles SET outcome = 'complete' WHERE outcome = 'partial'", "should be 'partial'"),
        ("DELETE FROM frozen", "table frozen"),
        ("UPDATE external_orders SET cum_qty = '1'", "table external_orders"),
    ],
)
def test_a_changed_table_is_named_and_cast_anew(
    story: Path, url: str, tamper: Tamper, clock: FakeClock, change: str, words: str
) -> None:
    """A table that does not show what the facts add up to is named with row and column; a rebuild corrects it."""
    tamper(change)
    verdict = verdict_of(story)
    assert not verdict.ok
    assert words in verdict.problem
    assert verdict.bad_row is None
    assert "journal rebuild" in verdict.remedy
    rebuild(url, ACCOUNT, "paper", clock)
    assert verdict_of(story).ok


def test_a_rebuilt_journal_opens_as_before(
    journal: SqliteJournal, url: str, tamper: Tamper, clock: FakeClock, open_one: Callable[..., SqliteJournal]
) -> None:
    """Even with every table emptied, the facts give the same state again."""
    full_story(journal)
    journal.close()
    names = ("accounts", "cycles", "orders", "fills", "holdings", "blacklist", "frozen", "external_orders")
    tamper(";".join(f"DELETE FROM {name}" for name in names))
    assert rebuild(url, ACCOUNT, "paper", clock) == journal.state.seq
    again = open_one()
    assert contents(again.state) == contents(journal.state)
    again.close()


def test_broken_facts_are_not_rebuilt_from(story: Path, url: str, tamper: Tamper, clock: FakeClock) -> None:
    """A rebuild refuses where the chain itself is broken, and changes nothing."""
    tamper("UPDATE events SET data = replace(data, '10.11', '10.12') WHERE seq = 5")
    with pytest.raises(DamagedError, match="row 5"):
        rebuild(url, ACCOUNT, "paper", clock)
    assert verdict_of(story).bad_row == 5


class TestAnchors:
    """The file beside the database."""

    def test_a_line_that_a_crash_cut_short_is_passed_over(self, tmp_path: Path) -> None:
        """It is ended by the next anchor and never read as one."""
        file = tmp_path / "a.anchors"
        add(file, Anchor(account="a", seq=1, hash="aa", at=START))
        with file.open("a") as torn:
            torn.write('{"account": "a", "at": "2026-')
        found = last(file, "a")
        assert found is not None
        assert found.seq == 1
        add(file, Anchor(account="a", seq=2, hash="bb", at=START))
        assert [anchor.seq for anchor in every(file, "a")] == [1, 2]

    def test_accounts_are_kept_apart(self, tmp_path: Path) -> None:
        """An anchor of another account says nothing about this one."""
        file = tmp_path / "a.anchors"
        add(file, Anchor(account="b", seq=9, hash="aa", at=START))
        assert last(file, "a") is None

    def test_only_covered_heads_are_anchored(self, journal: SqliteJournal, path: Path) -> None:
        """An anchor never runs ahead of what a power cut would leave."""
        full_story(journal)
        journal.anchor()
        found = last(anchors_file(path), ACCOUNT)
        assert found is not None
        assert found.seq == journal.head.barrier_seq < journal.head.seq

    def test_an_hour_passes_between_two_anchors(self, journal: SqliteJournal, path: Path, clock: FakeClock) -> None:
        """Tidying anchors when an hour has passed, not at every quiet moment."""
        full_story(journal)
        journal.tidy()
        assert last(anchors_file(path), ACCOUNT) is None
        clock.sleep(3601)
        journal.tidy()
        assert last(anchors_file(path), ACCOUNT) is not None
