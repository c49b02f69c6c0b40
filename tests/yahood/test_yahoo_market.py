"""The Yahoo market on the real yfinance client, against a Yahoo on this machine that answers well and badly."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.errors import BrokerUnavailable
from oms.gateways.bar_store import BarStore
from oms.gateways.yahoo import YahooMarket
from oms.ports import Market
from oms.resources import default_universe_text
from tests.contract.market_contract import MarketContract
from tests.fakes.clock import FakeClock
from tests.yahood import server as yahood
from tests.yahood.house import AS_OF, MONDAY_NOON, SYMBOLS, TOLERATED, RealSeconds, days_to, market_at, yahoo
from tests.yahood.server import Ask, Reply, Row, Share, Yahood

pytestmark = TOLERATED
ROOT = Path(__file__).parents[2]
UNIVERSE = tuple(default_universe_text().split())


@pytest.fixture(scope="module")
def days() -> list[date]:
    return days_to(MONDAY_NOON)


@pytest.fixture
def server(days: list[date]) -> Iterator[Yahood]:
    with yahoo(SYMBOLS, days) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(MONDAY_NOON)


@pytest.fixture
def market(server: Yahood, tmp_path: Path, clock: FakeClock) -> YahooMarket:
    made = market_at(server, tmp_path, clock)
    made.enter(None, None)
    return made


class TestYahooMarket(MarketContract):
    known = SYMBOLS

    @pytest.fixture
    def market(self, server: Yahood, tmp_path: Path, clock: FakeClock) -> Market:
        return market_at(server, tmp_path, clock)


# ---- bars ------------------------------------------------------------------------------------------------------------


def test_the_whole_universe_in_one_go(days: list[date], tmp_path: Path) -> None:
    """118 symbols come in one go, one request each, at no more than three a second, and within the deadline."""
    clock = FakeClock(MONDAY_NOON)
    with yahoo(UNIVERSE, days) as server:
        market = market_at(server, tmp_path, clock)
        began = clock.elapsed()
        answer = market.bars(UNIVERSE)
        took = clock.elapsed() - began
        assert answer.problems == {}
        assert answer.as_of == AS_OF
        assert len(answer.bars) == 118
        assert sorted(server.charts) == [(symbol, "1y") for symbol in sorted(UNIVERSE)]
        assert 118 / 3 - 4 < took < 90
        bars = answer.bars["OXY"]
        share = server.shares["OXY"]
        assert [(bar.day, bar.close, bar.volume) for bar in bars] == [
            (row.day, Decimal(str(row.close)).quantize(Decimal("0.0001")), row.volume)
            for row in share.rows
            if bars[0].day <= row.day <= AS_OF
        ]


def test_nothing_is_asked_twice(market: YahooMarket, server: Yahood) -> None:
    """A second screen of the same day asks Yahoo for nothing, and answers the same bars."""
    first = market.bars(SYMBOLS)
    asked = len(server.asked)
    assert market.bars(SYMBOLS) == first
    assert len(server.asked) == asked


def test_only_the_newest_days_are_fetched(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """A process of the next day continues the stored bars with the answer for a month."""
    before = market_at(server, tmp_path, clock).bars(SYMBOLS)
    server.asked.clear()
    clock.advance(timedelta(days=1))
    for share in server.shares.values():
        share.rows.append(Row(date(2026, 6, 16), 300.0))
    answer = market_at(server, tmp_path, clock).bars(SYMBOLS)
    assert answer.problems == {}
    assert answer.as_of == date(2026, 6, 15)
    assert {span for _, span in server.charts} == {"1mo"}
    assert [bar.day for bar in answer.bars["OXY"]][-2:] == [AS_OF, date(2026, 6, 15)]
    assert len(answer.bars["OXY"]) == len(before.bars["OXY"]) + 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_split_renews_the_whole_history(server: Yahood, tmp_path: Path, clock: FakeClock, announced: bool) -> None:
    """After a split Yahoo changes every earlier price: all of them are fetched again, even if no event says so."""
    market_at(server, tmp_path, clock).bars(["OXY"])
    clock.advance(timedelta(days=1))
    share = server.shares["OXY"]
    share.adjusted(0.5, before=date(2026, 6, 15))
    share.rows[-1] = replace(share.rows[-1], close=share.rows[-2].close)
    if announced:
        share.splits[date(2026, 6, 15)] = 2
    server.asked.clear()
    answer = market_at(server, tmp_path, clock).bars(["OXY"])
    assert server.charts == [("OXY", "1mo"), ("OXY", "1y")]
    assert answer.problems == {}
    assert float(answer.bars["OXY"][0].close) == pytest.approx(share.rows[-len(answer.bars["OXY"])].close, rel=1e-4)


def test_a_dividend_renews_the_whole_history(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """A small dividend moves earlier prices by less than rounding shows, so its announcement alone is enough."""
    market_at(server, tmp_path, clock).bars(["OXY"])
    clock.advance(timedelta(days=1))
    server.shares["OXY"].dividends[date(2026, 6, 15)] = 0.001
    server.asked.clear()
    assert market_at(server, tmp_path, clock).bars(["OXY"]).problems == {}
    assert server.charts == [("OXY", "1mo"), ("OXY", "1y")]


def test_bars_that_are_too_old_are_fetched_anew(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """After a month without a fetch the whole year is asked for."""
    market_at(server, tmp_path, clock).bars(["OXY"])
    later = FakeClock(datetime(2026, 7, 20, 16, tzinfo=UTC))
    server.now = later.now()
    server.shares["OXY"] = Share(yahood.made_rows("OXY", days_to(later.now())))
    server.asked.clear()
    assert market_at(server, tmp_path, later).bars(["OXY"]).problems == {}
    assert server.charts == [("OXY", "1y")]


def test_the_bar_of_today_is_left_out(market: YahooMarket) -> None:
    """While the market is open, today's moving bar is in no answer and in no store."""
    assert market.bars(["OXY"]).bars["OXY"][-1].day == AS_OF


def test_the_bar_of_today_counts_from_twenty_minutes_after_the_close(
    server: Yahood, tmp_path: Path, clock: FakeClock
) -> None:
    """Soon after the close the newest session is yesterday's, and once the bars are ready it is today's."""
    clock.advance(timedelta(hours=4, minutes=15))
    assert market_at(server, tmp_path, clock).bars(["OXY"]).as_of == AS_OF
    clock.advance(timedelta(minutes=6))
    answer = market_at(server, tmp_path, clock).bars(["OXY"])
    assert answer.as_of == answer.bars["OXY"][-1].day == date(2026, 6, 15)


def test_share_classes_are_spelled_as_yahoo_does(market: YahooMarket, server: Yahood) -> None:
    """Our BRK.B is asked for as BRK-B."""
    assert list(market.bars(["BRK.B"]).bars) == ["BRK.B"]
    assert server.charts == [("BRK-B", "1y")]


def test_nan_in_the_newest_row(server: Yahood, market: YahooMarket) -> None:
    """A newest row without prices is no bar: the symbol is stale, and the others are not."""
    rows = server.shares["OXY"].rows
    rows[-2] = replace(rows[-2], close=None)
    answer = market.bars(["OXY", "GE"])
    assert answer.problems == {"OXY": "stale: Yahoo's newest believable bar is of 2026-06-11, not of 2026-06-12"}
    assert list(answer.bars) == ["GE"]


def test_stale_data(server: Yahood, market: YahooMarket) -> None:
    """A symbol whose bars end a week ago is stale, says so, and is not asked for again at once."""
    server.shares["OXY"].rows = [row for row in server.shares["OXY"].rows if row.day <= date(2026, 6, 5)]
    problem = {"OXY": "stale: Yahoo's newest believable bar is of 2026-06-05, not of 2026-06-12"}
    assert market.bars(["OXY"]).problems == problem
    asked = len(server.asked)
    assert market.bars(["OXY"]).problems == problem
    assert len(server.asked) == asked


def test_a_split_that_yahoo_did_not_adjust_for(server: Yahood, market: YahooMarket) -> None:
    """A price that halves over night without a split is not believed."""
    server.shares["OXY"].adjusted(2.0, before=date(2026, 5, 1))
    assert market.bars(["OXY"]).problems["OXY"].startswith("unbelievable: -")


def test_missing_symbols(server: Yahood, market: YahooMarket) -> None:
    """Unknown symbols are missing with Yahoo's own words, the others have their bars, and no second try follows soon."""
    answer = market.bars(["NOPE", "OXY", "ALSO"])
    assert list(answer.bars) == ["OXY"]
    assert answer.problems["NOPE"] == "missing: Yahoo has no prices: No data found, symbol may be delisted"
    assert sorted(answer.problems) == ["ALSO", "NOPE"]
    asked = len(server.asked)
    market.bars(["NOPE", "OXY", "ALSO"])
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("reply", "begins"),
    [
        (yahood.BROKEN, "error: Yahoo's answer cannot be read (JSONDecodeError"),
        (yahood.EMPTY, "missing: Yahoo has no prices"),
        (yahood.MALFORMED, "error: Yahoo's answer cannot be read (JSONDecodeError"),
        (
            yahood.DOWN,
            "error: Yahoo's answer cannot be read (YFDataException: *** YAHOO! FINANCE IS CURRENTLY DOWN! ***)",
        ),
        (yahood.CUT, "error: Yahoo could not be asked (IncompleteRead"),
        (
            Reply(200, '{"chart":{"error":null,"result":[{"meta":{}}]}}'),
            "error: Yahoo's answer cannot be read (KeyError",
        ),
    ],
    ids=["500", "empty", "malformed", "down", "cut short", "another shape"],
)
def test_one_bad_answer(server: Yahood, market: YahooMarket, reply: Reply, begins: str) -> None:
    """A bad answer for one symbol is that symbol's problem, with its reason; the others have their bars."""
    server.answer = lambda ask: reply if ask.symbol == "OXY" else None
    answer = market.bars(SYMBOLS)
    assert list(answer.problems) == ["OXY"]
    assert answer.problems["OXY"].startswith(begins)
    assert len(answer.bars) == len(SYMBOLS) - 1


def test_a_slow_answer_is_given_up(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """A symbol whose answer takes longer than the time-out is an error; the others have their bars."""
    server.answer = lambda ask: yahood.HANGS if ask.symbol == "OXY" else None
    answer = market_at(server, tmp_path, clock, timeout_s=0.2).bars(SYMBOLS)
    assert answer.problems["OXY"].startswith("error: Yahoo could not be asked (Timeout")
    assert len(answer.bars) == len(SYMBOLS) - 1


def test_the_first_refusal_stops_the_run(days: list[date], tmp_path: Path) -> None:
    """After a 429 no further symbol is asked; Yahoo is left alone for 5, 15 and 60 minutes, and then asked again."""
    clock = FakeClock(MONDAY_NOON)
    with yahoo(UNIVERSE, days) as server:
        market = market_at(server, tmp_path, clock)
        server.answer = lambda ask: yahood.REFUSED if ask.symbol else None
        for minutes in (5, 15, 60, 60):
            server.asked.clear()
            answer = market.bars(UNIVERSE)
            assert len(answer.problems) == 118
            assert all(problem.startswith("rate_limited: ") for problem in answer.problems.values())
            assert len({symbol for symbol, _ in server.charts}) <= 8
            server.asked.clear()
            again = market.bars(["OXY"]).problems["OXY"]
            assert (
                again == f"rate_limited: Yahoo refused (429, too many requests); it is asked again in {minutes} minutes"
            )
            # What the run before had on its way may still arrive, but nothing of the symbol that was asked for now.
            assert "OXY" not in {symbol for symbol, _ in server.charts}
            clock.advance(timedelta(minutes=minutes))
        server.answer = lambda _: None
        assert market.bars(["OXY"]).problems == {}
        server.answer = lambda ask: yahood.REFUSED if ask.symbol else None
        market.bars(["GE"])
        assert "in 5 minutes" in market.bars(["GE"]).problems["GE"]


def test_what_came_before_a_refusal_is_kept(server: Yahood, market: YahooMarket) -> None:
    """Symbols that were answered before the refusal have their bars."""
    market.bars(["OXY", "GE"])
    server.answer = lambda ask: yahood.REFUSED if ask.symbol else None
    answer = market.bars(SYMBOLS)
    assert sorted(answer.bars) == ["GE", "OXY"]
    assert len(answer.problems) == len(SYMBOLS) - 2


def test_outage_and_recovery(days: list[date], tmp_path: Path) -> None:
    """In an outage few symbols are asked; a minute after its end the same process has all bars."""
    clock = FakeClock(MONDAY_NOON)
    with yahoo(UNIVERSE, days) as server:
        market = market_at(server, tmp_path, clock)
        server.answer = lambda _: yahood.BROKEN
        answer = market.bars(UNIVERSE)
        assert len(answer.problems) == 118
        assert all(problem.startswith("error: ") for problem in answer.problems.values())
        assert len({symbol for symbol, _ in server.charts}) <= 12
        server.answer = lambda _: None
        assert market.bars(["OXY"]).problems["OXY"].startswith("error: Yahoo does not answer usably")
        clock.advance(timedelta(minutes=1))
        assert market.bars(SYMBOLS[2:]).problems == {}


def test_a_yahoo_that_knows_nobody_is_asked_again_soon(server: Yahood, market: YahooMarket) -> None:
    """An empty answer for every symbol is Yahoo's trouble, not the symbols': the next run asks for all of them. One symbol
    that alone is missing is left alone for ten minutes.
    """
    server.answer = lambda ask: yahood.EMPTY if ask.symbol else None
    assert market.bars(SYMBOLS).bars == {}
    server.answer = lambda _: None
    assert set(market.bars(SYMBOLS).bars) == set(SYMBOLS)
    server.asked.clear()
    server.answer = lambda ask: yahood.UNKNOWN if ask.symbol == "NEW" else None
    assert set(market.bars([*SYMBOLS, "NEW"]).problems) == {"NEW"}
    assert {symbol for symbol, _ in server.charts} == {"NEW"}
    server.asked.clear()
    assert set(market.bars([*SYMBOLS, "NEW"]).problems) == {"NEW"}
    assert server.charts == []


def test_no_server_at_all(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """A refused connection is an error of each symbol, and bars that are stored are answered all the same."""
    market_at(server, tmp_path, clock).bars(["GE"])
    calendar_and_store = market_at(server, tmp_path, clock)
    calendar_and_store._base_url = "http://127.0.0.1:9"
    answer = calendar_and_store.bars(["GE", "OXY"])
    assert list(answer.bars) == ["GE"]
    assert answer.problems["OXY"].startswith("error: Yahoo could not be asked (ConnectionError")


# ---- calls that hang -------------------------------------------------------------------------------------------------


def is_cookie(ask: Ask) -> bool:
    return not ask.symbol


def test_hanging_cookie_calls_cost_no_more_than_the_deadline(server: Yahood, tmp_path: Path) -> None:
    """With cookie hosts that hang, the answer comes at the deadline, says what is lacking, and no thread is waited for."""
    server.answer = lambda ask: yahood.HANGS if is_cookie(ask) else None
    market = market_at(server, tmp_path, RealSeconds(MONDAY_NOON), deadline_s=0.5, timeout_s=5.0)
    market.history()
    market._asked().prepare()
    began = time.monotonic()
    answer = market.bars(SYMBOLS)
    assert time.monotonic() - began < 2
    assert answer.problems == dict.fromkeys(SYMBOLS, "error: Yahoo did not answer within 0.5 s")


def test_hanging_cookie_calls_are_cut_short_too(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """A cookie call obeys the time-out, not yfinance's 30 seconds, and the bars come without a cookie."""
    server.answer = lambda ask: yahood.HANGS if is_cookie(ask) else None
    market = market_at(server, tmp_path, clock, timeout_s=0.1)
    began = time.monotonic()
    assert market.bars(["OXY", "GE"]).problems == {}
    assert time.monotonic() - began < 5


def test_hanging_calls_do_not_pile_up(server: Yahood, tmp_path: Path) -> None:
    """However often a hanging Yahoo is asked, no more than eight threads wait for it."""
    server.answer = lambda _: yahood.HANGS
    market = market_at(server, tmp_path, RealSeconds(MONDAY_NOON), deadline_s=0.05, timeout_s=5.0)
    problems = []
    for _ in range(5):
        problems.append(market.bars(["OXY", "GE", "C", "AAPL"]).problems["OXY"])
        market._breaker._closed_from = 0.0
    assert sum(thread.name.startswith("yahoo-") for thread in threading.enumerate()) <= 8
    assert problems[-1] == "error: 8 earlier calls to Yahoo still hang"


def test_threads_end_with_their_run(server: Yahood, market: YahooMarket) -> None:
    """After a run that was answered none of its threads is left."""
    market.bars(SYMBOLS)
    gc.collect()
    assert market._crew.hanging == 0


def test_a_hanging_call_does_not_keep_the_process(server: Yahood, tmp_path: Path) -> None:
    """A process whose calls to Yahoo hang ends when its work is done."""
    server.answer = lambda _: yahood.HANGS
    program = f"""
import time
from pathlib import Path
from oms.gateways.bar_store import BarStore
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.system_clock import SystemClock
from oms.gateways.yahoo import YahooMarket
clock = SystemClock()
store = BarStore(Path({str(tmp_path)!r}) / "bars.db")
market = YahooMarket(clock, ExchangeCalendar("XNYS", clock), store, base_url={server.url!r}, deadline_s=0.3)
print(market.bars(["OXY"]).problems, flush=True)
print(time.monotonic(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    ended = time.monotonic()
    said, at = done.stdout.splitlines()
    assert said == "{'OXY': 'error: Yahoo did not answer within 0.3 s'}"
    assert ended - float(at) < 5
    assert done.stderr == ""


# ---- quotes ----------------------------------------------------------------------------------------------------------


def test_quote_is_the_newest_price_with_its_time(server: Yahood, market: YahooMarket) -> None:
    """A quote is Yahoo's last price on its tick, stamped with the time of that trade."""
    share = server.shares["OXY"]
    share.last_price, share.last_at = 47.376, MONDAY_NOON - timedelta(seconds=42)
    quote = market.quotes(["OXY"])["OXY"]
    assert (quote.bid, quote.ask, quote.last, quote.tick) == (*[Decimal("47.38")] * 3, Decimal("0.01"))
    assert quote.at == MONDAY_NOON - timedelta(seconds=42)


@pytest.mark.parametrize("stated", ["GBp", "HKD", "GBX", "usd"])
def test_prices_in_another_currency_are_none(server: Yahood, tmp_path: Path, clock: FakeClock, stated: str) -> None:
    """Neither a quote nor bars: nobody here knows a rate, and pence taken for dollars would size a buy a hundredfold."""
    market, server.currency = market_at(server, tmp_path, clock, currency="USD"), stated
    assert market.quotes(["OXY"]) == {}
    answer = market.bars(["OXY"])
    assert answer.bars == {}
    assert answer.problems["OXY"] == f"missing: Yahoo's prices are in {stated}, those of this market in USD"


@pytest.mark.parametrize("stated", ["USD", None])
def test_prices_in_the_markets_own_currency_count(
    server: Yahood, tmp_path: Path, clock: FakeClock, stated: str | None
) -> None:
    """So do those for which Yahoo names none."""
    market, server.currency = market_at(server, tmp_path, clock, currency="USD"), stated
    assert list(market.quotes(["OXY"])) == ["OXY"]
    assert list(market.bars(["OXY"]).bars) == ["OXY"]


def test_quote_from_the_future(server: Yahood, market: YahooMarket, clock: FakeClock) -> None:
    """A stamp that is ahead of our clock is cut back to it."""
    server.shares["OXY"].last_at = MONDAY_NOON + timedelta(minutes=3)
    assert market.quotes(["OXY"])["OXY"].at == clock.now()


def test_quotes_are_kept_for_seconds(server: Yahood, market: YahooMarket, clock: FakeClock) -> None:
    """Within fifteen seconds a price is not asked for again; after that it is."""
    market.quotes(["OXY"])
    market.quotes(["OXY"])
    assert len(server.charts) == 1
    clock.advance(timedelta(seconds=16))
    market.quotes(["OXY"])
    assert len(server.charts) == 2


def test_no_quotes_from_a_yahoo_that_refuses(server: Yahood, market: YahooMarket) -> None:
    """Prices that cannot be had are no empty answer: the engine is told to wait, and Yahoo is left alone."""
    server.answer = lambda ask: yahood.REFUSED if ask.symbol else None
    for sentence in ("no prices: Yahoo refused", "it is asked again in 5 minutes"):
        with pytest.raises(BrokerUnavailable, match=sentence):
            market.quotes(["OXY"])
    assert len({symbol for symbol, _ in server.charts}) == 1


def test_a_price_that_fails_is_not_replaced_by_an_old_one(
    server: Yahood, market: YahooMarket, clock: FakeClock
) -> None:
    """A symbol whose new price cannot be read has none, while the others have theirs."""
    market.quotes(["OXY", "GE"])
    clock.advance(timedelta(seconds=16))
    server.answer = lambda ask: yahood.MALFORMED if ask.symbol == "OXY" else None
    assert list(market.quotes(["OXY", "GE"])) == ["GE"]


def test_callers_at_once_share_one_answer(server: Yahood, market: YahooMarket) -> None:
    """Several threads that ask for the same price at the same time cost one request, and all get it."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(market.quotes(["OXY"])))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [1] * 6
    assert len(server.charts) == 1


# ---- the calendar behind it ------------------------------------------------------------------------------------------


def test_the_session_is_that_of_the_clock(server: Yahood, tmp_path: Path, clock: FakeClock) -> None:
    """Whatever day is asked for, the session is the one under way; on a Saturday it is Monday's."""
    market = market_at(server, tmp_path, clock)
    for last_day, open_day in ((None, None), (date(2026, 6, 15), None), (None, date(2020, 1, 2))):
        session = market.enter(last_day, open_day)
        assert session is not None
        assert session.day == date(2026, 6, 15)
    saturday = market_at(server, tmp_path, FakeClock(datetime(2026, 6, 13, 16, tzinfo=UTC)))
    session = saturday.enter(None, None)
    assert session is not None
    assert session.day == date(2026, 6, 15)
    assert not session.is_open(saturday.time())
    assert market.notice() is None


def test_beyond_the_calendar_s_knowledge(server: Yahood, tmp_path: Path) -> None:
    """Where the calendar ends there is no session, every symbol says why it has no bars, and nothing is asked."""
    from oms.gateways.calendar import ExchangeCalendar

    clock = FakeClock(datetime(2030, 3, 1, 3, tzinfo=UTC))
    market = YahooMarket(clock, ExchangeCalendar("XSES", clock), BarStore(tmp_path / "bars.db"), base_url=server.url)
    assert market.enter(None, None) is None
    assert "counts as closed" in (market.notice() or "")
    assert "the calendar of XSES cannot be built" in market.bars(["D05"]).problems["D05"]
    assert server.asked == []
