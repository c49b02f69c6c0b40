"""Workers take turns for many accounts: each account's cycles once, whoever dies, whoever is slow."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from oms.app import Engine
from oms.cli.laws import judged
from oms.config import LoadedConfig
from oms.fleet import brake, registry, standing
from oms.fleet.database import Database
from oms.fleet.duty import take_turn
from oms.journal import views
from oms.journal.postgres.address import parse
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.reader import open_reader
from oms.journal.verify import verify
from oms.places import places
from tests.fleet.conftest import Start, member
from tests.postgres.server import Server

PATIENCE_S = 240


@pytest.fixture
def place(server: Server) -> Iterator[str]:
    """A database of its own: workers may hold on to it until the very end of a test."""
    name = server.new_database()
    yield name
    server.drop(name)


def wait_for(database: Database, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status of the fleet, once it is as it should be."""
    until = time.monotonic() + PATIENCE_S
    while True:
        answer = standing.status(database)
        if enough(answer):
            return answer
        assert time.monotonic() < until, answer
        time.sleep(0.2)


def everyone(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda answer: all(each["cycles"] >= count for each in answer["accounts"])


def judge(database: Database, loaded: LoadedConfig, account: str) -> list[str]:
    """Finish what is open, verify the journal, hold the laws; the trading days, each of which must be there once."""
    own = registry.config_of(loaded, registry.one(database, account))
    with closing(Engine(own, open_new=False)) as engine:
        assert engine.run().exit_code == 0
    with closing(open_reader(places(own).journal_url)) as reader:
        assert verify(reader).problem == ""
        days = [each["trading_day"] if "trading_day" in each else each["day"] for each in _cycles(reader)]
    assert judged(own, dry_run=False)["broken_laws"] == []
    return days


def _cycles(reader: Any) -> list[dict[str, Any]]:
    with reader.asking("listing days") as connection:
        rows = connection.exec_driver_sql("SELECT trading_day, outcome FROM cycles ORDER BY opened_seq").all()
    assert all(outcome is not None for _, outcome in rows)
    return [{"trading_day": day} for day, _ in rows]


def test_a_turn_is_one_cycle(database: Database, loaded: LoadedConfig) -> None:
    """An account's turn opens one cycle and gives the account back; the next is due after its interval."""
    registry.add(database, loaded, member("a", {}, None, 1.0))
    turn = take_turn(database, loaded, "a", "me", lambda: None)
    assert turn is not None
    assert (turn.exit_code, turn.cycles) == (0, 1)
    (account,) = standing.status(database)["accounts"]
    assert (account["state"], account["phase"], account["cycles"], account["worker"]) == ("waiting", "DONE", 1, None)
    registry.pause(database, "a", "audit")
    assert take_turn(database, loaded, "a", "me", lambda: None) is None


def test_a_turn_that_was_cut_short_is_finished_and_no_more(database: Database, loaded: LoadedConfig) -> None:
    """The next turn brings the open cycle to its end; a new one waits for the turn after, when it is due."""
    registry.add(database, loaded, member("a", {}, None, 1.0))
    looks = iter(range(1000))
    cut = take_turn(database, loaded, "a", "one", lambda: 143 if next(looks) > 8 else None)
    assert cut is not None
    assert (cut.exit_code, cut.cycles) == (143, 0)
    assert len(_days(database)) == 1
    turn = take_turn(database, loaded, "a", "two", lambda: None)
    assert turn is not None
    assert (turn.exit_code, turn.cycles) == (0, 1)
    assert len(_days(database)) == 1


def test_a_turn_whose_worker_died_at_its_end_is_not_taken_twice(database: Database, loaded: LoadedConfig) -> None:
    """The cycle was done, and only the end of the turn was not written down: the next worker writes that, and no more."""
    registry.add(database, loaded, member("a", {}, None, 1.0))
    take_turn(database, loaded, "a", "one", lambda: None)
    assert database.do("UPDATE fleet_accounts SET due_at = added_at, cycles = 0, runs = 0, ended_at = NULL") == 1
    turn = take_turn(database, loaded, "a", "two", lambda: None)
    assert turn is not None
    assert (turn.exit_code, turn.cycles) == (0, 1)
    assert len(_days(database)) == 1


def test_a_terminal_that_goes_away_ends_no_worker(database: Database, loaded: LoadedConfig, start: Start) -> None:
    """A hang-up before its first turn: the turn is taken all the same, and SIGTERM is what ends the worker."""
    registry.add(database, loaded, member("a", {}, None, 1.0))
    worker = start("w")
    assert worker.stderr is not None
    assert "takes turns" in worker.stderr.readline()
    worker.send_signal(signal.SIGHUP)
    wait_for(database, lambda answer: everyone(1)(answer) or worker.poll() is not None)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 143


def _days(database: Database) -> list[str]:
    return [str(day) for (day,) in database.ask("SELECT trading_day FROM cycles ORDER BY opened_seq")]


def test_a_broken_account_is_told_and_tried_later_and_later(database: Database, loaded: LoadedConfig) -> None:
    """Its failure stays its own: the reason stands in the status, and each pause is twice the last."""
    registry.add(database, loaded, member("a", {}, "env:NO_SUCH_VARIABLE", 30.0))
    pauses = []
    for _ in range(3):
        turn = take_turn(database, loaded, "a", "me", lambda: None)
        assert turn is not None
        assert turn.exit_code == 2
        sql = "SELECT extract(epoch FROM due_at - now()) FROM fleet_accounts"
        pauses.append(float(database.ask(sql)[0][0]))
    assert [round(pause / 30) for pause in pauses] == [1, 2, 4]
    (account,) = standing.status(database)["accounts"]
    assert account["state"] == "failing"
    assert "NO_SUCH_VARIABLE" in account["why"]


def test_the_brake_reaches_an_account_in_its_turn(database: Database, loaded: LoadedConfig) -> None:
    """Halted by one command for all, the account's next cycle sends no order; released, it goes on."""
    registry.add(database, loaded, member("a", {}, None, 1.0))
    brake.halt(database, "ada", "all", "storm")
    turn = take_turn(database, loaded, "a", "me", lambda: None)
    assert turn is not None
    with closing(open_reader(places(registry.config_of(loaded, registry.one(database, "a"))).journal_url)) as reader:
        assert views.status(reader)["halted"]["author"] == "ada"
        assert all(not each["sends"] for each in views.order_list(reader)["orders"])
    assert PostgresInbox(parse(loaded.config.journal.url), "a").answer(1) is not None
    brake.release(database, "ada", "calm")
    turn = take_turn(database, loaded, "a", "me", lambda: None)
    assert turn is not None
    assert (turn.exit_code, turn.cycles >= 1) == (0, True)


def test_two_workers_share_many_accounts(database: Database, loaded: LoadedConfig, start: Start) -> None:
    """Every account gets its cycles, each day once, while one account is broken and one worker is killed and replaced."""
    names = [f"acc-{n:02d}" for n in range(8)]
    for name in names:
        registry.add(database, loaded, member(name, {}, None, 0.5))
    registry.add(database, loaded, member("broken", {}, "env:NO_SUCH_VARIABLE", 0.5))
    first, second = start("one"), start("two")
    wait_for(database, lambda answer: sum(each["cycles"] for each in answer["accounts"]) >= 6)
    first.send_signal(signal.SIGKILL)
    third = start("three")

    def is_enough(answer: dict[str, Any]) -> bool:
        """Two cycles each; and the new worker is there, for who comes after the drain is not drained."""
        states = {each["account"]: each["state"] for each in answer["accounts"]}
        runs = {each["worker"]: each["runs"] for each in answer["workers"]}
        done = sum(each["cycles"] >= 2 for each in answer["accounts"])
        return done == len(names) and states["broken"] == "failing" and bool(runs.get("three"))

    wait_for(database, is_enough)
    standing.drain(database, None)
    assert second.wait(PATIENCE_S) == third.wait(PATIENCE_S) == 0
    # That the killed one is gone is known once it has given no sign of life for long enough.
    ended = {"one": "gone", "two": "ended", "three": "ended"}
    wait_for(database, lambda answer: {each["worker"]: each["state"] for each in answer["workers"]} == ended)
    for name in names:
        days = judge(database, loaded, name)
        assert len(days) >= 2
        assert len(days) == len(set(days))


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_a_thousand_accounts_and_four_workers(database: Database, loaded: LoadedConfig, start: Start) -> None:
    """Every account's cycles done once, and the laws hold on all, with a worker killed on the way."""
    names = [f"acc-{n:04d}" for n in range(1000)]
    for name in names:
        registry.add(database, loaded, member(name, {}, None, 3600.0))
    workers = [start(f"w{n}", lanes=4) for n in range(4)]
    wait_for(database, lambda answer: sum(each["cycles"] for each in answer["accounts"]) >= 100)
    workers[0].send_signal(signal.SIGKILL)
    until = time.monotonic() + 6000
    while not everyone(1)(standing.status(database)):
        assert time.monotonic() < until
        time.sleep(5)
    standing.drain(database, None)
    for each in workers[1:]:
        assert each.wait(120) == 0
    for name in names:
        assert len(judge(database, loaded, name)) == 1
