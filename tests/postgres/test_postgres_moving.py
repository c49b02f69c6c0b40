"""`db migrate-to`: a journal moves from a file to PostgreSQL whole, or not at all, and is never in two places."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oms.errors import DamagedError, LeaseHeldError, OmsError, RefusedError, UsageError
from oms.journal import views
from oms.journal.archiving import archive
from oms.journal.inbox import Inbox
from oms.journal.machine import this_process
from oms.journal.postgres import moving
from oms.journal.postgres.address import parse
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.postgres.journal import open_postgres
from oms.journal.postgres.moving import Moved, move
from oms.journal.reader import open_reader
from oms.journal.store import open_journal
from oms.journal.verify import verify
from oms.model.event import AttentionRaised
from tests.contract.journal_contract import contents
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, full_story
from tests.postgres.server import Server

Move = Callable[..., Moved]


class Death(BaseException):
    """The process is killed here."""


@pytest.fixture
def file(tmp_path: Path, clock: FakeClock) -> Path:
    """A journal with everything in it, closed, and a command that waits for its engine."""
    path = tmp_path / "oms.db"
    journal = open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock)
    full_story(journal)
    journal.close()
    with closing(Inbox(tmp_path / "inbox.db")) as inbox:
        inbox._continue_after(journal.state.inbox_id)
        inbox.post("ada", "release", {"reason": "tomorrow"})
    return path


@pytest.fixture
def target(server: Server, database: str, tmp_path: Path) -> str:
    return server.url(database, account=ACCOUNT, anchors=str(tmp_path / "there.anchors"))


@pytest.fixture
def moved(file: Path, target: str, clock: FakeClock) -> Move:
    """Moves; each call is a new process, and the last one is gone."""

    def call(**options: Any) -> Moved:
        clock.advance(timedelta(days=2))
        process = replace(this_process(), started="another")
        inbox = file.with_name("inbox.db")
        return move(file, inbox, target, ACCOUNT, mode="paper", clock=clock, process=process, **options)

    return call


def test_everything_arrives(moved: Move, file: Path, target: str, clock: FakeClock) -> None:
    """Chain, tables, fence, anchors and waiting commands; the account goes on with its next row."""
    with closing(open_reader(f"sqlite:///{file}")) as reader:
        before = [views.order_list(reader), views.cycle_list(reader), views.journal_query(reader, limit=999)]
    old = open_journal(f"sqlite:///{file}", ACCOUNT, "paper", clock)
    old.close()
    done = moved()
    assert (done.seq, done.head, done.rows) == (old.head.seq, old.head.hash.hex(), old.head.seq)
    assert done.messages == 1
    with closing(open_reader(target)) as reader:
        after = [views.order_list(reader), views.cycle_list(reader), views.journal_query(reader, limit=999)]
        verdict = verify(reader)
    assert after == before
    assert (verdict.problem, verdict.anchors) == ("", 1)
    journal = open_postgres(parse(target), ACCOUNT, "paper", clock, 15.0)
    assert contents(journal.state) == contents(old.state)
    assert journal.lease.fence > old.lease.fence
    journal.append_barrier([AttentionRaised(rule="test", text="here now")])
    assert journal.head.seq == old.head.seq + 1
    (message,) = PostgresInbox(parse(target), ACCOUNT).unread(journal.state.inbox_id)
    assert (message.author, message.command) == ("ada", "release")
    journal.close()


def test_facts_of_closed_years_move_too(moved: Move, file: Path, target: str, clock: FakeClock) -> None:
    """What lies in archives beside the file arrives with the rest: PostgreSQL holds every fact from the first."""
    made = archive(f"sqlite:///{file}", ACCOUNT, "paper", clock, clock.now() + timedelta(days=1), author="ada")
    assert made.freed > 20
    done = moved()
    assert done.rows == done.seq
    with closing(open_reader(target)) as reader:
        assert [event["seq"] for event in views.journal_stream(reader)] == list(range(1, done.seq + 1))
        assert verify(reader).ok


def test_the_file_is_left_behind(moved: Move, file: Path, clock: FakeClock) -> None:
    """After the move no engine opens the file, so the account is never traded from two journals; reading goes on."""
    moved()
    with pytest.raises(RefusedError, match="was moved to PostgreSQL"):
        open_journal(f"sqlite:///{file}", ACCOUNT, "paper", clock)
    with closing(open_reader(f"sqlite:///{file}")) as reader:
        assert verify(reader).ok
    with pytest.raises(RefusedError, match="has a journal of paper-main already"):
        moved()


@pytest.mark.parametrize("where", ["batch", "copied", "finished", "marked"])
def test_a_move_that_died_goes_on(
    moved: Move, file: Path, target: str, clock: FakeClock, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stopped, no engine starts on the target, and the same command brings it to its end."""
    monkeypatch.setattr(moving, "BATCH", 10)

    def die(step: str) -> None:
        if step == where:
            raise Death

    with pytest.raises(Death):
        moved(step=die)
    with pytest.raises(RefusedError, match="is not finished"):
        open_postgres(parse(target), ACCOUNT, "paper", clock, 15.0)
    with pytest.raises(OmsError, match="not finished"):
        open_reader(target)
    done = moved()
    assert done.rows == (done.seq - 10 if where == "batch" else 0)
    with closing(open_reader(target)) as reader:
        assert verify(reader).problem == ""
    with pytest.raises(RefusedError):
        open_journal(f"sqlite:///{file}", ACCOUNT, "paper", clock)


def test_a_move_that_never_ended_leaves_the_file_in_use(moved: Move, file: Path, clock: FakeClock) -> None:
    """Until the whole is verified the file is the journal, and its engine may go on with it; the move then copies more."""

    def die(step: str) -> None:
        if step == "copied":
            raise Death

    with pytest.raises(Death):
        moved(step=die)
    clock.advance(timedelta(days=2))
    journal = open_journal(f"sqlite:///{file}", ACCOUNT, "paper", clock)
    journal.append([AttentionRaised(rule="test", text="meanwhile")])
    journal.close()
    assert moved().rows == 1


def test_what_cannot_be_moved_is_refused(
    moved: Move, file: Path, target: str, clock: FakeClock, tmp_path: Path
) -> None:
    """A running engine, another journal of the account, no journal, no address: each with its sentence and nothing done."""
    engine = open_journal(f"sqlite:///{file}", ACCOUNT, "paper", clock, lease_seconds=10 * 86_400)
    with pytest.raises(LeaseHeldError):
        move(file, tmp_path / "inbox.db", target, ACCOUNT, mode="paper", clock=clock, process=this_process())
    engine.close()
    with pytest.raises(UsageError, match="no journal"):
        move(tmp_path / "none.db", tmp_path / "inbox.db", target, ACCOUNT, mode="paper", clock=clock)
    open_postgres(parse(target), ACCOUNT, "paper", clock, 15.0).close()
    with pytest.raises(RefusedError, match="never writes over one"):
        moved()


def test_a_damaged_journal_is_not_moved(moved: Move, file: Path, target: str) -> None:
    """What is not what was written stays where it is."""
    import sqlite3

    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE order_rows SET cum_qty = 4 WHERE id = (SELECT min(id) FROM order_rows)")
        raw.commit()
    with pytest.raises(DamagedError, match="table orders"):
        moved()
