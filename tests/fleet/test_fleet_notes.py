"""What an operator says is on the disk when the command returns; what workers note of their turns waits for no disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import procrastinate
import pytest

from oms.config import LoadedConfig
from oms.fleet import brake, limits, registry, task_queue
from oms.fleet.database import Database
from oms.fleet.limits import NOTIONAL, SharedRate
from oms.fleet.registry import Turn
from tests.fleet.conftest import member
from tests.postgres.server import Server

PAGE_HEADER = 40
"""Bytes at the beginning of a page of the log: what is written may seem to end behind them, and nothing be missing."""


@pytest.fixture
def waits(server: Server, place: str) -> Iterator[Callable[[Callable[[], object]], bool]]:
    """Whether the log was on the disk, with all that a call wrote, when the call returned."""
    if not server.is_own:
        pytest.skip("only processes of a server that the tests start may be held")

    def told(call: Callable[[], object]) -> bool:
        server.execute("SELECT pg_logical_emit_message(true, 'oms', '')", place)  # durable, with all before it
        call()
        with server.connect(place) as raw:
            row = raw.execute("SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn()").fetchone()
        assert row is not None
        return int(row[0]) <= PAGE_HEADER

    with server.nobody_else_flushes():
        yield told


def test_an_operator_s_word_is_on_the_disk(
    database: Database, loaded: LoadedConfig, waits: Callable[[Callable[[], object]], bool]
) -> None:
    """An account added, paused and traded again, a limit, the brake: no crash of the server takes them back."""
    said: list[Callable[[], object]] = [
        lambda: registry.add(database, loaded, member("a-1", {}, None, 1.0)),
        lambda: registry.pause(database, "a-1", "holiday"),
        lambda: registry.go_on(database, "a-1"),
        lambda: limits.set_limit(database, "ann", NOTIONAL, Decimal(1000)),
        lambda: brake.halt(database, "ann", "buys", "news"),
        lambda: brake.release(database, "ann", "over"),
        lambda: brake.tell(database, "a-1", "ann", "halt", {"scope": "buys", "reason": "news"}),
    ]
    assert [waits(each) for each in said] == [True] * len(said)


def test_a_turn_is_noted_without_waiting_for_the_disk(
    database: Database, loaded: LoadedConfig, waits: Callable[[Callable[[], object]], bool]
) -> None:
    """How a turn went and a permit of the shared rate: what a crash takes of them is found out again by the next turn."""
    registry.add(database, loaded, member("a-1", {}, None, 1.0))
    database.note("UPDATE fleet_accounts SET worker = 'w', due_at = '2026-01-05T12:00Z' WHERE account = 'a-1'")
    _, due = database.ask("SELECT 1, due_at FROM fleet_accounts")[0]
    turn = Turn(account="a-1", exit_code=0, why="", took_s=0.1, cycles=1)
    assert not waits(lambda: registry.note_end(database, turn, "w", due))
    assert database.one("SELECT runs, worker FROM fleet_accounts") == (1, None)
    assert not waits(lambda: SharedRate(database, "c", 60).take())


def test_the_queue_waits_for_no_disk(database: Database) -> None:
    """Its jobs say no more than whose turn it is, which the registry says too."""
    connector = task_queue.connector_of(database)
    with procrastinate.App(connector=connector).open() as app:
        found = app.connector.get_sync_connector().execute_query_one(
            "SELECT current_setting('synchronous_commit') AS setting"
        )
    assert found == {"setting": "off"}
