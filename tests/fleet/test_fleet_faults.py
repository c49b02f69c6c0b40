"""What a fleet lives through: a worker suspended and woken, the server gone and back, too much work, a slow account."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from oms.config import LoadedConfig
from oms.fleet import registry, standing, task_queue, worker
from oms.fleet.database import Database
from oms.fleet.duty import take_turn
from oms.fleet.registry import Turn
from oms.fleet.task_queue import TRADING
from oms.fleet.worker import FleetWorker
from oms.journal.postgres import schema
from tests.fleet.conftest import ROOT, member
from tests.fleet.test_fleet_workers import PATIENCE_S, judge, wait_for
from tests.postgres.server import Server

HASTY = """
import sys
from oms.fleet import worker
worker.STALLED_S, worker.HEARTBEAT_S, worker.BEAT_S = 8.0, 1.0, 0.5
from oms.cli import main
main(sys.argv[1:])
"""
"""The program, but that a worker which gives no sign of life is given up after eight seconds: the lease lasts six."""
FREEZING = """
import os, signal
from oms import crashpoints
passed = set()
def freeze(name):
    if name == "ask.before_call" and "send.after_outcome" in passed and "frozen" not in passed:
        passed.add("frozen")
        os.kill(os.getpid(), signal.SIGSTOP)
    passed.add(name)
crashpoints.strike = freeze
"""
"""Stops itself the first time that it is about to ask after what it sent: in the middle of its cycle, and no request is
under way, so that the paper broker, which lives in the process, does not stand still with its book held."""
SLOW = {"broker.paper.fill_delay": "2s"}
"""A cycle that takes some seconds, so that something can happen in the middle of it."""


@pytest.fixture
def place(server: Server) -> Iterator[str]:
    """A database of its own: workers may hold on to it until the very end of a test."""
    name = server.new_database()
    yield name
    server.drop(name)


@pytest.fixture
def hasty(loaded: LoadedConfig) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a worker in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def call(name: str, before: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", before + HASTY, "fleet", "worker", "--name", name, "--lanes", "2"]
        process = subprocess.Popen(
            [*command, "--config", str(loaded.path)],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < end
        time.sleep(0.1)


def sends(database: Database) -> int:
    return len(database.ask("SELECT 1 FROM events WHERE kind = 'order_sending'"))


def test_a_worker_that_was_suspended_writes_nothing_when_it_wakes(
    database: Database, loaded: LoadedConfig, hasty: Callable[..., subprocess.Popen[str]]
) -> None:
    """Stopped in the middle of a cycle, it loses the account when the lease has ended, and another finishes the cycle.

    Woken, its next commit fails on the fence, and neither the journal nor the registry hears of it again.
    """
    registry.add(database, loaded, member("a", {"broker.paper.fill_delay": "2s"}, None, 3600.0))
    first = hasty("one", FREEZING)
    until(lambda: os.waitpid(first.pid, os.WUNTRACED | os.WNOHANG)[0] == first.pid)
    assert sends(database) > 0
    assert database.one("SELECT 1 FROM fleet_accounts WHERE cycles > 0") is None
    (fence,) = database.one("SELECT fence FROM lease WHERE account = 'a'") or (None,)
    second = hasty("two")
    until(lambda: database.one("SELECT 1 FROM fleet_accounts WHERE cycles = 1 AND worker IS NULL") is not None)
    head = database.ask("SELECT seq, hash FROM heads")
    account = database.ask("SELECT * FROM fleet_accounts")
    assert database.ask("SELECT DISTINCT fence > ? FROM lease", (fence,)) == [(True,)]
    first.send_signal(signal.SIGCONT)
    # It has come to the end of its turn, or was ended by what it found; either way it is over with that account.
    over = "SELECT 1 FROM fleet_workers WHERE worker = 'one' AND (runs > 0 OR ended_at IS NOT NULL)"
    until(lambda: first.poll() is not None or database.one(over) is not None)
    assert database.ask("SELECT seq, hash FROM heads") == head
    assert database.ask("SELECT * FROM fleet_accounts") == account
    for each in (first, second):
        each.terminate()
        each.wait(PATIENCE_S)
    assert len(judge(database, loaded, "a")) == 1


@pytest.mark.parametrize("crash", ["kill -9", pytest.param("pg_ctl -m immediate", marks=pytest.mark.nightly)])
def test_the_server_goes_away_in_the_middle_of_a_cycle_and_comes_back(
    server: Server, database: Database, loaded: LoadedConfig, hasty: Callable[..., subprocess.Popen[str]], crash: str
) -> None:
    """The worker starts over by itself when the server is back, and every account's cycle is done once."""
    if not server.is_own:
        pytest.skip("the tests kill only a server that they started")
    for name in ("a", "b"):
        registry.add(database, loaded, member(name, SLOW, None, 3600.0))
    process = hasty("one")
    until(lambda: sends(database) > 0)
    (server.kill if crash == "kill -9" else server.quit)()
    server.start_again()
    done = wait_for(database, lambda answer: all(each["cycles"] == 1 for each in answer["accounts"]))
    assert process.poll() is None
    assert [each["worker"] for each in done["accounts"]] == [None, None]
    standing.drain(database, None)
    assert process.wait(PATIENCE_S) == 0
    for name in ("a", "b"):
        assert len(judge(database, loaded, name)) == 1


# In this process, with turns that are only played: what is queued when, and who waits for whom.


Played = Callable[[str], None]


def playing(monkeypatch: pytest.MonkeyPatch, played: Played, again_s: float = 0.0) -> None:
    """Turns that only call ``played``, and after which the account is due again."""

    def turn(database: Database, _fleet: object, account: str, name: str, _stopping: object) -> Turn:
        database.do("UPDATE fleet_accounts SET started_at = now(), worker = ? WHERE account = ?", (name, account))
        played(account)
        done = Turn(account=account, exit_code=0, why="", took_s=0.01, cycles=1)
        (due,) = database.one("SELECT now() + ? * interval '1 s'", (again_s,)) or (None,)
        assert due is not None
        registry.note_end(database, done, name, due)
        return done

    monkeypatch.setattr(worker, "take_turn", turn)


async def rounds(made: FleetWorker, number: int, queues: list[str]) -> None:
    """Queue who is due, and let every job that waits be done; as often as this."""
    async with made.app.open_async():
        for _ in range(number):
            await made._plan()
            await made.app.run_worker_async(queues=queues, wait=False, concurrency=2, install_signal_handlers=False)


def test_a_turn_whose_worker_is_gone_is_taken_though_the_next_one_waits(
    database: Database, loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long turn has the next job of its account queued behind it: the lost one then cannot go back into the queue.

    Nor may it stay, for it would hold the account's lock for ever, and nobody would take it over.
    """
    for name in ("a", "b"):
        registry.add(database, loaded, member(name))
    turns: list[str] = []
    playing(monkeypatch, turns.append, again_s=3600)
    made = FleetWorker(database, loaded, lanes=2, name="one")

    async def lived() -> None:
        async with made.app.open_async():
            manager = made.app.job_manager
            await made._plan()
            gone = await manager.register_worker()
            for _ in range(2):
                assert await manager.fetch_job([TRADING], worker_id=gone) is not None
            database.do("UPDATE fleet_accounts SET queued_at = NULL")
            await made._plan()
            assert task_queue.depth(database) == {"waiting": 2, "running": 2}
            database.do("UPDATE oms_queue.procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
            await made._rescue()
            await made.app.run_worker_async(queues=[TRADING], wait=False, install_signal_handlers=False)

    asyncio.run(lived())
    assert sorted(turns) == ["a", "b"]
    assert task_queue.depth(database) == {"waiting": 0, "running": 0}


def test_too_much_work_makes_everyone_wait_alike(
    database: Database, loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve accounts are always due and the lanes have room for six at a time: nobody has a turn more than another."""
    for number in range(12):
        registry.add(database, loaded, member(f"acc-{number:02d}"))
    turns: list[str] = []
    playing(monkeypatch, turns.append)
    monkeypatch.setattr(worker, "WAITING_PER_LANE", (3, 3))
    made = FleetWorker(database, loaded, lanes=2, name="one")
    asyncio.run(rounds(made, 6, [TRADING]))
    assert set(Counter(turns).values()) == {3}
    assert sorted(turns[:12]) == sorted(set(turns))


def test_a_slow_account_has_a_lane_of_its_own(
    database: Database, loaded: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one that was slow the last time hangs, and another keeps failing, the only lane of the rest goes on."""
    for name in ("slow", "failing", "b", "c", "d"):
        registry.add(database, loaded, member(name))
    database.do("UPDATE fleet_accounts SET took_s = 60 WHERE account = 'slow'")
    database.do("UPDATE fleet_accounts SET failures_in_a_row = 3 WHERE account = 'failing'")
    others, released = threading.Event(), threading.Event()
    turns: list[str] = []

    def played(account: str) -> None:
        if account == "slow":
            assert others.wait(240)
            released.set()
        turns.append(account)
        if {"b", "c", "d"} <= set(turns):
            others.set()
        if released.is_set() and "slow" in turns:
            made.stop()

    playing(monkeypatch, played, again_s=3600)
    made = FleetWorker(database, loaded, lanes=1, name="one")
    assert made.run() == 0
    assert turns.index("slow") > max(turns.index(name) for name in "bcd")


def test_a_worker_of_the_release_before_goes_on_beside_a_newer_schema(
    server: Server, database: Database, loaded: LoadedConfig, place: str
) -> None:
    """An update, one worker after the other: on a schema that lets older releases work, a turn of this one goes through.

    Where it does not let them, nothing is traded, and the reason says what to do.
    """
    registry.add(database, loaded, member("a"))
    server.execute("UPDATE oms.alembic_version SET version_num = 'p9999'", place)
    schema.forget()
    try:
        turn = take_turn(database, loaded, "a", "one", lambda: None)
        assert turn is not None
        assert (turn.exit_code, turn.cycles) == (0, 1)
        server.execute("UPDATE oms.meta SET value = 'p9000' WHERE name = 'readable_by'", place)
        schema.forget()
        refused = take_turn(database, loaded, "a", "one", lambda: None)
        assert refused is not None
        assert (refused.exit_code, refused.cycles) == (3, 0)
        assert "install that release" in refused.why
    finally:
        schema.forget()


def test_a_turn_that_another_worker_took_over_is_not_written_down(database: Database, loaded: LoadedConfig) -> None:
    """Whoever was suspended and comes late with the end of a turn changes nothing of the account that others have by now."""
    registry.add(database, loaded, member("a"))
    database.do("UPDATE fleet_accounts SET worker = 'two'")
    before = database.ask("SELECT * FROM fleet_accounts")
    (due,) = database.one("SELECT now()") or (None,)
    late = Turn(account="a", exit_code=75, why="the fence was lost", took_s=9.0, cycles=0)
    registry.note_end(database, late, "one", due)
    assert database.ask("SELECT * FROM fleet_accounts") == before
