"""The chain walked in parts by several processes finds what one walk finds, and names the same row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from oms.journal import archives, walking
from oms.journal.chain import follow
from oms.journal.connection import driver
from oms.journal.reader import open_reader
from oms.journal.verify import Verdict, verify
from tests.journal.facts import ACCOUNT
from tests.journal.tampering import put_guard_on, take_guard_off

Tamper = Callable[[str], None]


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A story of less than a hundred rows is long enough for parts."""
    monkeypatch.setattr(walking, "WORTH_A_PROCESS", 10)


class InThisProcess:
    """A pool of processes that is none."""

    def __init__(self, workers: int, mp_context: object) -> None:
        del mp_context
        assert workers > 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, work: Callable[[Any], Any], parts: Iterable[Any]) -> Iterable[Any]:
        return map(work, parts)


def verdict_of(path: Path, jobs: int) -> Verdict:
    with closing(open_reader(f"sqlite:///{path}")) as reader:
        return verify(reader, fold=False, jobs=jobs)


def test_real_processes_agree_with_one(story: Path, tamper: Tamper) -> None:
    """Three of them walk a whole journal, and then one with a changed row in the middle."""
    one, three = verdict_of(story, 1), verdict_of(story, 3)
    assert three.ok
    assert (three.seq, three.head, three.rows) == (one.seq, one.head, one.rows)
    tamper("UPDATE events SET data = replace(data, ':', ': ') WHERE seq = 47")
    assert verdict_of(story, 3).bad_row == 47


CHANGES = {
    "a changed row": "UPDATE events SET at = at + 1 WHERE seq = {}",
    "another link": "UPDATE events SET hash = zeroblob(32) WHERE seq = {}",
    "a link that is none": "UPDATE events SET hash = 'x' WHERE seq = {}",
    "details of another type": "UPDATE events SET data = 5 WHERE seq = {}",
    "a kind of a newer program": "UPDATE events SET kind = 'newer' WHERE seq = {}",
    "a missing row": "DELETE FROM events WHERE seq = {}",
    "a number without a word": "UPDATE facts SET cycle = 100000 WHERE seq = {}",
}


@pytest.mark.parametrize("row", [1, 30, 31, 47])
def test_the_first_bad_row_is_named_wherever_the_parts_meet(
    story: Path, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    """At the end of a part, at the beginning of the next and within: parts name the row that one walk names."""
    monkeypatch.setattr(walking, "ProcessPoolExecutor", InThisProcess)
    copy = story.with_name("copy.db")
    for what, change in CHANGES.items():
        copy.write_bytes(story.read_bytes())
        with closing(sqlite3.connect(copy, isolation_level=None)) as raw:
            guard = take_guard_off(raw)
            raw.executescript(f"DELETE FROM events WHERE seq > 90; UPDATE heads SET seq = 90; {change.format(row)}")
            put_guard_on(raw, guard)
        one, in_parts = verdict_of(copy, 1), verdict_of(copy, 3)
        assert one.bad_row == row, what
        assert (in_parts.bad_row, in_parts.problem) == (one.bad_row, one.problem), what


def test_the_fast_walk_hashes_what_the_chain_hashes(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row for row it ends where a walk over the words themselves ends, also when it remembers hardly any of them."""
    with closing(sqlite3.connect(story)) as raw:
        expected = follow(ACCOUNT, archives.every_row(raw, ACCOUNT), 0, None)
        assert walking.walk(raw, ACCOUNT, 0, None) == expected
        monkeypatch.setattr(walking, "MOST_REMEMBERED", 1)
        monkeypatch.setattr(walking, "AT_ONCE", 1)
        assert walking.walk(raw, ACCOUNT, 0, None) == expected
    assert expected.bad is None
    assert expected.seq > 50


def test_a_walk_ends_where_it_is_told(story: Path) -> None:
    """A part holds up to the row before the next one."""
    with closing(open_reader(f"sqlite:///{story}")) as reader, reader.asking("walking") as connection:
        walked = walking.walk(driver(connection), ACCOUNT, 0, None, 40)
    assert (walked.seq, walked.bad) == (40, None)
