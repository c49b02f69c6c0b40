"""Every instant is killable: a life dies at each boundary it passes, in all kinds of weather, and the laws hold.

``tests/engine/lives.py`` checks the laws after each death and at the end, and watches the wire at each arrival.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms import crashpoints
from oms.engine.driver import Ending
from oms.model.event import CycleResumed, Event
from oms.model.order import OrdStatus
from tests.engine.house import House
from tests.engine.lives import Life, Script, accepted, facts_of, lived
from tests.engine.scripts import ON_DISK, SCRIPTS, deliver, halt_at, release

ROOT = Path(__file__).parent.parent.parent
WRITES = ("place", "cancel", "reserve")

DEATHS = ["process death", "power cut"]


def passages(script: Script) -> int:
    """How many crash points an undisturbed life of this script passes."""
    with lived(script) as life:
        return len(life.passed)


def is_power(death: str) -> bool:
    return death == "power cut"


def every(name: str, step: int) -> range:
    """Every ``step``-th boundary of a script, beginning with another one in each; all of them in fair weather."""
    return range(
        1 if name == "plain" else 1 + len(name) % step, passages(SCRIPTS[name]) + 1, 1 if name == "plain" else step
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_process_may_die_at_any_point(name: str) -> None:
    """In every weather, after a death at every second boundary the next process brings the cycle to its end, lawfully."""
    for kill in every(name, 2):
        with lived(SCRIPTS[name], (kill,)):
            pass


@pytest.mark.nightly
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_process_may_die_at_every_point(name: str) -> None:
    """The same at every boundary."""
    for kill in every(name, 1):
        with lived(SCRIPTS[name], (kill,)):
            pass


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_power_may_fail_at_any_point(name: str) -> None:
    """The same where the machine restarts and soft commits are lost; every third boundary, in fair weather every one."""
    for kill in every(name, 3):
        with lived(SCRIPTS[name], (kill,), power_cut=True):
            pass


@pytest.mark.nightly
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_power_may_fail_at_every_point(name: str) -> None:
    """Every boundary, in every weather."""
    for kill in every(name, 1):
        with lived(SCRIPTS[name], (kill,), power_cut=True):
            pass


@pytest.mark.parametrize("name", ON_DISK)
def test_a_process_may_die_at_every_point_of_the_real_store(name: str) -> None:
    """With the journal on SQLite: before and after each commit, and around the lease."""
    count = passages(ON_DISK[name])
    step = 1 if name == "plain" else 3
    for kill in range(1, count + 1, step):
        with lived(ON_DISK[name], (kill,)):
            pass


@pytest.mark.parametrize("death", DEATHS)
def test_two_deaths_in_one_life(death: str) -> None:
    """Sixty pairs of boundaries, the second one in the recovery from the first."""
    seed = f"pairs {death}"
    chance = random.Random(seed)
    count = passages(SCRIPTS["plain"])
    for _ in range(60):
        with lived(SCRIPTS["plain"], (chance.randint(1, count), chance.randint(1, count)), power_cut=is_power(death)):
            pass


@pytest.mark.nightly
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("part", range(8))
def test_every_pair_of_deaths(death: str, part: int) -> None:
    """All pairs of boundaries of a plain cycle, in parts."""
    for first in range(1 + part, passages(SCRIPTS["plain"]) + 1, 8):
        second = 0
        while True:
            second += 1
            with lived(SCRIPTS["plain"], (first, second), power_cut=is_power(death)) as life:
                if len(life.died_at) < 2:
                    break


@pytest.mark.parametrize("seed", range(24))
def test_up_to_six_deaths_in_any_weather(seed: int) -> None:
    """A life with one to six deaths, mixed with any script: crashes in the recovery of a recovery change nothing."""
    chance = random.Random(f"six {seed}")
    for _ in range(3):
        name = chance.choice(sorted(SCRIPTS))
        kills = [chance.randint(1, 60) for _ in range(chance.randint(1, 6))]
        with lived(SCRIPTS[name], kills, power_cut=chance.random() < 0.3):
            pass


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(24, 424))
def test_up_to_six_deaths_in_any_weather_all_night(seed: int) -> None:
    """The same, four hundred times more."""
    test_up_to_six_deaths_in_any_weather(seed)


@pytest.mark.parametrize("scope", ["buys", "all"])
def test_the_brake_may_be_pulled_at_every_point(scope: str) -> None:
    """Whenever an operator halts, nothing more is sent until the release, and then the cycle ends well."""
    for passage in range(1, passages(SCRIPTS["plain"]) + 1):
        script = Script(name=f"halted at {passage}", at_passage=halt_at(passage, scope), after=release)
        with lived(script) as life:
            assert life.ending.exit_code == 0
            assert len(accepted(life.house)) == 4


# ---- resuming --------------------------------------------------------------------------------------------------------


def resume_once_more(life: Life) -> list[Event]:
    """Let one more process resume; answers the rows that it added."""
    before = len(facts_of(life.house))
    life.house.reborn()
    life.house.run(open_new=False)
    return [fact.event for fact in facts_of(life.house)[before:]]


def writes(life: Life) -> int:
    """Requests that change something at the broker."""
    return sum(life.house.broker.calls[method] for method in WRITES)


@pytest.mark.parametrize("name", ["plain", "late in quarantine", "a sell is stuck"])
def test_after_the_end_a_resume_writes_nothing_anywhere(name: str) -> None:
    """Wherever the life died: once the cycle is done, a further process sends nothing and journals nothing."""
    for kill in range(0, passages(SCRIPTS[name]) + 1, 4):
        with lived(SCRIPTS[name], (kill,) if kill else ()) as life:
            sent = writes(life)
            assert not resume_once_more(life) or life.house.journal.state.unresolved
            assert resume_once_more(life) == []
            assert writes(life) == sent


@pytest.mark.parametrize("scope", ["buys", "all"])
def test_resuming_twice_is_resuming_once(scope: str) -> None:
    """A resume that has nothing to do but wait for a person adds its own mark and nothing else."""
    found: list[list[type[Event]]] = []

    def resume_twice(house: House) -> None:
        life = Life(
            script=SCRIPTS["plain"], house=house, folder=house.folder, ending=Ending(exit_code=7), passed=[], died_at=[]
        )
        resume_once_more(life)
        sent = writes(life)
        found.extend([type(event) for event in resume_once_more(life)] for _ in range(2))
        assert writes(life) == sent
        release(house)

    for passage in range(1, passages(SCRIPTS["plain"]) + 1, 3):
        script = Script(name=f"halted at {passage}", at_passage=halt_at(passage, scope), after=resume_twice)
        with lived(script):
            pass
    assert len(found) > 10
    assert all(rows == [CycleResumed] for rows in found)


def test_a_resumption_is_one_barrier_at_most() -> None:
    """Taking up an open cycle costs one commit that reaches the disk before anything is sent."""
    for kill in range(1, passages(SCRIPTS["plain"]) + 1):
        with lived(SCRIPTS["plain"], (kill,)) as life:
            first = [how for how, events in life.house.journal.commits[:1] if isinstance(events[0], CycleResumed)]
            assert first in ([], ["barrier"])


def test_an_order_in_quarantine_is_found_by_a_later_process() -> None:
    """A request that arrives after its cycle ended is adopted and booked, and never sent again."""
    script = Script(
        name="late for ever", house=SCRIPTS["late in quarantine"].house, prepare=SCRIPTS["late in quarantine"].prepare
    )
    with lived(script) as life:
        assert life.ending.exit_code == 7
        (parked,) = life.house.journal.state.unresolved
        assert parked.ord_status is OrdStatus.UNKNOWN
        deliver(life.house)
        assert resume_once_more(life)
        assert life.house.order(parked.symbol).ord_status is OrdStatus.FILLED
        assert len(life.house.broker.placed) == 2
        assert accepted(life.house).count(parked.cl_ord_id) == 1


# ---- the list of points ----------------------------------------------------------------------------------------------


def points_in_code() -> Iterator[str]:
    """Every name given to ``crashpoints.point``, or to a function that passes it on."""
    names = set(crashpoints.POINTS)
    for path in sorted((ROOT / "oms").rglob("*.py")):
        if path.name == "crashpoints.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                yield str(node.value)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "crashpoints.point":
                yield from (str(given.value) for given in node.args if isinstance(given, ast.Constant))


def test_every_point_is_declared_and_every_declared_point_is_used() -> None:
    """The list of crash points is the list of those in the code."""
    assert set(points_in_code()) == set(crashpoints.POINTS)


ELSEWHERE: dict[str, str] = {
    "lease.before_release": "a simulated process never ends well enough to give its lease back; tests/kill passes it",
    "backup.": "no backup is made within a cycle; its own tests die there",
    "restore.": "no restore runs within a cycle; its own tests die there",
    "archive.": "no year is archived within a cycle; tests/journal/test_archiving.py dies there",
    "config.": "no configuration is written within a cycle; its own tests die there",
}
"""Points, or families of them, that no life here passes, each with the reason."""


def test_every_point_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lives of this file together pass every point of a cycle."""
    monkeypatch.setattr("oms.journal.store.CHECKPOINT_BYTES", 0)
    passed: set[str] = set()
    for script in (*(SCRIPTS[name] for name in ("plain", "a sell is stuck", "halted while buying")), *ON_DISK.values()):
        with lived(script) as life:
            passed.update(life.passed)
    elsewhere = {name for name in crashpoints.POINTS if name.startswith(tuple(ELSEWHERE))}
    assert passed == set(crashpoints.POINTS) - elsewhere
