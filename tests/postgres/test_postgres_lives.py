"""Whole cycles with their journal on a real PostgreSQL, whose workers and whose server die by SIGKILL at any instant."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from oms.journal import loading, tables
from oms.journal.reader import NoJournal, open_reader
from oms.journal.verify import verify
from oms.model.event import Recorded
from tests.engine.lives import memory_folder
from tests.kill import account as kill
from tests.kill.account import Account, Weather, live
from tests.postgres.server import Server

FAIR = Weather(name="fair")
LAG = Weather(name="the list lags", settings={"LIST_LAG": "300ms"})
DEAF = Weather(name="the first replies are lost", lost_replies=3)
WEATHERS = (FAIR, LAG, DEAF)
POINTS = ("send.before_call", "paper.place.after_accept", "journal.after_barrier", "facts.before_commit")
Maker = Callable[..., "OnPostgres"]
_accounts = count(1)


class OnPostgres(Account):
    """An account whose journal is in a database of the server's."""

    def __init__(self, folder: Path, weather: Weather, url: str, forks: kill.Server | None = None) -> None:
        super().__init__(folder, weather, forks)
        self.url, self.name = url, f"kill-{next(_accounts)}"
        file = folder / "config.yaml"
        text = file.read_text("utf-8").replace("account: kill", f"account: {self.name}")
        file.write_text(f"{text}journal: {{url: '{url}'}}\n", "utf-8")

    def facts(self) -> list[Recorded]:
        events = tables.events
        columns = (events.c[name] for name in ("seq", "at", "cycle_id", "cl_ord_id", "symbol", "kind", "data"))
        wanted = select(*columns).where(events.c.account == self.name).order_by(events.c.seq)
        try:
            with closing(open_reader(self.own)) as reader, reader.asking("judging") as connection:
                return [loading.recorded(row) for row in connection.execute(wanted)]
        except NoJournal:
            return []  # its process died before its first fact

    @property
    def own(self) -> str:
        """The address with this account's name: others are in the same database."""
        return f"{self.url}{'&' if '?' in self.url else '?'}account={self.name}"

    def verify(self, story: str) -> None:
        with closing(open_reader(self.own)) as reader:
            verdict = verify(reader)
        assert verdict.ok, f"{story}\n{verdict}"


@pytest.fixture(scope="module")
def forks() -> Iterator[kill.Server]:
    made = kill.Server()
    yield made
    made.close()


@pytest.fixture
def make(server: Server, own_database: str) -> Iterator[Maker]:
    """Makes accounts, whose processes are forked, or the program itself."""
    if not server.is_own:
        pytest.skip("the tests kill only a server that they started")
    with memory_folder() as folder:

        def maker(weather: Weather, forks: kill.Server | None = None) -> OnPostgres:
            return OnPostgres(folder / str(next(_accounts)), weather, server.url(own_database), forks)

        yield maker


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_is_killed_at_a_point(make: Maker, forks: kill.Server, point: str) -> None:
    """At the wire, after a barrier, in a commit: the next process brings the cycle to a lawful end."""
    assert live(make(FAIR, forks), [{"at": (point, 1)}], f"PostgreSQL, {point}") == 1


def life(make: Maker, forks: kill.Server, seed: int) -> int:
    """A life with one to six kills at random instants; answers how many struck."""
    chance = random.Random(f"postgres {seed}")
    kills = [{"kill_after": chance.uniform(0.0, 0.5)} for _ in range(chance.randint(1, 6))]
    return live(make(WEATHERS[seed % len(WEATHERS)], forks), kills, f"life(make, forks, {seed})")


def test_a_worker_is_killed_at_random_instants(make: Maker, forks: kill.Server) -> None:
    """Three lives of one to six kills."""
    assert sum(life(make, forks, seed) for seed in range(3)) >= 2


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("part", range(20))
def test_a_worker_is_killed_at_random_instants_all_night(make: Maker, forks: kill.Server, part: int) -> None:
    """Twenty-five lives each, in three weathers."""
    assert sum(life(make, forks, seed) for seed in range(1000 + part * 25, 1025 + part * 25)) >= 20


def server_dies(make: Maker, server: Server, seed: int) -> None:
    """The server dies under a run of the program, which ends with 75; after its recovery the next one ends the cycle."""
    chance = random.Random(f"server {seed}")
    account = make(WEATHERS[seed % 2])
    process = account.begin("run", "--signals", "signals.csv")
    for _ in range(6_000 if seed == 0 else 1):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01 if seed == 0 else chance.uniform(0.5, 2.5))
        if account.paper.exists():
            break  # the run has begun to trade
    server.kill()
    try:
        out, err = process.communicate(timeout=240)
    finally:
        server.start_again()
    story = f"server_dies(make, server, {seed})\n{out}\n{err}"
    assert process.returncode in (0, 7, 75), story
    assert "Traceback" not in err, story
    account.finish()
    account.judge(story)
    account.verify(story)


def test_the_server_is_killed_under_a_cycle(make: Maker, server: Server) -> None:
    """Once, as soon as the broker has a book."""
    server_dies(make, server, 0)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("part", range(10))
def test_the_server_is_killed_under_cycles_all_night(make: Maker, server: Server, part: int) -> None:
    """Ten times each, at any instant of a run."""
    for seed in range(1 + part * 10, 11 + part * 10):
        server_dies(make, server, seed)
