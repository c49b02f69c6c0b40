"""The simulated market: the contract of every market, the same prices everywhere, and weather that is believable."""

from __future__ import annotations

import hashlib
import random
import statistics
from datetime import date
from itertools import pairwise

import pytest

from oms.gateways.gates import history_problem, impossible, unexplained_move
from oms.gateways.replay import HISTORY_DAYS
from oms.gateways.simulated import FIRST_DAY, MadeBars, SimulatedMarket
from oms.ports import Bar, Market
from tests.contract.market_contract import MarketContract

SYMBOLS = ("AAPL", "BRK.B", "C", "CAT", "GE", "ORCL", "OXY", "XOM")


def simulated(seed: int = 1, days: int = 250, symbols: tuple[str, ...] = SYMBOLS) -> SimulatedMarket:
    return SimulatedMarket(seed, days, lambda: symbols)


class TestSimulatedMarket(MarketContract):
    known = SYMBOLS

    @pytest.fixture
    def market(self) -> Market:
        return simulated()


@pytest.fixture(scope="module")
def made() -> MadeBars:
    return MadeBars(1, 500, [f"S{number}" for number in range(40)])


def every_bar(made: MadeBars) -> list[tuple[Bar, ...]]:
    return [made.of(f"S{number}").bars for number in range(40)]


def test_the_same_seed_makes_the_same_prices_on_every_machine() -> None:
    """The prices of one share over 500 days add up to the digest that was once written down here."""
    bars = MadeBars(1, 500, ["OXY"]).of("OXY").bars
    text = "\n".join(f"{b.day} {b.open} {b.high} {b.low} {b.close} {b.volume}" for b in bars)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "9bcd478a6443c9e01b0d5f8280b9a633653e7e374f3b7ec8e21bbac0333f62a0"
    )


def test_another_seed_makes_another_market() -> None:
    """Two seeds have no price in common worth the name."""
    one, two = (MadeBars(seed, 300, ["OXY"]).of("OXY").bars for seed in (1, 2))
    assert sum(a.close == b.close for a, b in zip(one, two, strict=False)) < 10


def test_prices_depend_on_seed_and_symbol_only() -> None:
    """Neither the other symbols, nor the order of asking, nor what the rest of the program rolls changes a price."""
    alone = MadeBars(1, 300, ["OXY"]).of("OXY")
    random.seed(5)
    among = MadeBars(1, 300, SYMBOLS)
    for symbol in reversed(SYMBOLS):
        among.of(symbol)
        random.random()
    assert among.of("OXY") == alone


def test_a_longer_market_begins_like_a_shorter_one() -> None:
    """More days change none of those before."""
    short, long = (MadeBars(1, days, ["OXY"]).of("OXY").bars for days in (260, 400))
    assert long[: len(short)] == short


def test_no_bar_is_impossible(made: MadeBars) -> None:
    """Each of twenty thousand bars passes the gate for bars, in whole cents, and no day jumps beyond belief."""
    for bars in every_bar(made):
        assert not [bar for bar in bars if impossible(bar)]
        assert not [bar for bar in bars if bar.close.as_tuple().exponent != -2]
        assert not [b.day for a, b in pairwise(bars) if unexplained_move(a.close, b.close)]
        assert not [b.day for a, b in pairwise(bars) if unexplained_move(a.close, b.open)]


def test_shares_move_together_but_not_in_step(made: MadeBars) -> None:
    """The daily moves of two shares correlate on average like those of real ones: clearly, and far from fully."""
    moves = []
    for bars in every_bar(made)[:12]:
        closes = {bar.day: float(bar.close) for bar in bars}
        filled = [closes.get(day) for day in made.days]
        moves.append([b / a - 1 if a and b else 0.0 for a, b in pairwise(filled)])
    pairs = [statistics.correlation(a, b) for number, a in enumerate(moves) for b in moves[:number]]
    assert 0.15 < statistics.mean(pairs) < 0.7
    assert max(pairs) < 0.95
    assert 0.008 < statistics.mean(statistics.stdev(each) for each in moves) < 0.035


def test_gaps_happen(made: MadeBars) -> None:
    """Some shares open more than 5 % away from their last close, and most days do not."""
    gaps = [abs(b.open / a.close - 1) for bars in every_bar(made) for a, b in pairwise(bars)]
    large = sum(gap > 0.05 for gap in gaps)
    assert 20 < large < len(gaps) / 50


def test_a_flash_crash_happens(made: MadeBars) -> None:
    """On a few days of two years most shares fall by more than 4 % within the day and close as if nothing had been."""
    fallen: dict[date, int] = {}
    for bars in every_bar(made):
        for bar in bars:
            if bar.low < bar.open * 96 / 100 < bar.close:
                fallen[bar.day] = fallen.get(bar.day, 0) + 1
    crashes = [day for day, count in fallen.items() if count > 20]
    assert 1 <= len(crashes) <= 12


def test_a_share_sometimes_does_not_trade(made: MadeBars) -> None:
    """A few bars are lost, never the first, and never so many that a history cannot be used."""
    lost = [len(made.days) - len(bars) for bars in every_bar(made)]
    assert 5 < sum(lost) < 100
    for bars in every_bar(made):
        assert bars[0].day == FIRST_DAY
        assert (history_problem(bars, made.days) or "stale").startswith("stale")


def test_every_asked_day_can_be_traded_after_a_year_of_history() -> None:
    """The market trades exactly as many days as are asked for, each with a full history, and then ends."""
    market = simulated(days=7)
    last, seen = None, []
    while session := market.enter(last, None):
        last = session.day
        seen.append(last)
        assert session.day.weekday() < 5
        assert max(len(bars) for bars in market.bars(SYMBOLS).bars.values()) == HISTORY_DAYS
    assert len(seen) == len(market.days) == 7


def test_nothing_is_made_before_the_first_question() -> None:
    """A market costs nothing until it is asked, and then only the symbols that are asked for."""
    asked = []

    def symbols() -> tuple[str, ...]:
        asked.append(1)
        return SYMBOLS

    market = SimulatedMarket(1, 10, symbols)
    assert not asked
    assert market.knows("OXY")
    assert not market.knows("ZZZZZ")
    assert asked == [1]
