"""Accounts of one process share the flush of the server's log, and none returns before the disk has what it wrote."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from oms.errors import StorageError
from oms.journal.postgres import flushing
from oms.journal.postgres.address import parse
from oms.journal.postgres.flushing import Answer, Flusher, flusher_of
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


PAGE_HEADER = 40
"""Bytes at the beginning of a page of the log: what is written may seem to end behind them, and nothing be missing."""


class _Watched(Flusher):
    """Counts its flushes, and sees at each barrier whether the disk has what it must when it returns."""

    count = 0
    questions = 0

    def __init__(self, server: Server, database: str) -> None:
        address = parse(server.url(database))
        super().__init__(address.server, address.schema)
        self._looks_at = server, database
        self.broken: list[int] = []
        """Bytes that a barrier was told are on the disk, and were not."""

    def cover(self, token: str, who: object) -> None:
        committed = written_up_to(*self._looks_at)
        super().cover(token, who)
        missing = committed - log_is_on_disk_up_to(*self._looks_at)
        if missing > PAGE_HEADER:
            self.broken.append(missing)

    def _ask(self, *, force: bool, beyond: int | None) -> Answer:
        found = super()._ask(force=force, beyond=beyond)
        self.questions += 1
        self.count += found.is_forced
        return found

    def _is_idle(self, computed: float, passed: float) -> bool:
        """A test's threads may be kept from computing by other work on the machine."""
        del computed, passed
        return False


@pytest.fixture
def flusher(monkeypatch: pytest.MonkeyPatch, server: Server, database: str) -> _Watched:
    made = _Watched(server, database)
    monkeypatch.setattr("oms.journal.postgres.journal.flusher_of", lambda *_: made)
    return made


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch, flusher: _Watched) -> Callable[[], None]:
    """From the call on everyone waits until all are there, for another account had a barrier just now."""

    def call() -> None:
        monkeypatch.setattr(flushing, "LONGEST_S", 3600.0)
        flusher._came["another"] = time.monotonic()
        flusher.count = 0

    return call


@pytest.fixture
def nobody_else_flushes(server: Server) -> Iterator[None]:
    """See :meth:`tests.postgres.server.Server.nobody_else_flushes`."""
    if not server.is_own:
        pytest.skip("only processes of a server that the tests start may be held")
    with server.nobody_else_flushes():
        yield


def opened(open_one: Callable[..., PostgresJournal], count: int) -> list[PostgresJournal]:
    journals = [open_one(account=f"shared-{number}") for number in range(count)]
    for journal in journals:
        journal.append([account_opened()])
    journals[0]._flusher._came.clear()  # it is long ago
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
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, server: Server, database: str
    ) -> None:
        """Its own commit goes to the disk, as a barrier does."""
        (journal,) = opened(open_one, 1)
        barrier(journal)()
        assert flusher.count == 0
        assert log_is_on_disk_up_to(server, database) > 0

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_many_accounts_share_a_flush(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, patient: Callable[[], None]
    ) -> None:
        """Barriers of eight accounts that come together are one flush, once all eight are there."""
        journals = opened(open_one, 8)
        patient()
        assert at_once([barrier(journal) for journal in journals]) == []
        assert flusher.count == 1
        assert flusher.broken == []

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_a_barrier_that_was_told_of_is_on_the_disk(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched
    ) -> None:
        """Whatever six accounts do at once: whenever a barrier returns, the log is on the disk behind its commit."""
        journals = opened(open_one, 6)

        def live(journal: PostgresJournal) -> None:
            for _ in range(8):
                journal.append([AttentionRaised(rule="test", text="soft")])
                barrier(journal)()

        assert at_once([lambda journal=each: live(journal) for each in journals]) == []  # type: ignore[misc]  # mypy's own
        assert flusher.broken == []
        assert 8 <= flusher.count <= 6 * 8

    def test_another_process_s_flush_serves_as_well(
        self,
        open_one: Callable[..., PostgresJournal],
        flusher: _Watched,
        monkeypatch: pytest.MonkeyPatch,
        server: Server,
    ) -> None:
        """While an account waits for others, somebody else brings the log to the disk: it flushes nothing itself."""
        monkeypatch.setattr(flushing, "LONGEST_S", 60.0)
        first, second, _ = opened(open_one, 3)
        barrier(first)()
        flusher.count = flusher.questions = 0
        whole = flusher._ask

        def meanwhile(*, force: bool, beyond: int | None) -> Answer:
            found = whole(force=force, beyond=beyond)
            server.execute("SELECT pg_logical_emit_message(true, 'another', '')")  # a durable commit
            return found

        monkeypatch.setattr(flusher, "_ask", meanwhile)
        barrier(second)()
        assert flusher.count == 0
        assert flusher.questions >= 1
        assert flusher.broken == []

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_who_comes_while_the_server_is_asked_needs_another_answer(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flush that began before a commit says nothing about it."""
        first, second, _ = opened(open_one, 3)
        flusher.count = 0
        whole = flusher._ask
        crowd = [threading.Thread(target=barrier(second))]

        def late(*, force: bool, beyond: int | None) -> Answer:
            found = whole(force=force, beyond=beyond)
            if crowd[0].ident is None:
                crowd[0].start()
                wait_until(lambda: len(flusher._crowd) == 2)
            return found

        monkeypatch.setattr(flusher, "_ask", late)
        barrier(first)()
        crowd[0].join(timeout=60)
        assert not crowd[0].is_alive()
        assert flusher.count == 2
        assert flusher.broken == []

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_a_barrier_of_an_account_whose_others_sleep_waits_for_nobody(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However long it might wait: nobody had a barrier lately, so it flushes for itself at once."""
        first, *_ = opened(open_one, 3)
        monkeypatch.setattr(flushing, "LONGEST_S", 3600.0)
        flusher.count = flusher.questions = 0
        for _ in range(3):
            barrier(first)()
        assert flusher.count == flusher.questions == 3

    def test_nobody_is_waited_for_where_this_process_has_nothing_else_to_do(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another account had a barrier just now, and then went to wait for its broker."""
        monkeypatch.setattr(flusher, "_is_idle", lambda *_: True)
        first, second, _ = opened(open_one, 3)
        monkeypatch.setattr(flushing, "LONGEST_S", 3600.0)
        barrier(first)()
        barrier(second)()
        assert flusher.broken == []

    def test_where_a_standby_must_have_it_too_this_disk_alone_proves_nothing(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, server: Server
    ) -> None:
        """With a synchronous standby only a commit that waits for it will do, whatever is on this server's disk."""
        if not server.is_own:
            pytest.skip("only a server that the tests start is set otherwise")
        opened(open_one, 2)
        assert flusher._ask(force=False, beyond=None).flushed > 0
        server.set("synchronous_standby_names", "nobody")
        try:
            wait_until(lambda: named_by(flusher) == "nobody")  # the server tells its processes when it gets to it
            assert flusher._ask(force=False, beyond=None).flushed == 0
        finally:
            server.set("synchronous_standby_names", None)


class TestLies:
    """A flusher that says too early that the disk has it is found by the tests above."""

    @pytest.mark.parametrize(
        "lie",
        [
            lambda found, _: Answer(token=found.token, is_forced=True, written=found.written, flushed=found.flushed),
            lambda found, _: Answer(token=found.token, is_forced=False, written=found.written, flushed=found.written),
            lambda found, before: Answer(token=found.token, is_forced=False, written=before, flushed=found.flushed),
        ],
        ids=["no-flush", "written-is-not-flushed", "the-place-of-before"],
    )
    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_it_is_seen(
        self,
        open_one: Callable[..., PostgresJournal],
        flusher: _Watched,
        monkeypatch: pytest.MonkeyPatch,
        lie: Callable[[Answer, int], Answer],
    ) -> None:
        """Each of three lies, planted."""
        first, _ = opened(open_one, 2)
        whole = flusher._ask
        barrier(first)()
        before = whole(force=True, beyond=None).flushed
        monkeypatch.setattr(flusher, "_ask", lambda **_: lie(whole(force=False, beyond=None), before))
        barrier(first)()
        assert len(flusher.broken) == 1


class TestFailure:
    """When it is not known whether the disk has it, nobody is told that it has."""

    def test_a_flush_that_fails_ends_every_holder_that_waited(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each gets the error, writes nothing more, and its next start decides from the database."""
        journals = opened(open_one, 3)

        def lost(**_: Any) -> Answer:
            raise psycopg.OperationalError("the connection was cut")

        monkeypatch.setattr(flusher, "_ask", lost)
        raised = at_once([barrier(journal) for journal in journals])
        assert len(raised) == 3
        assert all(isinstance(error, StorageError) and "not brought to the disk" in str(error) for error in raised)
        for journal in journals:
            with pytest.raises(StorageError, match="ended its use"):
                barrier(journal)()

    def test_a_server_that_recovered_meanwhile_is_noticed(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, server: Server, database: str
    ) -> None:
        """The flush sees another restart token than the one under which the barrier was committed: it may be gone."""
        first, _ = opened(open_one, 2)
        whole = flusher._ask

        def recovered(*, force: bool, beyond: int | None) -> Answer:
            server.execute("UPDATE oms.restart_token SET token = 'another'", database)
            return whole(force=force, beyond=beyond)

        flusher._ask = recovered  # type: ignore[method-assign]  # the crash comes between commit and flush
        with pytest.raises(StorageError, match="recovered from a crash"):
            barrier(first)()

    def test_a_server_that_does_not_wait_for_its_disk_is_refused(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched
    ) -> None:
        """Where an administrator turns durability off meanwhile, a shared barrier does not pass for durable."""
        first, _ = opened(open_one, 2)
        barrier(first)()
        assert flusher._kept is not None
        flusher._kept.exec_driver_sql("SET synchronous_commit = off")
        with pytest.raises(StorageError, match="would not reach the disk"):
            barrier(first)()

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_a_connection_cut_while_a_group_waits_ends_all_of_it(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, server: Server, patient: Callable[[], None]
    ) -> None:
        """The server ends the connection that would have flushed: everyone in the group is told, and nobody hangs."""
        journals = opened(open_one, 4)
        barrier(journals[0])()
        patient()
        assert flusher._kept is not None
        pid = flusher._kept.exec_driver_sql("SELECT pg_backend_pid()").scalar()

        def cut() -> None:
            wait_until(lambda: len(flusher._crowd) == 3)
            server.execute(f"SELECT pg_terminate_backend({pid})")

        raised = at_once([cut, *(barrier(journal) for journal in journals[:3])])
        assert len(raised) == 3
        assert all(isinstance(error, StorageError) for error in raised)
        assert flusher._crowd == []
        assert flusher._leader is None

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_the_rest_goes_on_when_the_one_that_asks_for_all_is_stopped(
        self,
        open_one: Callable[..., PostgresJournal],
        flusher: _Watched,
        monkeypatch: pytest.MonkeyPatch,
        patient: Callable[[], None],
    ) -> None:
        """Ctrl-C strikes the thread that leads: the others are led by the next, and are on the disk when they return."""
        journals = opened(open_one, 3)
        barrier(journals[0])()
        patient()
        waits = flusher._await_others
        struck: list[int] = []

        def strike(me: Any) -> None:
            if not struck:
                wait_until(lambda: len(flusher._crowd) == 3)
                struck.append(1)
                raise _Struck
            waits(me)

        monkeypatch.setattr(flusher, "_await_others", strike)
        raised = at_once([barrier(journal) for journal in journals])
        assert [type(error) for error in raised] == [_Struck]
        assert flusher.broken == []
        assert flusher._crowd == []

    @pytest.mark.usefixtures("nobody_else_flushes")
    def test_an_account_that_is_closed_is_waited_for_no_longer(
        self, open_one: Callable[..., PostgresJournal], flusher: _Watched, patient: Callable[[], None]
    ) -> None:
        """The last one that could have come leaves: the others are covered at once."""
        first, second, third = opened(open_one, 3)
        barrier(third)()
        patient()
        crowd = [threading.Thread(target=barrier(each)) for each in (first, second)]
        for each in crowd:
            each.start()
        wait_until(lambda: len(flusher._crowd) == 2)
        third._break("it is over")
        for each in crowd:
            each.join(timeout=60)
        assert not any(each.is_alive() for each in crowd)
        assert flusher.broken == []


def named_by(flusher: _Watched) -> Any:
    assert flusher._kept is not None
    return flusher._kept.exec_driver_sql("SELECT current_setting('synchronous_standby_names')").scalar()


class _Struck(Exception):
    """Stands for whatever ends a thread from outside."""


def wait_until(seen: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_the_last_account_gives_the_connection_back(
    open_one: Callable[..., PostgresJournal], flusher: _Watched
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
