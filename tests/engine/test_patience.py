"""Waits at their edges: when it is asked again, how long figures that are no numbers are waited for, what ends a process."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from oms.engine.orders import Ask, ReadFunds, Stop, Wait
from oms.engine.ours import ours_to_sell
from oms.engine.patience import EARLIEST, ask_again, has_passed, not_before, unreadable
from oms.model.rules import Rules
from tests.engine.glance import glance
from tests.model.story import START, Story, funds, intent, position

RULES = Rules()
MICROSECOND = timedelta(microseconds=1)


def test_a_wait_is_over_at_its_instant_and_one_from_the_future_at_once() -> None:
    """A clock that was set back can neither freeze it nor stretch it."""
    second = timedelta(seconds=1)
    assert not has_passed(START, second, START + second - MICROSECOND)
    assert has_passed(START, second, START + second)
    assert not has_passed(START, second, START)
    assert has_passed(START, second, START - MICROSECOND)


def test_an_instant_in_the_future_is_none_to_wait_for() -> None:
    """A fact of before the clock was set back asks for no reading that could not be had for hours."""
    seen = glance(Story())
    assert not_before(seen.now, seen) == seen.now
    assert not_before(seen.now + MICROSECOND, seen) == EARLIEST


def test_orders_are_asked_about_once_a_poll_and_when_something_stirs() -> None:
    """Never asked before, a word of the broker's, or a poll ago: ask; else wait until the poll is over."""
    seen = glance(Story())
    wait = ask_again(seen, RULES, "told").then
    assert wait == Wait(until=seen.now + RULES.poll, why="told")
    assert ask_again(replace(seen, stirred=True), RULES, "told").then == Ask()
    assert ask_again(replace(seen, asked_at=None), RULES, "told").then == Ask()
    assert ask_again(replace(seen, asked_at=seen.now - RULES.poll), RULES, "told").then == Ask()


class TestUnreadable:
    """Figures that are no numbers."""

    def test_they_are_read_again_once_a_poll(self) -> None:
        """And at once where there are none."""
        story = Story().opens(intent("S0", "AAA"))
        seen = glance(story)
        assert unreadable(story.cycle, seen, RULES, "NaN") == Wait(until=seen.now + RULES.poll, why="NaN")
        assert unreadable(story.cycle, replace(seen, funds=None), RULES, "NaN") == ReadFunds()
        old = replace(seen, funds=funds(1, seen.now - RULES.poll))
        assert unreadable(story.cycle, old, RULES, "NaN") == ReadFunds()

    @pytest.mark.parametrize("younger", ["the process", "the phase"])
    def test_a_process_gives_up_a_deadline_after_it_could_have_known(self, younger: str) -> None:
        """Counted from its own start or that of the phase, whichever is later; one that is patient goes on waiting."""
        story = Story().opens(intent("S0", "AAA"))
        since = story.cycle.phase_since + (timedelta(seconds=9) if younger == "the process" else timedelta(0))
        started = since if younger == "the process" else story.cycle.phase_since - timedelta(seconds=9)
        over = since + RULES.settle_deadline
        seen = replace(glance(story), started_at=started)
        early = replace(seen, now=over - MICROSECOND, funds=funds(1, over - MICROSECOND))
        assert isinstance(unreadable(story.cycle, early, RULES, "NaN"), Wait)
        late = replace(seen, now=over, funds=funds(1, over))
        stop = unreadable(story.cycle, late, RULES, "NaN")
        assert isinstance(stop, Stop)
        assert (stop.exit_code, stop.why) == (75, "NaN; the cycle stays open, the next run goes on")
        assert isinstance(unreadable(story.cycle, replace(late, patient=True), RULES, "NaN"), Wait)


class TestOurs:
    """Which of the broker's shares are ours to sell."""

    def test_no_more_than_is_held_and_not_being_sold_of_that_symbol(self) -> None:
        """Sells of other symbols and what is closed take nothing away."""
        story = Story(held=[position("AAA", 100), position("BBB", 50)])
        story.opens(intent("S0", "AAA", 30), intent("S1", "BBB", 20)).sends("S0").acknowledges("S0").fills("S0", 10)
        ours = ours_to_sell({"AAA": position("AAA", 100), "BBB": position("BBB", 50)}, story.state)
        assert {symbol: each.sellable for symbol, each in ours.items()} == {"AAA": Decimal(70), "BBB": Decimal(30)}
        story.cancels("S0")
        assert ours_to_sell({"AAA": position("AAA", 100)}, story.state)["AAA"].sellable == Decimal(90)

    def test_a_figure_that_is_no_number_is_left_for_the_check_that_refuses_it(self) -> None:
        """It is not quietly replaced by what the journal holds."""
        story = Story(held=[position("AAA", 100)])
        (shown,) = ours_to_sell({"AAA": position("AAA", 100, "NaN")}, story.state).values()
        assert not shown.sellable.is_finite()
