"""What every adapter of the port Broker must do; a test class inherits this and sets the stage for its broker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest

from oms.errors import Refused, SendError
from oms.gateways.threads import ThreadHands
from oms.model.order import BrokerOrder, BrokerState, OrderRequest, OrdType, Side
from oms.ports import Broker

PRICE = Decimal(20)
LONG_AGO = timedelta(days=1)


class Stage(ABC):
    """A broker with an account, and the hand of the test on the world around it.

    At the start the account holds 100 shares of ``held`` and none of ``wanted``, both quoted at 20, and 10,000 in
    settled cash. The market is open, and volume has no limit.
    """

    broker: Broker
    held = "AAA"
    wanted = "BBB"
    unknown = "ZZZZZ"

    @abstractmethod
    def now(self) -> datetime:
        """The broker's real time, aware UTC."""

    @abstractmethod
    def pass_time(self) -> None:
        """Let everything happen and be shown that only takes time, within the trading day."""

    @abstractmethod
    def quote(self, symbol: str, price: Decimal) -> None:
        """The price at which the symbol trades from now on."""

    @abstractmethod
    def foreign_order(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> str:
        """Let somebody else place a limit order on the account; answers the broker's ``order_id``."""

    @abstractmethod
    def foreign_cancel(self, order_id: str) -> None:
        """Let somebody else cancel an order of the account."""

    @abstractmethod
    def close_market(self) -> None:
        """The exchange trades no more today."""

    def request(
        self,
        symbol: str,
        side: Side,
        qty: int,
        price: Decimal | None = PRICE,
        *,
        order_no: str | None = None,
        mark: str = "mark",
    ) -> OrderRequest:
        """An order with a number of its own."""
        return OrderRequest(
            cl_ord_id=mark,
            order_no=order_no or self.broker.reserve(1)[0],
            symbol=symbol,
            side=side,
            ord_type=OrdType.MARKET if price is None else OrdType.LIMIT,
            order_qty=qty,
            price=price,
        )

    def resting_buy(self, qty: int = 10) -> OrderRequest:
        """A buy far below the market."""
        return self.request(self.wanted, Side.BUY, qty, PRICE / 2)

    def shown(self, order: OrderRequest) -> BrokerOrder:
        """The order as the broker shows it once time has passed."""
        self.pass_time()
        found = self.broker.order(order.order_no)
        assert found is not None, f"order {order.order_no} is not shown"
        return found

    def all_orders(self) -> tuple[BrokerOrder, ...]:
        self.pass_time()
        return self.broker.orders(self.now() - LONG_AGO).orders


class BrokerContract:
    """The fixtures set the stage: on ``stage_of_parts`` every marketable order trades in two parts, the second one only when
    time passes; on ``late_stage`` lists and funds show what happened only when five seconds have passed.

    Numbers such as B12 are those of the catalogue of broker faults that the tests answer to.
    """

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError

    @pytest.fixture
    def stage_of_parts(self) -> Stage:
        raise NotImplementedError

    @pytest.fixture
    def late_stage(self) -> Stage:
        raise NotImplementedError

    def test_numbers_are_unique(self, stage: Stage) -> None:
        """No order number is handed out twice, nor is it empty."""
        numbers = [*stage.broker.reserve(5), *stage.broker.reserve(1), *stage.broker.reserve(4)]
        assert len(set(numbers)) == 10
        assert all(numbers)

    def test_placed_order_is_shown_as_it_travelled(self, stage: Stage) -> None:
        """An accepted order is shown under its number, alone and in the list, with the fields that travelled."""
        request = stage.resting_buy(7)
        order_id = stage.broker.place(request)
        order = stage.shown(request)
        assert [listed for listed in stage.all_orders() if listed.order_no == request.order_no] == [order]
        assert order.order_id == order_id
        assert (order.symbol, order.side, order.ord_type) == (request.symbol, Side.BUY, OrdType.LIMIT)
        assert (order.order_qty, order.price) == (Decimal(7), request.price)
        assert (order.state, order.cum_qty) == (BrokerState.NEW, Decimal(0))
        assert not order.fills
        assert order.user_mark in (request.cl_ord_id, None)

    def test_marketable_orders_fill(self, stage: Stage) -> None:
        """A marketable limit order and a market order both fill, no worse than their limits."""
        buy = stage.request(stage.wanted, Side.BUY, 10, PRICE * 2)
        sell = stage.request(stage.held, Side.SELL, 10, None)
        for request in (buy, sell):
            stage.broker.place(request)
        bought, sold = stage.shown(buy), stage.shown(sell)
        assert bought.state is sold.state is BrokerState.FILLED
        assert bought.cum_qty == sold.cum_qty == 10
        assert 0 < bought.notional <= 10 * PRICE * 2
        assert sold.price is None

    def test_sums_are_those_of_the_executions(self, stage_of_parts: Stage) -> None:
        """Where executions are reported, quantity, notional and fees are their sums, and their ids are unique."""
        stage = stage_of_parts
        if not stage.broker.capabilities.reports_executions:
            pytest.skip("this broker reports cumulative figures only")
        request = stage.request(stage.wanted, Side.BUY, 10)
        stage.broker.place(stage.request(stage.held, Side.SELL, 5))
        stage.quote(stage.wanted, PRICE / 2)
        stage.broker.place(request)
        order = stage.shown(request)
        assert order.cum_qty == sum(fill.last_qty for fill in order.fills)
        assert order.notional == sum(fill.last_qty * fill.last_px for fill in order.fills)
        assert order.fees == sum(fill.fee for fill in order.fills)
        ids = [fill.exec_id for each in stage.all_orders() for fill in each.fills]
        assert len(ids) == len(set(ids)) >= 2

    def test_repeat_is_refused(self, stage: Stage) -> None:
        """Where the broker is proven to refuse a repeated number it says so, and there is one order, open or done."""
        if stage.broker.capabilities.refuses_repeats is None:
            pytest.skip("this broker is not proven to refuse repeats")
        for request in (stage.resting_buy(), stage.request(stage.held, Side.SELL, 10, PRICE / 2)):
            stage.broker.place(request)
            stage.pass_time()
            with pytest.raises(Refused) as refusal:
                stage.broker.place(request)
            assert refusal.value.repeat
        assert len(stage.all_orders()) == 2

    def test_cancelled_order_trades_no_more(self, stage: Stage) -> None:
        """A cancelled order stays unfilled even when its price comes, and what it locked is free again."""
        request = stage.resting_buy()
        order_id = stage.broker.place(request)
        assert stage.broker.funds().locked > 0
        stage.broker.cancel(request.order_no, order_id)
        stage.pass_time()
        stage.quote(stage.wanted, PRICE / 4)
        order = stage.shown(request)
        assert (order.state, order.cum_qty) == (BrokerState.CANCELED, Decimal(0))
        assert stage.broker.funds().locked == 0

    def test_cancel_keeps_what_was_filled(self, stage_of_parts: Stage) -> None:
        """An order cancelled between its parts is CANCELED and keeps the shares of the first."""
        stage = stage_of_parts
        request = stage.request(stage.held, Side.SELL, 50, PRICE / 2)
        order_id = stage.broker.place(request)
        stage.broker.cancel(request.order_no, order_id)
        order = stage.shown(request)
        assert order.state is BrokerState.CANCELED
        assert 0 < order.cum_qty < 50
        (position,) = stage.broker.positions()
        assert (position.qty, position.sellable) == (100 - order.cum_qty, 100 - order.cum_qty)

    def test_cancel_without_an_order_is_not_a_crash(self, stage: Stage) -> None:
        """A cancel of an order that does not exist, or is done, ends with an outcome of a send and changes nothing."""
        request = stage.request(stage.held, Side.SELL, 1, PRICE / 2)
        with pytest.raises(SendError):
            stage.broker.cancel(request.order_no, None)
        order_id = stage.broker.place(request)
        assert stage.shown(request).state is BrokerState.FILLED
        with pytest.raises(SendError):
            stage.broker.cancel(request.order_no, order_id)
        assert stage.shown(request).state is BrokerState.FILLED

    def test_funds_are_finite_and_ours(self, stage: Stage) -> None:
        """Funds come in the account's currency, with finite figures and an aware instant not after now."""
        funds = stage.broker.funds()
        figures = (funds.cash, funds.settled_cash, funds.available, funds.locked, funds.buying_power)
        assert all(figure.is_finite() for figure in figures)
        assert funds.cash == 10_000
        assert funds.currency == stage.broker.capabilities.currency
        assert funds.at <= stage.now()

    def test_proceeds_become_available(self, stage: Stage) -> None:
        """A sell's proceeds less its fee are in cash, and sooner or later in available funds and buying power."""
        before = stage.broker.funds()
        request = stage.request(stage.held, Side.SELL, 100, PRICE / 2)
        stage.broker.place(request)
        order = stage.shown(request)
        funds = stage.broker.funds()
        assert funds.cash == before.cash + order.notional - order.fees
        assert funds.available >= before.available + order.notional - order.fees
        assert funds.buying_power >= before.buying_power + order.notional - order.fees
        assert stage.broker.positions() == []

    def test_open_buy_locks_its_cost(self, stage: Stage) -> None:
        """An open buy takes at least its value out of available funds, and cash stays."""
        before = stage.broker.funds()
        stage.broker.place(stage.resting_buy(10))
        funds = stage.broker.funds()
        assert funds.locked >= 10 * PRICE / 2
        assert funds.available <= before.available - 10 * PRICE / 2
        assert funds.cash == before.cash

    def test_open_sell_takes_from_sellable(self, stage: Stage) -> None:
        """Shares promised to an open sell are held and not sellable."""
        stage.broker.place(stage.request(stage.held, Side.SELL, 30, PRICE * 2))
        (position,) = stage.broker.positions()
        assert (position.symbol, position.qty, position.sellable) == (stage.held, Decimal(100), Decimal(70))

    def test_reads_are_complete_and_since_an_instant(self, stage: Stage) -> None:
        """The list holds every order made since the asked instant and none made well before it."""
        early = stage.resting_buy(1)
        stage.broker.place(early)
        stage.pass_time()
        middle = stage.now()
        late = stage.resting_buy(2)
        stage.broker.place(late)
        stage.pass_time()
        read = stage.broker.orders(middle)
        assert read.complete
        assert [order.order_no for order in read.orders] == [late.order_no]
        assert middle <= read.asked_at <= stage.now()
        assert {order.order_no for order in stage.all_orders()} == {early.order_no, late.order_no}

    def test_foreign_order_is_shown_without_our_number(self, stage: Stage) -> None:
        """Somebody else's order is in the list, fraction and all, under the broker's number only."""
        order_id = stage.foreign_order(stage.held, Side.SELL, Decimal("2.5"), PRICE * 2)
        (order,) = stage.all_orders()
        assert (order.order_id, order.order_no, order.order_qty) == (order_id, None, Decimal("2.5"))
        (position,) = stage.broker.positions()
        assert position.sellable == Decimal("97.5")

    def test_unknown_number_shows_nothing(self, stage: Stage) -> None:
        """Asking for a number that no order has answers None."""
        assert stage.broker.order(stage.broker.reserve(1)[0]) is None

    def test_refusals_are_definite_and_leave_nothing(self, stage: Stage) -> None:
        """What the account cannot pay, does not hold or nobody quotes is Refused, is no order and moves no money."""
        before = stage.broker.funds()
        for request in (
            stage.request(stage.wanted, Side.BUY, 501),
            stage.request(stage.held, Side.SELL, 101),
            stage.request(stage.wanted, Side.SELL, 1),
            stage.request(stage.unknown, Side.BUY, 1),
        ):
            with pytest.raises(Refused) as refusal:
                stage.broker.place(request)
            assert not refusal.value.repeat
        assert stage.all_orders() == ()
        after = stage.broker.funds()
        assert (after.cash, after.available) == (before.cash, before.available)

    def test_sixteen_orders_at_once(self, stage: Stage) -> None:
        """Orders placed from eight threads are all there, one each."""
        hands = ThreadHands(8)
        numbers = stage.broker.reserve(16)
        requests = [stage.request(stage.wanted, Side.BUY, 1, order_no=number, mark=number) for number in numbers]
        handles = [hands.start(partial(stage.broker.place, request)) for request in requests]
        for handle in handles:
            while not handle.done():
                hands.wait([handle], 10)
        assert len({handle.result() for handle in handles}) == 16
        assert sorted(str(order.order_no) for order in stage.all_orders()) == sorted(numbers)
        hands.close()

    def test_quotes_know_what_they_know(self, stage: Stage) -> None:
        """Quotes are given for known symbols; an unknown one is absent."""
        quotes = stage.broker.quotes([stage.held, stage.unknown])
        assert list(quotes) == [stage.held]
        assert quotes[stage.held].last == PRICE

    # Lists and figures that lag (B12, B18).

    def test_late_list_is_no_proof_and_shows_one_order_in_the_end(self, late_stage: Stage) -> None:
        """B12: an order that no list shows yet is None, not an error; later every way of asking shows it, once."""
        request = late_stage.resting_buy()
        order_id = late_stage.broker.place(request)
        early = late_stage.broker.order(request.order_no)
        assert early is None or early.order_id == order_id
        assert len(late_stage.broker.orders(late_stage.now() - LONG_AGO).orders) <= 1
        assert late_stage.shown(request).order_id == order_id
        assert [order.order_id for order in late_stage.all_orders()] == [order_id]

    def test_late_funds_are_the_old_ones_or_the_new(self, late_stage: Stage) -> None:
        """B18: a figure that lags shows what was, in the end what is; never proceeds that nobody paid."""
        before = late_stage.broker.funds()
        request = late_stage.request(late_stage.held, Side.SELL, 100, PRICE / 2)
        late_stage.broker.place(request)
        early = late_stage.broker.funds()
        order = late_stage.shown(request)
        proceeds = order.notional - order.fees
        assert before.available <= early.available <= before.available + proceeds
        assert before.cash <= early.cash <= before.cash + proceeds
        late = late_stage.broker.funds()
        assert (late.cash, late.available) == (before.cash + proceeds, before.available + proceeds)

    # Numbers (B14, B15).

    def test_numbers_reserved_at_once_are_unique(self, stage: Stage) -> None:
        """B15: eight sessions that reserve at the same time never get the same number."""
        hands = ThreadHands(8)
        handles = [hands.start(partial(stage.broker.reserve, 3)) for _ in range(8)]
        for handle in handles:
            while not handle.done():
                hands.wait([handle], 10)
        numbers = [number for handle in handles for number in handle.result()]
        assert len(set(numbers)) == 24
        hands.close()

    def test_used_number_never_makes_a_second_order(self, stage: Stage) -> None:
        """B14, B15: another order under a number that is taken is refused as a repeat, and the first stays as it was."""
        if stage.broker.capabilities.refuses_repeats is None:
            pytest.skip("this broker is not proven to refuse repeats")
        first = stage.resting_buy(7)
        stage.broker.place(first)
        other = stage.request(stage.held, Side.SELL, 1, PRICE * 2, order_no=first.order_no, mark="other")
        with pytest.raises(Refused) as refusal:
            stage.broker.place(other)
        assert refusal.value.repeat
        (order,) = stage.all_orders()
        assert (order.order_no, order.symbol, order.order_qty) == (first.order_no, stage.wanted, Decimal(7))

    # Cancels (B16).

    def test_second_cancel_changes_nothing(self, stage: Stage) -> None:
        """B16: a cancel of what is cancelled is an outcome of a send or an answer, and the order stays as it is."""
        request = stage.resting_buy()
        order_id = stage.broker.place(request)
        stage.broker.cancel(request.order_no, order_id)
        once = stage.shown(request)
        with suppress(SendError):
            stage.broker.cancel(request.order_no, order_id)
        assert stage.shown(request) == once
        assert once.state is BrokerState.CANCELED

    # Others on the account (B21).

    def test_order_cancelled_by_somebody_else(self, stage_of_parts: Stage) -> None:
        """B21: our order that a person cancels in the broker's app is CANCELED, and keeps what it had traded."""
        stage = stage_of_parts
        request = stage.request(stage.held, Side.SELL, 50, PRICE / 2)
        order_id = stage.broker.place(request)
        stage.foreign_cancel(order_id)
        order = stage.shown(request)
        assert order.state is BrokerState.CANCELED
        assert 0 < order.cum_qty < 50

    def test_trade_of_somebody_else_in_our_symbol(self, stage: Stage) -> None:
        """B21: a foreign sale is in positions and cash, in the list without our number, and none of our order's."""
        ours = stage.request(stage.held, Side.SELL, 30, PRICE * 2)
        stage.broker.place(ours)
        foreign = stage.foreign_order(stage.held, Side.SELL, Decimal(10), PRICE / 2)
        order = stage.shown(ours)
        assert (order.state, order.cum_qty) == (BrokerState.NEW, Decimal(0))
        (position,) = stage.broker.positions()
        assert (position.qty, position.sellable) == (Decimal(90), Decimal(60))
        listed = {each.order_id: each.order_no for each in stage.all_orders()}
        assert listed[foreign] is None
        assert len(listed) == 2

    # A closed market (B07, B23).

    def test_closed_market_is_a_definite_no(self, stage: Stage) -> None:
        """B07: what a closed market does not take is Refused with a reason, and is no order."""
        stage.close_market()
        with pytest.raises(Refused) as refusal:
            stage.broker.place(stage.request(stage.held, Side.SELL, 10, PRICE / 2))
        assert not refusal.value.repeat
        assert str(refusal.value)
        assert stage.all_orders() == ()
