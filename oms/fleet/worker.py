"""``fleet worker``: any number of these, on any machine, take turns for the accounts that are due."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import procrastinate
import psycopg
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.worker import Worker

from oms import __version__
from oms.config import LoadedConfig
from oms.errors import EXIT_DONE, EXIT_TERMINATED, RefusedError, StorageError
from oms.fleet import task_queue
from oms.fleet.database import Database
from oms.fleet.duty import take_turn
from oms.fleet.registry import Turn
from oms.fleet.task_queue import HOUSEKEEPING, SLOW, TRADE, TRADING

BEAT_S = 2.0
"""Seconds between two signs of life of a worker, and between two looks whether it shall go."""
HEARTBEAT_S = 5.0
STALLED_S = 20.0
"""Without a sign of life for so long, a worker's jobs are given to others; its leases have then ended too."""
SLOW_TURN_S = 20.0
"""A turn that took longer goes into the slow lane the next time."""
PLAN_S = 2
"""Seconds between two looks at who is due."""
WAITING_PER_LANE = (3, 60)
"""Jobs that wait for each lane: at least and at most, between them as many as it will take until twice the next look.
Who is due longest is queued first, and nobody has more than one place."""
ENDING_S = 10.0
"""Seconds for the queue's own tasks to end where the server is gone."""
GRACE_S = 60.0
"""Seconds that turns under way have to come to their next safe stop when the worker is told to go."""

_DUE = (
    "UPDATE fleet_accounts f SET queued_at = now() FROM (SELECT account FROM fleet_accounts WHERE paused IS NULL"
    " AND due_at <= now() AND (queued_at IS NULL OR queued_at < now() - interval '60 s')"
    " ORDER BY due_at LIMIT ? FOR UPDATE SKIP LOCKED) due WHERE f.account = due.account"
    " RETURNING f.account, f.failures_in_a_row > 2 OR coalesce(f.took_s, 0) > ?, f.due_at"
)
_REGISTER = (
    "INSERT INTO fleet_workers (worker, host, pid, version, lanes) VALUES (?, ?, ?, ?, ?) ON CONFLICT (worker) DO UPDATE"
    " SET host = excluded.host, pid = excluded.pid, version = excluded.version, lanes = excluded.lanes, busy = 0,"
    " started_at = now(), seen_at = now(), draining = false, ended_at = NULL, runs = 0, cycles = 0, failures = 0, busy_s = 0"
)
_NOT_MINE_ANY_MORE = "UPDATE fleet_accounts SET worker = NULL, queued_at = NULL WHERE worker = ?"
"""Whoever starts has no turn under way: those that its name still stands at ended with the process, or the connection."""
_BEAT = "UPDATE fleet_workers SET seen_at = now(), busy = ? WHERE worker = ? RETURNING draining"
_COUNT = (
    "UPDATE fleet_workers SET runs = runs + 1, cycles = cycles + ?, failures = failures + ?, busy_s = busy_s + ?"
    " WHERE worker = ?"
)

T = TypeVar("T")

CLOCKS_APART_S = 3.0
"""A machine whose clock is further from the server's than this takes no account: leases are compared by clocks."""


def refuse_wrong_clock(database: Database, now: float) -> None:
    """See that this machine's clock agrees with the server's.

    Raises:
        RefusedError: it does not.
    """
    row = database.one("SELECT extract(epoch FROM clock_timestamp())::double precision")
    gap = 0.0 if row is None else now - float(row[0])
    if abs(gap) > CLOCKS_APART_S:
        raise RefusedError(
            f"the clock of this machine is {abs(gap):.0f} s {'ahead of' if gap > 0 else 'behind'} the server's: leases "
            "rest on clocks that agree; set it right (NTP), then start the worker again"
        )


class FleetWorker:
    """One process that takes turns for many accounts."""

    def __init__(
        self,
        database: Database,
        loaded: LoadedConfig,
        *,
        lanes: int,
        name: str | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._loaded = loaded
        self._lanes = lanes
        self._slow_lanes = max(lanes // 4, 1)
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._say = say
        self._stop_code: int | None = None
        self._busy = 0
        self._turn_s = 1.0
        """Seconds that a turn takes here, lately."""
        self._threads = ThreadPoolExecutor(lanes + self._slow_lanes + 4, thread_name_prefix="oms-fleet")
        self._workers: list[Worker] = []
        self.app = procrastinate.App(connector=task_queue.connector_of(database, lanes + 6))
        self._register_tasks()

    def run(self) -> int:
        """Work until it is told to go; the exit code.

        Raises:
            StorageError: the server was lost; leases end by themselves, and a fresh start goes on.
        """
        for noisy in ("procrastinate", "psycopg.pool", "asyncio"):
            # What a person must know is said by this worker itself, or is in `fleet status`.
            logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
        values = (self.name, socket.gethostname(), os.getpid(), __version__, self._lanes)
        try:
            task_queue.prepare(self._database)
            refuse_wrong_clock(self._database, time.time())
            self._database.note(_REGISTER, values)
            self._database.note(_NOT_MINE_ANY_MORE, (self.name,))
            asyncio.run(self._run())
        except (procrastinate.exceptions.ConnectorException, psycopg.Error, OSError) as error:
            raise StorageError(f"{self._database.address.shown}: the task queue was lost: {error}") from error
        finally:
            self._threads.shutdown(wait=True)
        with suppress(StorageError):
            self._database.note("UPDATE fleet_workers SET ended_at = now(), busy = 0 WHERE worker = ?", (self.name,))
        return EXIT_DONE if self._stop_code is None else self._stop_code

    def stop(self, code: int | None = None) -> None:
        """Take no more turns; those under way come to their next safe stop, and others go on with their accounts."""
        self._stop_code = code
        self._going = self.was_told = True
        for each in self._workers:
            each.stop()  # type: ignore[no-untyped-call]  # as Procrastinate has it

    _going = False

    was_told = False
    """It was told to take no more turns, and does not end for another reason."""

    async def _run(self) -> None:
        async with self.app.open_async():
            self._workers = [
                self._worker([TRADING, HOUSEKEEPING], self._lanes + 1, self.name),
                self._worker([SLOW], self._slow_lanes, f"{self.name} slow"),
            ]
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                    loop.add_signal_handler(number, partial(self.stop, EXIT_TERMINATED))
            beating = asyncio.create_task(self._beat())
            working = [asyncio.create_task(each.run()) for each in self._workers]  # type: ignore[no-untyped-call]  # as above
            try:
                await self._until_over(beating, working)
            finally:
                self._going = True
                for each in (beating, *working):
                    each.cancel()
                await asyncio.wait((beating, *working), timeout=ENDING_S)

    async def _until_over(self, beating: asyncio.Task[None], working: list[asyncio.Task[None]]) -> None:
        """Return when every worker has come to its end.

        The queue would wait for ever for a server that is gone: that it is, is noticed by the beat, whose error is raised.
        """
        left: set[asyncio.Task[None]] = {beating, *working}
        while left != {beating}:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()

    def _worker(self, queues: list[str], concurrency: int, name: str) -> Worker:
        return Worker(
            self.app,
            queues=queues,
            concurrency=concurrency,
            name=name,
            install_signal_handlers=False,
            delete_jobs="successful",
            shutdown_graceful_timeout=GRACE_S,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALLED_S,
            fetch_job_polling_interval=1.0,
        )

    async def _beat(self) -> None:
        while True:
            rows = await self._in_thread(lambda: self._database.ask(_BEAT, (self._busy, self.name), is_note=True))
            if rows and rows[0][0] and not self._going:
                self._say(f"{self.name} is drained: it takes no more turns")
                self.stop()
            await asyncio.sleep(BEAT_S)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # Tasks

    def _register_tasks(self) -> None:
        app = self.app

        @app.task(name=TRADE, queue=TRADING)
        async def trade(account: str) -> None:
            await self._trade(account)

        @app.periodic(cron=f"* * * * * */{PLAN_S}")
        @app.task(name="oms.fleet.plan", queue=HOUSEKEEPING, queueing_lock="oms.fleet.plan", priority=10)
        async def plan(timestamp: int) -> None:
            del timestamp
            await self._plan()

        @app.periodic(cron="* * * * * */10")
        @app.task(name="oms.fleet.rescue", queue=HOUSEKEEPING, queueing_lock="oms.fleet.rescue", priority=5)
        async def rescue(timestamp: int) -> None:
            del timestamp
            await self._rescue()

    async def _trade(self, account: str) -> None:
        if self._going:
            sql = "UPDATE fleet_accounts SET queued_at = NULL WHERE account = ?"
            await self._in_thread(lambda: self._database.note(sql, (account,)))
            return
        self._busy += 1
        try:
            turn = await self._in_thread(
                lambda: take_turn(self._database, self._loaded, account, self.name, self._stopping)
            )
        finally:
            self._busy -= 1
        if turn is not None:
            self._turn_s += (turn.took_s - self._turn_s) / 10
            await self._in_thread(lambda: self._count(turn))

    def _stopping(self) -> int | None:
        return EXIT_TERMINATED if self._going else None

    def _count(self, turn: Turn) -> None:
        self._database.note(_COUNT, (turn.cycles, int(turn.is_failure), turn.took_s, self.name))
        if turn.is_failure:
            self._say(f"{turn.account}: {turn.why} (exit {turn.exit_code})")

    async def _plan(self) -> None:
        """Queue who is due, the longest first, as many as the fleet's lanes will soon take."""
        lanes = await self._in_thread(
            lambda: self._database.one(
                "SELECT coalesce(sum(lanes), 0)::bigint FROM fleet_workers WHERE ended_at IS NULL AND NOT draining"
                " AND seen_at > now() - interval '15 s'"
            )
        )
        waiting = (await self._in_thread(lambda: task_queue.depth(self._database)))["waiting"]
        least, most = WAITING_PER_LANE
        for_each = min(max(round(2 * PLAN_S / max(self._turn_s, 0.01)), least), most)
        room = for_each * max(int(lanes[0]) if lanes else 0, self._lanes) - waiting
        if room <= 0:
            return
        due = await self._in_thread(lambda: self._database.ask(_DUE, (room, SLOW_TURN_S), is_note=True))
        for account, is_slow, _ in sorted(due, key=lambda row: row[2]):
            queue = SLOW if is_slow else TRADING
            job = self.app.configure_task(TRADE, lock=account, queueing_lock=account, queue=queue)
            with suppress(AlreadyEnqueued):
                await job.defer_async(account=account)

    async def _rescue(self) -> None:
        """Jobs of workers that give no sign of life are put back into the queue, or left to one that waits there."""
        manager = self.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
            self._say(f"{job.task_kwargs.get('account', job.task_name)}: its worker is gone, another goes on")
            try:
                await manager.retry_job(job)
            except UniqueViolation:
                # Its next turn is queued already, and waits for this one's end.
                await manager.finish_job(job, Status.FAILED, delete_job=True)
