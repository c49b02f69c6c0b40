"""A broker and a market that answer at once and for nothing, so that only this program's own work is timed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from oms.model.account import Funds, Position, Quote, Session
from oms.model.order import ZERO, BrokerOrder, BrokerState, Fill, OrderRequest, Side
from oms.ports import BarSet, Broker, Capabilities, Clock, Market, OrdersRead

DAY = date(2026, 1, 5)
OPENS = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
PRICE = Decimal(10)


class NoopMarket(Market):
    """One trading day that never ends; every share costs $10."""

    name = "noop"
    skips_nights = True

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:  # noqa: ARG002  # the port's
        return self.session()

    def session(self) -> Session:
        return Session(day=DAY, opens=OPENS, closes=OPENS + timedelta(days=1), settles=DAY + timedelta(days=1))

    def time(self) -> datetime:
        return OPENS + timedelta(hours=12)

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        at = self.time()
        return {s: Quote(symbol=s, bid=PRICE, ask=PRICE, last=PRICE, at=at) for s in symbols}

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:  # noqa: ARG002  # the port's
        return None

    def bars(self, symbols: Sequence[str]) -> BarSet:
        return BarSet(as_of=DAY - timedelta(days=1), bars={}, problems=dict.fromkeys(symbols, "no history"))


class NoopBroker(Broker):
    """Accepts and fills every order at its limit at once; remembers the orders of the last two cycles only."""

    name = "noop"
    capabilities = Capabilities(
        reserves_numbers=True, refuses_repeats=timedelta(days=1), reports_executions=True, currency="USD"
    )

    def __init__(self, clock: Clock, market: Market, cash: Decimal, positions: dict[str, int], remember: int) -> None:
        self._clock = clock
        self._market = market
        self._cash = cash
        self._positions = dict(positions)
        self._remember = remember
        self._orders: dict[str, BrokerOrder] = {}
        self._numbers = itertools.count(1)
        self.placed = 0
        """Orders accepted so far."""

    def reserve(self, count: int) -> list[str]:
        return [str(next(self._numbers)) for _ in range(count)]

    def place(self, order: OrderRequest) -> str:
        self.placed += 1
        sign = 1 if order.side is Side.BUY else -1
        price = order.price if order.price is not None else PRICE
        value = order.order_qty * price
        self._cash -= sign * value
        self._positions[order.symbol] = self._positions.get(order.symbol, 0) + sign * order.order_qty
        now = self._clock.now()
        fill = Fill(exec_id=f"E{order.order_no}", last_qty=order.order_qty, last_px=price, fee=ZERO, transact_time=now)
        self._orders[order.order_no] = BrokerOrder(
            order_no=order.order_no,
            order_id=f"N{order.order_no}",
            user_mark=order.cl_ord_id,
            symbol=order.symbol,
            side=order.side,
            ord_type=order.ord_type,
            order_qty=Decimal(order.order_qty),
            price=order.price,
            state=BrokerState.FILLED,
            raw_status="filled",
            cum_qty=Decimal(order.order_qty),
            notional=value,
            fees=ZERO,
            fills=(fill,),
            transact_time=now,
        )
        return f"N{order.order_no}"

    def cancel(self, order_no: str, order_id: str | None) -> None:
        """Nothing is ever open here."""

    def orders(self, since: datetime) -> OrdersRead:  # noqa: ARG002  # the port's
        while len(self._orders) > self._remember:
            del self._orders[next(iter(self._orders))]
        return OrdersRead(orders=tuple(self._orders.values()), complete=True, asked_at=self._clock.now())

    def order(self, order_no: str) -> BrokerOrder | None:
        return self._orders.get(order_no)

    def funds(self) -> Funds:
        return Funds(
            currency="USD",
            cash=self._cash,
            settled_cash=self._cash,
            available=self._cash,
            locked=ZERO,
            buying_power=self._cash,
            at=self._clock.now(),
        )

    def positions(self) -> list[Position]:
        return [
            Position(symbol=symbol, qty=Decimal(qty), sellable=Decimal(qty), avg_cost=PRICE)
            for symbol, qty in self._positions.items()
            if qty
        ]

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        return self._market.quotes(symbols)

    def close(self) -> None:
        """Nothing is open."""
