"""The paper broker: the contract of every broker, and what is its own."""

from __future__ import annotations

import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from oms.errors import BrokerUnavailable, DamagedError, NotSent, Refused, RefusedError
from oms.gateways.paper import PaperBroker
from oms.gateways.paper.outsider import Outsider
from oms.model.account import Quote
from oms.model.order import BrokerState, OrderRequest, OrdType, Side
from tests.contract.broker_contract import PRICE, BrokerContract, Stage
from tests.fakes.clock import FakeClock
from tests.fakes.market import FixedMarket

SECOND = timedelta(seconds=1)


class PaperStage(Stage):
    """A paper account of 10,000 and 100 AAA; ``terms`` change the broker's own."""

    def __init__(self, path: Path, **terms: Any) -> None:
        self.path = path
        self.clock = FakeClock()
        self.market = FixedMarket({self.held: PRICE, self.wanted: PRICE})
        self.terms = terms
        self.paper = self.broker = self.open()
        self.somebody = Outsider(path, self.market, self.clock, **self._settings())

    def _settings(self) -> dict[str, Any]:
        standard = {
            "cash": Decimal(10_000),
            "positions": {self.held: 100},
            "fee_per_share": Decimal(0),
            "session": self.market.session,
        }
        return {**standard, **self.terms}

    def open(self, **terms: Any) -> PaperBroker:
        return PaperBroker(self.path, self.market, self.clock, **{**self._settings(), **terms})

    def now(self) -> datetime:
        return self.clock.now()

    def pass_time(self) -> None:
        for _ in range(2):  # the second part of an order trades, then its proceeds settle and all of it shows
            self.paper.orders(self.now())
            self.clock.advance(10 * SECOND)

    def quote(self, symbol: str, price: Decimal) -> None:
        self.market.prices[symbol] = price

    def foreign_order(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> str:
        return self.somebody.external_order(symbol, side, qty, price)

    def foreign_cancel(self, order_id: str) -> None:
        self.somebody.cancel("", order_id)

    def close_market(self) -> None:
        self.market.set_time(22)

    def close(self) -> None:
        self.broker.close()
        self.somebody.close()


SetStage = Callable[..., PaperStage]


@pytest.fixture
def set_stage(tmp_path: Path) -> Iterator[SetStage]:
    """A maker of stages, which ends them."""
    stages: list[PaperStage] = []

    def make(**terms: Any) -> PaperStage:
        stages.append(PaperStage(tmp_path / f"paper{len(stages)}.db", **terms))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(set_stage: SetStage) -> PaperStage:
    return set_stage()


class TestPaperBrokerKeepsTheContract(BrokerContract):
    """On its standard terms."""

    @pytest.fixture
    def stage(self, set_stage: SetStage) -> Stage:
        return set_stage()

    @pytest.fixture
    def stage_of_parts(self, set_stage: SetStage) -> Stage:
        return set_stage(partial_fills=Decimal(1))

    @pytest.fixture
    def late_stage(self, set_stage: SetStage) -> Stage:
        return set_stage(list_lag=5 * SECOND, funds_lag=5 * SECOND)


class TestLateAndCostlyPaperBrokerKeepsTheContract(BrokerContract):
    """With every lag and a fee."""

    terms: ClassVar = {
        "list_lag": 3 * SECOND,
        "funds_lag": 5 * SECOND,
        "settle_after": 7 * SECOND,
        "fee_per_share": Decimal("0.0051"),
        "slippage": Decimal("0.01"),
    }

    @pytest.fixture
    def stage(self, set_stage: SetStage) -> Stage:
        return set_stage(**self.terms)

    @pytest.fixture
    def stage_of_parts(self, set_stage: SetStage) -> Stage:
        return set_stage(**self.terms, partial_fills=Decimal(1), fill_delay=2 * SECOND)

    @pytest.fixture
    def late_stage(self, set_stage: SetStage) -> Stage:
        return set_stage(**{**self.terms, "list_lag": 5 * SECOND})


class TestMoney:
    """What the figures say, and when."""

    def test_sell_is_in_cash_at_once_and_available_after_settlement(self, set_stage: SetStage) -> None:
        """Proceeds are cash at the fill, buying power after ``funds_lag``, available after ``settle_after``, and settled on
        their settlement date.
        """
        stage = set_stage(settle_after=4 * SECOND, funds_lag=2 * SECOND, slippage=Decimal(0))
        stage.broker.place(stage.request(stage.held, Side.SELL, 100))
        seen = []
        for _ in range(6):
            funds = stage.broker.funds()
            seen.append((funds.cash, funds.buying_power, funds.available, funds.settled_cash))
            stage.clock.advance(SECOND)
        old, new = Decimal(10_000), Decimal(12_000)
        assert seen == [(new, old, old, old)] * 2 + [(new, new, old, old)] * 2 + [(new, new, new, old)] * 2
        stage.market.next_day()
        assert stage.broker.funds().settled_cash == new

    def test_settled_money_pays_first(self, set_stage: SetStage) -> None:
        """What is bought comes out of settled cash; the rest comes out of the proceeds, never below nothing."""
        stage = set_stage(cash=Decimal(100), slippage=Decimal(0))
        stage.broker.place(stage.request(stage.held, Side.SELL, 100))
        stage.clock.advance(SECOND)
        figures = []
        for quantity in (2, 50):
            stage.broker.place(stage.request(stage.wanted, Side.BUY, quantity))
            funds = stage.broker.funds()
            figures.append((int(funds.cash), int(funds.settled_cash)))
        assert figures == [(2060, 60), (1060, 0)]
        stage.market.next_day()
        assert stage.broker.funds().settled_cash == 1060

    def test_a_market_without_settlement_dates_settles_with_the_money(self, set_stage: SetStage) -> None:
        """Where no session is known, proceeds count as settled as soon as they may pay for a buy."""
        stage = set_stage(session=None, settle_after=4 * SECOND)
        stage.broker.place(stage.request(stage.held, Side.SELL, 100))
        before = stage.broker.funds().settled_cash
        stage.clock.advance(4 * SECOND)
        assert stage.broker.funds().settled_cash > before

    def test_unsettled_proceeds_pay_for_nothing(self, set_stage: SetStage) -> None:
        """A buy that needs unsettled proceeds is refused, and taken once they have settled."""
        stage = set_stage(settle_after=4 * SECOND)
        stage.broker.place(stage.request(stage.held, Side.SELL, 100))
        request = stage.request(stage.wanted, Side.BUY, 550)
        with pytest.raises(Refused, match="insufficient_funds"):
            stage.broker.place(request)
        stage.clock.advance(4 * SECOND)
        stage.broker.place(request)

    def test_last_cent_can_be_spent(self, set_stage: SetStage) -> None:
        """A buy whose limit and fee need exactly what is available is taken; one ten-thousandth more is not."""
        stage = set_stage(cash=Decimal("200.05"), fee_per_share=Decimal("0.005"))
        refused = stage.request(stage.wanted, Side.BUY, 10, Decimal("20.01"))
        with pytest.raises(Refused, match="insufficient_funds"):
            stage.broker.place(refused)
        stage.broker.place(stage.request(stage.wanted, Side.BUY, 10))
        assert stage.broker.funds().available == 0

    def test_market_buy_locks_more_than_the_quote(self, stage: PaperStage) -> None:
        """A market buy needs 5 % more than the quote, for the price may move before it trades."""
        with pytest.raises(Refused, match="insufficient_funds"):
            stage.broker.place(stage.request(stage.wanted, Side.BUY, 477, None))
        stage.broker.place(stage.request(stage.wanted, Side.BUY, 476, None))

    def test_fees_of_parts_add_up_to_the_fee_of_the_order(self, set_stage: SetStage) -> None:
        """The fee does not depend on the number of parts, and lock and debit agree to the last digit."""
        stage = set_stage(fee_per_share=Decimal("0.00035"), partial_fills=Decimal(1), slippage=Decimal(0))
        left = Decimal(10_000)
        requests = [stage.request(stage.wanted, Side.BUY, qty) for qty in range(2, 22, 2)]
        for request in requests:
            stage.broker.place(request)
            left -= request.order_qty * (PRICE + Decimal("0.00035"))
            assert stage.broker.funds().available == left
        assert [stage.shown(request).fees for request in requests] == [
            request.order_qty * Decimal("0.00035") for request in requests
        ]
        assert stage.broker.funds().available == stage.broker.funds().cash == left

    def test_money_moved_by_hand_is_seen(self, stage: PaperStage) -> None:
        """Cash that somebody pays in or takes out shows at once."""
        stage.somebody.external_cash(Decimal("-2500.50"))
        assert stage.broker.funds().available == Decimal("7499.50")

    def test_raw_figures_are_the_figures(self, stage: PaperStage) -> None:
        """The raw fields kept for the journal spell the same amounts, without trailing zeros."""
        raw = stage.broker.funds().raw
        assert raw is not None
        assert raw["cash"] == raw["available"] == "10000"


class TestPositions:
    """Shares and what they cost."""

    def test_opening_cost_is_the_first_price_seen(self, set_stage: SetStage) -> None:
        """An opening position costs the first quote the book sees, and nothing while there is none."""
        stage = set_stage(positions={"AAA": 100, "QQQ": 5})
        stage.pass_time()
        stage.quote("AAA", Decimal(99))
        assert {p.symbol: p.avg_cost for p in stage.broker.positions()} == {"AAA": 20, "QQQ": 0}

    def test_average_cost_is_weighted(self, set_stage: SetStage) -> None:
        """Buying more moves the average cost by quantity; selling leaves it."""
        stage = set_stage(slippage=Decimal(0))
        stage.pass_time()
        stage.quote("AAA", Decimal(26))
        stage.broker.place(stage.request("AAA", Side.BUY, 50, Decimal(26)))
        stage.broker.place(stage.request("AAA", Side.SELL, 70, Decimal(26)))
        (position,) = stage.broker.positions()
        assert (position.qty, position.avg_cost) == (Decimal(80), Decimal(22))

    def test_fractions_survive(self, set_stage: SetStage) -> None:
        """A fraction that somebody else holds or trades is kept exactly, and sold shares leave it alone."""
        stage = set_stage(positions={"AAA": Decimal("10.333333")})
        stage.somebody.external_order("AAA", Side.SELL, Decimal("0.25"))
        stage.broker.place(stage.request("AAA", Side.SELL, 10))
        (position,) = stage.broker.positions()
        assert position.qty == Decimal("0.083333")
        (foreign, ours) = stage.all_orders()
        assert (foreign.cum_qty, len(foreign.fills), ours.cum_qty) == (Decimal("0.25"), 0, Decimal(10))

    def test_two_sells_cannot_promise_the_same_shares(self, stage: PaperStage) -> None:
        """Shares promised to one open sell are refused to the next."""
        stage.broker.place(stage.request("AAA", Side.SELL, 60, Decimal(50)))
        with pytest.raises(Refused, match="insufficient_shares"):
            stage.broker.place(stage.request("AAA", Side.SELL, 41, Decimal(50)))

    def test_nobody_goes_short(self, stage: PaperStage) -> None:
        """An open sell whose shares were taken away by hand rests instead of trading."""
        request = stage.request("AAA", Side.SELL, 60, Decimal(50))
        stage.broker.place(request)
        stage.somebody.external_shares("AAA", -50)
        stage.quote("AAA", Decimal(60))
        assert stage.shown(request).state is BrokerState.NEW


class TestOrders:
    """Numbers, days, lags."""

    @pytest.mark.parametrize("number", ["", "1", "1000000", "999", "10000010", "abc", "१०००००१", "9" * 40, "-1"])
    def test_number_from_elsewhere_is_refused(self, stage: PaperStage, number: str) -> None:
        """A number that was not handed out is refused as unknown, which is no repeat."""
        stage.broker.reserve(1)
        request = OrderRequest(
            cl_ord_id="x",
            order_no=number,
            symbol="AAA",
            side=Side.SELL,
            ord_type=OrdType.LIMIT,
            order_qty=1,
            price=PRICE,
        )
        with pytest.raises(Refused) as refusal:
            stage.broker.place(request)
        assert (refusal.value.code, refusal.value.repeat) == ("unknown_number", False)

    def test_refused_order_leaves_its_number_free(self, stage: PaperStage) -> None:
        """The same request may be sent again after a refusal, and is judged afresh."""
        request = stage.request(stage.wanted, Side.BUY, 501)
        with pytest.raises(Refused, match="insufficient_funds"):
            stage.broker.place(request)
        stage.somebody.external_cash(Decimal(100))
        stage.broker.place(request)

    @pytest.mark.parametrize(
        ("qty", "price", "code"),
        [
            (0, "20", "bad_quantity"),
            (-1, "20", "bad_quantity"),
            (10**30, "20", "bad_quantity"),
            (1, "20.001", "bad_price"),
            (1, "0", "bad_price"),
            (1, "-20", "bad_price"),
            (1, "NaN", "bad_price"),
            (1, "Infinity", "bad_price"),
            (1, "1E+30", "bad_price"),
        ],
    )
    def test_mad_figures_are_refused(self, stage: PaperStage, qty: int, price: str, code: str) -> None:
        """Quantities and prices that no market takes are refused by name."""
        with pytest.raises(Refused) as refusal:
            stage.broker.place(stage.request("AAA", Side.SELL, qty, Decimal(price)))
        assert refusal.value.code == code

    def test_lots_are_whole(self, stage: PaperStage) -> None:
        """Where the market trades in lots, an odd quantity is refused."""
        stage.market.lot = 100
        with pytest.raises(Refused, match="bad_quantity"):
            stage.broker.place(stage.request("AAA", Side.SELL, 50))

    def test_closed_market_takes_no_order(self, stage: PaperStage) -> None:
        """At the closing bell orders are refused and nothing trades any more."""
        resting = stage.resting_buy()
        stage.broker.place(resting)
        stage.market.close_day()
        stage.quote(stage.wanted, Decimal(1))
        with pytest.raises(Refused, match="market_closed"):
            stage.broker.place(stage.resting_buy())
        assert stage.shown(resting).state is BrokerState.NEW

    def test_open_orders_expire_with_the_day(self, set_stage: SetStage) -> None:
        """On the next day an order has expired with what it had traded, and has not traded at the new price."""
        stage = set_stage(partial_fills=Decimal(1))
        parted, resting = stage.request("AAA", Side.SELL, 50), stage.resting_buy()
        stage.quote("AAA", Decimal(21))
        for request in (parted, resting):
            stage.broker.place(request)
        stage.market.next_day()
        stage.quote(stage.wanted, Decimal(1))
        orders = [stage.shown(parted), stage.shown(resting)]
        assert [order.state for order in orders] == [BrokerState.EXPIRED, BrokerState.EXPIRED]
        assert 0 < orders[0].cum_qty < 50
        assert orders[1].cum_qty == 0
        assert stage.broker.funds().locked == 0

    def test_an_older_day_changes_nothing(self, stage: PaperStage) -> None:
        """A reader whose replay stands on an earlier day neither expires nor fills what trades on a later one."""
        stage.market.next_day()
        request = stage.resting_buy()
        stage.broker.place(request)
        reader = PaperStage(stage.path)
        reader.quote(stage.wanted, Decimal(1))
        assert reader.market.day < stage.market.day
        assert reader.all_orders()[0].state is BrokerState.NEW
        reader.close()

    def test_watching_moves_nothing(self, stage: PaperStage) -> None:
        """A broker object that only watches shows the book, without trading, waiting, or asking the market."""
        request = stage.resting_buy()
        stage.broker.place(request)
        stage.quote(stage.wanted, Decimal(1))
        stage.market.is_down = True
        with stage.paper._book.transaction():  # the trading process is at work
            watcher = stage.open(watching=True)
            assert watcher.orders(stage.now()).orders[0].state is BrokerState.NEW
            assert watcher.funds().locked == 100
            watcher.close()

    def test_resting_order_trades_when_its_price_comes(self, stage: PaperStage) -> None:
        """A limit order that is not marketable rests and trades at the price that reaches it."""
        request = stage.resting_buy()
        stage.broker.place(request)
        assert stage.shown(request).state is BrokerState.NEW
        stage.quote(stage.wanted, Decimal(9))
        order = stage.shown(request)
        assert (order.state, order.fills[0].last_px) == (BrokerState.FILLED, Decimal("9.01"))

    def test_reads_are_late(self, set_stage: SetStage) -> None:
        """Each change of an order shows ``list_lag`` after it happened, in the list and alone, executions with it."""
        stage = set_stage(list_lag=3 * SECOND, partial_fills=Decimal(1), fill_delay=2 * SECOND)
        request = stage.request("AAA", Side.SELL, 50)
        stage.quote("AAA", Decimal(21))
        start = stage.now()
        stage.broker.place(request)
        seen = []
        for _ in range(7):
            listed, alone = stage.broker.orders(start).orders, stage.broker.order(request.order_no)
            assert listed == (() if alone is None else (alone,))
            seen.append(None if alone is None else (alone.raw_status, len(alone.fills)))
            stage.clock.advance(SECOND)
        assert seen == [None] * 3 + [("PARTIALLY_FILLED", 1)] * 2 + [("FILLED", 2)] * 2

    def test_without_a_lag_a_clock_set_back_hides_nothing(self, stage: PaperStage) -> None:
        """Without a lag every change is shown, whatever the clock says."""
        request = stage.request("AAA", Side.SELL, 50)
        stage.broker.place(request)
        stage.clock.jump(timedelta(days=-1))
        found = stage.broker.order(request.order_no)
        assert found is not None
        assert found.state is BrokerState.FILLED

    def test_cancel_by_either_number(self, stage: PaperStage) -> None:
        """An order is cancelled by our number or by the broker's; a foreign one by the broker's."""
        ours = stage.resting_buy()
        stage.broker.place(ours)
        foreign = stage.foreign_order(stage.held, Side.SELL, Decimal(1), PRICE * 2)
        stage.somebody.external_cancel(foreign)
        stage.broker.cancel(ours.order_no, None)
        assert [order.state for order in stage.all_orders()] == [BrokerState.CANCELED] * 2


class TestBookOnDisk:
    """The file, and what can be wrong with it."""

    def test_book_outlives_its_process(self, stage: PaperStage) -> None:
        """A book opened again keeps its own cash and orders, not those of the configuration, and goes on counting."""
        request = stage.request("AAA", Side.SELL, 100)
        stage.broker.place(request)
        before = stage.shown(request)
        funds = stage.broker.funds()
        stage.broker.close()
        stage.paper = stage.broker = stage.open(cash=Decimal(5), positions={"BBB": 7})
        assert stage.shown(request) == before
        assert stage.broker.funds().cash == funds.cash
        assert stage.broker.positions() == []
        assert stage.broker.reserve(1)[0] > request.order_no

    def test_two_at_once_share_one_book(self, stage: PaperStage) -> None:
        """What one process does the other sees, and numbers stay unique between them."""
        second = stage.open()
        numbers = [*second.reserve(3), *stage.broker.reserve(3), *second.reserve(3)]
        assert len(set(numbers)) == 9
        request = stage.resting_buy()
        second.place(request)
        with pytest.raises(Refused) as refusal:
            stage.broker.place(request)
        assert refusal.value.repeat
        second.close()

    def test_book_is_durable_and_private(self, stage: PaperStage) -> None:
        """The book is in write-ahead mode, fully synchronous, and readable by its owner only."""
        connection = stage.paper._book._connection
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        if sys.platform != "win32":
            assert stat.S_IMODE(stage.path.stat().st_mode) == 0o600

    def test_the_file_itself_holds_the_promise_of_one_order_per_number(self, stage: PaperStage) -> None:
        """A second order under one number cannot be stored, whatever the code does."""
        request = stage.resting_buy()
        stage.broker.place(request)
        foreign = stage.foreign_order(stage.held, Side.SELL, Decimal(1), PRICE * 2)
        connection = stage.paper._book._connection
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            connection.execute("UPDATE orders SET order_no = ? WHERE seq = ?", (request.order_no, int(foreign[1:])))

    def test_same_calls_make_the_same_book(self, set_stage: SetStage) -> None:
        """Same seed, calls and clock: the same rows in every table; another seed cuts the parts elsewhere."""

        def rows(seed: int) -> dict[str, list[tuple[object, ...]]]:
            stage = set_stage(partial_fills=Decimal("0.5"), seed=seed)
            for qty in range(2, 30):
                stage.broker.place(stage.request(stage.wanted, Side.BUY, qty, Decimal(21)))
            stage.pass_time()
            stage.somebody.external_order("AAA", Side.SELL, Decimal("0.5"))
            with sqlite3.connect(stage.path) as connection:
                tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
            connection.close()
            return found

        first, second, other = rows(1), rows(1), rows(2)
        assert first == second
        assert first["executions"] != other["executions"]

    def test_money_in_another_currency_is_shown_and_pays_for_nothing(self, set_stage: SetStage) -> None:
        """5,000 Hong Kong dollars stand beside the account's own money, and no buy can have them."""
        stage = set_stage(cash=Decimal(100), others={"HKD": Decimal(5_000)})
        (hkd,) = stage.broker.funds().others
        assert (hkd.currency, hkd.cash, hkd.settled_cash) == ("HKD", Decimal(5_000), Decimal(5_000))
        with pytest.raises(Refused, match="insufficient_funds"):
            stage.broker.place(stage.request(stage.wanted, Side.BUY, 6))
        stage.somebody.external_cash(Decimal(-5_000), "HKD")
        assert [balance.cash for balance in stage.broker.funds().others] == [0]

    def test_a_book_in_another_currency_is_refused(self, stage: PaperStage) -> None:
        """A book of US dollars is not taken for one of Hong Kong dollars when the exchange changes."""
        with pytest.raises(RefusedError, match="trades in USD, the configuration in HKD"):
            stage.open(currency="HKD")

    def test_a_book_of_the_first_version_goes_on(self, stage: PaperStage) -> None:
        """It gets what it lacks, keeps what it has, and its old proceeds count as settled."""
        stage.broker.place(stage.request(stage.held, Side.SELL, 100))
        stage.clock.advance(10 * SECOND)
        before = stage.broker.funds()
        stage.close()
        raw = sqlite3.connect(stage.path, isolation_level=None)
        for statement in (
            "DROP TABLE balances",
            "CREATE TABLE first AS SELECT id, cash, day FROM account",
            "DROP TABLE account",
            "ALTER TABLE first RENAME TO account",
            "DROP INDEX proceeds_settles",
            "UPDATE proceeds SET settles = NULL",
            "ALTER TABLE proceeds RENAME COLUMN settles TO not_there_then",
            "PRAGMA user_version = 1",
        ):
            raw.execute(statement)
        raw.close()
        stage.paper = stage.broker = stage.open()
        after = stage.broker.funds()
        assert (after.cash, after.currency, after.others) == (before.cash, "USD", ())
        assert after.settled_cash == after.cash

    def test_newer_book_is_refused(self, stage: PaperStage) -> None:
        """A book made by a newer program is not touched, and the error says what to do."""
        stage.paper._book._connection.execute("PRAGMA user_version = 99")
        with pytest.raises(DamagedError, match="newer program"):
            stage.open()

    def test_what_is_no_book_is_refused(self, tmp_path: Path) -> None:
        """A file that is something else is left alone."""
        path = tmp_path / "paper.db"
        path.write_bytes(b"a letter to my broker\n" * 100)
        with pytest.raises(DamagedError, match="not one, or is damaged"):
            PaperStage(path)
        assert path.read_bytes().startswith(b"a letter")

    def test_path_that_cannot_be_opened_is_said(self, tmp_path: Path) -> None:
        """A path that cannot be opened is a cause to try again later, in a sentence that names it."""
        (tmp_path / "file").touch()
        with pytest.raises(BrokerUnavailable, match="cannot be opened"):
            PaperStage(tmp_path / "file" / "paper.db")

    def test_locked_book_is_not_doubt(self, stage: PaperStage, monkeypatch: pytest.MonkeyPatch) -> None:
        """While another process holds the book's write lock a read is unavailable, and an order provably not sent."""
        stage.paper._book._connection.execute("PRAGMA busy_timeout = 0")
        request = stage.resting_buy()
        other = sqlite3.connect(stage.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailable, match="locked"):
            stage.broker.funds()
        with pytest.raises(NotSent):
            stage.broker.place(request)
        with pytest.raises(NotSent):
            stage.broker.cancel(request.order_no, None)
        other.close()
        stage.broker.place(request)

    def test_closed_broker_answers_nothing(self, stage: PaperStage) -> None:
        """A closed broker answers reads with BrokerUnavailable and takes no order."""
        request = stage.resting_buy()
        stage.close()
        with pytest.raises(BrokerUnavailable):
            stage.broker.funds()
        with pytest.raises(NotSent):
            stage.broker.place(request)

    def test_reads_go_on_without_the_market(self, stage: PaperStage) -> None:
        """While the market is down the book is shown as it stands, time still settles, and orders are not sent."""
        stage.broker.place(stage.request("AAA", Side.SELL, 100))
        request = stage.resting_buy()
        stage.market.is_down = True
        stage.clock.advance(SECOND)
        funds = stage.broker.funds()
        assert funds.available == funds.cash > 10_000
        with pytest.raises(NotSent, match="market is down"):
            stage.broker.place(request)
        with pytest.raises(BrokerUnavailable):
            stage.broker.quotes(["AAA"])

    def test_numbers_are_asked_for_in_reason(self, stage: PaperStage) -> None:
        """Nobody gets no numbers, or millions of them."""
        for count in (0, -1, 1001):
            with pytest.raises(ValueError, match="expected 1 to 1000"):
                stage.broker.reserve(count)


class HangingMarket(FixedMarket):
    """A market that answers nobody until it is let go."""

    def __init__(self, prices: dict[str, Decimal]) -> None:
        super().__init__(prices)
        self.free = threading.Event()
        self.free.set()
        self.asked = 0

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        self.asked += 1
        assert self.free.wait(240)
        return super().quotes(symbols)


class TestAMarketThatHangs:
    """Prices from a server that hangs: the broker answers all the same, as a real one would."""

    @pytest.fixture
    def market(self) -> Iterator[HangingMarket]:
        market = HangingMarket({"AAA": PRICE, "BBB": PRICE})
        yield market
        market.free.set()

    @pytest.fixture
    def stage(self, tmp_path: Path, market: HangingMarket) -> Iterator[PaperStage]:
        stage = PaperStage(tmp_path / "paper.db", patience=timedelta(milliseconds=50))
        stage.market = market
        stage.paper.close()
        stage.paper = stage.broker = stage.open(session=market.session)
        yield stage
        stage.close()

    def test_every_read_is_answered_while_one_look_hangs(self, stage: PaperStage, market: HangingMarket) -> None:
        """Orders, one order, funds, positions and a cancel are answered; the market is asked once, not once for each."""
        number = stage.broker.reserve(1)[0]
        working = stage.request(stage.held, Side.SELL, 10, PRICE + 5, order_no=number)
        stage.broker.place(working)
        market.free.clear()
        before = market.asked
        assert [order.cum_qty for order in stage.broker.orders(stage.now() - SECOND).orders] == [0]
        assert stage.broker.order(number) is not None
        assert stage.broker.funds().cash == 10_000
        assert stage.broker.positions()[0].qty == 100
        stage.broker.cancel(number, None)
        assert market.asked <= before + 1
        shown = stage.broker.order(number)
        assert shown is not None
        assert shown.state is BrokerState.CANCELED

    def test_it_trades_once_the_market_has_answered(self, stage: PaperStage, market: HangingMarket) -> None:
        """An order that became marketable while nobody could see it is filled by a later read."""
        number = stage.broker.reserve(1)[0]
        stage.broker.place(stage.request(stage.held, Side.SELL, 10, PRICE + 5, order_no=number))
        market.free.clear()
        market.prices[stage.held] = PRICE + 10
        assert stage.broker.orders(stage.now() - SECOND).orders[0].cum_qty == 0
        market.free.set()
        give_up_at = time.monotonic() + 120
        while stage.broker.orders(stage.now() - SECOND).orders[0].cum_qty == 0:
            assert time.monotonic() < give_up_at
        assert stage.broker.orders(stage.now() - SECOND).orders[0].cum_qty == 10
