"""A wait of the engine is made of glances: commands, signals and pushes are seen at the next one, the rest in a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from oms.engine.driver import GLANCE_S, GLANCES
from oms.engine.opening import open_account
from oms.engine.orders import Wait
from tests.engine.house import House

HOUR = timedelta(hours=1)


def waited(house: House, deed: Callable[[], object] = lambda: None) -> float:
    """Seconds that one wait of an hour takes where a deed is done during its first glance."""
    driver = house.driver()
    open_account(driver, mode="paper")
    sleep, deeds = house.clock.sleep, [deed]

    def watched(seconds: float) -> None:
        sleep(seconds)
        for each in deeds:
            each()
        deeds.clear()

    house.clock.sleep = watched  # type: ignore[method-assign]  # to do something in the middle of a sleep
    began = house.clock.elapsed()
    with closing(house.paper):
        driver._perform(Wait(until=house.clock.now() + HOUR, why="nothing"))
    return house.clock.elapsed() - began


def test_a_wait_in_which_nothing_happens_is_over_in_a_second(tmp_path: Path) -> None:
    """However long it was meant: the next decision sees deadlines, and a clock that was set."""
    assert waited(House(tmp_path)) == pytest.approx(GLANCE_S * GLANCES, abs=0.01) == 1.0


def test_a_command_a_signal_and_a_push_end_a_wait_at_the_next_glance(tmp_path: Path) -> None:
    """A fifth of a second, and the command is journaled by then."""
    halted, pushed, stopped = (House(tmp_path / name) for name in ("halted", "pushed", "stopped"))
    assert waited(halted, lambda: halted.mailbox.post(halted.clock, "halt")) == pytest.approx(GLANCE_S, abs=0.01)
    assert halted.journal.state.halt is not None
    assert waited(pushed, pushed.broker.stir) == pytest.approx(GLANCE_S, abs=0.01)

    signals: list[int] = []
    stopped.stopping = lambda: signals[0] if signals else None
    assert waited(stopped, lambda: signals.append(143)) == pytest.approx(GLANCE_S, abs=0.01)


def test_a_clock_that_is_set_back_does_not_lengthen_a_wait(tmp_path: Path) -> None:
    """The wait of a moment stays one although its end is now a day away."""
    house = House(tmp_path)
    assert waited(house, lambda: house.clock.jump(timedelta(days=-1))) <= GLANCE_S * GLANCES + 0.01
