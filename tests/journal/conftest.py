"""What the journal's tests share: a clock, a place, and journals that are let go of at the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oms.journal.machine import this_process
from oms.journal.store import SqliteJournal, open_journal
from tests.contract.journal_contract import LEASE_S
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, full_story
from tests.journal.tampering import put_guard_on, take_guard_off


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "oms.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def open_one(path: Path, clock: FakeClock) -> Iterator[Callable[..., SqliteJournal]]:
    """Opens the journal as one more process; see JournalContract."""
    opened: list[SqliteJournal] = []
    here = this_process()

    def opener(*, alive: bool = True, other_boot: bool = False, **options: Any) -> SqliteJournal:
        if not alive and opened:
            # The process before this one is gone: its number is used by another now.
            raw = sqlite3.connect(path)
            raw.execute("UPDATE lease SET process_started = 'long ago'")
            raw.commit()
            raw.close()
        process = replace(here, restart_token="another boot") if other_boot else here
        journal = open_journal(f"sqlite:///{path}", ACCOUNT, "paper", clock, LEASE_S, process=process, **options)
        opened.append(journal)
        return journal

    yield opener
    for journal in opened:
        journal._break("the test is over")


@pytest.fixture
def journal(open_one: Callable[..., SqliteJournal]) -> SqliteJournal:
    return open_one()


@pytest.fixture
def story(journal: SqliteJournal, path: Path) -> Path:
    """A journal with everything in it, closed; its file."""
    full_story(journal)
    journal.close()
    return path


@pytest.fixture
def tamper(path: Path) -> Callable[[str], None]:
    """Change the file as somebody with a database tool would, the guard taken off first and put back after."""

    def change(statements: str) -> None:
        raw = sqlite3.connect(path, isolation_level=None)
        guard = take_guard_off(raw)
        raw.executescript(statements)
        put_guard_on(raw, guard)
        raw.close()

    return change
