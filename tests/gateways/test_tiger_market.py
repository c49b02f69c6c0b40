"""The market on Tiger's prices, by the real SDK against a gateway on loopback: quotes, session state, daily bars."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oms.engine.freshness import too_stale
from oms.errors import BrokerUnavailable, CredentialsError, UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.tiger import TigerMarket
from oms.ports import Market
from tests.contract.market_contract import MarketContract
from tests.engine.house import buy, sell
from tests.fakes.clock import FakeClock
from tests.gateways.tiger_house import TigerHouse
from tests.tigerd.desk import Desk, open_desk
from tests.tigerd.faults import WIRE_FAULTS
from tests.yahood.house import AS_OF, MONDAY_NOON, TOLERATED, days_to

pytestmark = TOLERATED
NEW_YORK = ZoneInfo("America/New_York")
SYMBOLS = ("AAA", "BBB", "BRK.B")


def bars(days: list[date], **changes: Any) -> list[dict[str, Any]]:
    """Bars as Tiger writes them: each begins at midnight in New York; prices are floats with all their digits."""
    midnights = [int(datetime.combine(day, time(), NEW_YORK).timestamp() * 1000) for day in days]
    return [
        {
            "time": at,
            "open": 20.123456,
            "high": 20.5,
            "low": 19.9,
            "close": 20.2,
            "volume": 1000,
            "amount": 1.0,
            **changes,
        }
        for at in midnights
    ]


@pytest.fixture(scope="module")
def days() -> list[date]:
    """A year of sessions, today's included, of which a bar is never to be seen."""
    return days_to(MONDAY_NOON)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(MONDAY_NOON)


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock, days: list[date]) -> Iterator[Desk]:
    prices = dict.fromkeys(SYMBOLS, Decimal(20))
    desk = open_desk(Path(tmp_path_factory.getbasetemp()), clock=clock, prices=prices)
    desk.book.history = {symbol: bars(days) for symbol in SYMBOLS}
    yield desk
    desk.close()


def market_at(desk: Desk, exchange: str = "XNYS") -> TigerMarket:
    return TigerMarket(desk.client, desk.clock, ExchangeCalendar(exchange, desk.clock))


@pytest.fixture
def market(desk: Desk) -> TigerMarket:
    market = market_at(desk)
    market.enter(None, None)
    return market


class TestTigerMarketKeepsTheContract(MarketContract):
    known = SYMBOLS

    @pytest.fixture
    def market(self, desk: Desk) -> Market:
        return market_at(desk)


class TestSession:
    """The calendar's day, as far as Tiger agrees that it trades."""

    def test_both_agree(self, desk: Desk, market: TigerMarket) -> None:
        """Open by the calendar and TRADING at Tiger is open; Tiger is asked twice a minute at most."""
        for _ in range(20):
            session = market.enter(None, None)
            assert session is not None
            assert session.is_open(market.time())
            desk.clock.sleep(1)
        assert desk.gateway.posts["market_state"] == 1

    @pytest.mark.parametrize("state", ["MARKET_CLOSED", "EARLY_CLOSED", "CLOSING", "POST_HOUR_TRADING"])
    def test_closed_at_tiger(self, desk: Desk, state: str) -> None:
        """A day on which the exchange closes unannounced is over: the next session is what there is to wait for."""
        desk.book.terms.state = state
        session = market_at(desk).enter(None, None)
        assert session is not None
        assert session.day == date(2026, 6, 16)

    @pytest.mark.parametrize("state", ["MARKET_CLOSED", "EARLY_CLOSED"])
    def test_closed_at_tiger_under_an_open_cycle(self, desk: Desk, state: str) -> None:
        """A cycle of today is not taken for one of yesterday: its own session is shown, as closed."""
        desk.book.terms.state = state
        market = market_at(desk)
        session = market.enter(None, date(2026, 6, 15))
        assert session is not None
        assert (session.day, session.is_open(market.time())) == (date(2026, 6, 15), False)

    @pytest.mark.parametrize("state", ["NOT_YET_OPEN", "PRE_HOUR_TRADING", "MIDDLE_CLOSE"])
    def test_not_open_yet(self, desk: Desk, state: str) -> None:
        """A late opening is waited for: the session is today's, and not open before Tiger says so."""
        desk.book.terms.state = state
        market = market_at(desk)
        session = market.enter(None, None)
        assert session is not None
        assert (session.day, session.is_open(market.time())) == (date(2026, 6, 15), False)
        desk.book.terms.state = None
        desk.clock.sleep(31)
        session = market.enter(None, None)
        assert session is not None
        assert session.is_open(market.time())

    @pytest.mark.parametrize("state", ["trading", "HALTED", " "])
    def test_word_that_nobody_understands(self, desk: Desk, state: str) -> None:
        """An unknown word is no guess in either direction: nothing begins."""
        desk.book.terms.state = state
        with pytest.raises(BrokerUnavailable, match="which nobody here understands"):
            market_at(desk).enter(None, None)

    def test_state_that_cannot_be_read(self, desk: Desk) -> None:
        """Without an answer nothing begins."""
        desk.gateway.fail("market_state", *[WIRE_FAULTS["502 after acceptance"]] * 3)
        with pytest.raises(BrokerUnavailable, match="502"):
            market_at(desk).enter(None, None)

    def test_night(self, desk: Desk, clock: FakeClock) -> None:
        """Outside the calendar's hours Tiger is not even asked, whatever it would say."""
        clock.advance(timedelta(hours=8))
        session = market_at(desk).enter(None, None)
        assert session is not None
        assert session.day == date(2026, 6, 16)
        assert desk.gateway.posts["market_state"] == 0


class TestQuotes:
    """Quotes of a few seconds ago at most."""

    def test_asked_for_again_after_three_seconds(self, desk: Desk, market: TigerMarket) -> None:
        """Several questions a second are one request; a new symbol alone is asked for."""
        for _ in range(10):
            market.quotes(["AAA", "BBB"])
        market.quotes(["AAA", "BRK.B"])
        asked = [r["biz_content"] for r in desk.gateway.requests if r["method"] == "quote_real_time"]
        assert len(asked) == 2
        assert "AAA" not in asked[1]
        desk.clock.sleep(4)
        desk.book.prices["AAA"] = Decimal(21)
        assert market.quotes(["AAA"])["AAA"].last == 21

    def test_clock_of_tigers_that_runs_ahead(self, desk: Desk, market: TigerMarket) -> None:
        """A quote from the future is as old as now, so that it does not stay fresh for longer."""
        at = int((desk.clock.now() + timedelta(hours=3)).timestamp() * 1000)
        desk.gateway.answer_with(
            "quote_real_time", {"code": 0, "data": [{"symbol": "AAA", "latestPrice": 20.0, "latestTime": at}]}
        )
        assert market.quotes(["AAA"])["AAA"].at == desk.clock.now()

    def test_failure_is_not_kept(self, desk: Desk, market: TigerMarket) -> None:
        """A question that failed is asked again at the next call."""
        desk.gateway.fail("quote_real_time", *[WIRE_FAULTS["502 after acceptance"]] * 3)
        with pytest.raises(BrokerUnavailable):
            market.quotes(["AAA"])
        assert market.quotes(["AAA"])["AAA"].last == 20


class TestPermission:
    """Quotes in real time need a permission; without it no order could be priced."""

    def test_missing_permission_is_refused_at_once(self, desk: Desk, market: TigerMarket) -> None:
        """The refusal says what is missing in Tiger's own words, what would follow, and what mends it: exit code 4."""
        desk.book.terms.real_time_quotes = False
        with pytest.raises(CredentialsError) as refusal:
            market.require("AAA", timedelta(seconds=60))
        said = str(refusal.value)
        for words in ("permission denied", "15 minutes old", "max_quote_age is 60 s", "Tiger's app", "source: yahoo"):
            assert words in said
        assert refusal.value.exit_code == 4

    def test_who_may_use_old_prices(self, desk: Desk, market: TigerMarket) -> None:
        """Delayed quotes will do where the configuration lets them be so old, and they say how old they are."""
        desk.book.terms.real_time_quotes = False
        market.require("AAA", timedelta(minutes=20))
        assert desk.clock.now() - market.quotes(["AAA"])["AAA"].at == timedelta(minutes=15)

    def test_permission_that_is_there(self, market: TigerMarket) -> None:
        """With the permission nothing is refused, whether or not Tiger knows the symbol that was asked for."""
        for symbol in ("AAA", "ZZZZZ"):
            market.require(symbol, timedelta(seconds=60))

    def test_exchange_elsewhere(self, desk: Desk) -> None:
        """Tiger's adapter has American stocks: another exchange is a mistake of the configuration."""
        with pytest.raises(UsageError, match="XHKG; expected XNYS"):
            market_at(desk, "XHKG").require("AAA", timedelta(seconds=60))

    def test_permission_is_never_grabbed(self, desk: Desk, market: TigerMarket) -> None:
        """Nothing takes the permission away from the user's other devices."""
        desk.book.terms.real_time_quotes = False
        market.quotes(["AAA"])
        assert desk.gateway.posts["grab_quote_permission"] == 0


class TestBars:
    """A year of daily bars."""

    def test_prices_and_days(self, desk: Desk, market: TigerMarket, days: list[date]) -> None:
        """Each bar stands on its day in New York, summer or winter, rounded to the fourth decimal; today's is left out."""
        answer = market.bars(["AAA"])
        assert (answer.as_of, answer.is_live) == (AS_OF, True)
        assert [bar.day for bar in answer.bars["AAA"]] == days[:-1]
        bar = answer.bars["AAA"][0]
        assert (bar.open, bar.close, bar.volume) == (Decimal("20.1235"), Decimal("20.2"), 1000)

    def test_whole_universe_in_three_requests(self, desk: Desk, market: TigerMarket, days: list[date]) -> None:
        """Fifty symbols to a request; asked for once a day."""
        symbols = [f"S{number}" for number in range(118)]
        desk.book.history = dict.fromkeys(symbols, bars(days))
        for _ in range(3):
            assert len(market.bars(symbols).bars) == 118
        assert desk.gateway.posts["kline"] == 3

    @pytest.mark.parametrize(
        "changes",
        [
            {"close": float("nan")},
            {"high": None},
            {"low": 0.0},
            {"open": -3.0},
            {"volume": "many"},
            {"close": 99.0},
            {"time": None},
            {"time": 10**30},
        ],
    )
    def test_bar_that_cannot_be_true(
        self, desk: Desk, market: TigerMarket, days: list[date], changes: dict[str, Any]
    ) -> None:
        """It is left out; where it is the newest one, its symbol has no fresh history and says so."""
        desk.book.history["AAA"] = [*bars(days[:-2]), {**bars([AS_OF])[0], **changes}]
        if changes.get("time", 1) != 1:
            desk.gateway.answer_with(
                "kline", {"code": 0, "data": [{"symbol": "AAA", "items": desk.book.history["AAA"]}]}
            )
        assert market.bars(["AAA"]).problems["AAA"].startswith("stale: the last believable bar is of 2026-06-11")

    def test_day_that_comes_twice(self, desk: Desk, market: TigerMarket, days: list[date]) -> None:
        """Two bars of one day that say different things are neither believed; the same bar twice is one."""
        twice, other = bars([AS_OF])[0], bars([AS_OF], close=20.3)[0]
        desk.book.history["AAA"] = [*bars(days[:-2]), twice, twice]
        desk.book.history["BBB"] = [*bars(days[:-2]), twice, other]
        answer = market.bars(["AAA", "BBB"])
        assert len(answer.bars["AAA"]) == len(days) - 1
        assert answer.problems["BBB"].startswith("stale")

    def test_split_that_nobody_adjusted_for(self, desk: Desk, market: TigerMarket, days: list[date]) -> None:
        """A history with an impossible step is refused by the gate of every source."""
        half = bars(days[100:], open=10.0, high=10.2, low=9.9, close=10.1)
        desk.book.history["AAA"] = [*bars(days[:100]), *half]
        assert market.bars(["AAA"]).problems["AAA"].startswith("unbelievable")

    @pytest.mark.parametrize(
        ("name", "word", "requests"),
        [("502 after acceptance", "error", 3), ("429 before acceptance", "rate_limited", 1)],
    )
    def test_request_that_fails(self, desk: Desk, market: TigerMarket, name: str, word: str, requests: int) -> None:
        """Its symbols have the reason for their problem, nothing is kept of it, and the screen is too stale to act."""
        desk.gateway.fail("kline", *[WIRE_FAULTS[name]] * requests)
        answer = market.bars(SYMBOLS)
        assert desk.gateway.posts["kline"] == requests
        assert {problem.partition(":")[0] for problem in answer.problems.values()} == {word}
        assert too_stale(answer, SYMBOLS)
        assert market.bars(SYMBOLS).problems == {}

    def test_rate_limit_ends_the_asking(self, desk: Desk, market: TigerMarket) -> None:
        """Of 118 symbols, in three requests, the rest is not asked for when the first is too much."""
        symbols = [f"S{number}" for number in range(118)]
        desk.gateway.fail("kline", WIRE_FAULTS["429 before acceptance"])
        assert len(market.bars(symbols).problems) == 118
        assert desk.gateway.posts["kline"] == 1

    def test_bars_without_permission(self, desk: Desk, market: TigerMarket) -> None:
        """Tiger's refusal is the problem of each symbol, in its own words."""
        desk.book.terms.real_time_quotes = False
        assert "permission denied" in market.bars(["AAA"]).problems["AAA"]

    def test_bar_of_a_session_that_has_just_ended(self, desk: Desk, clock: FakeClock, days: list[date]) -> None:
        """Twenty minutes after the close the day counts as complete, and not sooner."""
        market = market_at(desk)
        clock.advance(datetime(2026, 6, 15, 20, 10, tzinfo=UTC) - clock.now())
        market.enter(None, None)
        assert market.bars(["AAA"]).as_of == AS_OF
        clock.advance(timedelta(minutes=11))
        assert market.bars(["AAA"]).as_of == date(2026, 6, 15)


class TestCycle:
    """The engine on this market, at a Tiger account."""

    @pytest.fixture
    def house(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TigerHouse]:
        house = TigerHouse(Path(tmp_path_factory.getbasetemp()))
        house.market = market_at(house.desk)  # type: ignore[assignment]  # in place of the fixed one
        yield house
        house.desk.close()

    def test_whole_cycle(self, house: TigerHouse) -> None:
        """Market and account of one developer id trade a cycle on Tiger's prices, judged from the gateway's log."""
        assert house.run(sell("AAA"), buy("CCC", 30)).exit_code == 0
        assert house.cycle.outcome == "complete"
        house.judge()

    def test_unannounced_holiday(self, house: TigerHouse) -> None:
        """A day that the calendar takes for a session, and Tiger does not, sends nothing."""
        house.terms.state = "MARKET_CLOSED"
        ending = house.run(sell("AAA"), buy("CCC", 30))
        assert (ending.exit_code, house.book.orders) == (75, [])
        assert "the market is closed" in ending.why
