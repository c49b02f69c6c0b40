"""The quorum: a screen acts only when enough of the universe has fresh prices."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.engine.choosing import Chooser, choose
from oms.engine.freshness import too_stale
from oms.engine.selection import SelectionRules
from oms.errors import MarketStale
from oms.model.event import AttentionRaised, Selected
from oms.ports import Bar, BarSet
from tests.engine.house import House
from tests.fakes.market import FIRST_DAY

AS_OF = FIRST_DAY - timedelta(days=1)
UNIVERSE = [f"S{number}" for number in range(10)]
RULES = SelectionRules(top=3, min_score=Decimal(60), sell_below=Decimal(50), min_history=2)


def bars(fresh: int, problem: str = "stale: too old", *, is_live: bool = True) -> BarSet:
    one = Bar(day=AS_OF, open=Decimal(9), high=Decimal(9), low=Decimal(9), close=Decimal(9), volume=9_000_000)
    return BarSet(
        as_of=AS_OF,
        bars={symbol: [one] for symbol in UNIVERSE[:fresh]},
        problems=dict.fromkeys(UNIVERSE[fresh:], problem),
        is_live=is_live,
    )


@pytest.mark.parametrize(("fresh", "is_enough"), [(10, True), (8, True), (7, False), (0, False)])
def test_the_quorum_is_four_fifths(fresh: int, is_enough: bool) -> None:
    """With 80 % of the universe fresh the screen may act, with less it may not."""
    assert (too_stale(bars(fresh), UNIVERSE) is None) is is_enough


def test_the_sentence_says_how_many_and_why() -> None:
    """The reason counts the fresh symbols and gives one of the lacking ones with its problem."""
    assert too_stale(bars(7, "rate_limited: Yahoo refused"), UNIVERSE) == (
        "7 of 10 symbols have prices up to 2010-02-28, fewer than 80%: nothing is chosen; "
        "S7, for one: rate_limited: Yahoo refused"
    )


@pytest.mark.parametrize("problem", ["missing: x", "stale: x", "rate_limited: x", "error: x"])
def test_what_is_not_fresh(problem: str) -> None:
    """A symbol whose newest bar did not come, for whatever reason, is not fresh."""
    assert too_stale(bars(5, problem), UNIVERSE)


@pytest.mark.parametrize("problem", ["unbelievable: -50.0 % on some day", "gaps: 9 of 253 trading days"])
def test_what_is_fresh_but_not_believed(problem: str) -> None:
    """A symbol that a data gate refuses has fresh data all the same; the screen excludes it by itself."""
    assert too_stale(bars(5, problem), UNIVERSE) is None


def test_a_source_that_has_said_all_it_knows_is_never_too_stale() -> None:
    """A replay whose data lack half of the symbols trades the other half."""
    assert too_stale(bars(5, is_live=False), UNIVERSE) is None


def test_a_symbol_that_is_not_spoken_of_is_not_fresh() -> None:
    """A symbol with neither bars nor a problem counts as missing; what is not of the universe does not count."""
    spoken = BarSet(as_of=AS_OF, bars=bars(7).bars, problems={}, is_live=True)
    assert too_stale(spoken, UNIVERSE)
    assert too_stale(spoken, UNIVERSE[:7]) is None


def test_a_stale_market_opens_no_cycle_and_is_journaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few fresh symbols: one fact asks for attention, no screen is journaled, and the reason ends the attempt."""
    house = House(tmp_path)
    driver = house.driver()
    driver.enter_session(None)
    monkeypatch.setattr(house.market, "bars", lambda _symbols: bars(7))
    with pytest.raises(MarketStale, match="7 of 10 symbols") as raised:
        choose(driver, Chooser(UNIVERSE, RULES, "c0"))
    assert house.journal.events == [AttentionRaised(rule="market_stale", text=str(raised.value))]
    assert raised.value.exit_code == 75
    monkeypatch.setattr(house.market, "bars", lambda _symbols: bars(8))
    choose(driver, Chooser(UNIVERSE, RULES, "c0"))
    assert isinstance(house.journal.events[-1], Selected)
