"""An account's journal, whatever database it is in: the lease, the fold, the chain, and the one door for new facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from oms import crashpoints
from oms.errors import DamagedError, StorageError
from oms.journal import anchors, loading, marks, recalling, tables
from oms.journal.casting import insert_sql
from oms.journal.chain import link
from oms.journal.codec import Encoded, encode
from oms.journal.lease import LeaseRow, fence_lost
from oms.journal.loading import Head
from oms.journal.packed import packing
from oms.journal.projection import Shadow, check_exact
from oms.journal.scalars import to_instant
from oms.journal.statements import statements
from oms.journal.task_rows import write_tasks
from oms.model.event import Event, OrderReserved, Recorded
from oms.model.order import Order
from oms.model.state import AccountState
from oms.model.task import TaskHealth
from oms.ports import Clock, Lease

ANCHOR_INTERVAL = timedelta(hours=1)

INSERT_EVENT = insert_sql(tables.events)
_ADVANCE = (
    "UPDATE heads SET seq = ?, hash = ? WHERE account = ? AND seq = ? AND hash = ?"
    " AND EXISTS (SELECT 1 FROM lease WHERE account = ? AND fence = ?)"
)
_ADVANCE_BARRIER = _ADVANCE.replace("hash = ? WHERE", "hash = ?, barrier_seq = ?, barrier_hash = ? WHERE")
_KEEP_CONFIG = (
    "INSERT INTO configs (config_hash, canonical, at) SELECT ?, ?, ?"
    " WHERE EXISTS (SELECT 1 FROM lease WHERE account = ? AND fence = ?)"
)

_HELD = "SELECT 1 FROM lease WHERE account = ? AND fence = ?"
_ARCHIVED = "SELECT 1 FROM archives WHERE account = ? AND last_seq >= ? LIMIT 1"

Row = tuple[Any, ...]


@dataclass(slots=True)
class Commits:
    """How often this journal committed; for tests and the bench."""

    soft: int = 0
    barrier: int = 0


class AccountJournal(ABC):
    """``oms.ports.Journal`` over one kept connection; a subclass says what its database calls a transaction.

    After any failure of a write the object is of no more use: whether the commit was kept is decided from the database
    by the next start. ``state`` may by then hold facts that are not in it.
    """

    state: AccountState
    lease: Lease

    def __init__(
        self,
        connection: Connection,
        account: str,
        clock: Clock,
        lease: LeaseRow,
        *,
        where: object,
        anchors_file: Path | None,
    ) -> None:
        """Take the lease and load the account; see :func:`oms.journal.store.open_journal`."""
        self.commits = Commits()
        self._connection = connection
        self._raw = statements(connection)
        self._account = account
        self._clock = clock
        self._lease_row = lease
        self._where = where
        self._anchors = anchors_file
        self._broken = ""
        self._closed = False
        self._versions: dict[str, int] = {}
        """Version of the newest fact of earlier cycles that late facts came for."""
        self._configs: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        """Reserved numbers of the last answer of :meth:`known_numbers`; what a number belongs to never changes."""
        with self._writing("taking the lease", is_barrier=True):
            self.lease = self._take(lease)
            crashpoints.point("lease.before_commit")
            self._raw.execute("COMMIT")
        crashpoints.point("lease.after_commit")
        with self._failing("loading the account"):
            loaded = self._load()
            self._check_anchor(loaded.head)
        self.state = loaded.state
        self.state.recall = self._recall
        self._head = loaded.head
        self._packing = packing(self._raw)
        self._shadow = Shadow(loaded.state, loaded.opened_seq, self._packing)
        self._anchored_at = clock.elapsed()
        self._next_mark = marks.next_block(self._raw, account)

    # What a database must say for itself

    @abstractmethod
    def _transaction(self, *, is_barrier: bool) -> AbstractContextManager[None]:
        """A write transaction that the block must commit; a barrier's commit has reached the disk when it returns."""

    @abstractmethod
    def _meaning(self, error: Exception, doing: str) -> Exception | None:
        """What a failure of the database means to the caller; None for what is no failure of the database."""

    def _take(self, lease: LeaseRow) -> Lease:
        """Become the holder, within the transaction that is open."""
        return lease.take(self._raw)

    def _load(self) -> loading.Loaded:
        return loading.load(self._connection, self._account)

    # Writing

    def append(self, events: Sequence[Event]) -> None:
        """Journal facts in a soft commit; see ``oms.ports.Journal``."""
        if any(isinstance(event, OrderReserved) for event in events):
            raise ValueError("order_reserved must be journaled in a barrier, never in a soft commit")
        if not events:
            return
        self._commit(events, "journal.before_commit", "journal.after_soft_commit", is_barrier=False)
        self.commits.soft += 1

    def append_barrier(self, events: Sequence[Event]) -> None:
        """Journal facts in a commit that has reached the disk when this returns; covers all soft commits before it."""
        if not events:
            raise ValueError("a barrier must write at least one row: a commit that changes nothing syncs nothing")
        self._commit(events, "journal.before_barrier", "journal.after_barrier", is_barrier=True)
        self.commits.barrier += 1

    def _commit(self, events: Sequence[Event], before: str, after: str, *, is_barrier: bool) -> None:
        self._refuse_broken()
        encoded = [encode(event) for event in events]
        for event in events:
            check_exact(event)
        with self._failing("appending facts"):
            rows = self._fold(events, encoded)
            self._store(rows, before, is_barrier=is_barrier)
        crashpoints.point(after)

    def _store(self, rows: Sequence[Row], before: str, *, is_barrier: bool) -> None:
        """Write these facts with their shadow and move the head, in one transaction."""
        with self._transaction(is_barrier=is_barrier):
            self._advance(rows[-1][1], rows[-1][-1], is_barrier=is_barrier)
            if self._packing is None:
                self._raw.executemany(INSERT_EVENT, rows)
            else:
                self._packing.add_facts(rows)
            self._shadow.write(self._raw, self.state)
            crashpoints.point(before)
            self._raw.execute("COMMIT")

    def _fold(self, events: Sequence[Event], encoded: Sequence[Encoded]) -> list[Row]:
        """Fold the facts and link them to the chain: the rows to be written, the last one the new head."""
        now = self._clock.now()
        at = to_instant(now)
        seq, previous = self._head.seq, self._head.hash
        rows = []
        for event, parts in zip(events, encoded, strict=True):
            seq += 1
            fact = Recorded(seq=seq, at=now, event=event)
            self.state.apply(fact)
            self._shadow.note(self.state, fact, parts.cycle_id)
            version = self._version(parts.cycle_id)
            stored = (seq, at, parts.cycle_id, version, parts.cl_ord_id, parts.symbol, parts.kind, parts.data)
            previous = link(previous, self._account, stored)
            rows.append((self._account, *stored, previous))
        return rows

    def _advance(self, seq: int, link_hash: bytes, *, is_barrier: bool) -> None:
        """Move the head, if it and the fence are still what this process believes."""
        head, fence = self._head, self.lease.fence
        named = (self._account, head.seq, head.hash, self._account, fence)
        if is_barrier:
            done = self._raw.execute(_ADVANCE_BARRIER, (seq, link_hash, seq, link_hash, *named))
        else:
            done = self._raw.execute(_ADVANCE, (seq, link_hash, *named))
        if done.rowcount != 1:
            raise fence_lost(self._raw, self._account, fence)
        self._moved(seq, link_hash, is_barrier=is_barrier)

    def _moved(self, seq: int, link_hash: bytes, *, is_barrier: bool) -> None:
        covered = (seq, link_hash) if is_barrier else (self._head.barrier_seq, self._head.barrier_hash)
        self._head = Head(seq=seq, hash=link_hash, barrier_seq=covered[0], barrier_hash=covered[1])

    def _version(self, cycle_id: str | None) -> int | None:
        """Place of the fact just applied among those of its cycle."""
        if cycle_id is None:
            return None
        cycle = self.state.cycle
        if cycle is not None and cycle.cycle_id == cycle_id:
            return cycle.version
        if cycle_id not in self._versions:
            self._versions[cycle_id] = loading.last_version(self._connection, cycle_id, self._account)
        self._versions[cycle_id] += 1
        return self._versions[cycle_id]

    def renew(self) -> None:
        """Push the lease's expiry out when a third of it has passed; a soft commit, cheap to call often."""
        self._refuse_broken()
        if not self._lease_row.is_due():
            return
        with self._writing("renewing the lease", is_barrier=False):
            self._lease_row.renew(self._raw, self.lease.fence)
            self._raw.execute("COMMIT")

    def note_tasks(self, tasks: Sequence[TaskHealth]) -> None:
        """Write down how these tasks go, in a soft commit that renews the lease as well; see ``oms.ports.Journal``."""
        with self._writing("writing down how the tasks go", is_barrier=False):
            self._lease_row.renew(self._raw, self.lease.fence)
            write_tasks(self._raw, self._account, tasks)
            self._raw.execute("COMMIT")

    def keep_config(self, config_hash: str, canonical: str) -> None:
        """Keep a whole effective configuration under its hash; the barrier that opens its cycle covers it.

        Raises:
            DamagedError: another configuration is already kept under this hash.
        """
        known = self.config(config_hash)
        if known == canonical:
            return
        if known is not None:
            raise DamagedError(f"another configuration is kept under {config_hash}; one of them was changed by hand")
        with self._writing("keeping the configuration", is_barrier=False):
            values = (config_hash, canonical, to_instant(self._clock.now()), self._account, self.lease.fence)
            if self._raw.execute(_KEEP_CONFIG, values).rowcount != 1:
                raise fence_lost(self._raw, self._account, self.lease.fence)
            self._raw.execute("COMMIT")
        self._configs[config_hash] = canonical

    # Reading

    def config(self, config_hash: str) -> str | None:
        """A configuration by its hash."""
        self._refuse_broken()
        if config_hash not in self._configs:
            with self._failing("reading a configuration"):
                sql = "SELECT canonical FROM configs WHERE config_hash = ?"
                row = self._raw.execute(sql, (config_hash,)).fetchone()
            if row is None:
                return None
            self._configs[config_hash] = row[0]
        return self._configs[config_hash]

    def known_numbers(self, order_nos: Collection[str]) -> dict[str, str]:
        """Those of these reserved numbers that belong to an order of this journal, with its ``cl_ord_id``."""
        self._refuse_broken()
        known = {**self._numbers, **{o.order_no: o.cl_ord_id for o in self.state.orders if o.order_no is not None}}
        found = {number: known[number] for number in order_nos if number in known}
        rest = [number for number in order_nos if number not in found]
        if rest:
            with self._failing("looking orders up"):
                found.update(self._look_up(rest))
        self._numbers = found or self._numbers
        return found

    def _look_up(self, order_nos: Collection[str]) -> dict[str, str]:
        return recalling.known_numbers(self._raw, self._account, order_nos)

    def recalled(self, cl_ord_ids: Collection[str]) -> dict[str, Order]:
        """Those of these orders, of any age, that this journal has, by our own key; in two questions, however many."""
        self._refuse_broken()
        with self._failing("looking earlier orders up"):
            return recalling.recall_orders(self._connection, self._account, cl_ord_ids)

    def _recall(self, cl_ord_id: str) -> Order | None:
        with self._failing("looking an earlier order up"):
            return recalling.recall_order(self._connection, cl_ord_id, self._account)

    @property
    def head(self) -> Head:
        """The end of the chain as this process wrote it."""
        return self._head

    @property
    def connection(self) -> Connection:
        """The kept connection: for readers of a journal in memory, which no second connection can see."""
        return self._connection

    # Quiet moments and the end

    def tidy(self) -> None:
        """At a quiet moment: mark what texts the newest facts hold, and anchor the head when the last anchor is old."""
        self._refuse_broken()
        self._mark_texts()
        if self._clock.elapsed() - self._anchored_at >= ANCHOR_INTERVAL.total_seconds():
            self.anchor()

    def _mark_texts(self) -> None:
        """Say of the next full blocks of facts what texts they hold; a search reads the others."""
        for _ in range(marks.BLOCKS_AT_ONCE):
            if (self._next_mark + 1) * marks.BLOCK > self._head.seq:
                return
            with self._writing("marking texts", is_barrier=False):
                marks.keep_next(self._raw, self._account)
                self._raw.execute("COMMIT")
            self._next_mark += 1

    def anchor(self) -> None:
        """Write down outside the database the newest head that a barrier has covered."""
        self._refuse_broken()
        if self._anchors is None or not self._head.barrier_seq:
            return
        file = self._anchors
        known = anchors.last(file, self._account)
        self._anchored_at = self._clock.elapsed()
        if known is None or known.seq < self._head.barrier_seq:
            found = self._head
            anchors.add(
                file,
                anchors.Anchor(
                    account=self._account, seq=found.barrier_seq, hash=found.barrier_hash.hex(), at=self._clock.now()
                ),
            )

    def _check_anchor(self, head: Head) -> None:
        anchor = None if self._anchors is None else anchors.last(self._anchors, self._account)
        if anchor is None:
            return
        sql = "SELECT hash FROM events WHERE account = ? AND seq = ?"
        row = self._raw.execute(sql, (self._account, anchor.seq)).fetchone()
        if row is None:
            if self._raw.execute(_ARCHIVED, (self._account, anchor.seq)).fetchone() is not None:
                return  # `journal verify` compares it with the archive, which a start does not need
            raise DamagedError(
                f"{self._where} ends at row {head.seq}, but row {anchor.seq} was anchored at {anchor.at:%Y-%m-%d %H:%M}: "
                "its tail was cut off; restore the newest backup and reconcile with the broker"
            )
        if row[0].hex() != anchor.hash:
            raise DamagedError(
                f"{self._where}: row {anchor.seq} is not the one anchored at {anchor.at:%Y-%m-%d %H:%M}: the journal "
                "was rewritten or replaced; run `journal verify`"
            )

    def close(self) -> None:
        """Give back the lease and anchor the head; after a failure only the connection is closed."""
        if self._closed:
            return
        self._closed = True
        if self._broken:
            return
        try:
            self.anchor()
        finally:
            crashpoints.point("lease.before_release")
            with self._writing("giving the lease back", is_barrier=False):
                self._lease_row.release(self._raw, self.lease.fence)
                self._raw.execute("COMMIT")
            self._broken = "this journal is closed"
            self._let_go()

    # Failure

    def _refuse_broken(self) -> None:
        if self._broken:
            raise StorageError(f"{self._where}: {self._broken}")

    @contextmanager
    def _writing(self, doing: str, *, is_barrier: bool) -> Iterator[None]:
        """A write transaction that the block must commit; whatever fails in it ends the use of this object."""
        self._refuse_broken()
        with self._failing(doing), self._transaction(is_barrier=is_barrier):
            yield

    @contextmanager
    def beside_the_chain(self, doing: str) -> Iterator[None]:
        """A barrier on tables that hold no facts, under the lease; it is committed where the block ends well.

        Raises:
            FenceLostError: another process took the lease; nothing was written.
        """
        with self._writing(doing, is_barrier=True):
            held = self._raw.execute(_HELD, (self._account, self.lease.fence)).fetchone()
            if held is None:
                raise fence_lost(self._raw, self._account, self.lease.fence)
            yield
            self._raw.execute("COMMIT")

    @contextmanager
    def _failing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._break(f"an earlier failure ({error}) ended its use")
            meaning = self._meaning(error, doing)
            if meaning is None:
                raise
            raise meaning from error
        except BaseException as error:
            self._break(f"an earlier failure ({error}) ended its use")
            raise

    def _break(self, why: str) -> None:
        """Let go of the connection at once: its locks, and the transaction that is now in doubt."""
        if self._broken:
            return
        self._broken = why
        self._drop()

    def _let_go(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()

    def _drop(self) -> None:
        # Closes the driver's connection, which undoes what was not committed, without a word to the database before.
        self._connection.invalidate()
        self._let_go()
