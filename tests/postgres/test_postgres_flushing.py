"""Accounts of one process share the flush of the server's log, and none returns before the disk has what it wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from oms.errors import StorageError
from oms.journal.postgres import flushing
from oms.journal.postgres.address import parse
from oms.journal.postgres.flushing import Flusher, flusher_of
from oms.journal.postgres.journal import PostgresJournal
from oms.model.event import AttentionRaised
from tests.journal.facts import account_opened
from tests.postgres.server import Server


def log_is_on_disk_up_to(server: Server, database: str) -> int:
    """The place in the log that the disk has, counted in bytes."""
    with server.connect(database) as raw:
        row = raw.execute("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])


def written_up_to(server: Server, database: str) -> int:
    """The place in the log up to which anything was written by anybody."""
    with server.connect(database) as raw:
        row = raw.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])


class _Counted(Flusher):
    """Counts its flushes."""

    count = 0

    def _flush(self) -> str:
        self.count += 1
        return super()._flush()


@pytest.fixture
def flusher(monkeypatch: pytest.MonkeyPatch, url: str) -> _Counted:
    address = parse(url)
    made = _Counted(address.server, address.schema)
    monkeypatch.setattr("oms.journal.postgres.journal.flusher_of", lambda *_: made)
    return made


def opened(open_one: Callable[..., PostgresJournal], count: int) -> list[PostgresJournal]:
    journals = [open_one(account=f"shared-{number}") for number in range(count)]
    for journal in journals:
        journal.append_barrier([account_opened()])
    return journals


def at_once(calls: list[Callable[[], object]]) -> list[BaseException]:
    """Run these in threads; what they raised."""
    raised: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # all of them are looked at by the test
            raised.append(error)

    crowd = [threading.Thread(target=run, args=(call,)) for call in calls]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(timeout=240)
    assert not any(each.is_alive() for each in crowd)
    return raised


def barrier(journal: PostgresJournal) -> Callable[[], object]:
    return lambda: journal.append_barrier([AttentionRaised(rule="test", text="a barrier")])


class TestSharing:
    """What one flush covers."""

    def test_an_account_alone_waits_for_nobody(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted, server: Server, database: str
    ) -> None:
        """Its own commit goes to the disk, as a barrier does."""
        (journal,) = opened(open_one, 1)
        barrier(journal)()
        assert flusher.count == 0
        assert log_is_on_disk_up_to(server, database) > 0

    def test_many_accounts_share_a_flush(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Barriers of eight accounts that come together are one flush, once all eight are there."""
        journals = opened(open_one, 8)
        monkeypatch.setattr(flushing, "PER_ACCOUNT_S", 10.0)
        monkeypatch.setattr(flushing, "LONGEST_S", 30.0)
        flusher.count = 0
        assert at_once([barrier(journal) for journal in journals]) == []
        assert flusher.count == 1

    def test_it_returns_only_when_the_disk_has_it(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted, server: Server, database: str
    ) -> None:
        """After a shared barrier, nothing that was written before it is missing from the disk."""
        first, _ = opened(open_one, 2)
        for _ in range(5):
            first.append([AttentionRaised(rule="test", text="soft")])
            barrier(first)()
            before = written_up_to(server, database)
            assert log_is_on_disk_up_to(server, database) >= before - 512  # others write too, such as statistics
        assert flusher.count > 0

    def test_a_barrier_of_an_account_whose_others_sleep_does_not_wait_for_them(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted
    ) -> None:
        """It waits a moment that is fixed, and goes on alone."""
        first, *_ = opened(open_one, 3)
        flusher.count = 0
        barrier(first)()
        assert flusher.count == 1


class TestFailure:
    """When it is not known whether the disk has it, nobody is told that it has."""

    def test_a_flush_that_fails_ends_every_holder_that_waited(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each gets the error, writes nothing more, and its next start decides from the database."""
        journals = opened(open_one, 3)

        def lost(*_: Any) -> str:
            raise psycopg.OperationalError("the connection was cut")

        monkeypatch.setattr(flusher, "_flush", lost)
        raised = at_once([barrier(journal) for journal in journals])
        assert len(raised) == 3
        assert all(isinstance(error, StorageError) and "not brought to the disk" in str(error) for error in raised)
        for journal in journals:
            with pytest.raises(StorageError, match="ended its use"):
                barrier(journal)()

    def test_a_server_that_recovered_meanwhile_is_noticed(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted, server: Server, database: str
    ) -> None:
        """The flush sees another restart token than the one under which the barrier was committed: it may be gone."""
        first, _ = opened(open_one, 2)
        whole = flusher._flush

        def recovered() -> str:
            server.execute("UPDATE oms.restart_token SET token = 'another'", database)
            return whole()

        flusher._flush = recovered  # type: ignore[method-assign]  # the crash comes between commit and flush
        with pytest.raises(StorageError, match="recovered from a crash"):
            barrier(first)()

    def test_a_server_that_does_not_wait_for_its_disk_is_refused(
        self, open_one: Callable[..., PostgresJournal], flusher: _Counted
    ) -> None:
        """Where an administrator turns durability off meanwhile, a shared barrier does not pass for durable."""
        first, _ = opened(open_one, 2)
        barrier(first)()
        assert flusher._kept is not None
        flusher._kept.exec_driver_sql("SET synchronous_commit = off")
        with pytest.raises(StorageError, match="would not reach the disk"):
            barrier(first)()


def test_the_last_account_gives_the_connection_back(
    open_one: Callable[..., PostgresJournal], flusher: _Counted
) -> None:
    """Nothing is kept open for accounts that are closed."""
    journals = opened(open_one, 2)
    barrier(journals[0])()
    assert flusher._kept is not None
    for journal in journals:
        journal.close()
    assert flusher._open == 0
    assert flusher._kept is None


def test_a_process_has_one_for_a_database(url: str) -> None:
    """All accounts of a database meet at the same one."""
    address = parse(url)
    assert flusher_of(address.server, address.schema) is flusher_of(parse(url).server, parse(url).schema)
