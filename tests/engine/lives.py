"""Lives of an engine in one process of Python: each dies where it is told to, the next one folds what is there.

A death is a ``BaseException`` out of a crash point. The broker's wire is watched: whatever arrives there must stand in
the journal at that very instant, which no later look at the records could show.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from oms import crashpoints
from oms.engine.driver import Ending
from oms.errors import TryAgainError
from oms.gateways.paper.log import LogKind, read_log
from oms.journal import loading, tables
from oms.journal.machine import this_process
from oms.journal.store import SqliteJournal, open_journal
from oms.model.event import Event, OrderReserved, Recorded
from oms.model.order import OrderPhase, OrderRequest
from oms.model.signal import Signal
from oms.sim.evidence import Evidence
from oms.sim.laws import Violation, check
from tests.engine.house import House, buy, sell

WISHES = (sell("AAA"), sell("BBB", 150), buy("CCC", 100), buy("DDD", 400))
"""Two sells and two buys; the second buy is cut."""

MOST_PROCESSES = 12
"""Processes after which a life that does not end has failed."""


class Dead(BaseException):
    """A simulated SIGKILL: nothing in the engine may catch it."""


class OutOfOrder(BaseException):
    """Something reached the broker that did not stand in the journal; nobody may take this for a broker's error."""


class Endless(BaseException):
    """A process that passes point after point and never ends."""


MOST_PASSAGES = 3_000
"""Crash points that one process may pass; a plain cycle passes sixty."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder that is gone after the block, in memory where tests/conftest.py found room."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@dataclass(kw_only=True)
class Script:
    """What happens to one life besides its kills; every hook gets the house."""

    name: str
    wishes: Sequence[Signal] = WISHES
    house: dict[str, object] = field(default_factory=dict)
    """Keywords of the House."""
    prepare: Callable[[House], None] = lambda _: None
    """Before the first process: faults are scripted here."""
    at_passage: Callable[[House, int, str], None] = lambda *_: None
    """At each passage of a crash point, with its number in the life, counted over all processes."""
    between: Callable[[House], None] = lambda _: None
    """After each death."""
    after: Callable[[House], None] = lambda _: None
    """After a process ended with the cycle open: what a person or time does before the next one."""
    sqlite: bool = False
    """On the real store instead of the one in memory."""


@dataclass(kw_only=True)
class Life:
    """A whole life, to its last process."""

    script: Script
    house: House
    folder: Path
    ending: Ending
    passed: list[str]
    """Crash points in the order in which they were passed, over all processes."""
    died_at: list[str]
    last: list[str] = field(default_factory=list)
    """Points that the last process passed."""

    def evidence(self) -> Evidence:
        return evidence_of(self.house)


def on_disk(house: House) -> SqliteJournal | None:
    """The house's journal, where it is the real one."""
    journal: object = house.journal
    return journal if isinstance(journal, SqliteJournal) else None


def facts_of(house: House) -> list[Recorded]:
    """Every fact of the journal as the next process would find it."""
    journal = on_disk(house)
    if journal is not None:
        events = tables.events
        rows = journal.connection.execute(
            select(
                events.c.seq, events.c.at, events.c.cycle_id, events.c.cl_ord_id, events.c.symbol, events.c.kind,
                events.c.data,
            ).order_by(events.c.seq)
        ).all()  # fmt: skip
        return [loading.recorded(row) for row in rows]
    return list(house.journal.rows)


def evidence_of(house: House) -> Evidence:
    """Both sides as they stand."""
    return Evidence(
        log=read_log(house.folder / "paper.db"),
        facts=facts_of(house),
        state=house.journal.state,
        rules=house.rules,
        restart_token=house.journal.lease.restart_token,
    )


def _watch_the_wire(house: WatchedHouse) -> None:
    """Check each request at the instant of its arrival: on the disk, numbered, with every field, and SENDING."""
    place = house.paper.place

    def watched(request: OrderRequest) -> str:
        order = house.journal.state.order(request.cl_ord_id)
        durable: list[Event] = []
        journal = on_disk(house)
        if journal is not None:
            durable = [fact.event for fact in facts_of(house) if fact.seq <= journal.head.barrier_seq]
        else:
            durable = [fact.event for fact in house.journal.rows[: house.journal.durable]]
        reserved = [e for e in durable if isinstance(e, OrderReserved) and e.cl_ord_id == request.cl_ord_id]
        if order is None or not reserved or order.request() != request:
            raise OutOfOrder(f"{request} arrived, the disk holds {reserved}")
        late = request.cl_ord_id in house.late
        if not late and order.phase is not OrderPhase.AMBIGUOUS:
            raise OutOfOrder(f"{request} arrived while its order is {order.ord_status.value}")
        return place(request)

    house.paper.place = watched  # type: ignore[assignment, method-assign]


class WatchedHouse(House):
    """A house on either store whose wire is watched; slow disks are left out of it."""

    def __init__(self, script: Script, folder: Path) -> None:
        super().__init__(folder, **script.house)  # type: ignore[arg-type]
        self.paper._book._connection.execute("PRAGMA synchronous = OFF")
        self.late: set[str] = set()
        """Keys of requests that the test itself delivers, long after they left."""
        self._sqlite = script.sqlite
        self._processes = 0
        _watch_the_wire(self)

    def begin_process(self, *, lost: bool) -> None:
        """A process opens the journal; with ``lost`` the machine had restarted, and soft commits are gone."""
        if self._sqlite or self._processes:
            token = f"boot-{self.journal.lease.fence + 1}" if lost else None
            self.reborn(lose_soft_commits=lost, token=token)
        self._processes = max(self._processes, 1)

    def reborn(self, **how: object) -> None:
        if not self._sqlite:
            super().reborn(**how)
            return
        journal = on_disk(self)
        if journal is not None:
            journal._break("its process is gone")
        self._processes += 1
        url = f"sqlite:///{(self.folder / 'oms.db').as_posix()}"
        # Our own number with a start that is not ours: the next process finds this holder gone, as after a kill.
        process = replace(this_process(), started=f"life {self._processes}")
        self.journal = open_journal(url, "test", "paper", self.clock, process=process)  # type: ignore[assignment]

    def leave(self) -> None:
        """Let go of every file."""
        journal = on_disk(self)
        if journal is not None:
            journal._break("the test is over")
            journal.connection.engine.dispose()
        self.paper.close()


@contextmanager
def lived(script: Script, kills: Sequence[int] = (), *, power_cut: bool = False) -> Iterator[Life]:
    """Live a life that dies at the ``kills[i]``-th passage of its i-th process, and run it to its end.

    The laws are checked after each death and at the end; a violation names the one line that lives it again.
    """
    with memory_folder() as folder:
        house = WatchedHouse(script, folder)
        try:
            yield _live(script, house, folder, kills, power_cut=power_cut)
        finally:
            crashpoints.strike = None
            house.leave()


def _live(script: Script, house: WatchedHouse, folder: Path, kills: Sequence[int], *, power_cut: bool) -> Life:
    repro = f"lives.lived(SCRIPTS[{script.name!r}], {tuple(kills)}, power_cut={power_cut})"
    life = Life(script=script, house=house, folder=folder, ending=Ending(exit_code=-1), passed=[], died_at=[])
    script.prepare(house)
    lost = False
    for number in range(MOST_PROCESSES):
        kill = kills[number] if number < len(kills) else None
        life.last = []

        def strike(name: str, kill: int | None = kill) -> None:
            life.passed.append(name)
            life.last.append(name)
            script.at_passage(house, len(life.passed), name)
            if len(life.last) > MOST_PASSAGES:
                raise Endless(f"{repro}, dead at {life.died_at}: still going after {life.last[-8:]}")
            if len(life.last) == kill:
                life.died_at.append(name)
                raise Dead(name)

        crashpoints.strike = strike
        try:
            house.begin_process(lost=lost)
            _judge(house, f"{repro}, dead at {life.died_at}")
            life.ending = house.run(*script.wishes, open_new=house.journal.state.cycle is None)
        except Dead:
            lost = power_cut
            crashpoints.strike = None
            script.between(house)
            house.clock.advance(timedelta(milliseconds=700))
            continue
        except TryAgainError as error:
            life.ending = Ending(exit_code=error.exit_code, why=str(error))
        except Exception as error:
            raise AssertionError(f"{repro}, dead at {life.died_at}: {error}") from error
        finally:
            crashpoints.strike = None
        lost = False
        _judge(house, f"{repro}, dead at {life.died_at}")
        if house.journal.state.cycle is not None and house.journal.state.open_cycle is None:
            return life
        script.after(house)
        house.clock.advance(timedelta(seconds=1))
    raise AssertionError(f"{repro}, dead at {life.died_at}: no end in sight: {life.ending}")


def _judge(house: House, where: str) -> None:
    violations: list[Violation] = check(evidence_of(house))
    assert not violations, where + "\n" + "\n".join(str(each) for each in violations)


def accepted(house: House) -> list[str]:
    """Keys of the orders the broker accepted, in its order."""
    log = read_log(house.folder / "paper.db")
    return [row.user_mark for row in log if row.kind is LogKind.ACCEPTED and row.user_mark is not None]
