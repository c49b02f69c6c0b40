"""A journal that is a list: the promises of the real one without its database, so that many more worlds fit into an hour.

Its lease is taken, renewed, lost and fenced off as in :mod:`oms.journal.lease`, and it passes the same crash points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from oms import crashpoints
from oms.errors import FenceLostError, LeaseHeldError, StorageError
from oms.journal.codec import encode
from oms.journal.machine import ProcessInfo
from oms.model.cycle import ImpossibleFact
from oms.model.event import CycleOpened, Event, OrderFilled, OrderReserved, Recorded
from oms.model.order import Order
from oms.model.state import AccountState
from oms.ports import Clock, Journal, Lease


class Chain:
    """What outlives the processes: rows, who holds them, and how much of them is on the disk."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.rows: list[Recorded] = []
        self.durable = 0
        """Rows that a barrier has covered."""
        self.ends: list[int] = []
        """Rows at the end of each soft commit since the last barrier."""
        self.fence = 0
        self.holder: ProcessInfo | None = None
        self.expires: datetime | None = None
        self.configs: dict[str, str] = {}

    def lose(self, keep: int) -> None:
        """A power cut: only so many rows are left."""
        del self.rows[keep:]
        self.durable, self.ends = keep, []


class RamJournal(Journal):
    """One process's hold on a chain."""

    def __init__(self, chain: Chain, clock: Clock, process: ProcessInfo, span: timedelta) -> None:
        self._chain = chain
        self._clock = clock
        self._span = span
        self._broken = ""
        self._pending: list[Recorded] = []
        self._numbers: dict[str, str] = {}
        self._executions: set[str] = set()
        self._closed: dict[str, Order] = {}
        with self._failing():
            self._take(process)
        crashpoints.point("lease.after_commit")
        self.state = AccountState(chain.account)
        self.state.recall = self._closed.get
        for row in chain.rows:
            self._take_in(row)

    def _take(self, process: ProcessInfo) -> None:
        chain, now = self._chain, self._clock.now()
        holder = chain.holder
        is_gone = holder is not None and (holder.restart_token, holder.pid_namespace) == (
            process.restart_token,
            process.pid_namespace,
        )
        if holder is not None and not is_gone and chain.expires is not None and chain.expires > now:
            raise LeaseHeldError(f"process {holder.pid} holds the lease until {chain.expires}")
        crashpoints.point("lease.before_commit")
        chain.fence += 1
        chain.holder, chain.expires = process, now + self._span
        chain.durable, chain.ends = len(chain.rows), []
        self._renewed = self._clock.elapsed()
        self.lease = Lease(fence=chain.fence, restart_token=process.restart_token, host=process.host, pid=process.pid)

    # Writing

    def append(self, events: Sequence[Event]) -> None:
        if any(isinstance(event, OrderReserved) for event in events):
            raise ValueError("an intent is never in a soft commit")
        if events:
            self._commit(events, "journal.before_commit")
            self._chain.ends.append(len(self._chain.rows))
            crashpoints.point("journal.after_soft_commit")

    def append_barrier(self, events: Sequence[Event]) -> None:
        if not events:
            raise ValueError("a barrier writes at least one row")
        self._commit(events, "journal.before_barrier")
        self._chain.durable, self._chain.ends = len(self._chain.rows), []
        crashpoints.point("journal.after_barrier")

    def _commit(self, events: Sequence[Event], before: str) -> None:
        with self._failing():
            now = self._clock.now()
            self._must_hold()
            for event in events:
                encode(event)
                row = Recorded(seq=self.state.seq + 1, at=now, event=event)
                self._take_in(row)
                self._pending.append(row)
            crashpoints.point(before)
            self.keep_pending()

    def keep_pending(self) -> None:
        """What was being written is in the chain now."""
        self._chain.rows.extend(self._pending)
        self._pending = []

    def _must_hold(self) -> None:
        if self._chain.fence != self.lease.fence or len(self._chain.rows) != self.state.seq:
            raise FenceLostError(f"fence {self._chain.fence} holds the journal, ours was {self.lease.fence}")

    def _take_in(self, row: Recorded) -> None:
        event = row.event
        if isinstance(event, OrderReserved):
            holder = self._numbers.setdefault(event.order_no, event.cl_ord_id)
            if holder != event.cl_ord_id:
                raise ImpossibleFact(f"number {event.order_no} for {holder} and {event.cl_ord_id}")
        if isinstance(event, OrderFilled):
            if event.exec_id in self._executions:
                raise ImpossibleFact(f"execution {event.exec_id} is booked twice")
            self._executions.add(event.exec_id)
        if isinstance(event, CycleOpened):
            self._closed.update({order.cl_ord_id: order for order in self.state.orders})
        self.state.apply(row)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        if self._broken:
            raise StorageError(self._broken)
        try:
            yield
        except BaseException as error:
            self._broken = f"an earlier failure ({error}) ended its use"
            self._pending = []
            raise

    def renew(self) -> None:
        if self._clock.elapsed() - self._renewed < self._span.total_seconds() / 3:
            return
        with self._failing():
            if self._chain.fence != self.lease.fence:
                raise FenceLostError(f"fence {self._chain.fence} holds the journal, ours was {self.lease.fence}")
            self._chain.expires = self._clock.now() + self._span
            self._renewed = self._clock.elapsed()

    def keep_config(self, config_hash: str, canonical: str) -> None:
        self._chain.configs[config_hash] = canonical

    # Reading

    def known_numbers(self, order_nos: Collection[str]) -> dict[str, str]:
        return {number: self._numbers[number] for number in order_nos if number in self._numbers}

    def config(self, config_hash: str) -> str | None:
        return self._chain.configs.get(config_hash)

    def tidy(self) -> None:
        """Nothing to fold."""

    def close(self) -> None:
        if not self._broken:
            crashpoints.point("lease.before_release")
            if self._chain.fence == self.lease.fence:
                self._chain.expires = None
        self._broken = self._broken or "this journal is closed"
