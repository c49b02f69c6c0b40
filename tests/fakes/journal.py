"""A journal in memory that honours the promises of the real one: fold, unique keys, no intent in a soft commit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oms.model.event import CycleOpened, Event, OrderFilled, OrderReserved, Recorded
from oms.model.order import Order
from oms.model.state import AccountState
from oms.model.task import TaskHealth
from oms.ports import Clock, Journal, Lease, Mailbox, Message


class MemoryJournal(Journal):
    """Facts survive in ``rows``; a new process is :meth:`reborn`, which folds them afresh under a higher fence."""

    def __init__(self, clock: Clock, account: str = "test", *, token: str = "boot-1", fence: int = 1) -> None:
        self.state = AccountState(account)
        self.lease = Lease(fence=fence, restart_token=token, host="here", pid=100 + fence)
        self.rows: list[Recorded] = []
        self.durable = 0
        """Rows that a barrier has covered."""
        self.commits: list[tuple[str, tuple[Event, ...]]] = []
        self.configs: dict[str, str] = {}
        self.tasks: dict[str, TaskHealth] = {}
        """How each supervised task goes, as it was told last."""
        self._clock = clock
        self._numbers: dict[str, str] = {}
        self._executions: set[str] = set()
        self._earlier: dict[str, Order] = {}
        self.state.recall = self._earlier.get

    def reborn(self, *, token: str | None = None, lose_soft_commits: bool = False) -> MemoryJournal:
        """What the next process finds; after a power cut only what a barrier has covered."""
        child = MemoryJournal(
            self._clock,
            self.state.account,
            token=token or self.lease.restart_token,
            fence=self.lease.fence + 1,
        )
        kept = self.rows[: self.durable] if lose_soft_commits else self.rows
        for row in kept:
            child._take_in(row)
        child.durable = len(kept)
        child.configs = dict(self.configs)
        return child

    def append(self, events: Sequence[Event]) -> None:
        if any(isinstance(event, OrderReserved) for event in events):
            raise ValueError("an intent is never in a soft commit")
        self._write("soft", events)

    def append_barrier(self, events: Sequence[Event]) -> None:
        if not events:
            raise ValueError("a barrier writes at least one row")
        self._write("barrier", events)
        self.durable = len(self.rows)

    def _write(self, how: str, events: Sequence[Event]) -> None:
        for event in events:
            self._take_in(Recorded(seq=self.state.seq + 1, at=self._clock.now(), event=event))
        self.commits.append((how, tuple(events)))

    def _take_in(self, row: Recorded) -> None:
        event = row.event
        if isinstance(event, OrderReserved):
            holder = self._numbers.setdefault(event.order_no, event.cl_ord_id)
            assert holder == event.cl_ord_id, f"number {event.order_no} for two orders"
        if isinstance(event, OrderFilled):
            assert event.exec_id not in self._executions, f"execution {event.exec_id} booked twice"
            self._executions.add(event.exec_id)
        if isinstance(event, CycleOpened):
            self._earlier.update({order.cl_ord_id: order for order in self.state.orders})
        self.state.apply(row)
        self.rows.append(row)

    @property
    def events(self) -> list[Event]:
        return [row.event for row in self.rows]

    @property
    def kinds(self) -> list[str]:
        return [row.event.kind for row in self.rows]

    def renew(self) -> None:
        """A lease in memory does not run out."""

    def known_numbers(self, order_nos: Collection[str]) -> dict[str, str]:
        return {number: self._numbers[number] for number in order_nos if number in self._numbers}

    def keep_config(self, config_hash: str, canonical: str) -> None:
        self.configs[config_hash] = canonical

    def config(self, config_hash: str) -> str | None:
        return self.configs.get(config_hash)

    def note_tasks(self, tasks: Sequence[TaskHealth]) -> None:
        self.tasks.update({task.name: task for task in tasks})

    def tidy(self) -> None:
        """Nothing to fold."""

    def close(self) -> None:
        """Nothing to give back."""


class MemoryMailbox(Mailbox):
    """Operators' commands that a test writes."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.answers: dict[int, str] = {}

    def post(self, clock: Clock, command: str, author: str = "ann", **arguments: str) -> int:
        inbox_id = len(self.messages) + 1
        message = Message(inbox_id=inbox_id, at=clock.now(), author=author, command=command, arguments=arguments)
        self.messages.append(message)
        return inbox_id

    def unread(self, after: int) -> list[Message]:
        return [message for message in self.messages if message.inbox_id > after]

    def taken(self, inbox_id: int, answer: str) -> None:
        self.answers[inbox_id] = answer

    def close(self) -> None:
        """Nothing is open."""
