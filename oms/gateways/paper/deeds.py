"""What the paper broker does with its book: advance it to now, accept or refuse an order, cancel one.

Every deed runs inside one transaction of the book and sees the market only through a :class:`Look` taken before it, so
that no transaction waits for the world outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.errors import Refused
from oms.gateways.paper.book import Book, BookOrder, exec_id
from oms.gateways.paper.log import LogKind
from oms.gateways.paper.matching import DayRange, FillModel
from oms.gateways.paper.units import from_micro, span, times, to_instant, to_micro
from oms.model.account import Quote
from oms.model.order import BrokerState, OrdType, Side

LARGEST_QTY = Decimal(10_000_000)
"""Shares in one order."""
LARGEST_PRICE = Decimal(10_000_000)
"""Account currency per share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How this broker settles and how late its reads are."""

    settle_after: timedelta
    """From a sell's fill until its proceeds may pay for a buy."""
    funds_lag: timedelta
    """From a sell's fill until buying power shows it."""
    list_lag: timedelta
    """From a change of an order until reads of orders show it."""
    fill_delay: timedelta
    """From the first part of an order to the rest, where it trades in two parts."""
    model: FillModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The market as it was seen just before a transaction."""

    day: date | None
    """Trading day; None where the market knows none."""
    is_open: bool
    settles: date | None
    """Settlement date of what trades on it; None where the market knows none."""
    quotes: Mapping[str, Quote]
    ranges: Mapping[str, DayRange]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to place an order, from us or from somebody else."""

    order_no: str | None
    user_mark: str | None
    symbol: str
    side: Side
    ord_type: OrdType
    order_qty: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Desk:
    """The broker at work: one transaction of its book, at one instant, with one look at the market."""

    book: Book
    terms: Terms
    look: Look
    now: datetime

    def advance(self, *, may_go_back: bool = False) -> None:
        """Bring the book to now: orders of another day expire, due and marketable ones trade.

        A process that only reads may know an older day than the one the account has traded (a replay that was not
        entered), so an older day changes nothing unless ``may_go_back``.
        """
        today, day = self.look.day, self.book.day()
        if today is None or (day is not None and today < day and not may_go_back):
            return
        if today != day:
            self._begin_day(today)
        self._price_unknown_costs()
        if self.look.is_open:
            for order in self.book.open_orders():
                self._trade(order)

    def _begin_day(self, today: date) -> None:
        for order in self.book.open_orders():
            if order.day != today:
                text = f"good for {order.day} only"
                self._log(LogKind.EXPIRED, order, qty=order.leaves_qty, text=text)
                self.book.change_order(replace(order, state=BrokerState.EXPIRED), self.now, text)
        self.book.set_day(today)

    def _price_unknown_costs(self) -> None:
        """Give opening positions the first price the book sees as their cost."""
        for symbol, qty in self.book.unpriced():
            if symbol in self.look.quotes:
                self.book.set_position(symbol, qty, self.look.quotes[symbol].last)

    def _trade(self, order: BookOrder) -> None:
        """One execution of the order, where it is due and marketable."""
        quote = self.look.quotes.get(order.symbol)
        if quote is None or (order.rest_due_at is not None and to_instant(self.now) < order.rest_due_at):
            return
        limit = order.cap if order.side is Side.BUY else order.price
        price = self.terms.model.price(order.side, limit, quote, self.look.ranges.get(order.symbol))
        if price is None:
            return
        qty = order.leaves_qty
        if not order.cum_qty:
            qty = self.terms.model.first_part(order.order_no or order.order_id, order.order_qty)
        if order.side is Side.SELL and self.book.position(order.symbol)[0] < qty:
            return  # somebody took the shares away by hand; nobody goes short here
        self._fill(order, qty, from_micro(to_micro(price)))

    def _fill(self, order: BookOrder, qty: Decimal, price: Decimal) -> None:
        cum_qty = order.cum_qty + qty
        fee = self.terms.model.fee(cum_qty) - self.terms.model.fee(order.cum_qty)
        notional = from_micro(times(to_micro(qty), to_micro(price)))
        is_full = cum_qty == order.order_qty
        filled = replace(
            order,
            state=BrokerState.FILLED if is_full else BrokerState.NEW,
            cum_qty=cum_qty,
            notional=order.notional + notional,
            fees=order.fees + fee,
            rest_due_at=None if is_full else to_instant(self.now) + span(self.terms.fill_delay),
        )
        figures = self.book.figures(self.now)  # of before the deed, but its row needs the number the deed brings
        execution = self.book.add_execution(
            order.seq, self.book.change_order(filled, self.now), self.now, qty=qty, price=price, fee=fee
        )
        self._log(LogKind.FILL, order, figures=figures, exec_id=exec_id(execution), qty=qty, price=price, fee=fee)
        if order.side is Side.BUY:
            self._bought(order.symbol, qty, notional, fee)
        else:
            self._sold(order.symbol, qty, notional - fee, execution)

    def _bought(self, symbol: str, qty: Decimal, notional: Decimal, fee: Decimal) -> None:
        self.book.add_cash(-notional - fee)
        held, avg_cost = self.book.position(symbol)
        known_cost = notional / qty if avg_cost is None else avg_cost
        self.book.set_position(symbol, held + qty, (notional + held * known_cost) / (held + qty))

    def _sold(self, symbol: str, qty: Decimal, proceeds: Decimal, execution: int) -> None:
        self.book.add_cash(proceeds)
        instant = to_instant(self.now)
        self.book.add_proceeds(
            execution,
            proceeds,
            instant + span(self.terms.settle_after),
            instant + span(self.terms.funds_lag),
            self.look.settles,
        )
        held, avg_cost = self.book.position(symbol)
        self.book.set_position(symbol, held - qty, avg_cost)

    def accept(self, asked: Asked) -> BookOrder | Refused:
        """Take the order or refuse it, and log the request and the answer; a refusal does not use the number up."""
        fields: dict[str, Any] = {
            "order_no": asked.order_no,
            "user_mark": asked.user_mark,
            "symbol": asked.symbol,
            "side": asked.side,
            "ord_type": asked.ord_type,
            "price": asked.price,
        }
        self.book.log(LogKind.PLACE_RECEIVED, self.now, qty=asked.order_qty, **fields)
        refusal = self._refusal(asked)
        if refusal is not None:
            self.book.log(LogKind.REFUSED, self.now, qty=asked.order_qty, text=str(refusal), **fields)
            return refusal
        figures = self.book.figures(self.now)
        cap = self._cap(asked) if asked.side is Side.BUY else None
        fields.update(order_qty=asked.order_qty, cap=cap, day=self.look.day)
        order = self.book.add_order(fields, self.now)
        self._log(LogKind.ACCEPTED, order, figures=figures, qty=order.order_qty)
        self._trade(order)
        return order

    def _cap(self, asked: Asked) -> Decimal:
        return self.terms.model.reach(self.look.quotes[asked.symbol]) if asked.price is None else asked.price

    def _refusal(self, asked: Asked) -> Refused | None:
        """Why the order cannot be taken; the number is looked at first, for a repeat must be told as one."""
        return self._wrong_number(asked.order_no) or _mad(asked) or self._unfit(asked) or self._unaffordable(asked)

    def _wrong_number(self, order_no: str | None) -> Refused | None:
        if order_no is None:
            return None
        if not self.book.is_reserved(order_no):
            return Refused("unknown_number", f"number {order_no} was not handed out here")
        if self.book.find(order_no, None) is not None:
            return Refused("duplicate_number", f"number {order_no} is an order already", repeat=True)
        return None

    def _unfit(self, asked: Asked) -> Refused | None:
        """Against the market as it is now."""
        if self.look.day is None or not self.look.is_open:
            return Refused("market_closed", "the market is not open")
        quote = self.look.quotes.get(asked.symbol)
        if quote is None:
            return Refused("unknown_symbol", f"no quote of {asked.symbol!r}")
        if asked.price is not None and asked.price % quote.tick:
            return Refused("bad_price", f"{asked.price} is not on the tick of {quote.tick}")
        if asked.order_no is not None and asked.order_qty % quote.lot:
            return Refused("bad_quantity", f"{asked.order_qty} shares are not whole lots of {quote.lot}")
        return None

    def _unaffordable(self, asked: Asked) -> Refused | None:
        if asked.side is Side.SELL:
            sellable = self.book.position(asked.symbol)[0] - self.book.promised().get(asked.symbol, Decimal(0))
            if asked.order_qty <= sellable:
                return None
            return Refused("insufficient_shares", f"{sellable} shares of {asked.symbol} can be sold")
        value = from_micro(times(to_micro(self._cap(asked)), to_micro(asked.order_qty)))
        cost = value + self.terms.model.fee(asked.order_qty)
        available = self.book.figures(self.now).available
        if cost <= available:
            return None
        return Refused("insufficient_funds", f"{cost} needed, {available} available")

    def cancel(self, order_no: str | None, wanted_id: str | None) -> Refused | None:
        """Cancel the rest of an order at once; the refusal where there is nothing to cancel."""
        order = self.book.find(order_no, wanted_id)
        if order is None:
            refusal = Refused("unknown_order", f"no order {order_no or wanted_id}")
            self.book.log(LogKind.CANCEL_RECEIVED, self.now, order_no=order_no, order_id=wanted_id)
            self.book.log(LogKind.CANCEL_REFUSED, self.now, order_no=order_no, order_id=wanted_id, text=str(refusal))
            return refusal
        self._log(LogKind.CANCEL_RECEIVED, order, qty=order.leaves_qty)
        if order.state is not BrokerState.NEW:
            refusal = Refused("already_closed", f"{order.order_id} is {order.state.value}")
            self._log(LogKind.CANCEL_REFUSED, order, text=str(refusal))
            return refusal
        self._log(LogKind.CANCELED, order, qty=order.leaves_qty)
        self.book.change_order(replace(order, state=BrokerState.CANCELED), self.now, "cancelled on request")
        return None

    def _log(self, kind: LogKind, order: BookOrder, **about: Any) -> None:
        fields: dict[str, Any] = {
            "order_no": order.order_no,
            "order_id": order.order_id,
            "user_mark": order.user_mark,
            "symbol": order.symbol,
            "side": order.side,
            "ord_type": order.ord_type,
            "price": order.price,
        }
        self.book.log(kind, self.now, **{**fields, **about})


def _mad(asked: Asked) -> Refused | None:
    """Figures that no market takes."""
    if not asked.order_qty.is_finite() or not 0 < asked.order_qty <= LARGEST_QTY:
        return Refused("bad_quantity", f"{asked.order_qty} shares; expected above 0 and at most {LARGEST_QTY}")
    if (asked.price is None) is not (asked.ord_type is OrdType.MARKET):
        return Refused("bad_price", "a limit order has a price, a market order has none")
    if asked.price is not None and not (asked.price.is_finite() and 0 < asked.price <= LARGEST_PRICE):
        return Refused("bad_price", f"{asked.price}; expected above 0 and at most {LARGEST_PRICE}")
    return None
