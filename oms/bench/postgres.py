"""Cycles a second on PostgreSQL, from many accounts and workers, beside what the server itself can commit."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from oms.bench import on_the_server
from oms.bench.cycle import CycleBench
from oms.errors import TryAgainError
from oms.gateways.system_clock import SystemClock
from oms.journal.postgres.address import Address, parse
from oms.journal.postgres.flushing import flusher_of
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.postgres.journal import connected, open_postgres

SCHEMA = "oms_bench"
"""Made for the bench in the given database, and dropped again."""
BYTES = 12_000
"""Of each commit of the floor: about a third of the rows of one cycle."""
COMMITS = 3
"""Barriers of a cycle that tells the world: the least durable work (see docs/scale.md)."""


OPENED_AT_ONCE = 8
"""Accounts: one by one each would wait for the disk alone."""
SETUP_S = 300.0
"""Longest wait until every account of every worker has its connection and its first cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured stretch."""

    workers: int
    accounts: int
    cycles_a_second: float
    commits_a_second: float
    """All commits of the product, soft ones too."""
    own_commits_a_second: float
    """What the server commits for as many connections as there are accounts, a tiny row each."""
    floor_cycles_a_second: float
    """Cycles that three commits of the same bytes would make, from as many connections."""
    syncs_a_cycle: float
    """Flushes of the server's log for each cycle, from its own statistics."""
    own_syncs_a_cycle: float
    """Of these, those that the server's own processes make (its log writer, its vacuum); 0 where it does not tell."""
    worker_ms_a_cycle: float
    """Processor time of the workers for each cycle."""
    server_ms_a_cycle: float | None
    """Processor time of the server's processes; None where they are on another machine, or the system does not tell."""
    bytes_an_event: float
    """With all indices and tables, less what was there before."""
    bytes_a_small_fact: float
    """A fact of less than 300 characters with its keys, its link and its indices, without the tables cast from the facts."""

    @property
    def of_the_floor(self) -> float:
        """Cycles against those of the least durable work."""
        return self.cycles_a_second / self.floor_cycles_a_second if self.floor_cycles_a_second else 0.0

    @property
    def of_its_commits(self) -> float:
        """The product's commits against those that the server makes of tiny rows."""
        return self.commits_a_second / self.own_commits_a_second if self.own_commits_a_second else 0.0


def bench(url: str, workers: list[int], accounts: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each number of workers in turn, the floor beside each."""
    address = parse(url)
    runs = []
    for count in workers:
        with _schema(address) as place:
            say(f"{count} workers, {accounts} accounts, {seconds:.0f} s …")
            runs.append(_run(place, count, accounts, seconds))
    first = runs[0].cycles_a_second / runs[0].workers
    return {
        "runs": [
            {
                **asdict(run),
                "of_the_floor": round(run.of_the_floor, 3),
                "of_its_commits": round(run.of_its_commits, 3),
                "of_one_worker": round(run.cycles_a_second / first, 2) if first else None,
            }
            for run in runs
        ],
        "processors": os.cpu_count(),
    }


@contextmanager
def _schema(address: Address) -> Iterator[Address]:
    server = address.server
    place = Address(server=server, schema=SCHEMA, account=None)
    with _connect(address) as raw:
        _drop(raw)
        connected(place).close()
        try:
            yield place
        finally:
            _drop(raw)


def _drop(raw: psycopg.Connection[Any]) -> None:
    from oms.journal.postgres import schema

    raw.execute(f"DROP SCHEMA IF EXISTS {SCHEMA}_mine CASCADE".encode())
    raw.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
    schema.forget()


def _connect(address: Address) -> psycopg.Connection[Any]:
    url = address.server.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def _run(place: Address, workers: int, accounts: int, seconds: float) -> Run:
    own, floor = _floor(place, accounts, seconds / 2, 1), _floor(place, accounts, seconds / 2, BYTES)
    context = multiprocessing.get_context("spawn")
    answers: Queue[Done] = context.Queue()
    ready, start, finish = context.Barrier(workers + 1), context.Event(), context.Event()
    shares = [[f"bench-{n}" for n in range(accounts) if n % workers == w] for w in range(workers)]
    crowd = [
        context.Process(target=_work, args=(place.url, share, seconds, (ready, start, finish), answers))
        for share in shares
    ]
    for each in crowd:
        each.daemon = True  # one that hangs does not keep the bench from ending
        each.start()
    try:
        ready.wait(SETUP_S)
    except threading.BrokenBarrierError:
        raise TryAgainError(f"bench: a worker did not get ready within {SETUP_S:.0f} s") from None
    with _connect(place) as raw:
        before = on_the_server.look(raw, SCHEMA)
        start.set()
        done = [answers.get(timeout=seconds * 10 + 300) for _ in crowd]
        after = on_the_server.look(raw, SCHEMA)
        finish.set()
        small = on_the_server.bytes_a_small_fact(raw, SCHEMA)
    for each in crowd:
        each.join()
    cycles = max(sum(each.cycles for each in done), 1)
    # Until the last one came to the end of its cycle, which is work that counts.
    took = max(each.seconds for each in done)
    cpu = None if before.cpu_s is None or after.cpu_s is None else after.cpu_s - before.cpu_s
    return Run(
        workers=workers,
        accounts=accounts,
        cycles_a_second=round(cycles / took, 2),
        commits_a_second=round(sum(each.commits for each in done) / took, 1),
        own_commits_a_second=round(own, 1),
        floor_cycles_a_second=round(floor / COMMITS, 2),
        syncs_a_cycle=round((after.syncs - before.syncs) / cycles, 3),
        own_syncs_a_cycle=round((after.syncs_of_its_own - before.syncs_of_its_own) / cycles, 3),
        worker_ms_a_cycle=round(1000 * sum(each.cpu_s for each in done) / cycles, 1),
        server_ms_a_cycle=None if cpu is None else round(1000 * cpu / cycles, 1),
        bytes_an_event=round((after.size - before.size) / max(after.events - before.events, 1), 1),
        bytes_a_small_fact=small,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one worker did."""

    cycles: int
    commits: int
    seconds: float
    cpu_s: float


def _work(url: str, accounts: list[str], seconds: float, gates: tuple[Any, Any, Any], answers: Queue[Done]) -> None:
    """One worker: a thread for each of its accounts, each of which runs cycles until the time is over."""
    counts: list[tuple[int, int]] = []
    ready, start, finish = gates
    with TemporaryDirectory(prefix="oms-bench-") as folder, ExitStack() as stack:

        def opened(account: str) -> CycleBench:
            place = Path(folder) / account
            place.mkdir()
            journal = open_postgres(parse(url), account, "paper", SystemClock(), 600.0)
            made = CycleBench(place, journal=journal, mailbox=PostgresInbox(parse(url), account, journal.connection))
            stack.callback(made.close)
            made.cycle()
            return made

        with ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
            benches = list(pool.map(opened, accounts))
        _count_in(benches, parse(url))
        ready.wait()
        start.wait()
        began, cpu = time.monotonic(), time.process_time()
        until = began + seconds

        def live(made: CycleBench) -> None:
            before, cycles = _commits(made), 0
            while time.monotonic() < until:
                made.cycle()
                cycles += 1
            counts.append((cycles, _commits(made) - before))

        crowd = [threading.Thread(target=live, args=(made,)) for made in benches]
        for each in crowd:
            each.start()
        for each in crowd:
            each.join()
        cycles, commits = (sum(column) for column in zip(*counts, strict=True))
        cpu = time.process_time() - cpu
        _count_in(benches, parse(url))
        answers.put(Done(cycles=cycles, commits=commits, seconds=time.monotonic() - began, cpu_s=cpu))
        finish.wait()  # the server's processes that served it are still to be looked at


def _count_in(benches: list[CycleBench], place: Address) -> None:
    """Let the server's statistics hold all that was done so far, and no more: else they come up to ten seconds later."""
    for each in benches:
        each.journal.connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    flusher_of(place.server, place.schema).count_in()


def _commits(made: CycleBench) -> int:
    return made.journal.commits.soft + made.journal.commits.barrier


def _floor(place: Address, connections: int, seconds: float, size: int) -> float:
    """Durable commits a second of so many bytes each, from so many connections: the server's own rate."""
    table = f"{SCHEMA}.floor_{size}"
    with _connect(place) as raw:
        raw.execute(f"CREATE TABLE {table} (who int, data text)".encode())
    counts: list[int] = []
    insert, data = f"INSERT INTO {table} VALUES (%s, %s)".encode(), "x" * size  # noqa: S608  # our own name
    until = time.monotonic() + seconds

    def commit(who: int) -> None:
        done = 0
        with _connect(place) as raw:
            while time.monotonic() < until:
                raw.execute(insert, (who, data))
                done += 1
        counts.append(done)

    crowd = [threading.Thread(target=commit, args=(who,)) for who in range(connections)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    return sum(counts) / seconds
