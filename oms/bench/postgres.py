"""Cycles a second on PostgreSQL, from many accounts and workers, beside what the server itself can commit."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from oms.bench.cycle import CycleBench
from oms.errors import TryAgainError
from oms.gateways.system_clock import SystemClock
from oms.journal.postgres.address import Address, parse
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.postgres.journal import connected, open_postgres

SCHEMA = "oms_bench"
"""Made for the bench in the given database, and dropped again."""
BYTES = 12_000
"""Of each commit of the floor: about a third of the rows of one cycle."""
COMMITS = 3
"""Barriers of a cycle that tells the world: the least durable work (see docs/scale.md)."""


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
    bytes_an_event: float
    """With all indices and tables, less what was there before."""

    @property
    def of_the_floor(self) -> float:
        """Cycles against those of the least durable work."""
        return self.cycles_a_second / self.floor_cycles_a_second if self.floor_cycles_a_second else 0.0


def bench(url: str, workers: list[int], accounts: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each number of workers in turn, the floor beside each."""
    address = parse(url)
    runs = []
    for count in workers:
        with _schema(address) as place:
            say(f"{count} workers, {accounts} accounts, {seconds:.0f} s …")
            runs.append(_run(place, count, accounts, seconds))
    return {"runs": [{**asdict(run), "of_the_floor": round(run.of_the_floor, 3)} for run in runs]}


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
    answers: Queue[tuple[int, int]] = context.Queue()
    ready, start = context.Barrier(workers + 1), context.Event()
    shares = [[f"bench-{n}" for n in range(accounts) if n % workers == w] for w in range(workers)]
    crowd = [
        context.Process(target=_work, args=(place.url, share, seconds, (ready, start), answers)) for share in shares
    ]
    for each in crowd:
        each.daemon = True  # one that hangs does not keep the bench from ending
        each.start()
    try:
        ready.wait(SETUP_S)
    except threading.BrokenBarrierError:
        raise TryAgainError(f"bench: a worker did not get ready within {SETUP_S:.0f} s") from None
    with _connect(place) as raw:
        before, size = _syncs(raw), _size(raw)
        start.set()
        done = [answers.get(timeout=seconds * 10 + 300) for _ in crowd]
        syncs, grown = _syncs(raw) - before, _size(raw) - size
        events = raw.execute(f"SELECT sum(seq) FROM {SCHEMA}.heads".encode()).fetchone()  # noqa: S608  # our own name
    for each in crowd:
        each.join()
    cycles, commits = sum(c for c, _ in done), sum(c for _, c in done)
    rows = int(events[0]) if events and events[0] else 1
    return Run(
        workers=workers,
        accounts=accounts,
        cycles_a_second=round(cycles / seconds, 2),
        commits_a_second=round(commits / seconds, 1),
        own_commits_a_second=round(own, 1),
        floor_cycles_a_second=round(floor / COMMITS, 2),
        syncs_a_cycle=round(syncs / max(cycles, 1), 3),
        bytes_an_event=round(grown / rows, 1),
    )


def _syncs(raw: psycopg.Connection[Any]) -> int:
    """Flushes of the log so far. The column moved in release 18."""
    raw.execute("SELECT pg_stat_force_next_flush()")
    for sql in ("SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'", "SELECT wal_sync FROM pg_stat_wal"):
        with suppress(psycopg.Error):
            row = raw.execute(sql).fetchone()
            if row is not None and row[0] is not None:
                return int(row[0])
    return 0


def _size(raw: psycopg.Connection[Any]) -> int:
    row = raw.execute(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind = 'r'",
        (SCHEMA,),
    ).fetchone()
    return int(row[0]) if row is not None else 0


def _work(
    url: str, accounts: list[str], seconds: float, gates: tuple[Any, Any], answers: Queue[tuple[int, int]]
) -> None:
    """One worker: a thread for each of its accounts, each of which runs cycles until the time is over."""
    counts: list[tuple[int, int]] = []
    ready, start = gates
    with TemporaryDirectory(prefix="oms-bench-") as folder, ExitStack() as stack:
        benches = []
        for account in accounts:
            place = Path(folder) / account
            place.mkdir()
            journal = open_postgres(parse(url), account, "paper", SystemClock(), 600.0)
            made = CycleBench(place, journal=journal, mailbox=PostgresInbox(parse(url), account, journal.connection))
            stack.callback(made.close)
            made.cycle()
            benches.append(made)
        ready.wait()
        start.wait()
        until = time.monotonic() + seconds

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
        answers.put((sum(c for c, _ in counts), sum(c for _, c in counts)))


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
