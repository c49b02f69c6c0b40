"""From a screen to wishes: what the journal remembers of earlier screens, and of symbols that may not be bought."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from oms.engine.choosing import Chooser, Chosen, barred_symbols, wishes_of
from oms.engine.selection import Screen, SelectionRules
from oms.model.detail import Score
from oms.model.event import Blacklisted, Selected, SymbolFrozen
from oms.model.order import Side
from oms.model.rules import Rules
from tests.model.story import Story

RULES = SelectionRules(top=10, min_score=Decimal(60), sell_below=Decimal(50), min_history=100)
PENNY = Score(symbol="AAA", score=None, rank=None, excluded_by="price: its close of 4 is below 5")
FINE = Score(symbol="AAA", score=Decimal(70), rank=1)


def screen(day: int, *scores: Score) -> Selected:
    return Selected(as_of=date(2010, 3, day), config_hash="c0", bars_hash="b0", scores=scores)


def test_the_screens_of_three_days_are_kept_newest_first() -> None:
    """They are what wishes depend on; older ones are the journal's, and a day's later screen replaces its first."""
    story = Story().tell(screen(1), screen(2), screen(3), screen(4, PENNY), screen(4, FINE))
    assert [kept.as_of.day for kept in story.state.screens] == [4, 3, 2]
    assert story.state.screens[0].scores == (FINE,)


def test_a_screen_that_is_journaled_counts_itself_once() -> None:
    """The third day in a row sells, whether its own screen is in the journal already, as in `run`, or not, as in `plan`."""
    found = Screen(as_of=date(2010, 3, 9), bars_hash="b", scores=(PENNY,), factors={})
    chosen = Chosen(day=date(2010, 3, 10), as_of=found.as_of, bars_hash="b", screen=found)
    chooser = Chooser(["AAA"], RULES, "c0")
    for days, sold in (((7,), False), ((7, 8), True)):
        story = Story().tell(*(screen(day, PENNY) for day in days))
        planned = chooser.wishes(chosen, story.state, Rules(), story.now, {"AAA": Decimal(5)})
        story.tell(screen(9, PENNY))
        run = chooser.wishes(chosen, story.state, Rules(), story.now, {"AAA": Decimal(5)})
        assert bool(planned.of(Side.SELL)) is bool(run.of(Side.SELL)) is sold


def test_a_holding_is_sold_for_its_price_when_three_screens_in_a_row_say_so() -> None:
    """One good screen among the last two keeps it; with two bad ones before, the third sells it."""
    found = Screen(as_of=date(2010, 3, 9), bars_hash="b", scores=(PENNY,), factors={})
    for before, sold in (((FINE, PENNY), False), ((PENNY, FINE), False), ((PENNY, PENNY), True)):
        story = Story().tell(*(screen(day, score) for day, score in enumerate(before, 1)))
        previous = [kept.scores for kept in story.state.screens]
        wishes = wishes_of(found, ["AAA"], frozenset(), RULES, previous)
        assert bool(wishes.of(Side.SELL)) is sold


def test_a_listing_bars_for_as_long_as_it_says() -> None:
    """Config, list and freezer bar; a listing that ran out does not."""
    story = Story()
    until = story.now + timedelta(seconds=60)
    story.tell(
        Blacklisted(symbol="AAA", reason="", author="ann", until=until),
        Blacklisted(symbol="BBB", reason="", author="ann"),
        SymbolFrozen(symbol="CCC", reason=""),
    )
    rules = Rules(blacklist=frozenset({"DDD"}))
    barred = barred_symbols(story.state, rules, until - timedelta(microseconds=1))
    assert barred == {
        "AAA": "blacklist: no reason given (by ann)",
        "BBB": "blacklist: no reason given (by ann)",
        "CCC": "frozen: ",
        "DDD": "blacklist: risk.blacklist of the configuration",
    }
    assert set(barred_symbols(story.state, rules, until)) == {"BBB", "CCC", "DDD"}
