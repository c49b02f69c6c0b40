"""Where a simulated journal lives between its processes: the production store in memory, and what a power cut leaves.

The database is SQLite's own, in shared memory, written through the very code that trades. Its durability is simulated: an
image is kept of what the last barrier covered, and a power cut goes back to it, or by chance to a soft commit after it.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from functools import cache
from typing import Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from oms.errors import StorageError
from oms.journal.codec import decode
from oms.journal.connection import driver, tune_writer
from oms.journal.lease import LeaseRow
from oms.journal.machine import ProcessInfo
from oms.journal.scalars import from_instant
from oms.journal.store import SqliteJournal, open_journal
from oms.model.event import Recorded
from oms.ports import Clock, Journal
from oms.sim.ram_journal import Chain, RamJournal
from oms.sim.timeline import MachineClock, Timeline

ACCOUNT = "sim"
BOOT = "boot"
_names = itertools.count(1)


class Store(Protocol):
    """One account's memory over the lives of its processes."""

    def open(self, clock: Clock, process: ProcessInfo, lease_s: float) -> Journal:
        """A new process opens the journal.

        Raises:
            LeaseHeldError: another process holds it.
        """
        ...

    def facts(self) -> list[Recorded]:
        """Every fact that is there now."""
        ...

    def committed(self, *, barrier: bool) -> None:
        """A commit was made just now: note what a power cut will leave."""
        ...

    def cut_power(self) -> None:
        """The machine restarts with what was on its disk. Every process of it must be gone."""
        ...

    def finish_commit(self, journal: Journal) -> None:
        """Let the transaction that is under way be kept, although its process will be told that it failed."""
        ...

    def abandon(self, journal: Journal) -> None:
        """The process that held this journal is gone, and its connection with it."""
        ...

    def failure(self) -> Exception:
        """What the database raises when it fails in the middle of a commit."""
        ...

    def close(self) -> None: ...


class _Kept(sqlite3.Connection):
    """A connection that serves one process after another of a world: what it has prepared need not be prepared again.

    Only one that was given back in order; that of a process which died or failed is closed.
    """

    resting: list[_Kept]
    """Where it waits for the next process."""
    is_spoiled = False

    def close(self) -> None:
        if self.is_spoiled:
            super().close()
        else:
            self.resting.append(self)

    def spoil(self) -> None:
        """Close it at the next occasion."""
        self.is_spoiled = True


class _Place(threading.local):
    """Which database the next connection goes to, and those to it that are free."""

    name = ""

    def __init__(self) -> None:
        self.resting: list[_Kept] = []


_place = _Place()


@cache
def _engine() -> Engine:
    """One for all databases of this Python: what SQLAlchemy has compiled once it need not compile for each life.

    ``open_journal`` makes an engine each, as a process does; compiling its questions would be two thirds of a life.
    """

    def connect() -> sqlite3.Connection:
        if _place.resting:
            return _place.resting.pop()
        made = sqlite3.connect(_place.name, uri=True, isolation_level=None, factory=_Kept, cached_statements=256)
        made.resting = _place.resting
        return made

    engine = create_engine("sqlite://", poolclass=NullPool, creator=connect)
    event.listen(engine, "invalidate", lambda connection, *_: connection.spoil())
    return engine


@cache
def _empty_image() -> bytes:
    """A database of the production schema with nothing in it, made once."""
    name = f"file:oms-sim-template-{next(_names)}?mode=memory&cache=shared"
    with closing(sqlite3.connect(name, uri=True)) as kept:
        clock = MachineClock(Timeline(from_instant(0)), remember=False)
        process = ProcessInfo(host="sim", restart_token=BOOT, pid=5_000_000, pid_namespace="sim", started="0")
        journal = open_journal(f"sqlite:///{name}&uri=true", ACCOUNT, "paper", clock, process=process)
        journal.close()
        kept.executescript("DELETE FROM lease; DELETE FROM heads;")
        return kept.serialize()


class SqliteStore(Store):
    """The production store on a database in memory."""

    def __init__(self, chance: random.Random, *, images: bool) -> None:
        self._chance = chance
        self._images = images
        """Keep what a power cut leaves; costs a copy of the database a barrier."""
        self._durable = _empty_image()
        self._lucky: bytes | None = None
        self._name, self._kept = self._load(self._durable)
        self._resting: list[_Kept] = []

    @staticmethod
    def _load(image: bytes) -> tuple[str, sqlite3.Connection]:
        name = f"file:oms-sim-{next(_names)}?mode=memory&cache=shared"
        kept = sqlite3.connect(name, uri=True, isolation_level=None)
        with closing(sqlite3.connect(":memory:")) as source:
            source.deserialize(image)
            source.backup(kept)
        return name, kept

    def open(self, clock: Clock, process: ProcessInfo, lease_s: float) -> Journal:
        _place.name, _place.resting = self._name, self._resting
        connection = _engine().connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            tune_writer(driver(connection), in_memory=True)
            return SqliteJournal(connection, ACCOUNT, clock, LeaseRow(ACCOUNT, clock, lease_s, process), None)
        except BaseException:
            connection.close()
            raise

    def facts(self) -> list[Recorded]:
        sql = "SELECT seq, at, kind, data, cycle_id, cl_ord_id, symbol FROM events ORDER BY seq"
        return [
            Recorded(seq=seq, at=from_instant(at), event=decode(kind, data, cycle_id, cl_ord_id, symbol))
            for seq, at, kind, data, cycle_id, cl_ord_id, symbol in self._kept.execute(sql).fetchall()
        ]

    def committed(self, *, barrier: bool) -> None:
        if not self._images:
            return
        if barrier:
            self._durable, self._lucky = self._kept.serialize(), None
        elif self._chance.random() < 0.15:
            self._lucky = self._kept.serialize()

    def cut_power(self) -> None:
        self.close()
        image = self._lucky if self._lucky is not None and self._chance.random() < 0.5 else self._durable
        self._durable, self._lucky = image, None
        self._name, self._kept = self._load(image)

    def finish_commit(self, journal: Journal) -> None:
        connection = getattr(journal, "connection")  # noqa: B009  # the production journal's; a protocol has none
        connection.connection.driver_connection.execute("COMMIT")

    def abandon(self, journal: Journal) -> None:
        connection: Connection = getattr(journal, "connection")  # noqa: B009  # as above
        if not connection.closed:
            connection.invalidate()
            connection.close()

    def failure(self) -> Exception:
        return sqlite3.OperationalError("disk I/O error")

    def close(self) -> None:
        for connection in self._resting:
            connection.spoil()
            connection.close()
        self._resting.clear()
        self._kept.close()


class RamStore(Store):
    """A list of facts with the same promises, for volume; a power cut takes a part of what no barrier covered."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._chain = Chain(ACCOUNT)

    def open(self, clock: Clock, process: ProcessInfo, lease_s: float) -> Journal:
        return RamJournal(self._chain, clock, process, timedelta(seconds=lease_s))

    def facts(self) -> list[Recorded]:
        return list(self._chain.rows)

    def committed(self, *, barrier: bool) -> None:
        """The chain knows by itself."""

    def cut_power(self) -> None:
        ends = [end for end in self._chain.ends if end >= self._chain.durable] or [self._chain.durable]
        keep = self._chain.durable if self._chance.random() < 0.5 else self._chance.choice(ends)
        self._chain.lose(keep)

    def finish_commit(self, journal: Journal) -> None:
        assert isinstance(journal, RamJournal)
        journal.keep_pending()

    def abandon(self, journal: Journal) -> None:
        """Nothing is open."""

    def failure(self) -> Exception:
        return StorageError("disk I/O error")

    def close(self) -> None:
        """Nothing is open."""


TRANSACTIONS = frozenset({"journal.before_commit", "journal.before_barrier", "lease.before_commit"})
"""Crash points at which a process holds the database's write lock."""
COMMITS = frozenset({"journal.before_commit", "journal.before_barrier"})
"""Crash points at which rows are written and may still fail."""
BARRIERS = frozenset({"journal.after_barrier", "lease.after_commit"})
"""Crash points at which the disk has everything that was committed."""
