"""One order as the facts about it add up: quantities are kept, the status is derived.

An order is the broker's, so no report about it is ever refused. We keep what we know (phase, quantities, pending
request, reason of closing) and derive ``ord_status`` by FIX precedence, so no status can contradict the quantities.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from oms.model.changing import replace

ZERO = Decimal(0)


class Side(StrEnum):
    """FIX 54."""

    BUY = "BUY"
    SELL = "SELL"


class OrdType(StrEnum):
    """FIX 40."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"


class OrderPhase(StrEnum):
    """How much can still happen to an order, seen from here."""

    LOCAL = "LOCAL"
    """Nothing was sent."""
    AMBIGUOUS = "AMBIGUOUS"
    """A request may be on the wire or may have been accepted."""
    LIVE = "LIVE"
    """The broker has it and it may still trade."""
    CLOSED = "CLOSED"
    """No new requests; late facts still count."""


class Pending(StrEnum):
    """A request of ours about a live order that the broker has not answered yet."""

    NONE = "none"
    CANCEL = "cancel"
    REPLACE = "replace"


class CloseReason(StrEnum):
    """Why an order takes no more requests."""

    BLOCKED = "blocked"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FILLED = "filled"
    VOID = "void"


class OrdStatus(StrEnum):
    """FIX 39, and the states before an order reaches the wire."""

    PLANNED = "PLANNED"
    BLOCKED = "BLOCKED"
    RESERVED = "RESERVED"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    VOID = "VOID"


class BrokerState(StrEnum):
    """What the broker's own status word means; ``UNKNOWN`` for a word the adapter does not recognise."""

    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


CLOSED_AT_BROKER = frozenset({BrokerState.FILLED, BrokerState.CANCELED, BrokerState.REJECTED, BrokerState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution: shares that changed hands."""

    exec_id: str
    """FIX 17, unique within the account; a watermark (number and cumulative quantity) where the broker has none."""
    last_qty: int
    """FIX 32, whole shares."""
    last_px: Decimal
    """FIX 31, account currency per share."""
    fee: Decimal
    """Commission and charges of this execution, account currency."""
    transact_time: datetime
    """FIX 60, the broker's time, aware UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """What the broker says about one order; a report, not a conclusion."""

    order_no: str | None
    """The number reserved before the act (FIX 526); None for an order this program did not number."""
    order_id: str
    """FIX 37, the broker's own."""
    user_mark: str | None
    """Our ``cl_ord_id`` where the broker echoes it; best effort."""
    symbol: str
    side: Side
    ord_type: OrdType
    order_qty: Decimal
    """FIX 38; orders made elsewhere may be fractional."""
    price: Decimal | None
    """FIX 44, the limit; None for a market order."""
    state: BrokerState
    raw_status: str
    """The broker's own word, kept for the journal."""
    cum_qty: Decimal
    """FIX 14."""
    notional: Decimal
    """Sum of quantity times price over all fills, without fees."""
    fees: Decimal
    """Sum of fees so far."""
    fills: tuple[Fill, ...] = ()
    """Every execution, oldest first, where the broker reports executions."""
    text: str = ""
    """FIX 58, the broker's reason."""
    transact_time: datetime | None = None
    """FIX 60, the broker's time of its last change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """Exactly the fields that travel to the broker, fixed on disk before the first byte leaves."""

    cl_ord_id: str
    order_no: str
    symbol: str
    side: Side
    ord_type: OrdType
    order_qty: int
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One intent of one cycle and everything known about it."""

    cl_ord_id: str
    cycle_id: str
    side: Side
    index: int
    """Place among the orders of its side in the cycle's plan, from 0."""
    symbol: str
    ord_type: OrdType
    order_qty: int
    price: Decimal | None
    """The limit that travels; None for a market order."""
    worst_px: Decimal
    """Price per share at which this order is counted against funds and caps: the limit, or the collar of a market order."""
    score: Decimal | None = None
    phase: OrderPhase = OrderPhase.LOCAL
    order_no: str | None = None
    order_id: str | None = None
    deadline: datetime | None = None
    """Instant after which an unsent order is blocked and a live one cancelled."""
    restart_token: str | None = None
    """Token under which its RESERVED row was made durable."""
    fence: int | None = None
    """Fence of the process that reserved it; a later one must look afresh before it sends."""
    sends: int = 0
    """Requests to place it that may have left this machine."""
    in_doubt: bool = False
    """AMBIGUOUS only: the call ended without proof, or was found SENDING at a start."""
    quarantined: bool = False
    ever_quarantined: bool = False
    not_found: int = 0
    """Complete reads that did not show it since it came into doubt."""
    repeat_refused: bool = False
    """The broker refused a repeat of its number."""
    raw_status: str | None = None
    """The unrecognised word, where that is why the order is UNKNOWN."""
    cum_qty: int = 0
    notional: Decimal = ZERO
    fees: Decimal = ZERO
    exec_ids: tuple[str, ...] = ()
    """Executions booked, oldest first."""
    pending: Pending = Pending.NONE
    close_reason: CloseReason | None = None
    text: str = ""
    rule: str | None = None
    """Name of the rule that blocked it."""
    planned_at: datetime | None = None
    first_sent_at: datetime | None = None
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    closed_at: datetime | None = None
    last_fill_at: datetime | None = None

    @property
    def leaves_qty(self) -> int:
        """FIX 151: shares that may still trade. Zero once closed; the whole rest while anything is unsure."""
        if self.phase is OrderPhase.CLOSED:
            return 0
        return max(self.order_qty - self.cum_qty, 0)

    @property
    def avg_px(self) -> Decimal | None:
        """FIX 6, account currency per share; None while nothing is filled."""
        return self.notional / self.cum_qty if self.cum_qty else None

    @property
    def is_closed(self) -> bool:
        return self.phase is OrderPhase.CLOSED

    @property
    def is_unresolved(self) -> bool:
        """In doubt or quarantined: only evidence ends it."""
        return self.phase is OrderPhase.AMBIGUOUS

    @property
    def is_finished_for_cycle(self) -> bool:
        """Its phase of the cycle need not wait for it: closed, or parked in quarantine."""
        return self.is_closed or self.quarantined

    @property
    def ord_status(self) -> OrdStatus:
        """FIX 39 by precedence, derived from what is kept."""
        match self.phase:
            case OrderPhase.LOCAL:
                return OrdStatus.PLANNED if self.order_no is None else OrdStatus.RESERVED
            case OrderPhase.AMBIGUOUS:
                return OrdStatus.UNKNOWN if self.in_doubt else OrdStatus.SENDING
            case OrderPhase.LIVE:
                return self._live_status()
            case OrderPhase.CLOSED:
                return self._closed_status()

    def _live_status(self) -> OrdStatus:
        if self.pending is Pending.CANCEL:
            return OrdStatus.PENDING_CANCEL
        if self.pending is Pending.REPLACE:
            return OrdStatus.PENDING_REPLACE
        if self.cum_qty:
            return OrdStatus.PARTIALLY_FILLED
        return OrdStatus.NEW if self.order_id is not None else OrdStatus.PENDING_NEW

    def _closed_status(self) -> OrdStatus:
        match self.close_reason:
            case CloseReason.BLOCKED:
                return OrdStatus.BLOCKED
            case CloseReason.VOID:
                return OrdStatus.VOID
            case CloseReason.REJECTED if self.cum_qty == 0:
                return OrdStatus.REJECTED
            case CloseReason.EXPIRED:
                return OrdStatus.EXPIRED
            case _ if self.cum_qty >= self.order_qty and self.close_reason is CloseReason.FILLED:
                return OrdStatus.FILLED
            case _:
                return OrdStatus.CANCELED

    def request(self) -> OrderRequest:
        """The fields that travel; only a reserved order has them all."""
        if self.order_no is None:
            raise ValueError(f"{self.cl_ord_id} has no reserved number, so nothing may be sent for it")
        return OrderRequest(
            cl_ord_id=self.cl_ord_id,
            order_no=self.order_no,
            symbol=self.symbol,
            side=self.side,
            ord_type=self.ord_type,
            order_qty=self.order_qty,
            price=self.price,
        )

    def with_fill(self, fill: Fill, at: datetime) -> Order:
        """Book one execution; in every phase, since closed means no new requests, not no new facts."""
        cum_qty = self.cum_qty + fill.last_qty
        filled = replace(
            self,
            cum_qty=cum_qty,
            notional=self.notional + fill.last_qty * fill.last_px,
            fees=self.fees + fill.fee,
            exec_ids=(*self.exec_ids, fill.exec_id),
            last_fill_at=at,
        )
        if cum_qty >= self.order_qty and not self.is_closed:
            return filled.closed(CloseReason.FILLED, at)
        return filled

    def closed(self, reason: CloseReason, at: datetime, text: str = "") -> Order:
        """Take no more requests; the first reason of closing is kept."""
        if self.is_closed:
            return self
        return replace(
            self,
            phase=OrderPhase.CLOSED,
            pending=Pending.NONE,
            close_reason=reason,
            in_doubt=False,
            quarantined=False,
            raw_status=None,
            closed_at=at,
            text=text or self.text,
        )
