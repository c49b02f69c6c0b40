"""Every fact the journal may hold, one frozen dataclass each; those about real money stand in :mod:`.arming`.

``kind`` is the name under which the journal stores it; ``oms.journal.codec`` turns it into canonical JSON and back.
A field that is added later needs a default, so that every journal ever written can still be read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

from oms.model.account import Balance, Funds, Position
from oms.model.detail import HaltScope, Intent, Outcome, RevalidationInputs, Score, SettledBy, Validated
from oms.model.difference import Difference, DifferenceKind
from oms.model.order import ZERO, OrdType, Side
from oms.model.settlement import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about an account."""

    kind: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEvent(Event):
    """A fact about one cycle."""

    cycle_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent(CycleEvent):
    """A fact about one order of one cycle."""

    cl_ord_id: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleOpened(CycleEvent):
    """A cycle began, with everything it was decided from."""

    kind: ClassVar[str] = "cycle_opened"
    trading_day: date
    settles: date
    closes: datetime
    """End of the trading day, market time."""
    sells: tuple[Intent, ...]
    buys: tuple[Intent, ...]
    funds: Funds
    spendable: Decimal
    fence: int
    version: str
    """Release of this program."""
    config_hash: str
    deadline: datetime
    """Absolute end of the selling phase."""
    source: str
    """Where the signals came from."""
    trade_no: int = 0
    """Orders acknowledged earlier on this trading day."""
    ledger: Ledger | None = None
    """Settled and unsettled money, and the shares that may not be sold yet, as this day's reading found them; None in
    journals older than the ledger. In the currency of ``funds``, in which this cycle trades."""
    other_ledgers: tuple[Ledger, ...] = ()
    """The account's money in other currencies, by currency; none in journals older than them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResumed(CycleEvent):
    """A process took up an open cycle."""

    kind: ClassVar[str] = "cycle_resumed"
    fence: int
    phase: str
    host: str
    pid: int
    restart_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SellsClosed(CycleEvent):
    """Every sell is closed, blocked or quarantined."""

    kind: ClassVar[str] = "sells_closed"
    proceeds: Decimal
    fees: Decimal
    unresolved: int
    """Sells parked in quarantine: with any, this cycle sends no buy."""
    deadline: datetime
    """Absolute end of the wait for the money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsSettled(CycleEvent):
    """The money is there, or the wait for it is over."""

    kind: ClassVar[str] = "funds_settled"
    by: SettledBy
    expected: Decimal
    """Spendable that would cover the booked proceeds."""
    spendable: Decimal
    """The lower of the readings used."""
    readings: tuple[Decimal, ...]
    """Spendable of each reading used, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuysRevalidated(CycleEvent):
    """The buys were cut to what fresh funds can pay; every input of the rule is here."""

    kind: ClassVar[str] = "buys_revalidated"
    rule_version: int
    inputs: RevalidationInputs
    budget: Decimal
    buys: tuple[Validated, ...]
    deadline: datetime
    """Absolute end of the buying phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuysClosed(CycleEvent):
    """Every buy is closed, blocked or quarantined; the cycle is done."""

    kind: ClassVar[str] = "buys_closed"
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleAborted(CycleEvent):
    """The cycle sends nothing more and walks to its end; its outcome will be ``aborted``."""

    kind: ClassVar[str] = "cycle_aborted"
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlanned(OrderEvent):
    """An intent was written down; nothing was sent."""

    kind: ClassVar[str] = "order_planned"
    side: Side
    index: int
    ord_type: OrdType
    order_qty: int
    price: Decimal | None
    worst_px: Decimal
    score: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBlocked(OrderEvent):
    """Refused by one of our own checks."""

    kind: ClassVar[str] = "order_blocked"
    rule: str
    limit: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReserved(OrderEvent):
    """The broker's number and every field that will travel; never in a soft commit."""

    kind: ClassVar[str] = "order_reserved"
    order_no: str
    side: Side
    ord_type: OrdType
    order_qty: int
    price: Decimal | None
    deadline: datetime
    restart_token: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSending(OrderEvent):
    """The request is about to leave; from here on the order may exist."""

    kind: ClassVar[str] = "order_sending"
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotSent(OrderEvent):
    """Proof that nothing left this machine."""

    kind: ClassVar[str] = "order_not_sent"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAcknowledged(OrderEvent):
    """The broker has the order."""

    kind: ClassVar[str] = "order_acknowledged"
    order_id: str
    adopted: bool = False
    """Found by asking, not by the reply to the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderInDoubt(OrderEvent):
    """The call ended without proof, or the order was found SENDING at a start."""

    kind: ClassVar[str] = "order_in_doubt"
    reason: str
    raw_status: str | None = None
    repeat_refused: bool = False
    """The broker refused a repeat of this number: it knows the number, and asking must find the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotFound(OrderEvent):
    """A complete read of the broker's orders did not show it; absence is not proof."""

    kind: ClassVar[str] = "order_not_found"
    reads: int
    """Complete reads without it so far, this one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuarantined(OrderEvent):
    """Asking ended without an answer: parked, its shares or cost reserved, never sent again."""

    kind: ClassVar[str] = "order_quarantined"
    reads: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderVoided(OrderEvent):
    """Proved never to have reached the broker."""

    kind: ClassVar[str] = "order_voided"
    evidence: str
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled(OrderEvent):
    """Shares changed hands."""

    kind: ClassVar[str] = "order_filled"
    side: Side
    exec_id: str
    last_qty: int
    last_px: Decimal
    fee: Decimal
    transact_time: datetime
    settles: date
    cum_qty: int
    late: bool = False
    """Reported after the order was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelRequested(OrderEvent):
    """A cancel is about to be asked for; a fill can still win."""

    kind: ClassVar[str] = "order_cancel_requested"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCanceled(OrderEvent):
    """The broker reports the rest as cancelled."""

    kind: ClassVar[str] = "order_canceled"
    cum_qty: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected(OrderEvent):
    """The broker's definite no."""

    kind: ClassVar[str] = "order_rejected"
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExpired(OrderEvent):
    """The broker ended the order with its day."""

    kind: ClassVar[str] = "order_expired"
    cum_qty: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsObserved(Event):
    """A reading of the account's money."""

    kind: ClassVar[str] = "funds_observed"
    cycle_id: str | None = None
    funds: Funds
    spendable: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalOrderSeen(Event):
    """An order this program did not make: shown and counted, never touched."""

    kind: ClassVar[str] = "external_order_seen"
    symbol: str
    order_id: str
    side: Side
    order_qty: Decimal
    cum_qty: Decimal
    price: Decimal | None
    raw_status: str
    open: bool = True
    """It may still trade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRaised(Event):
    """Something a person should look at; it changes no phase by itself."""

    kind: ClassVar[str] = "attention_raised"
    cycle_id: str | None = None
    cl_ord_id: str | None = None
    symbol: str | None = None
    rule: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolFrozen(Event):
    """No new order for this symbol until a person releases it."""

    kind: ClassVar[str] = "symbol_frozen"
    symbol: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolUnfrozen(Event):
    """A frozen symbol may trade again."""

    kind: ClassVar[str] = "symbol_unfrozen"
    symbol: str
    reason: str
    author: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted(Event):
    """The brake is on."""

    kind: ClassVar[str] = "halted"
    scope: HaltScope
    reason: str
    author: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Event):
    """The brake is off."""

    kind: ClassVar[str] = "released"
    reason: str
    author: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blacklisted(Event):
    """No buy of this symbol until it is taken off the list or ``until`` has passed."""

    kind: ClassVar[str] = "blacklisted"
    symbol: str
    reason: str
    author: str
    until: datetime | None = None
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblacklisted(Event):
    """A symbol was taken off the blacklist."""

    kind: ClassVar[str] = "unblacklisted"
    symbol: str
    reason: str
    author: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswered(Event):
    """What became of an operator's command, where no other fact says it."""

    kind: ClassVar[str] = "command_answered"
    command: str
    accepted: bool
    answer: str
    author: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected(Event):
    """A screen of the universe, with what it was computed from."""

    kind: ClassVar[str] = "selected"
    as_of: date
    """Last completed session the screen saw."""
    config_hash: str
    bars_hash: str
    scores: tuple[Score, ...] = field(default=())
    strategy: str = ""
    """The user's own strategy that chose, as the configuration names it; empty for the built-in screen."""
    digest: str = ""
    """SHA-256 of that strategy's signals, in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled(Event):
    """Broker and journal were compared between two cycles, with another result than the last time."""

    kind: ClassVar[str] = "reconciled"
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAdopted(Event):
    """On an operator's word the journal holds what the broker holds of one symbol. No trade, and no profit."""

    kind: ClassVar[str] = "position_adopted"
    symbol: str
    qty: Decimal
    """Shares from here on."""
    before: Decimal
    """Shares by the journal until then."""
    cost: Decimal
    """What the shares did cost in all, from here on."""
    difference: DifferenceKind
    reason: str
    author: str
    inbox_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(Event):
    """The first row of an account's chain: what it is and what it held when this journal began."""

    kind: ClassVar[str] = "account_opened"
    mode: str
    broker: str
    currency: str
    cash: Decimal = ZERO
    positions: tuple[Position, ...] = ()
    others: tuple[Balance, ...] = ()
    """Money in other currencies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event with its place in the account's chain."""

    seq: int
    at: datetime
    """Real time of the append, aware UTC."""
    event: Event
