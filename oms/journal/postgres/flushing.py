"""Barriers that share one flush of the server's log: many accounts in one process wait for the disk together.

A shared barrier is committed like a soft commit, and returns only when the disk is known to have it. Either a later
transaction, one for all that wait, was committed durably by the same server: it writes a record into the log, so its commit
brings everything before it to the disk, and to the standby where the server waits for one. Or somebody else's flush,
of another process or of the server's own log writer, has passed the place in the log at which the barrier was committed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import URL, Connection

from oms.errors import RefusedError, StorageError
from oms.journal.postgres.address import writers
from oms.journal.postgres.driver import over
from oms.journal.postgres.exchange import text_of

LONGEST_S = 0.3
"""Seconds that a barrier waits at most for others to join it.

A little more than the server's own log writer (``wal_writer_delay``) lets pass between two flushes, which then cover nearly
all of them; docs/scale.md has the measurement.
"""
LATELY_S = 1.0
"""It waits for nobody where no other account had a barrier in so many seconds.

Those that are released together come together again, with a pause between.
"""
LOOK_S = 0.02
"""Seconds between two looks how far the log has come."""
IDLE_S = 0.06
"""Seconds over which is seen whether this process computes: where it does not, nobody else is on the way."""
IDLE = 0.05
"""Share of a processor below which it does not. Many processes that crowd a machine each have little of it."""
DURABLE = ("on", "remote_write", "remote_apply")
"""Values of ``synchronous_commit`` under which a commit waits for the disk."""

_ASK = (
    "WITH here AS MATERIALIZED (SELECT pg_current_wal_insert_lsn() AS lsn),"
    " known AS MATERIALIZED (SELECT lsn, pg_current_wal_flush_lsn() AS flushed,"
    " current_setting('synchronous_standby_names') <> '' AS elsewhere FROM here),"
    " written AS MATERIALIZED (SELECT *, CASE WHEN $1::boolean AND (elsewhere OR flushed < coalesce($2::pg_lsn, lsn))"
    " THEN pg_logical_emit_message(true, 'oms', '') END IS NOT NULL AS is_forced FROM known)"
    " SELECT t.token, current_setting('synchronous_commit'), is_forced::int, lsn - '0/0'::pg_lsn,"
    " CASE WHEN elsewhere THEN 0 ELSE flushed - '0/0'::pg_lsn END FROM written, restart_token t"
)
"""Whether to flush, unless the disk has what is before that place or, with none, before here.

The place up to which everything is written is read before the one up to which the disk has it. Where a standby must have a
commit as well, the disk of this server alone proves nothing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said to one question."""

    token: str
    """Its restart token."""
    is_forced: bool
    """The question was a durable commit: all that was committed before it is on the disk."""
    written: int
    """All that was committed before the question is in the log before this place."""
    flushed: int
    """The log is on the disk up to this place."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiter:
    """One barrier that waits for the disk."""

    token: str
    until: float
    """Time by which it wants a flush of its own."""
    mark: int | None = None
    """Place in the log before which it was committed; None until the server was asked after it came."""
    is_over: bool = False
    failure: Exception | None = None
    bell: threading.Event = field(default_factory=threading.Event)


class Flusher:
    """What the accounts share that this process has open in one database."""

    def __init__(self, server: URL, schema: str) -> None:
        self._where = server, schema
        self._kept: Connection | None = None
        self._guard = threading.Lock()
        self._open = 0
        """Accounts that may have a barrier."""
        self._crowd: list[_Waiter] = []
        """Who waits, in the order in which they came."""
        self._leader: _Waiter | None = None
        """The one of them that asks the server for all."""
        self._came: dict[object, float] = {}
        """When each account came last, the newest at the end."""

    @property
    def is_shared(self) -> bool:
        """More than one account is open, so that waiting for each other may spare a flush."""
        return self._open > 1

    def enter(self) -> None:
        """One more account is open."""
        with self._guard:
            self._open += 1

    def leave(self, who: object) -> None:
        """One account less; with the last one the connection is given back."""
        with self._guard:
            self._open -= 1
            self._came.pop(who, None)
            self._tell_leader()
            if self._open == 0 and self._kept is not None and self._leader is None:
                self._kept.close()
                self._kept = None

    def count_in(self) -> None:
        """Let the server's statistics hold what this connection did, which it else tells them only now and then."""
        if self._kept is not None:
            self._kept.exec_driver_sql("SELECT pg_stat_force_next_flush()")

    def cover(self, token: str, who: object) -> None:
        """Return when all that was committed before is on the disk of the server that has this restart token.

        Raises:
            StorageError: it is not known to be, so what was committed is in doubt.
        """
        with self._guard:
            me = _Waiter(token=token, until=self._patience(who))
            self._crowd.append(me)
            if self._leader is None:
                self._leader = me
            else:
                self._tell_leader()
        try:
            while not me.is_over:
                if self._leader is me:
                    self._lead(me)
                else:
                    me.bell.wait()
                    me.bell.clear()
        finally:
            self._hand_on(me)
        if me.failure is not None:
            raise me.failure

    def _patience(self, who: object) -> float:
        """Time until which this account waits for others: not at all where none of them came lately."""
        now = time.monotonic()
        self._came.pop(who, None)
        others = next(reversed(self._came.values()), None)
        self._came[who] = now
        return now + LONGEST_S if others is not None and now - others < LATELY_S else now

    def _tell_leader(self) -> None:
        """Nobody is left who could come: the one that waits for them need not."""
        if self._leader is not None and self._all_are_here():
            self._leader.bell.set()

    def _all_are_here(self) -> bool:
        return len(self._crowd) >= self._open

    def _hand_on(self, me: _Waiter) -> None:
        """Whatever ended it, it waits no more, and leads nobody."""
        with self._guard:
            if me in self._crowd:
                self._crowd.remove(me)
            if self._leader is me:
                self._leader = self._crowd[0] if self._crowd else None
                if self._leader is not None:
                    self._leader.bell.set()

    def _lead(self, me: _Waiter) -> None:
        """Ask the server for all that wait, until it is known of this one."""
        self._await_others(me)
        if not me.is_over:
            # Where all are here each shall be covered; else who came last may still wait for others.
            self._ask_for_all(force=True, beyond=None if self._all_are_here() else me.mark)

    def _await_others(self, me: _Waiter) -> None:
        """Until all are here, or the time is over, or this process has nothing else to do."""
        spent, since = time.process_time(), time.monotonic()
        while not self._all_are_here() and (left := me.until - time.monotonic()) > 0:
            self._ask_for_all(force=False, beyond=None)
            if me.is_over:
                return
            if me.bell.wait(min(left, LOOK_S)):
                me.bell.clear()
                continue
            passed = time.monotonic() - since
            if passed >= IDLE_S:
                computed = time.process_time() - spent
                if self._is_idle(computed, passed):
                    return
                spent, since = spent + computed, since + passed

    def _is_idle(self, computed: float, passed: float) -> bool:
        """Nobody in this process computes, so nobody is on the way to a barrier."""
        return computed < IDLE * passed

    def _ask_for_all(self, *, force: bool, beyond: int | None) -> None:
        """One question for all that wait by now; each of them is told what it means to it."""
        with self._guard:
            asking = list(self._crowd)
        try:
            found: Answer | Exception = self._ask(force=force, beyond=beyond)
        except Exception as error:  # noqa: BLE001  # each that waits is told, in its own words
            found = error
        with self._guard:
            for each in asking:
                self._judge(each, found)
            self._crowd = [each for each in self._crowd if not each.is_over]
            for each in asking:
                if each.is_over:
                    each.bell.set()

    @staticmethod
    def _judge(each: _Waiter, found: Answer | Exception) -> None:
        """What an answer means to one that had come before the question."""
        if isinstance(found, Exception):
            each.failure = StorageError(f"the server's log was not brought to the disk: {found}")
            each.failure.__cause__ = found
            each.is_over = True
            return
        if found.token != each.token:
            each.failure = StorageError("the server has recovered from a crash since this account was loaded")
            each.is_over = True
            return
        if each.mark is None:
            each.mark = found.written
        each.is_over = found.is_forced or each.mark <= found.flushed

    def _ask(self, *, force: bool, beyond: int | None) -> Answer:
        """One exchange; with ``force`` it is a durable commit, unless the disk has the log up to ``beyond``."""
        if self._kept is None:
            self._kept = writers(*self._where).connect()
        try:
            place = None if beyond is None else f"{beyond >> 32:X}/{beyond & 0xFFFFFFFF:X}"
            values = (text_of("true" if force else "false"), text_of(place))
            found = over(self._kept.connection.driver_connection).exchange(_ASK, values)
            if found.ntuples != 1:
                raise StorageError("the server has recovered from a crash since it was last asked")
            token, commit, is_forced, written, flushed = (
                (found.get_value(0, column) or b"").decode() for column in range(5)
            )
            if commit not in DURABLE:
                raise RefusedError(f"a barrier would not reach the disk: synchronous_commit is {commit}")
            return Answer(token=token, is_forced=is_forced == "1", written=int(written), flushed=int(flushed))
        except BaseException:
            self._kept.invalidate()
            self._kept.close()
            self._kept = None
            raise


@cache
def flusher_of(server: URL, schema: str) -> Flusher:
    """The one of this process for a database."""
    return Flusher(server, schema)
