"""The broker's own truth in a simulated world: its orders, money, shares and prices, and a log of every deed.

It never lies to itself: faults of the wire and of what is shown live in :mod:`.hostile`. The log has the shape of the
paper broker's, so that the same laws judge it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from oms.errors import Refused
from oms.gateways.paper.log import LogEntry, LogKind
from oms.model.account import Quote, Session
from oms.model.order import ZERO, BrokerOrder, BrokerState, Fill, OrderRequest, OrdType, Side
from oms.sim.timeline import Timeline, instant

FEE = Decimal("0.005")
"""Account currency per share."""
CENT = Decimal("0.01")
AFTER_CANCEL = 700_000
"""Microseconds after which a fill is reported that a confirmed cancel could not stop."""
HALF_A_LEASE = 8_000_000
"""Microseconds."""
REACH = Decimal("1.05")
"""A market buy locks cash for, and trades up to, this much of the price it arrived at."""


@dataclass(slots=True, kw_only=True)
class Resting:
    """One order as the exchange has it."""

    id: int
    request: OrderRequest
    is_ours: bool
    cap: Decimal | None
    """Up to which a buy trades and for which it locks cash; the limit of a sell."""
    day: date
    due: list[tuple[int, int]]
    """When so many shares trade, where the price allows; soonest first."""
    state: BrokerState = BrokerState.NEW
    raw: str = ""
    text: str = ""
    fills: list[Fill] = field(default_factory=list)
    cancel_at: int | None = None
    reject_at: int | None = None
    after_cancel: int = 0
    """Shares that trade although the cancel was confirmed."""
    shown: list[tuple[int, BrokerOrder]] = field(default_factory=list)
    """Every state it was in, with its instant."""

    @property
    def order_id(self) -> str:
        return f"X{self.id}"

    @property
    def cum_qty(self) -> int:
        return sum(fill.last_qty for fill in self.fills)

    @property
    def leaves(self) -> int:
        return self.request.order_qty - self.cum_qty if self.is_open else 0

    @property
    def is_open(self) -> bool:
        return self.state in (BrokerState.NEW, BrokerState.PENDING_NEW)

    @property
    def fee_locked(self) -> Decimal:
        return FEE * self.leaves


@dataclass(kw_only=True)
class Orders:
    """How one accepted order will behave."""

    due: list[tuple[int, int]]
    reject_at: int | None = None


class Exchange:
    """Accepts, trades, cancels and remembers; used by one thread."""

    def __init__(
        self,
        timeline: Timeline,
        session: Session,
        prices: Mapping[str, Decimal],
        cash: Decimal,
        positions: Mapping[str, int],
        *,
        proceeds_late: int = 0,
        repeats_refused: timedelta | None = timedelta(days=7),
    ) -> None:
        self.log: list[LogEntry] = []
        self.prices = dict(prices)
        self.positions: dict[str, Decimal] = {}
        self.orders: list[Resting] = []
        self.session = session
        self._timeline = timeline
        self._cash = ZERO
        self._late: list[tuple[int, Decimal]] = []
        self._unsettled: list[tuple[date, Decimal]] = []
        self._proceeds_late = proceeds_late
        self._repeats_refused = repeats_refused
        self._numbers = 0
        self._executions = 0
        self.taken: dict[str, list[int]] = {}
        """Number to the instants at which it was accepted."""
        self.strangers = 0
        """Deeds of others than us on the account so far."""
        self._write(LogKind.OPENED, price=cash, text="opening cash")
        self._cash += cash
        for symbol, qty in sorted(positions.items()):
            self._write(LogKind.OPENED_POSITION, symbol=symbol, qty=Decimal(qty))
            self.positions[symbol] = Decimal(qty)

    # What there is

    @property
    def late(self) -> Decimal:
        """Proceeds that nobody may see or spend yet."""
        self._late = [(due, amount) for due, amount in self._late if due > self._timeline.us]
        return sum((amount for _, amount in self._late), ZERO)

    @property
    def cash(self) -> Decimal:
        return self._cash

    @property
    def unsettled(self) -> Decimal:
        """Proceeds of sales that settle on a later day than today."""
        return sum((amount for day, amount in self._unsettled if day > self.session.day), ZERO)

    @property
    def locked(self) -> Decimal:
        """For the open buys: the rest at its cap, and its fee."""
        buys = (order for order in self.orders if order.is_open and order.request.side is Side.BUY)
        return sum((order.leaves * (order.cap or ZERO) + order.fee_locked for order in buys), ZERO)

    @property
    def available(self) -> Decimal:
        return self._cash - self.locked - self.late

    def promised(self, symbol: str) -> int:
        """Shares that open sells may still take."""
        return sum(o.leaves for o in self.orders if o.request.side is Side.SELL and o.request.symbol == symbol)

    def sellable(self, symbol: str) -> Decimal:
        return self.positions.get(symbol, ZERO) - self.promised(symbol)

    def is_open(self) -> bool:
        return self.session.is_open(instant(self._timeline.us))

    def quote(self, symbol: str) -> Quote:
        """The price of a symbol that trades here, now."""
        last = self.prices[symbol]
        return Quote(symbol=symbol, bid=last - CENT, ask=last + CENT, last=last, at=instant(self._timeline.us))

    def find(self, order_no: str) -> list[Resting]:
        """Every order with this number: one, where the exchange refuses repeats."""
        return [order for order in self.orders if order.is_ours and order.request.order_no == order_no]

    # Deeds

    def reserve(self, count: int) -> list[str]:
        self._numbers += count
        return [str(7_000_000 + self._numbers - count + n) for n in range(1, count + 1)]

    def place(self, request: OrderRequest, plan: Orders, *, left_at: int) -> Resting:
        """Take an order or refuse it; both are logged. ``left_at``: when the sender let go of it.

        Raises:
            Refused: it is not taken.
        """
        self.advance()
        self._about(LogKind.PLACE_RECEIVED, request, qty=Decimal(request.order_qty))
        refusal = self._refusal(request, left_at)
        if refusal is not None:
            self._about(LogKind.REFUSED, request, qty=Decimal(request.order_qty), text=str(refusal))
            raise refusal
        order = self._take(request, plan, is_ours=True)
        if order.state is BrokerState.NEW:
            self._accepted(order)
        else:
            self._changed(order)
        self.taken.setdefault(request.order_no, []).append(self._timeline.us)
        self.advance()
        return order

    def refuse(self, request: OrderRequest, code: str) -> Refused:
        """Say no to a request for a reason of the broker's own."""
        self.advance()
        self._about(LogKind.PLACE_RECEIVED, request, qty=Decimal(request.order_qty))
        refusal = Refused(code, "the broker says no")
        self._about(LogKind.REFUSED, request, qty=Decimal(request.order_qty), text=str(refusal))
        return refusal

    def place_for_stranger(self, request: OrderRequest, due: list[tuple[int, int]]) -> bool:
        """An order that another program or a person makes; False where the account cannot have it."""
        self.advance()
        side, qty = request.side, request.order_qty
        cost = qty * ((request.price or self.prices[request.symbol]) + FEE)
        fits = self.sellable(request.symbol) >= qty if side is Side.SELL else self.available >= cost
        if not fits or not self.is_open():
            return False
        self._accepted(self._take(request, Orders(due=due), is_ours=False))
        self.strangers += 1
        self.advance()
        return True

    def move_cash(self, amount: Decimal) -> None:
        """Money is paid in or out by hand."""
        self.advance()
        amount = max(amount, -max(self.available, ZERO)).quantize(CENT, rounding=ROUND_FLOOR)
        self._write(LogKind.CASH_MOVED, price=amount, text="by hand")
        self.strangers += 1
        self._cash += amount

    def cancel(self, order: Resting, *, at: int, fill_after: int = 0) -> bool:
        """Take a request to cancel, in force from ``at``; False where there is nothing left to cancel."""
        self.advance()
        self._order_row(LogKind.CANCEL_RECEIVED, order, qty=Decimal(order.leaves))
        if not order.is_open:
            self._order_row(LogKind.CANCEL_REFUSED, order, text=f"already_closed: {order.state.value}")
            return False
        if order.state is BrokerState.PENDING_NEW:
            order.reject_at = at  # what was never accepted cannot be cancelled, only rejected
            self.advance()
            return True
        order.cancel_at = at
        order.after_cancel = min(fill_after, order.leaves)
        self.advance()
        return True

    def cancel_unknown(self, order_no: str) -> None:
        """A cancel for a number that is no order here."""
        self._write(LogKind.CANCEL_RECEIVED, order_no=order_no)
        self._write(LogKind.CANCEL_REFUSED, order_no=order_no, text="unknown_order")

    def fill_now(self, order: Resting) -> None:
        """Let what is left of an order trade at once, where the price allows."""
        if order.state is BrokerState.NEW:
            order.due = [(self._timeline.us, order.leaves)]
            self.advance()

    def enter(self, session: Session) -> None:
        """The exchange's calendar moves on."""
        self.advance()
        self.session = session
        self.advance()

    def advance(self) -> None:
        """Do what is due by now: trades, cancels, rejections, the end of the day."""
        for order in self.orders:
            if order.is_open:
                self._move(order)
            elif self._trades_on(order):
                qty, order.after_cancel = order.after_cancel, 0
                self._fill(order, qty)

    def _trades_on(self, order: Resting) -> bool:
        """Whether a fill is due that the cancel could not stop."""
        due = order.cancel_at is not None and self._timeline.us >= order.cancel_at + AFTER_CANCEL
        return due and order.after_cancel > 0 and order.state is BrokerState.CANCELED

    def _move(self, order: Resting) -> None:
        while order.is_open and self._next_event(order):
            pass

    def _next_event(self, order: Resting) -> bool:
        """The next thing that is due for an open order; False where there is none."""
        now = self._timeline.us
        is_over = order.day != self.session.day or instant(now) >= self.session.closes
        if order.due and order.due[0][0] <= now and not is_over and self._is_marketable(order):
            _, qty = order.due.pop(0)
            if not order.is_ours or self.positions.get(order.request.symbol, ZERO) >= qty or self._is_buy(order):
                self._fill(order, min(qty, order.leaves))
            return True
        if order.reject_at is not None and order.reject_at <= now:
            self._reject(order)
            return True
        if order.cancel_at is not None and order.cancel_at <= now:
            self._close(order, BrokerState.CANCELED, "cancelled on request", LogKind.CANCELED)
            return True
        if is_over and order.state is BrokerState.PENDING_NEW:
            self._reject(order)
            return True
        if is_over:
            self._close(order, BrokerState.EXPIRED, f"good for {order.day} only", LogKind.EXPIRED)
            return True
        return False

    @staticmethod
    def _is_buy(order: Resting) -> bool:
        return order.request.side is Side.BUY

    def _is_marketable(self, order: Resting) -> bool:
        last = self.prices[order.request.symbol]
        if order.cap is None:
            return True
        return last <= order.cap if self._is_buy(order) else last >= order.cap

    def _fill(self, order: Resting, qty: int) -> None:
        self._executions += 1
        last = self.prices[order.request.symbol]
        if self._is_buy(order) and order.cap is not None:
            last = min(last, order.cap)
        elif order.request.side is Side.SELL and order.cap is not None:
            last = max(last, order.cap)
        fee = FEE * qty
        fill = Fill(
            exec_id=f"E{self._executions}", last_qty=qty, last_px=last, fee=fee, transact_time=self._timeline.now()
        )
        self._order_row(LogKind.FILL, order, exec_id=fill.exec_id, qty=Decimal(qty), price=last, fee=fee)
        order.fills.append(fill)
        value = qty * last
        symbol = order.request.symbol
        if self._is_buy(order):
            self._cash -= value + fee
            self.positions[symbol] = self.positions.get(symbol, ZERO) + qty
        else:
            self._cash += value - fee
            self.positions[symbol] = self.positions.get(symbol, ZERO) - qty
            self._late.append((self._timeline.us + self._proceeds_late, value - fee))
            self._unsettled.append((self.session.settles, value - fee))
        if order.is_open and order.cum_qty >= order.request.order_qty:
            order.state = BrokerState.FILLED
        self._changed(order)

    def _reject(self, order: Resting) -> None:
        """A rejection of the broker's after the fact; one with a part filled ends the rest."""
        order.reject_at = None
        if order.state is BrokerState.NEW:
            state = BrokerState.REJECTED if order.fills else BrokerState.CANCELED
            self._close(order, state, "inactive: margin check", LogKind.CANCELED)
            return
        self._about(LogKind.REFUSED, order.request, qty=Decimal(order.request.order_qty), text="async: margin check")
        order.state, order.text = BrokerState.REJECTED, "margin check"
        self._changed(order)

    def _close(self, order: Resting, state: BrokerState, text: str, kind: LogKind) -> None:
        leaves = order.leaves
        self._order_row(kind, order, qty=Decimal(leaves), text=text)
        order.state, order.text = state, text
        self._changed(order)

    def _take(self, request: OrderRequest, plan: Orders, *, is_ours: bool) -> Resting:
        cap = request.price
        if cap is None and request.side is Side.BUY:
            cap = (self.prices[request.symbol] * REACH).quantize(CENT)
        order = Resting(
            id=len(self.orders) + 1,
            request=request,
            is_ours=is_ours,
            cap=cap,
            day=self.session.day,
            due=list(plan.due),
            reject_at=plan.reject_at,
            # One that will be rejected without a share traded is taken, and never accepted.
            state=BrokerState.PENDING_NEW if plan.reject_at is not None and not plan.due else BrokerState.NEW,
        )
        self.orders.append(order)
        return order

    def _accepted(self, order: Resting) -> None:
        """Log the acceptance with the money as it was before it locked any."""
        order.state = BrokerState.PENDING_NEW
        self.orders.remove(order)
        self._order_row(LogKind.ACCEPTED, order, qty=Decimal(order.request.order_qty))
        self.orders.append(order)
        order.state = BrokerState.NEW
        self._changed(order)

    def _refusal(self, request: OrderRequest, left_at: int) -> Refused | None:
        if any(self._is_refused(at) for at in self.taken.get(request.order_no, ())):
            return Refused("duplicate_number", f"number {request.order_no} is an order already", repeat=True)
        if request.order_qty < 1:
            return Refused("bad_quantity", f"{request.order_qty} shares")
        if request.price is not None and (request.price % CENT or request.price <= 0):
            return Refused("bad_price", f"{request.price} is not on the tick")
        if not self.is_open():
            # What was decided in time and arrives too late is nobody's mistake; a thread may sleep for half a lease.
            was_open = self.session.is_open(instant(left_at - HALF_A_LEASE))
            return Refused("closed_meanwhile" if was_open else "market_closed", "the market is not open")
        return self._unaffordable(request)

    def _is_refused(self, accepted_at: int) -> bool:
        window = self._repeats_refused
        return window is not None and self._timeline.us - accepted_at < window.total_seconds() * 1_000_000

    def _unaffordable(self, request: OrderRequest) -> Refused | None:
        symbol, qty = request.symbol, request.order_qty
        if request.side is Side.SELL:
            if qty <= self.sellable(symbol):
                return None
            # Shares that a stranger took away meanwhile are no mistake of the sender's either.
            strange = any(not o.is_ours and o.request.symbol == symbol for o in self.orders)
            return Refused("shares_gone" if strange else "insufficient_shares", f"{self.sellable(symbol)} can be sold")
        cap = request.price if request.price is not None else (self.prices[symbol] * REACH).quantize(CENT)
        cost = qty * (cap + FEE)
        if cost <= self.available:
            return None
        return Refused("insufficient_funds", f"{cost} needed, {self.available} available")

    # The log, and what is shown

    def _changed(self, order: Resting) -> None:
        order.shown.append((self._timeline.us, self.report(order)))

    def report(self, order: Resting) -> BrokerOrder:
        """The order as it is now."""
        request, cum_qty = order.request, order.cum_qty
        part = order.state is BrokerState.NEW and cum_qty
        return BrokerOrder(
            order_no=request.order_no if order.is_ours else None,
            order_id=order.order_id,
            user_mark=request.cl_ord_id if order.is_ours else None,
            symbol=request.symbol,
            side=request.side,
            ord_type=request.ord_type,
            order_qty=Decimal(request.order_qty),
            price=request.price,
            state=order.state,
            raw_status="PARTIALLY_FILLED" if part else order.state.value,
            cum_qty=Decimal(cum_qty),
            notional=sum((fill.last_qty * fill.last_px for fill in order.fills), ZERO),
            fees=sum((fill.fee for fill in order.fills), ZERO),
            fills=tuple(order.fills),
            text=order.text,
            transact_time=instant(self._timeline.us),
        )

    def _order_row(self, kind: LogKind, order: Resting, **about: Any) -> None:
        self._about(kind, order.request, order_id=order.order_id, is_ours=order.is_ours, **about)

    def _about(self, kind: LogKind, request: OrderRequest, *, is_ours: bool = True, **about: Any) -> None:
        fields: dict[str, Any] = {
            "order_no": request.order_no if is_ours else None,
            "user_mark": request.cl_ord_id if is_ours else None,
            "symbol": request.symbol,
            "side": request.side,
            "ord_type": request.ord_type,
            "price": request.price,
        }
        self._write(kind, **{**fields, **about})

    def _write(self, kind: LogKind, **about: Any) -> None:
        row: dict[str, Any] = dict.fromkeys(
            ("order_no", "order_id", "exec_id", "user_mark", "symbol", "side", "ord_type", "qty", "price", "fee")
        )
        row.update(about)
        self.log.append(
            LogEntry(
                id=len(self.log) + 1,
                at=self._timeline.now(),
                kind=kind,
                text=row.pop("text", ""),
                day=self.session.day,
                cash=self._cash,
                available=self.available,
                locked=self.locked,
                **row,
            )
        )


def open_ours(exchange: Exchange) -> Iterator[Resting]:
    """Our orders that may still trade."""
    return (order for order in exchange.orders if order.is_ours and order.is_open)


def request_of_stranger(symbol: str, side: Side, qty: int, price: Decimal | None) -> OrderRequest:
    """What another program asks for."""
    kind = OrdType.MARKET if price is None else OrdType.LIMIT
    return OrderRequest(cl_ord_id="", order_no="", symbol=symbol, side=side, ord_type=kind, order_qty=qty, price=price)
