"""One small cycle, enumerated: deaths × crash points × broker faults, counted, and none of them breaks a law."""

from __future__ import annotations

import pytest

from oms.model.rules import DoubtPolicy
from oms.sim.faults import Fault
from oms.sim.judge import judge
from oms.sim.scenario import Strike
from oms.sim.sweep import BROKER_FAULTS, DEATHS, FAIR, Row, pairs, passages, singles, small, successor


def broken(rows: list[Row]) -> list[str]:
    return [f"{row.fault}, {row.death}: {each}" for row in rows for each in row.broken]


def test_every_death_at_every_point_in_fair_weather() -> None:
    """All kinds of death, at every passage of the cycle, under both policies of doubt."""
    rows = list(singles(faults=[None], step=2))
    assert broken(rows) == []
    assert [row.fault for row in rows] == [FAIR] * len(DEATHS)
    assert all(row.lives >= 20 for row in rows)


@pytest.mark.parametrize("part", range(4))
def test_a_kill_under_every_fault(part: int) -> None:
    """A kill at every ninth passage while each of the broker's faults strikes."""
    rows = list(singles(faults=BROKER_FAULTS[part::4], deaths=[Fault.KILL], policies=[DoubtPolicy.RESEND], step=9))
    assert broken(rows) == []


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("fault", [None, *BROKER_FAULTS])
def test_every_death_at_every_point_under_every_fault(fault: Fault | None) -> None:
    """Everything that can be enumerated about one death in a small cycle."""
    assert broken(list(singles(faults=[fault]))) == []


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("death", [Fault.KILL, Fault.POWER_CUT])
def test_every_pair_of_deaths(death: Fault) -> None:
    """The second death falls on every passage of the recovery from the first."""
    assert broken(list(pairs([death]))) == []


def test_the_second_power_cut_meets_the_process_that_takes_over() -> None:
    """That is not the next one, which finds the lease held: the pairs of power cuts once missed it."""
    one = Strike(kind=Fault.POWER_CUT, process=1, passage=30)
    taker = successor(one)
    assert taker > 2
    verdict = judge(small(None, [one, Strike(kind=Fault.POWER_CUT, process=taker, passage=5)], DoubtPolicy.RESEND))
    assert verdict.tally.faults[Fault.POWER_CUT] == 2
    assert not verdict.failed
    (row,) = pairs([Fault.POWER_CUT], step=29)
    assert row.broken == ()
    assert row.lives > 4 * 29


def test_the_small_cycle_passes_enough_points() -> None:
    """Two sells and two buys pass a good many crash points in one process."""
    assert passages(small(None, (), DoubtPolicy.RESEND)) > 45
