"""The mailbox: commands arrive once, in order, with numbers that are never used twice."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from oms.errors import DamagedError, StorageError
from oms.journal import inbox as inbox_module
from oms.journal.inbox import Inbox


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "inbox.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Inbox]:
    """The engine's side."""
    inbox = Inbox(file)
    yield inbox
    inbox.close()


@pytest.fixture
def operator(file: Path, engine: Inbox) -> Iterator[Inbox]:
    """Another process's side."""
    inbox = Inbox(file)
    yield inbox
    inbox.close()


def test_a_command_arrives_with_its_author(engine: Inbox, operator: Inbox) -> None:
    """What is posted is read as it was posted, and again until it is journaled."""
    assert engine.unread(0) == []
    posted = operator.post("ada", "halt", {"reason": "storm ☂", "scope": "all"})
    for _ in range(2):
        (message,) = engine.unread(0)
        assert (message.inbox_id, message.author, message.command) == (posted, "ada", "halt")
        assert message.arguments == {"reason": "storm ☂", "scope": "all"}
    assert engine.unread(posted) == []


def test_commands_keep_their_order(engine: Inbox, operator: Inbox) -> None:
    """Oldest first, and only those after the last one that was journaled."""
    ids = [operator.post("ada", command) for command in ("halt", "release", "halt")]
    assert [m.inbox_id for m in engine.unread(0)] == ids == sorted(ids)
    assert [m.command for m in engine.unread(ids[0])] == ["release", "halt"]


def test_the_author_gets_an_answer(engine: Inbox, operator: Inbox) -> None:
    """None until the engine has journaled the command."""
    posted = operator.post("ada", "halt")
    assert operator.answer(posted) is None
    engine.taken(posted, "halted")
    assert operator.answer(posted) == "halted"
    assert operator.answer(12345) is None


def test_nothing_new_costs_no_query(engine: Inbox, operator: Inbox) -> None:
    """While nobody writes, looking reads the data version and nothing else."""
    operator.post("ada", "halt")
    engine.unread(1)
    asked: list[str] = []
    engine._raw.set_trace_callback(asked.append)
    for _ in range(5):
        assert engine.unread(1) == []
    assert asked == ["PRAGMA data_version"] * 5
    operator.post("ada", "release")
    assert len(engine.unread(1)) == 1


def test_numbers_go_on_when_the_file_was_lost(file: Path, engine: Inbox) -> None:
    """A new mailbox beside an older journal never hands out a number that the journal has seen."""
    first = engine.post("ada", "halt")
    assert [m.inbox_id for m in engine.unread(50)] == [50 + first]
    assert engine.post("ada", "release") == 52
    assert [m.inbox_id for m in engine.unread(50)] == [51, 52]
    assert engine.unread(52) == []


def test_numbers_are_never_used_twice(engine: Inbox) -> None:
    """Not even those of commands that were removed by hand."""
    posted = engine.post("ada", "halt")
    engine._raw.execute("DELETE FROM messages")
    assert engine.post("ada", "halt") == posted + 1


def test_a_post_is_on_the_disk(file: Path, engine: Inbox) -> None:
    """A halt counts from the mailbox's commit: full syncs, and no write-ahead log."""
    assert engine._raw.execute("PRAGMA synchronous").fetchone() == (3,)
    assert engine._raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_only_its_owner_reads_it(file: Path, engine: Inbox) -> None:
    """0600 in a folder of 0700."""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_locked_mailbox_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded and the sentence names the file: exit 75."""
    monkeypatch.setattr(inbox_module, "BUSY_S", 0.05)
    inbox = Inbox(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match=r"inbox\.db.*locked"):
        inbox.post("ada", "halt")
    other.close()
    inbox.post("ada", "halt")
    inbox.close()


def test_another_programs_file_is_left_alone(file: Path) -> None:
    """Neither a database of somebody else's nor a text is taken for a mailbox: exit 3."""
    file.parent.mkdir()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(DamagedError, match="another program"):
        Inbox(file)
    file.write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises(DamagedError):
        Inbox(file)


def test_two_processes_may_make_the_mailbox_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox that another process finishes between two of our looks at it is no database of another program."""
    made: list[Inbox] = []

    class Late(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            answer = super().execute(sql, *parameters)  # type: ignore[arg-type]  # passed through as they came
            if sql == "PRAGMA application_id" and not made:
                answer = super().execute("SELECT 0")  # what it read before the other one was done
                monkeypatch.setattr(sqlite3, "connect", connect)
                made.append(Inbox(file))
            return answer

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Late))
    with closing(Inbox(file)) as slower:
        slower.post("ada", "halt")
    with closing(made[0]) as quicker:
        assert [message.command for message in quicker.unread(0)] == ["halt"]
