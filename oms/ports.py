"""The sockets of the house: what the engine needs of a broker, a market, a memory, a clock and of threads.

Every adapter of a port passes the contract suite of that port under ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from oms.model.account import Funds, Position, Quote, Session
from oms.model.event import Event
from oms.model.order import BrokerOrder, Order, OrderRequest
from oms.model.signal import Signal
from oms.model.state import AccountState
from oms.model.task import TaskHealth

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a broker is proven to do for this class of account."""

    reserves_numbers: bool
    """It hands out an order number before the act."""
    refuses_repeats: timedelta | None
    """For how long after the first request a repeated number is refused; None where that is not proven."""
    reports_executions: bool
    """Orders carry every execution with its id; otherwise only cumulative figures."""
    currency: str
    """Currency of the account's funds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersRead:
    """One reading of the broker's orders."""

    orders: tuple[BrokerOrder, ...]
    complete: bool
    """Every page and every state since the asked instant was read."""
    asked_at: datetime
    """Instant before the reading began, aware UTC."""


class Broker(Protocol):
    """The outside party that holds the money and trades.

    Reads raise :class:`oms.errors.BrokerUnavailable` when they did not succeed; nothing follows from that.
    Every method may be called from any thread.
    """

    name: str
    capabilities: Capabilities

    def reserve(self, count: int) -> list[str]:
        """Obtain ``count`` order numbers, harmless to lose."""
        ...

    def place(self, order: OrderRequest) -> str:
        """Send one order, exactly one request on the wire; answer the broker's ``order_id``.

        Raises:
            NotSent: proof that nothing left this machine.
            Refused: the broker's definite answer, on the adapter's allow-list.
            InDoubt: anything else that the adapter knows; any other exception means the same.
        """
        ...

    def cancel(self, order_no: str, order_id: str | None) -> None:
        """Ask for the rest of an order to be cancelled; answering means the request arrived, no more.

        Raises:
            SendError: as in :meth:`place`; a cancel may always be asked for again.
        """
        ...

    def orders(self, since: datetime) -> OrdersRead:
        """Every order of the account made at or after ``since``, whoever made it, in every state."""
        ...

    def order(self, order_no: str) -> BrokerOrder | None:
        """The order with this reserved number; None when the broker does not show it (which proves nothing)."""
        ...

    def funds(self) -> Funds: ...

    def positions(self) -> list[Position]: ...

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """The broker's quote of each symbol it knows; an unknown symbol is absent."""
        ...

    def stirred(self) -> bool:
        """Whether the broker has said since the last call that something changed: a hint to look now, never an answer."""
        return False  # most brokers never say anything of their own accord

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One completed trading day of one symbol. Prices are exact; a screen may turn them into floats."""

    day: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSet:
    """Daily bars per symbol, oldest first, all of them up to and including ``as_of``."""

    as_of: date
    bars: Mapping[str, Sequence[Bar]]
    problems: Mapping[str, str]
    """Symbol to the reason why it has no usable bars: missing, stale, or not believable."""
    is_live: bool = False
    """Whether asking later may bring what is missing now; a replayed day has said all it knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySight:
    """What a user's own strategy may look at when it chooses."""

    day: date
    """The trading day it chooses for; no bar is of this day or later."""
    universe: tuple[str, ...]
    """The symbols of ``selection.universe``, in its order."""
    bars: BarSet
    """Daily bars of the universe and of what is held, and why a symbol has none."""
    held: Mapping[str, Decimal]
    """Shares that the journal says are held."""


class Strategy(Protocol):
    """A user's own choice: a plain function, run in a thread of its own at each selection.

    It must not trade, wait or remember. Blacklist, caps, funds and every other rule are the engine's, and are met by its
    wishes as by any other.
    """

    def __call__(self, sight: StrategySight, /) -> Iterable[Signal]:
        """The wishes of the next cycle: sells first in their order, buys in the order of their scores.

        Raises:
            Exception: nothing is chosen; the error's text is shown as why.
        """
        ...


class Market(Protocol):
    """Market time and prices: the trading day, its quotes, and the history before it."""

    name: str
    skips_nights: bool
    """Its days are played one after the other, so nights and the worker's interval pass at once; False where its time
    is the world's."""

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        """The session to trade now: that of ``open_day`` while a cycle of it is open, else the first after ``last_day``.

        A live market answers the session of its own clock whatever is asked. None: no session is left (end of the
        data), or none is known.
        """
        ...

    def session(self) -> Session | None:
        """The session that was entered last; None before the first."""
        ...

    def time(self) -> datetime:
        """Market time, aware UTC."""
        ...

    def knows(self, symbol: str) -> bool:  # noqa: ARG002 - for those that can tell
        """Whether this source has ever heard of the symbol; may be asked before a day is entered."""
        return True  # a source that cannot tell refuses nothing

    def notice(self) -> str | None:
        """A sentence for a person where the source itself has come to an end, as a calendar does; None while it has not."""
        return None

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]: ...

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        """Low and high of the current trading day where the source already knows them (a replay); else None."""
        ...

    def bars(self, symbols: Sequence[str]) -> BarSet:
        """History up to the last completed session before the current one: never a look ahead."""
        ...


class Clock(Protocol):
    """Real time, and waiting for it."""

    def now(self) -> datetime:
        """Aware UTC; may jump."""
        ...

    def elapsed(self) -> float:
        """Seconds on a clock that only goes forward and counts suspension."""
        ...

    def sleep(self, seconds: float) -> None: ...


class Handle(Protocol[R_co]):
    """A call under way."""

    def done(self) -> bool: ...

    def result(self) -> R_co:
        """The answer, or the exception the call ended with."""
        ...


class Hands(Protocol):
    """Threads that carry bytes: they run calls to the outside and know nothing else."""

    def start(self, call: Callable[[], T]) -> Handle[T]: ...

    def wait(self, handles: Sequence[Handle[Any]], timeout: float) -> None:
        """Return when at least one of ``handles`` is done or ``timeout`` seconds have passed."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write one account's journal."""

    fence: int
    """Grows with every holder; a write under an older one fails."""
    restart_token: str
    """Changes when soft commits may have been lost: a restart of the machine."""
    host: str
    pid: int


class Journal(Protocol):
    """The one door through which an account's state is written. One process, one thread."""

    state: AccountState
    lease: Lease

    def append(self, events: Sequence[Event]) -> None:
        """Journal facts in a soft commit: they survive kill -9 but not a power cut until the next barrier.

        Raises:
            ValueError: a fact among them must not be in a soft commit (``order_reserved``).
            FenceLostError: another process took the lease; nothing was written.
            StorageError: the database failed; end, and let a fresh start read what is there.
        """
        ...

    def append_barrier(self, events: Sequence[Event]) -> None:
        """Journal facts in a commit that has reached the disk when this returns; covers all soft commits before it."""
        ...

    def renew(self) -> None:
        """Push the lease's expiry out when a third of it has passed; cheap to call often."""
        ...

    def known_numbers(self, order_nos: Collection[str]) -> Mapping[str, str]:
        """Those of these reserved numbers that belong to an order of this journal, of any age, with its ``cl_ord_id``."""
        ...

    def recalled(self, cl_ord_ids: Collection[str]) -> Mapping[str, Order]:
        """Those of these orders, of any age, that this journal has, by our own key."""
        recall = self.state.recall
        found = {} if recall is None else {key: recall(key) for key in cl_ord_ids}
        return {key: order for key, order in found.items() if order is not None}

    def note_tasks(self, tasks: Sequence[TaskHealth]) -> None:
        """Write down how these tasks go, for readers, beside the chain; a soft commit that proves the fence.

        A journal that no other process reads keeps nothing of it.
        """
        del tasks

    def keep_config(self, config_hash: str, canonical: str) -> None:
        """Keep a whole effective configuration under its hash; durable no later than the cycle that names it."""
        ...

    def config(self, config_hash: str) -> str | None: ...

    def tidy(self) -> None:
        """At a quiet moment: fold the write-ahead log into the database when it has grown."""
        ...

    def close(self) -> None:
        """Give back the lease."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An operator's command waiting in the mailbox."""

    inbox_id: int
    at: datetime
    author: str
    command: str
    """halt, release, live_disarm, blacklist_add, blacklist_remove, resolve, unfreeze; nothing here can arm."""
    arguments: Mapping[str, str]


class Mailbox(Protocol):
    """Where operators' commands wait for the one process that writes the journal."""

    def unread(self, after: int) -> list[Message]:
        """Commands with an id above ``after``, oldest first; nearly free when there is none."""
        ...

    def taken(self, inbox_id: int, answer: str) -> None:
        """Say that the command is journaled, with the answer for its author."""
        ...

    def close(self) -> None: ...


class Follower(Protocol):
    """Work beside the trading, such as telling a person: supervised by the engine, and never waited for.

    It reads what it needs by itself, the journal through a connection of its own that can only read. Whatever it does,
    hangs in or raises delays no order: each round runs in a thread of its own.
    """

    name: str
    """Under which ``status`` shows how it goes, such as ``notification``."""
    interval: timedelta
    """From the beginning of one round to that of the next; after failures it grows."""

    def step(self) -> str:
        """One round; what it did, as a sentence for ``status``.

        Raises:
            Exception: it did not go well; the error's text is shown, and the next round comes later.
        """
        ...

    def close(self) -> None:
        """The engine ends: let go of what is open. A round may still be under way."""


class Watcher(Protocol):
    """Told what happens as it happens; it may look, never act, and what it raises ends the process."""

    def happened(self, state: AccountState, events: Sequence[Event]) -> None:
        """These facts are in the journal now."""
        ...

    def waiting(self, state: AccountState, why: str) -> None:
        """Nothing to do for a moment, and why; said at every look, the same sentence many times."""
        ...
