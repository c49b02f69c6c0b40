"""The vocabulary between deciding and performing: what was seen, and what is to be done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from oms.model.account import Funds, Position, Quote, Session
from oms.model.event import Event
from oms.model.order import Order
from oms.ports import Capabilities, OrdersRead


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a process knows besides the journal; gone with the process, and never needed to resume."""

    now: datetime
    """Real time."""
    market_time: datetime
    session: Session | None
    """The exchange's current trading day; None: closed."""
    fence: int
    restart_token: str
    host: str
    pid: int
    capabilities: Capabilities
    patient: bool
    """Wait for a person (``--loop``) instead of ending (``--once``)."""
    started_at: datetime
    read: OrdersRead | None = None
    """A reading of the broker's orders whose facts are not journaled yet."""
    known: Mapping[str, str] = field(default_factory=dict)
    """Reserved numbers in ``read`` that belong to orders of this journal, of any age, with their ``cl_ord_id``."""
    older: Mapping[str, Order] = field(default_factory=dict)
    """Those of them that are out of memory, by reserved number."""
    asked_at: datetime | None = None
    """Instant before the last complete reading whose facts are journaled."""
    funds: Funds | None = None
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    quotes_at: datetime | None = None
    """Instant before the quotes were asked for."""
    positions: Mapping[str, Position] | None = None
    positions_at: datetime | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)
    """``cl_ord_id`` to an order number the broker has handed out and nobody has journaled."""
    troubled_since: datetime | None = None
    """Since when the broker could not be asked."""
    trouble: str = ""
    retry_at: datetime | None = None
    """Before this instant nothing is tried again that just failed."""
    stirred: bool = False
    """The broker has said, since the last reading of it began, that something changed there."""
    plays_days: bool = False
    """The market's days are only played: the next one may be entered at once."""
    paused: bool = False
    """A halt was waited for in this process: unsent orders are looked at afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Obtain an order number for each of these orders."""

    cl_ord_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Place these orders, in parallel and within the rate limit."""

    cl_ord_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Ask for the rest of these orders to be cancelled."""

    cl_ord_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Read the broker's orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFunds:
    """Read the account's money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Read orders, positions and funds, and the quotes of these symbols, all at once."""

    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDay:
    """Let a market that only plays days enter its next one: the cycle waits for money that settles then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do before this instant."""

    until: datetime
    why: str
    """One sentence for whoever asks what the engine waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End with the cycle open."""

    exit_code: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """No cycle is open."""


Command = Reserve | Send | Cancel | Ask | ReadFunds | Look | NextDay | Wait | Stop | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Facts to journal first, then the one thing to do; with no command, decide again from the new facts."""

    events: tuple[Event, ...] = ()
    then: Command | None = None
