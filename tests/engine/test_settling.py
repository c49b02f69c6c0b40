"""How long a cycle waits for the money of its sells, and when it looks again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.engine.orders import ReadFunds, Stop, Wait
from oms.engine.settling import sells_closed
from oms.model.detail import SettledBy
from oms.model.event import CycleAborted, FundsSettled
from oms.model.rules import FundsPolicy, Rules
from tests.engine.glance import decided, glance
from tests.model.story import DAY, SESSION, Story, intent

SELL, BUY = intent("S0", "AAA"), intent("B0", "CCC")
RULES = Rules(confirm=timedelta(seconds=2), poll=timedelta(seconds=10))
TOMORROW = Rules(funds=FundsPolicy.SETTLED_CASH, confirm=RULES.confirm, poll=RULES.poll)
MICRO = timedelta(microseconds=1)


def sold() -> Story:
    """One sell filled for 1,000; with its cent 10,999.99 is expected."""
    return Story().opens(SELL, BUY).sends("S0").acknowledges("S0").fills("S0")


def settling(*readings: str) -> Story:
    story = sold().sells_close(100_000)
    for amount in readings:
        story.observes(amount)
    return story


def last_reading(story: Story) -> datetime:
    return story.cycle.readings[-1].funds.at


def then(story: Story, after: timedelta, rules: Rules = RULES, **changes: Any) -> Any:
    """What is next, so long after the last reading."""
    now = last_reading(story) + after
    seen = glance(story, funds=None, **changes)
    return decided(story, replace(seen, now=now, market_time=story.now), rules).then


# The deadline


def test_settled_cash_is_waited_for_until_an_hour_after_the_opening_of_its_day() -> None:
    """The next session opens where today's did, as far as anybody knows today; clocks may change over night."""
    story = sold()
    deadline = sells_closed(story.cycle, glance(story), TOMORROW).deadline
    assert deadline == SESSION.opens + timedelta(days=1, hours=1)


@pytest.mark.parametrize("why", ["another policy", "nothing sold", "no session"])
def test_money_that_comes_today_is_waited_for_a_minute(why: str) -> None:
    """Where it is not settled cash that counts, where nothing is to come, and where the market's day is not known."""
    story = Story().opens(SELL, BUY).sends("S0").rejects("S0") if why == "nothing sold" else sold()
    rules = RULES if why == "another policy" else TOMORROW
    seen = glance(story, session=None) if why == "no session" else glance(story)
    assert sells_closed(story.cycle, seen, rules).deadline == seen.now + rules.settle_deadline


# The next look


@pytest.mark.parametrize(
    ("readings", "span"),
    [
        (("10999.99",), RULES.confirm),
        (("11000",), RULES.confirm),
        (("10999.98",), RULES.poll),
        (("10500", "10500"), RULES.poll),
        (("10500", "11000"), RULES.confirm),
        (("11000", "11000"), RULES.poll),
    ],
)
def test_a_reading_that_covers_is_confirmed_soon_and_any_other_is_looked_at_once_a_poll(
    readings: tuple[str, ...], span: timedelta
) -> None:
    """A second reading that agrees and lies too near to the first is no reason to hurry either."""
    story = settling(*readings)
    assert then(story, span - MICRO) == Wait(
        until=last_reading(story) + span, why=f"{readings[-1]} spendable, 10999.99 expected from the sells"
    )
    assert then(story, span) == ReadFunds()


def test_a_word_of_the_broker_s_brings_the_next_reading_forward_only_where_money_is_missing() -> None:
    """Where it shows already, only time can confirm it."""
    assert then(settling("10500"), MICRO, stirred=True) == ReadFunds()
    assert isinstance(then(settling("10500"), MICRO), Wait)
    assert isinstance(then(settling("11000"), MICRO, stirred=True), Wait)


def test_money_that_comes_on_another_day_is_looked_at_rarely_or_left_to_the_next_run() -> None:
    """Sixty polls apart by a process that waits; one that does not ends, and says when the money comes."""
    story = settling("10500")
    stop = then(story, MICRO, TOMORROW)
    assert isinstance(stop, Stop)
    assert (stop.exit_code, f"they settle on {DAY + timedelta(days=1)}" in stop.why) == (75, True)
    waits = then(story, MICRO, TOMORROW, patient=True)
    assert isinstance(waits, Wait)
    assert waits.until == last_reading(story) + 60 * RULES.poll
    assert then(story, 60 * RULES.poll - MICRO, TOMORROW, patient=True) == waits


def test_money_that_shows_before_its_day_ends_no_process() -> None:
    """The broker calls it settled already: that is confirmed as on any other day."""
    assert then(settling("11000"), RULES.confirm, TOMORROW) == ReadFunds()
    assert isinstance(then(settling("11000"), MICRO, TOMORROW), Wait)


# The end


def settled(story: Story, rules: Rules = RULES) -> FundsSettled | None:
    found = decided(story, glance(story, funds=None), rules).events
    return next((event for event in found if isinstance(event, FundsSettled)), None)


def test_an_aborted_cycle_waits_for_no_money() -> None:
    """It takes what is there, since nothing will be bought with it."""
    story = settling("10500")
    assert settled(story) is None
    found = settled(story.tell(CycleAborted(cycle_id="c-1", rule="stale_on_resume", reason="told")))
    assert found is not None
    assert (found.by, found.spendable) == (SettledBy.DEADLINE, Decimal(10500))


def test_at_the_deadline_the_last_two_readings_count() -> None:
    """An older one that was lower is over."""
    story = settling("10300", "10500", "10400")
    assert story.cycle.sells_over is not None
    seen = replace(glance(story, funds=None), now=story.cycle.sells_over.deadline)
    (found,) = decided(story, seen, RULES).events
    assert isinstance(found, FundsSettled)
    assert (found.spendable, found.readings) == (Decimal(10400), (Decimal(10500), Decimal(10400)))
