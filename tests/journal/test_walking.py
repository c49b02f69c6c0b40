"""The chain walked in groups, and in parts by several processes, finds what a walk row by row does, and names that row."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms.bench.journal import fill
from oms.journal import archives, stretch, walking
from oms.journal.chain import follow
from oms.journal.connection import driver
from oms.journal.packed import CODES
from oms.journal.reader import open_reader
from oms.journal.verify import Verdict, verify
from tests.journal.facts import ACCOUNT
from tests.journal.tampering import put_guard_on, take_guard_off

Tamper = Callable[[str], None]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A story of less than a hundred rows is long enough for groups, and for parts that other processes walk."""
    monkeypatch.setattr(walking, "WORTH_A_PROCESS", 10)
    monkeypatch.setattr(walking, "PART", 10)
    monkeypatch.setattr(stretch, "GROUP", 10)
    monkeypatch.setattr(stretch, "_ENDINGS", [f"{each}:" for each in range(10)])


class Nobody:
    """Another process that never answers: every part is walked here."""

    def __init__(self, *_: object) -> None: ...

    def join(self, seconds: float) -> None: ...

    def end(self) -> None: ...


def verdict_of(path: Path, jobs: int) -> Verdict:
    with closing(open_reader(f"sqlite:///{path}")) as reader:
        return verify(reader, fold=False, jobs=jobs)


@pytest.mark.usefixtures("short")
def test_real_processes_agree_with_one(story: Path, tamper: Tamper) -> None:
    """Three of them walk a whole journal, and then one with a changed row in the middle."""
    one, three = verdict_of(story, 1), verdict_of(story, 3)
    assert three.ok
    assert (three.seq, three.head, three.rows) == (one.seq, one.head, one.rows)
    tamper("UPDATE events SET data = replace(data, ':', ': ') WHERE seq = 47")
    assert verdict_of(story, 3).bad_row == 47


def test_another_process_walks_a_part_by_itself(story: Path) -> None:
    """It is the program itself, isolated and without anything that is installed: it answers each order with one line."""
    with closing(sqlite3.connect(story)) as raw:
        link, end = (raw.execute("SELECT hash FROM facts WHERE seq = ?", (seq,)).fetchone()[0] for seq in (20, 60))
    account, codes = '"' + ACCOUNT + '"', str(CODES).replace("'", '"')
    order = f'["{story.as_uri()}?mode=ro", "main", true, 20, "{link.hex()}", 60]'
    root = str(Path(walking.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", walking._START, root],
        input=f"[{account}, {codes}]\n{order}\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout == f'[60, "{end.hex()}", true]\n'


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "start",
    [
        "raise SystemExit(3)",
        "import sys; [print('nonsense', flush=True) for _ in sys.stdin]",
        "print([1, 'ff', False])",
    ],
)
def test_a_process_that_is_of_no_use_costs_no_truth(story: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    """One that ends at once, speaks nonsense, or calls a sound part bad: its parts are walked here, and all is well."""
    monkeypatch.setattr(walking, "_START", start)
    assert verdict_of(story, 3).ok


@pytest.mark.usefixtures("short")
def test_a_process_that_cannot_be_started_costs_no_truth(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system refuses, this process walks everything."""
    monkeypatch.setattr(sys, "executable", str(story))
    assert verdict_of(story, 2).ok


CHANGES = {
    "a changed row": "UPDATE events SET at = at + 1 WHERE seq = {}",
    "another link": "UPDATE events SET hash = zeroblob(32) WHERE seq = {}",
    "a link that is none": "UPDATE events SET hash = 'x' WHERE seq = {}",
    "details of another type": "UPDATE events SET data = 5 WHERE seq = {}",
    "the same bytes that are no text any more": "UPDATE facts SET data = CAST(data AS BLOB) WHERE seq = {}",
    "details that are no text": "UPDATE facts SET data = CAST(x'7bff7d' AS TEXT) WHERE seq = {}",
    "a kind of a newer program": "UPDATE events SET kind = 'newer' WHERE seq = {}",
    "a missing row": "DELETE FROM events WHERE seq = {}",
    "a number without a word": "UPDATE facts SET cycle = 100000 WHERE seq = {}",
    "every row from here on moved up": "UPDATE facts SET seq = -seq - 1 WHERE seq >= {}; UPDATE facts SET seq = -seq"
    " WHERE seq < 0",
}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("row", [1, 9, 10, 30, 31, 47])
def test_the_first_bad_row_is_named_wherever_the_parts_meet(
    story: Path, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    """At the end of a group or part, at the beginning of the next and within: each names the row that was changed."""
    monkeypatch.setattr(walking, "_Other", Nobody)
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


@pytest.mark.usefixtures("short")
def test_the_fast_walk_hashes_what_the_chain_hashes(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row for row it ends where a walk over the words themselves ends, also when it remembers hardly any of them."""
    with closing(sqlite3.connect(story)) as raw:
        expected = follow(ACCOUNT, archives.every_row(raw, ACCOUNT), 0, None)
        assert walking.walk(raw, ACCOUNT, 0, None) == expected
        monkeypatch.setattr(stretch, "MOST_REMEMBERED", 1)
        monkeypatch.setattr(stretch, "AT_ONCE", 1)
        assert walking.walk(raw, ACCOUNT, 0, None) == expected
    assert expected.bad is None
    assert expected.seq > 50


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of more than three groups."""
    return fill(tmp_path_factory.mktemp("long") / "bench.db", 3300).path


def test_only_a_group_that_is_short_or_wrong_is_walked_row_by_row(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3,300 rows the last three hundred are: whole groups are read and hashed at once. A changed one is named."""
    slow: list[tuple[int, int]] = []

    def counted(account: str, rows: Any, seq: int, head: bytes | None) -> Any:
        found = follow(account, rows, seq, head)
        slow.append((seq, found.seq))
        return found

    monkeypatch.setattr(stretch, "follow", counted)
    with closing(sqlite3.connect(long, isolation_level=None)) as raw:
        walked = walking.walk(raw, "bench", 0, None)
        assert (walked.bad, slow) == (None, [(2999, walked.seq), (walked.seq, walked.seq)])
        guard = take_guard_off(raw)
        for row in (1, 998, 999, 1000, 1999, 2000, 2500, 3001):
            raw.execute("BEGIN")
            raw.execute("UPDATE facts SET at = at + 1 WHERE seq = ?", (row,))
            assert walking.walk(raw, "bench", 0, None).bad == row
            raw.execute("ROLLBACK")
        put_guard_on(raw, guard)


@pytest.mark.usefixtures("short")
def test_a_walk_ends_where_it_is_told(story: Path) -> None:
    """A part holds up to the row before the next one."""
    with closing(open_reader(f"sqlite:///{story}")) as reader, reader.asking("walking") as connection:
        for last in (1, 9, 10, 40, 45):
            walked = walking.walk(driver(connection), ACCOUNT, 0, None, last)
            assert (walked.seq, walked.bad) == (last, None)
