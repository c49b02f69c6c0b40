"""How the supervised tasks go, as the engine writes it down and others read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from oms.errors import FenceLostError
from oms.journal.connection import reader_engine
from oms.journal.store import SqliteJournal, open_journal
from oms.journal.task_rows import read_tasks
from oms.model.task import TaskHealth
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def opened(folder: Path, clock: FakeClock) -> SqliteJournal:
    return open_journal(f"sqlite:///{(folder / 'oms.db').as_posix()}", ACCOUNT, "paper", clock)


def kept(folder: Path) -> list[TaskHealth]:
    engine = reader_engine(folder / "oms.db")
    try:
        with engine.connect() as connection:
            return read_tasks(connection, ACCOUNT)
    finally:
        engine.dispose()


def test_what_was_noted_is_read_by_another_connection_while_the_engine_runs(tmp_path: Path, clock: FakeClock) -> None:
    """Each task has one row, the newest, exact to the microsecond; a task that was not noted again keeps its own."""
    journal = opened(tmp_path, clock)
    at = clock.now()
    trading = TaskHealth(name="trading", text="c-1 complete", last_run=at, next_run=at + timedelta(seconds=30), runs=1)
    failing = TaskHealth(name="selection", healthy=False, text="x", last_error="Yahoo refused", last_error_at=at)
    journal.note_tasks([trading, failing])
    journal.note_tasks([replace(trading, runs=2)])
    assert kept(tmp_path) == [failing, replace(trading, runs=2)]
    journal.close()
    assert opened(tmp_path, clock).state.seq == 0, "they are no facts of the chain"


def test_a_process_that_has_lost_the_lease_writes_none(tmp_path: Path, clock: FakeClock) -> None:
    """The holder's fence stands above them as above every other write, and the newer holder's rows stay."""
    stale = opened(tmp_path, clock)
    clock.advance(timedelta(seconds=60))
    holder = opened(tmp_path, clock)
    holder.note_tasks([TaskHealth(name="trading", text="mine")])
    with pytest.raises(FenceLostError):
        stale.note_tasks([TaskHealth(name="trading", text="theirs")])
    assert [task.text for task in kept(tmp_path)] == ["mine"]
