"""An account's facts, told one by one: what tests of the fold and of decisions begin with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.model.account import Funds, Position, Quote, Session
from oms.model.cycle import Cycle
from oms.model.detail import Intent, Outcome, RevalidationInputs, SettledBy, Validated
from oms.model.event import (
    AccountOpened,
    BuysClosed,
    BuysRevalidated,
    CycleOpened,
    CycleResumed,
    Event,
    FundsObserved,
    FundsSettled,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderInDoubt,
    OrderNotFound,
    OrderNotSent,
    OrderPlanned,
    OrderQuarantined,
    OrderRejected,
    OrderReserved,
    OrderSending,
    OrderVoided,
    Recorded,
    SellsClosed,
)
from oms.model.order import Order, OrdType, Side
from oms.model.state import AccountState

START = datetime(2010, 3, 1, 15, 0, tzinfo=UTC)
DAY = date(2010, 3, 1)
SESSION = Session(
    day=DAY,
    opens=datetime(2010, 3, 1, 14, 30, tzinfo=UTC),
    closes=datetime(2010, 3, 1, 21, 0, tzinfo=UTC),
    settles=DAY + timedelta(days=1),
)


def later(seconds: float) -> datetime:
    """So many seconds after the story's first instant."""
    return START + timedelta(seconds=seconds)


def funds(cash: str | int = 10_000, at: datetime = START, **other: Any) -> Funds:
    """A reading in which every figure is ``cash`` but those that are named."""
    money = Decimal(cash)
    figures: dict[str, Any] = {
        "cash": money,
        "settled_cash": money,
        "available": money,
        "buying_power": money,
        "locked": Decimal(0),
    }
    figures.update({name: Decimal(value) for name, value in other.items()})
    return Funds(currency="USD", at=at, **figures)


def quote(symbol: str, last: str | int | Decimal, at: datetime = START, tick: str = "0.01", lot: int = 1) -> Quote:
    price = Decimal(last)
    return Quote(symbol=symbol, bid=price, ask=price, last=price, at=at, tick=Decimal(tick), lot=lot)


def position(symbol: str, qty: str | int, sellable: str | int | None = None) -> Position:
    free = Decimal(qty if sellable is None else sellable)
    return Position(symbol=symbol, qty=Decimal(qty), sellable=free, avg_cost=Decimal(10))


def intent(key: str, symbol: str, quantity: int = 100, price: str = "10", **other: Any) -> Intent:
    """A wish; ``key`` begins with S for a sell and B for a buy, and ends with its place."""
    side = Side.SELL if key.startswith("S") else Side.BUY
    worst = Decimal(price)
    values: dict[str, Any] = {"ord_type": OrdType.LIMIT, "limit": worst, "worst_px": worst, "index": int(key[1:])}
    return Intent(cl_ord_id=key, side=side, symbol=symbol, quantity=quantity, **{**values, **other})


class Story:
    """One account whose facts are told in order; each takes a second."""

    def __init__(self, account: str = "test", *, cash: str = "10000", held: Sequence[Position] = ()) -> None:
        self.state = AccountState(account)
        self.rows: list[Recorded] = []
        self.now = START
        self.tell(
            AccountOpened(mode="paper", broker="paper", currency="USD", cash=Decimal(cash), positions=tuple(held))
        )

    @property
    def cycle(self) -> Cycle:
        assert self.state.cycle is not None
        return self.state.cycle

    def order(self, key: str) -> Order:
        found = self.state.order(key)
        assert found is not None
        return found

    def tell(self, *events: Event) -> Story:
        for event in events:
            self.now += timedelta(seconds=1)
            row = Recorded(seq=self.state.seq + 1, at=self.now, event=event)
            self.state.apply(row)
            self.rows.append(row)
        return self

    # What happens to the cycle.

    def opens(self, *plan: Intent, cycle_id: str = "c-1", day: date = DAY, spendable: str = "10000") -> Story:
        """A cycle with this plan; its sells are planned, those with a rule blocked."""
        sells = tuple(wish for wish in plan if wish.side is Side.SELL)
        self.tell(
            CycleOpened(
                cycle_id=cycle_id,
                trading_day=day,
                settles=day + timedelta(days=1),
                closes=SESSION.closes,
                sells=sells,
                buys=tuple(wish for wish in plan if wish.side is Side.BUY),
                funds=funds(spendable),
                spendable=Decimal(spendable),
                fence=1,
                version="test",
                config_hash="c0",
                deadline=self.now + timedelta(seconds=120),
                source="test",
            )
        )
        for wish in sells:
            self.plan(wish, cycle_id)
        return self

    def plan(self, wish: Intent, cycle_id: str = "c-1", quantity: int | None = None) -> Story:
        return self.tell(
            OrderPlanned(
                cycle_id=cycle_id,
                cl_ord_id=wish.cl_ord_id,
                symbol=wish.symbol,
                side=wish.side,
                index=wish.index,
                ord_type=wish.ord_type,
                order_qty=quantity or wish.quantity,
                price=wish.limit,
                worst_px=wish.worst_px,
                score=wish.score,
            )
        )

    def resumes(self, fence: int = 2) -> Story:
        return self.tell(
            CycleResumed(
                cycle_id=self.cycle.cycle_id,
                fence=fence,
                phase=self.cycle.state,
                host="here",
                pid=fence,
                restart_token="boot-1",
            )
        )

    def sells_close(self, seconds: float = 60) -> Story:
        cycle = self.cycle
        return self.tell(
            SellsClosed(
                cycle_id=cycle.cycle_id,
                proceeds=cycle.proceeds,
                fees=cycle.sell_fees,
                unresolved=sum(order.quarantined for order in cycle.sells),
                deadline=self.now + timedelta(seconds=seconds),
            )
        )

    def observes(self, spendable: str, at: datetime | None = None) -> Story:
        reading = funds(spendable, at or self.now)
        return self.tell(FundsObserved(cycle_id=self.cycle.cycle_id, funds=reading, spendable=Decimal(spendable)))

    def settles(self, spendable: str = "10000") -> Story:
        cycle = self.cycle
        return self.tell(
            FundsSettled(
                cycle_id=cycle.cycle_id,
                by=SettledBy.COVERED,
                expected=cycle.expected_spendable,
                spendable=Decimal(spendable),
                readings=(Decimal(spendable),),
            )
        )

    def revalidates(
        self,
        quantities: dict[str, int] | None = None,
        seconds: float = 120,
        day: date | None = None,
        settles: date | None = None,
    ) -> Story:
        """Every buy keeps its quantity but those that are named; zero blocks."""
        cycle = self.cycle
        wanted = {buy.cl_ord_id: buy.quantity for buy in cycle.opened.buys} | (quantities or {})
        answers = tuple(
            Validated(
                cl_ord_id=buy.cl_ord_id,
                symbol=buy.symbol,
                original=buy.quantity,
                quantity=wanted[buy.cl_ord_id],
                limit=buy.limit,
                worst_px=buy.worst_px,
                rule="original" if wanted[buy.cl_ord_id] else "funds_fraction",
                reason="told",
            )
            for buy in cycle.opened.buys
        )
        inputs = RevalidationInputs(
            funds=funds(10_000, self.now),
            spendable=Decimal(10_000),
            reserved=Decimal(0),
            quotes=(),
            market_time=self.now,
            held=(),
            committed=(),
            barred=(),
            trades_today=0,
            loss_today=Decimal(0),
            day=day,
            settles=settles,
        )
        self.tell(
            BuysRevalidated(
                cycle_id=cycle.cycle_id,
                rule_version=1,
                inputs=inputs,
                budget=Decimal(8000),
                buys=answers,
                deadline=self.now + timedelta(seconds=seconds),
            )
        )
        for wish in cycle.opened.buys:
            self.plan(wish, cycle.cycle_id, wanted[wish.cl_ord_id])
            if not wanted[wish.cl_ord_id]:
                self.blocks(wish.cl_ord_id, "funds_fraction")
        return self

    def ends(self, outcome: Outcome = Outcome.COMPLETE) -> Story:
        return self.tell(BuysClosed(cycle_id=self.cycle.cycle_id, outcome=outcome))

    def buying(self, *plan: Intent) -> Story:
        """A cycle without sells, taken to BUYING with every buy planned."""
        return self.opens(*plan).sells_close().settles().revalidates()

    # What happens to one order.

    def _key(self, key: str) -> dict[str, Any]:
        order = self.order(key)
        return {"cycle_id": order.cycle_id, "cl_ord_id": key, "symbol": order.symbol}

    def blocks(self, key: str, rule: str = "halted") -> Story:
        return self.tell(OrderBlocked(**self._key(key), rule=rule, limit="", value="", reason="told"))

    def reserves(self, key: str, token: str = "boot-1", fence: int = 1, seconds: float = 120) -> Story:
        order = self.order(key)
        return self.tell(
            OrderReserved(
                **self._key(key),
                order_no=f"no-{key}",
                side=order.side,
                ord_type=order.ord_type,
                order_qty=order.order_qty,
                price=order.price,
                deadline=self.now + timedelta(seconds=seconds),
                restart_token=token,
                fence=fence,
            )
        )

    def sends(self, key: str) -> Story:
        """Reserved where it was not, and SENDING."""
        if self.order(key).order_no is None:
            self.reserves(key)
        return self.tell(OrderSending(**self._key(key), attempt=self.order(key).sends + 1))

    def not_sent(self, key: str) -> Story:
        return self.tell(OrderNotSent(**self._key(key), reason="told"))

    def doubts(self, key: str, raw: str | None = None, *, repeat_refused: bool = False) -> Story:
        return self.tell(OrderInDoubt(**self._key(key), reason="told", raw_status=raw, repeat_refused=repeat_refused))

    def misses(self, key: str, times: int = 1) -> Story:
        for _ in range(times):
            self.tell(OrderNotFound(**self._key(key), reads=self.order(key).not_found + 1))
        return self

    def quarantines(self, key: str) -> Story:
        return self.tell(OrderQuarantined(**self._key(key), reads=self.order(key).not_found, reason="told"))

    def voids(self, key: str) -> Story:
        return self.tell(OrderVoided(**self._key(key), evidence="told", author="ann"))

    def acknowledges(self, key: str) -> Story:
        return self.tell(OrderAcknowledged(**self._key(key), order_id=f"id-{key}"))

    def fills(self, key: str, quantity: int | None = None, price: str = "10", fee: str = "0") -> Story:
        order = self.order(key)
        bought = quantity or order.order_qty - order.cum_qty
        return self.tell(
            OrderFilled(
                **self._key(key),
                side=order.side,
                exec_id=f"e-{self.state.seq}",
                last_qty=bought,
                last_px=Decimal(price),
                fee=Decimal(fee),
                transact_time=self.now,
                settles=DAY + timedelta(days=1),
                cum_qty=order.cum_qty + bought,
                late=order.is_closed,
            )
        )

    def asks_cancel(self, key: str) -> Story:
        return self.tell(OrderCancelRequested(**self._key(key), reason="told"))

    def cancels(self, key: str) -> Story:
        return self.tell(OrderCanceled(**self._key(key), cum_qty=self.order(key).cum_qty))

    def rejects(self, key: str) -> Story:
        return self.tell(OrderRejected(**self._key(key), code="told"))

    def expires(self, key: str) -> Story:
        return self.tell(OrderExpired(**self._key(key), cum_qty=self.order(key).cum_qty))
