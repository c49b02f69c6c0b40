"""The beat of an engine that stays up: due cycles, missed beats, closed markets, and trouble before a cycle."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from oms.engine.cadence import Cadence
from oms.engine.worker import Assignment, Worker
from oms.errors import TryAgainError
from oms.model.account import Session
from oms.model.signal import Signals
from tests.engine.house import House, buy
from tests.journal.facts import account_opened

INTERVAL = timedelta(seconds=30)


def test_days_that_are_only_played_follow_each_other_at_once(tmp_path: Path) -> None:
    """On a replay the interval passes at once."""
    house = House(tmp_path)
    before = house.clock.elapsed()
    assert Cadence(house.driver(), INTERVAL).wait_for_the_next() is None
    assert house.clock.elapsed() - before < 1


def test_a_cycle_is_due_at_whole_intervals_from_the_start_however_long_the_last_one_took(tmp_path: Path) -> None:
    """The beat does not drift: 12 s of work leave 18 s to wait; 70 s of work let one beat pass."""
    house = House(tmp_path)
    house.market.skips_nights = False
    cadence = Cadence(house.driver(), INTERVAL)
    start = house.clock.now()
    for work, beat in ((12, 30), (70, 120), (0, 150)):
        house.clock.advance(timedelta(seconds=work))
        assert cadence.wait_for_the_next() is None
        assert abs((house.clock.now() - start).total_seconds() - beat) < 0.5


def test_a_clock_set_back_does_not_make_the_wait_longer(tmp_path: Path) -> None:
    """After a jump of an hour into the past the next cycle is due within one interval."""
    house = House(tmp_path)
    house.market.skips_nights = False
    cadence = Cadence(house.driver(), INTERVAL)
    house.clock.jump(-timedelta(hours=1))
    before = house.clock.elapsed()
    cadence.wait_for_the_next()
    assert house.clock.elapsed() - before <= 31


def test_run_once_outside_the_hours_opens_no_cycle_and_says_when_the_market_opens(tmp_path: Path) -> None:
    """A closed market is a reason to come back later, not to journal a cycle of blocked orders."""
    house = House(tmp_path)
    house.market.close_day()
    ending = house.run(buy("CCC", 10))
    assert ending.exit_code == TryAgainError.exit_code
    assert "the market is closed" in ending.why
    assert house.journal.state.cycle is None


@pytest.mark.parametrize("skips_nights", [True, False])
def test_an_engine_that_stays_up_does_not_spin_while_the_market_is_closed(
    tmp_path: Path, *, skips_nights: bool
) -> None:
    """Ten seconds of a closed market are a handful of looks at it, not thousands."""
    house = House(tmp_path, patient=True)
    house.market.skips_nights = skips_nights
    house.market.close_day()
    looks = 0
    enter = house.market.enter

    def counted(last_day: date | None, open_day: date | None) -> Session | None:
        nonlocal looks
        looks += 1
        return enter(last_day, open_day)

    house.market.enter = counted  # type: ignore[method-assign]
    assignment = Assignment(mode="paper", config_hash="c0", canonical="{}", version="test", loop=True)
    end = house.clock.elapsed() + 10
    house.stopping = lambda: 143 if house.clock.elapsed() > end else None
    ending = Worker(
        house.driver(), assignment, wishes=lambda _: Signals(signals=(), source="", digest=""), new_cycle_id=lambda: "c"
    ).run()
    assert ending.exit_code == 143
    assert looks < 20


@pytest.mark.parametrize("method", ["funds", "quotes"])
def test_an_engine_that_stays_up_tries_again_when_the_broker_is_down_before_a_cycle(
    tmp_path: Path, method: str
) -> None:
    """Nothing is open yet, so the trouble costs a beat and not the process."""
    house = House(tmp_path, patient=True)
    house.run(buy("EEE", 1))
    house.broker.fail(method, 3)
    ending = house.run(buy("CCC", 10), loop=True, stop_after=2)
    assert house.cycle.opened.buys[0].symbol == "CCC"
    assert ending.exit_code == 143


def test_a_person_need_not_wait_for_the_beat(tmp_path: Path) -> None:
    """A wish to run now ends the wait at the next look at the mailbox, once; the beat after it is where it was."""
    house = House(tmp_path)
    house.market.skips_nights = False
    driver = house.driver()
    house.journal.append_barrier([account_opened()])
    cadence = Cadence(driver, INTERVAL)
    start = house.clock.now()
    house.mailbox.post(house.clock, "run_now", reason="the news are out")
    assert cadence.wait_for_the_next() is None
    assert (house.clock.now() - start).total_seconds() < 1
    assert cadence.wait_for_the_next() is None
    assert abs((house.clock.now() - start).total_seconds() - 30) < 0.5
