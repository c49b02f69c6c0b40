"""The engine in seeded worlds: no law breaks, the same seed is the same world, and the simulator itself can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from oms.gateways.paper.log import LogKind
from oms.model.event import Event, OrderReserved
from oms.sim import laws
from oms.sim.campaign import live
from oms.sim.faults import MEANING, OF_PROCESSES, Fault
from oms.sim.judge import judge
from oms.sim.ram_journal import RamJournal
from oms.sim.scenario import LICENCE, MOST_DEATHS, Scenario, Strike, draw
from oms.sim.shrink import command, shrink
from oms.sim.sky import Tally
from oms.sim.world import World
from tests.sim.campaigns import PARTS, failures
from tests.sim.planted.bugs import BUGS, planted

ROOT = Path(__file__).parent.parent.parent
SEEDS = 1_000


@pytest.mark.parametrize("part", range(PARTS))
def test_no_law_breaks_on_the_production_store(part: int) -> None:
    """A thousand worlds, the journal on the real store in memory: every law holds in each."""
    assert failures(range(part, SEEDS, PARTS)) == []


@pytest.mark.parametrize("part", range(4))
def test_no_law_breaks_on_a_list(part: int) -> None:
    """Another four hundred worlds on the journal that is a list."""
    assert failures(range(SEEDS + part, SEEDS + 400, 4), in_ram=True) == []


@pytest.mark.parametrize("part", range(4))
def test_no_law_breaks_in_a_long_life(part: int) -> None:
    """Twenty cycles of one account, with deaths and weather all along: seeds 0 to 11."""
    tally = Tally()
    assert not failures(range(part, 12, 4), cycles=20, tally=tally)
    assert tally.cycles > 30


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(100))
def test_no_law_breaks_all_night(part: int) -> None:
    """Fifty thousand worlds more."""
    assert failures(range(SEEDS + part, SEEDS + 50_000, 100), in_ram=part % 2 == 0) == []


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(50))
def test_no_law_breaks_in_a_night_of_long_lives(part: int) -> None:
    """Two and a half thousand accounts with twenty cycles each."""
    assert failures(range(12 + part, 2_512, 50), cycles=20, in_ram=part % 2 == 0) == []


# ---- the same seed is the same world ---------------------------------------------------------------------------------

DIGESTS = "from oms.sim.campaign import live; import json; print(json.dumps([live(s).digest for s in range(50)]))"


def digests(hash_seed: str, zone: str) -> list[str]:
    """The traces of fifty seeds in a fresh interpreter."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_fifty_seeds_are_the_same_worlds_under_any_hash_seed_and_zone() -> None:
    """Two interpreters that differ in their hash seed and in their time zone live the same traces."""
    first = digests("0", "UTC")
    assert len(set(first)) == 50
    assert digests("4242", "Pacific/Auckland") == first


def test_both_stores_live_the_same_world() -> None:
    """Where no power is cut, the real store and the list see the same requests at the same instants."""
    compared = 0
    for seed in range(60):
        scenario = draw(seed)
        if any(strike.kind is not Fault.KILL for strike in scenario.strikes):
            continue
        compared += 1
        assert judge(scenario).tally.faults == judge(replace(scenario, on_sqlite=False)).tally.faults
    assert compared > 5


# ---- the weather -----------------------------------------------------------------------------------------------------


def test_every_fault_has_a_meaning_and_happens() -> None:
    """Each kind of fault strikes in the first worlds; those that are true of a whole world are drawn for some."""
    assert set(MEANING) == set(Fault)
    tally = Tally()
    drawn: set[Fault] = set()
    for seed in range(400):
        drawn.update(draw(seed).rates)
        tally.add(live(seed, in_ram=True).tally)
        unseen = set(Fault) - set(tally.faults) - drawn
        if not unseen and all(tally.outcomes.values()) and len(tally.deaths) > 20:
            return
    raise AssertionError(f"not seen: {unseen}; {tally.outcomes}; dead at {sorted(tally.deaths)}")


def test_a_world_has_at_most_six_deaths() -> None:
    """Strikes at processes are named, each once, and never more than six."""
    for seed in range(300):
        strikes = draw(seed).strikes
        assert len({strike.name for strike in strikes}) == len(strikes) <= MOST_DEATHS
        assert all(strike.kind in OF_PROCESSES for strike in strikes)


OVERSOLD = "more is sold than is held"


def first_failing() -> int:
    """The first seed whose world breaks a law."""
    return next(seed for seed in range(100) if live(seed, in_ram=True).failed)


# ---- the simulator can fail ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["an_order_stood_in_the_journal_before_the_broker_received_it"])
def test_a_weakened_barrier_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the barrier of the numbers is a soft commit, a power cut loses them, and the law about it breaks."""
    barrier = RamJournal.append_barrier

    def weak(self: RamJournal, events: Sequence[Event]) -> None:
        durable = self._chain.durable
        barrier(self, events)
        if any(isinstance(event, OrderReserved) for event in events):
            self._chain.durable = durable

    monkeypatch.setattr(RamJournal, "append_barrier", weak)
    sentence = name.replace("_", " ")
    assert any(sentence in broken for seed in range(300) for broken in live(seed, in_ram=True).violations)


def test_without_its_laws_the_simulator_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the laws that find: with none of them, shares sold that nobody holds go unnoticed."""
    (found,) = [bug for bug in BUGS if bug.name == OVERSOLD]
    with planted(found):
        seed = first_failing()
        monkeypatch.setattr(laws, "LAWS", {})
        monkeypatch.setattr("oms.sim.judge.check_world", lambda _: iter(()))
        assert not live(seed, in_ram=True).failed


def test_a_failing_world_shrinks_to_what_its_failure_needs() -> None:
    """Parts that the failure does not need are left out, and the line that is printed lives the rest again."""
    (found,) = [bug for bug in BUGS if bug.name == OVERSOLD]
    with planted(found):
        seed = first_failing()
        verdict = live(seed, in_ram=True)
        small = shrink(verdict)
        assert small.failed
        assert len(small.scenario.names()) < len(verdict.scenario.names()) / 3
        assert judge(draw(seed, on_sqlite=False).leaving_out(small.scenario.without)).violations == small.violations
    assert command(small.scenario).startswith(f"oms sim replay {seed} --in-ram --without ")
    assert not judge(small.scenario).failed


# ---- planted bugs ----------------------------------------------------------------------------------------------------

FAST = 60
"""Seeds in which a planted bug of the commit's set is found."""
MOST = 2_000


def seeds_needed(name: str, most: int) -> int | None:
    """How many seeds the simulator takes to find a planted bug."""
    (found,) = [bug for bug in BUGS if bug.name == name]
    with planted(found):
        for seed in range(most):
            if live(seed, in_ram=True).failed:
                return seed + 1
    return None


@pytest.mark.parametrize("name", [bug.name for bug in BUGS if bug.fast])
def test_a_planted_bug_is_found_soon(name: str) -> None:
    """Each of the common mistakes is found within a few seeds."""
    needed = seeds_needed(name, FAST)
    print(f"{name}: {needed} seeds")
    assert needed is not None


@pytest.mark.nightly
@pytest.mark.parametrize("name", [bug.name for bug in BUGS])
def test_a_planted_bug_is_found(name: str) -> None:
    """Every mistake is found within two thousand seeds."""
    needed = seeds_needed(name, MOST)
    print(f"{name}: {needed} seeds")
    assert needed is not None


def test_there_are_many_planted_bugs() -> None:
    """Each has a name of its own."""
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 48


def strike_at(kind: Fault, process: int, point: str) -> Strike:
    """A strike at the first passage of one point."""
    return Strike(kind=kind, process=process, passage=1, point=point)


def fair(seed: int = 7, *strikes: Strike) -> Scenario:
    """A world without weather, but for these strikes."""
    scenario = draw(seed, on_sqlite=False)
    return replace(scenario, rates={}, visits=(), strikes=strikes, refuses_repeats=timedelta(days=7))


def test_a_suspended_process_that_wakes_writes_nothing() -> None:
    """It finds its lease gone, ends, and every law holds of what it had on the wire."""
    for point in ("send.after_intent", "send.before_call", "send.before_outcome", "journal.after_barrier"):
        verdict = judge(fair(7, strike_at(Fault.PAUSE, 1, point)))
        assert verdict.violations == ()
        assert verdict.tally.faults["pause"] == 1


def test_a_process_without_a_person_s_word_sends_nothing_for_real_money() -> None:
    """In a world in which nobody arms, its processes end with 5 and nothing reaches the exchange."""
    scenario = replace(fair(7), live=True, rules=replace(fair(7).rules, licences=(LICENCE,)))
    worlds: list[World] = []

    def make(drawn: Scenario, listener: Callable[[str], None] | None) -> World:
        worlds.append(World(drawn, listener))
        worlds[0].terminal.arm = lambda *_: None  # type: ignore[method-assign]
        return worlds[0]

    lines: list[str] = []
    assert judge(scenario, lines.append, make).violations == ()
    assert [line for line in lines if line.endswith("ends with 5")]
    assert not [entry for entry in worlds[0].exchange.log if entry.kind is LogKind.PLACE_RECEIVED]


def test_a_world_of_real_money_is_traded_once_it_is_armed() -> None:
    """The same world with its terminal trades."""
    scenario = replace(fair(7), live=True, rules=replace(fair(7).rules, licences=(LICENCE,)))
    verdict = judge(scenario)
    assert (verdict.violations, verdict.tally.cycles) == ((), len(scenario.wishes))


def test_a_contender_finds_the_lease_held() -> None:
    """A second process beside a living one does nothing."""
    lines: list[str] = []
    verdict = judge(fair(7, strike_at(Fault.CONTENDER, 1, "send.before_intent")), lines.append)
    assert verdict.violations == ()
    assert any(line.endswith("process 2 ends with 6") for line in lines)
