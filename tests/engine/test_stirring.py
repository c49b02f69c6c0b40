"""A broker that says by itself that something changed is looked at sooner, and never believed without looking."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from oms.model.order import OrdStatus
from oms.model.rules import Rules
from tests.engine.house import House, buy, sell

SLOW = Rules(
    poll=timedelta(minutes=1), settle_deadline=timedelta(hours=1), order_deadline=timedelta(hours=1), grace=timedelta(0)
)
"""Whoever waits for the poll alone waits for a minute."""


def cycle(folder: Path, *, stirs: bool, rules: Rules = SLOW) -> tuple[House, timedelta]:
    """One cycle, and how long it took by its own clock; the broker stirs at every step, or never."""
    folder.mkdir(exist_ok=True)
    house = House(folder, rules=rules)
    if stirs:
        house.stopping = house.broker.stir
    began = house.clock.now()
    assert house.run(sell("AAA"), buy("CCC", 30)).exit_code == 0
    return house, house.clock.now() - began


def test_cycle_does_not_wait_for_the_poll(tmp_path: Path) -> None:
    """Fills and money are seen within a second of their coming where the broker stirs, else at the next poll."""
    quiet, long = cycle(tmp_path / "quiet", stirs=False)
    stirred, short = cycle(tmp_path / "stirred", stirs=True)
    assert long > SLOW.poll
    assert short < timedelta(seconds=10)
    for house in (quiet, stirred):
        assert [order.ord_status for order in house.cycle.orders.values()] == [OrdStatus.FILLED] * 2
    assert quiet.paper.funds().cash == stirred.paper.funds().cash


def test_money_that_shows_is_still_confirmed_in_its_own_time(tmp_path: Path) -> None:
    """A broker that stirs without end brings no buy before ``settlement.confirm`` has passed between equal readings."""
    rules = Rules(confirm=timedelta(seconds=30), settle_deadline=timedelta(hours=1))
    house, _ = cycle(tmp_path, stirs=True, rules=rules)
    enough = house.cycle.expected_spendable
    covered = [reading.funds.at for reading in house.cycle.readings if reading.spendable >= enough]
    bought_at = house.order("CCC").sent_at
    assert bought_at is not None
    assert bought_at >= covered[0] + rules.confirm


@pytest.mark.parametrize("method", ["orders", "funds"])
def test_false_alarm_is_a_look_and_no_fact(tmp_path: Path, method: str) -> None:
    """Stirring without a change costs readings, and adds nothing to the journal but readings of the money."""
    quiet, _ = cycle(tmp_path / "quiet", stirs=False, rules=Rules())
    stirred, _ = cycle(tmp_path / "stirred", stirs=True, rules=Rules())
    assert stirred.broker.calls[method] >= quiet.broker.calls[method]
    without_readings = [
        [kind for kind in house.journal.kinds if kind != "funds_observed"] for house in (quiet, stirred)
    ]
    assert without_readings[0] == without_readings[1]
