"""The rows that spare long walks: they change how long an answer takes, never the answer, and a false one is found."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.audit.past import moment_of
from oms.journal import history, marks, shortcuts
from oms.journal.history import EventFilter
from oms.journal.reader import open_reader
from oms.journal.rebuild import rebuild
from oms.journal.store import SqliteJournal
from oms.journal.verify import Verdict, verify
from oms.resources import migrations_dir
from tests.audit.stories import Chapter, facts_of, lived
from tests.audit.test_past import comparable, folded
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, full_story

LIFE = [
    Chapter(2, 3, True, True, True, "found"),
    Chapter(1, 2, True, True, True, "void"),
    Chapter(2, 2, False, False, True, "nothing"),
]
TEXTS = st.text(alphabet=st.sampled_from('ab_ c1234567890"\\é\n'), max_size=12)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and distances so small that a story has many of them."""
    monkeypatch.setattr(marks, "BLOCK", 16)
    monkeypatch.setattr(marks, "BLOCKS_AT_ONCE", 1000)
    monkeypatch.setattr(shortcuts, "BOOKED_EVERY", 7)


@pytest.fixture
def marked(journal: SqliteJournal, path: Path) -> Path:
    """A journal with everything in it, all its full blocks marked, closed."""
    full_story(journal)
    journal.tidy()
    journal.close()
    return path


@given(texts=st.lists(TEXTS, max_size=8), start=st.integers(0, 5), length=st.integers(0, 8))
def test_a_mark_never_denies_what_is_there(texts: list[str], start: int, length: int) -> None:
    """Whatever part of whatever text is looked for, the mark of the texts lets it pass, in any case of letters."""
    mark = marks.mark_of(texts)
    for text in texts:
        assert mark.may_hold(marks.pieces_of(text[start : start + length]))
        assert mark.may_hold(marks.pieces_of(text[start : start + length].upper()))


def test_a_mark_denies_most_of_what_is_not_there() -> None:
    """A word or a number that no text holds is denied, which is what marks are for."""
    mark = marks.mark_of(['{"order_id":"B00000047S0","reason":"49 x 50.54 was the plan"}'])
    assert mark.may_hold(marks.pieces_of("was the PLAN"))
    for absent in ("nowhere", "the plane", "order_ix", "123456", "00047 "):
        assert mark.may_hold(marks.pieces_of(absent)) is (absent == "00047 ")


@pytest.mark.parametrize("text", ["the", "x", "10.11", "no such text", "exec_id", "00001", "987654321", "S1"])
@pytest.mark.parametrize("newest", [True, False])
def test_marks_leave_the_answer_as_it_was(marked: Path, text: str, *, newest: bool) -> None:
    """With marks and without, the same facts are found, counted and streamed, page for page."""
    reader = open_reader(f"sqlite:///{marked}")
    wanted = EventFilter(text=text)
    with_marks = [
        history.journal_query(reader, wanted, limit=3, newest=newest),
        list(history.journal_stream(reader, wanted)),
        history.journal_count(reader, wanted),
    ]
    reader.close()
    assert _rows(marked, "SELECT count(*) FROM text_marks") > 2
    raw = sqlite3.connect(marked)
    raw.execute("DELETE FROM text_marks WHERE block <> 1")  # a gap at each side must be read
    raw.commit()
    raw.close()
    reader = open_reader(f"sqlite:///{marked}")
    assert with_marks == [
        history.journal_query(reader, wanted, limit=3, newest=newest),
        list(history.journal_stream(reader, wanted)),
        history.journal_count(reader, wanted),
    ]
    reader.close()


def test_a_search_reads_only_blocks_that_may_hold_the_text(marked: Path) -> None:
    """What no block holds is looked for only behind the last full block."""
    raw = sqlite3.connect(marked)
    whole = raw.execute("SELECT max(block) FROM text_marks").fetchone()[0] + 1
    (tail,) = marks.candidates(raw, ACCOUNT, "nowhere at all")
    raw.close()
    assert tail.start == whole * 16 + 1


def test_every_moment_is_the_same_from_any_books() -> None:
    """The past gathered from books kept every few facts is the fold of all facts before it."""
    with lived(LIFE) as (_, reader), reader.asking("a test") as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM books").scalar_one()
        assert kept > 5
        for state in folded(facts_of(reader)):
            assert comparable(moment_of(connection, ACCOUNT, state.seq).state) == comparable(state), state.seq


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE text_marks SET letters = zeroblob(length(letters)) WHERE block = 1", "text_marks, row paper-main/1"),
        ("UPDATE text_marks SET digits = x'00' WHERE block = 2", "text_marks, row paper-main/2"),
        ("DELETE FROM bound_rules WHERE seq = (SELECT max(seq) FROM bound_rules)", "table bound_rules"),
        (
            "INSERT INTO bound_rules VALUES ('paper-main', 'made up', 5)",
            "made up/5: it is there and follows from no fact",
        ),
        ("UPDATE books SET cash = cash + 1 WHERE seq = 14", "table books, row paper-main/14: cash is"),
        ("INSERT INTO books VALUES ('paper-main', 15, 1, '{}')", "paper-main/15: it is there and follows from no fact"),
    ],
)
def test_a_false_shortcut_is_named_and_cast_anew(
    marked: Path, url: str, clock: FakeClock, tamper: Callable[[str], None], change: str, words: str
) -> None:
    """A changed mark, list of rules or book is found by the whole verification, and `journal rebuild` corrects it."""
    tamper(change)
    found = _verdict(marked)
    assert not found.ok
    assert words in found.problem
    assert "journal rebuild" in found.remedy
    rebuild(url, ACCOUNT, "paper", clock)
    assert _verdict(marked).ok


def test_a_journal_of_an_older_release_may_lack_books_and_marks(marked: Path, tamper: Callable[[str], None]) -> None:
    """They only make questions faster: what is missing is worked out from the facts."""
    tamper("DELETE FROM books WHERE seq < 30; DELETE FROM text_marks")
    assert _verdict(marked).ok


def test_the_update_lists_the_rules_of_what_was_journaled_before(marked: Path) -> None:
    """A migrated journal knows by rule every fact that it would know had it been written by this release."""
    raw = sqlite3.connect(marked)
    wanted = raw.execute("SELECT account, rule, seq FROM bound_rules ORDER BY 1, 2, 3").fetchall()
    assert len({rule for _, rule, _ in wanted}) > 2
    raw.execute("DELETE FROM bound_rules")
    script = _migration()
    for statement in (script.PLAIN_RULES, script.RULES_OF_BUYS):
        raw.execute(statement)
    assert raw.execute("SELECT account, rule, seq FROM bound_rules ORDER BY 1, 2, 3").fetchall() == wanted
    raw.close()


def _rows(path: Path, sql: str) -> int:
    raw = sqlite3.connect(path)
    found: int = raw.execute(sql).fetchone()[0]
    raw.close()
    return found


def _verdict(path: Path) -> Verdict:
    reader = open_reader(f"sqlite:///{path}")
    try:
        return verify(reader)
    finally:
        reader.close()


def _migration() -> ModuleType:
    file = migrations_dir() / "versions" / "0004_rules_books_marks_archives.py"
    spec = importlib.util.spec_from_file_location("migration_0004", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
