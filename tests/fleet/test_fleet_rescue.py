"""The jobs of a worker that is gone are given to others, whatever waits behind them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from oms.config import LoadedConfig
from oms.fleet import task_queue
from oms.fleet.database import Database
from oms.fleet.task_queue import TRADE, TRADING
from oms.fleet.worker import FleetWorker
from tests.postgres.server import Server


@pytest.fixture
def place(server: Server) -> Iterator[str]:
    """A database of its own, for its queue is looked at as a whole."""
    name = server.new_database()
    yield name
    server.drop(name)


@pytest.fixture
def queue(server: Server, place: str, database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Into the tables of the queue."""
    with server.connect(place, options=f"-c search_path={task_queue.schema_of(database)}") as raw:
        yield raw


def job(queue: psycopg.Connection[Any], account: str, status: str, worker: int | None = None) -> None:
    """Put one job of an account into the queue, as it would be in the midst of trading."""
    queue.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
        " VALUES (%s, %s, %s, %s, %s, %s::procrastinate_job_status, %s)",
        (TRADING, TRADE, account, account, json.dumps({"account": account}), status, worker),
    )


def test_an_account_whose_next_turn_waits_already_is_not_stuck(
    queue: psycopg.Connection[Any], database: Database, loaded: LoadedConfig
) -> None:
    """A worker killed between a turn's end and its job's end leaves a job with the next behind it: the old one ends."""
    sql = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '60 s') RETURNING id"
    row = queue.execute(sql).fetchone()
    assert row is not None
    job(queue, "both", "doing", row[0])
    job(queue, "both", "todo")
    job(queue, "one", "doing", row[0])
    worker = FleetWorker(database, loaded, lanes=1)

    async def rescue() -> None:
        async with worker.app.open_async():
            await worker._rescue()

    asyncio.run(rescue())
    left = queue.execute("SELECT lock, status::text FROM procrastinate_jobs ORDER BY 1, 2").fetchall()
    assert left == [("both", "todo"), ("one", "todo")]
