"""The real process dies by SIGKILL at every boundary it passes, and the next run brings its cycle to a lawful end."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from oms import crashpoints
from oms.errors import EXIT_DONE
from tests.kill.account import SIGNALS, Account, Weather, live, some, spread

Maker = Callable[[Weather], Account]

FAIR = Weather(name="fair")
LAG = Weather(name="the list lags", settings={"LIST_LAG": "300ms"})
DEAF = Weather(name="the first replies are lost", lost_replies=3)
DEAF_LAG = Weather(
    name="replies lost and the list lags", settings={"LIST_LAG": "150ms", "WINDOW": "2s"}, lost_replies=2
)
NO_REPEATS = Weather(
    name="nothing is repeated, the list lags", settings={"THEN": "quarantine", "LIST_LAG": "150ms", "WINDOW": "800ms"}
)
STUCK = Weather(
    name="a sell is stuck",
    settings={"ORDER_DEADLINE": "400ms"},
    signals=SIGNALS.replace("sell,AAA,100,", "sell,AAA,100,50.45"),
)
WEATHERS = {weather.name: weather for weather in (FAIR, LAG, DEAF, DEAF_LAG, NO_REPEATS, STUCK)}

NEAR_THE_WIRE = ("send.", "paper.", "ask.", "facts.", "reserve.", "cancel.")
"""Boundaries at which bad weather makes a difference."""

PARTS = 8


counted: dict[str, list[tuple[str, int]]] = {}


def boundaries(make: Maker, weather: Weather) -> list[tuple[str, int]]:
    """Every boundary of an undisturbed life, counted once in a process."""
    if weather.name not in counted:
        counted[weather.name] = make(weather).passages()
    return counted[weather.name]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_process_is_killed_at_every_boundary(forked: Maker, part: int) -> None:
    """Before and after each commit, each broker call, and at the broker between acceptance and reply."""
    struck = 0
    for place in spread(boundaries(forked, FAIR), part, PARTS):
        struck += live(forked(FAIR), [{"at": place}], f"OMS_CRASH_AT={place[0]}:{place[1]}")
    assert struck >= 8


@pytest.mark.parametrize("name", [name for name in WEATHERS if name != FAIR.name])
def test_a_process_is_killed_near_the_wire_in_bad_weather(forked: Maker, name: str) -> None:
    """Where the list lags, replies are lost, or an order never fills: twelve boundaries near the broker."""
    weather = WEATHERS[name]
    near = [place for place in boundaries(forked, weather) if place[0].startswith(NEAR_THE_WIRE)]
    for place in some(near, 12):
        live(forked(weather), [{"at": place}], f"{name}, OMS_CRASH_AT={place[0]}:{place[1]}")


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", WEATHERS)
def test_a_process_is_killed_at_every_boundary_in_every_weather(forked: Maker, name: str, part: int) -> None:
    """All boundaries, in all weathers."""
    weather = WEATHERS[name]
    for place in spread(boundaries(forked, weather), part, PARTS):
        live(forked(weather), [{"at": place}], f"{name}, OMS_CRASH_AT={place[0]}:{place[1]}")


def random_life(make: Maker, seed: int, weather: Weather = FAIR) -> int:
    """A life with one to six kills at random instants; answers how many struck."""
    chance = random.Random(f"instants {seed}")
    kills = [{"kill_after": chance.uniform(0.0, 0.35)} for _ in range(chance.randint(1, 6))]
    return live(make(weather), kills, f"random_life(make, {seed}, WEATHERS[{weather.name!r}])")


@pytest.mark.parametrize("part", range(10))
def test_a_process_is_killed_at_random_instants(forked: Maker, part: int) -> None:
    """Ten lives each, of one to six kills."""
    assert sum(random_life(forked, seed) for seed in range(part * 10, part * 10 + 10)) >= 5


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(200))
def test_a_process_is_killed_at_random_instants_all_night(forked: Maker, part: int) -> None:
    """Fifty lives each, in any weather."""
    for seed in range(1000 + part * 50, 1000 + part * 50 + 50):
        random_life(forked, seed, list(WEATHERS.values())[seed % len(WEATHERS)])


PASSED_BY_A_CYCLE = [
    name
    for name in crashpoints.POINTS
    if not name.startswith(("cancel.", "inbox.", "checkpoint.", "backup.", "restore.", "config.", "archive."))
]


@pytest.mark.parametrize("name", PASSED_BY_A_CYCLE[::4])
def test_the_program_itself_is_killed_at_a_point(fresh: Maker, name: str) -> None:
    """``cli.py`` started as a person starts it: OMS_CRASH_AT kills it there, and the next start finishes its cycle."""
    account = fresh(FAIR)
    assert live(account, [{"at": (name, 1)}], f"OMS_CRASH_AT={name}") == 1


@pytest.mark.nightly
@pytest.mark.parametrize("name", PASSED_BY_A_CYCLE)
@pytest.mark.parametrize("passage", [1, 2, 3])
def test_the_program_itself_is_killed_at_every_point(fresh: Maker, name: str, passage: int) -> None:
    """Every point of a cycle, at its first three passages."""
    live(fresh(FAIR), [{"at": (name, passage)}], f"OMS_CRASH_AT={name}:{passage}")


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(50))
def test_the_program_itself_is_killed_at_random_instants_all_night(fresh: Maker, part: int) -> None:
    """Ten lives of two kills each: a thousand in a night, from before its first import to after its last commit."""
    for seed in range(part * 10, part * 10 + 10):
        chance = random.Random(f"fresh {seed}")
        kills = [{"kill_after": chance.uniform(0.1, 1.5)} for _ in range(2)]
        live(fresh(FAIR), kills, f"fresh life {seed}: {kills}")


def test_a_kill_in_the_recovery_of_a_recovery(forked: Maker) -> None:
    """Six processes die one after the other around the wire; the seventh finds one order of each intent."""
    account = forked(FAIR)
    kills = [
        {"at": ("paper.place.after_accept", 1)},
        {"at": ("ask.before_call", 1)},
        {"at": ("ask.after_call", 1)},
        {"at": ("facts.before_commit", 1)},
        {"at": ("facts.after_commit", 1)},
        {"at": ("journal.after_barrier", 1)},
    ]
    assert live(account, kills, str(kills)) == 6
    accepted = account.accepted()
    assert len(accepted) == len(set(accepted))


def test_points_of_a_cancel_are_boundaries_too(forked: Maker) -> None:
    """An order that never fills is cancelled at its deadline, through a kill before and after the cancel."""
    for place in (("cancel.before_call", 1), ("cancel.after_call", 1)):
        account = forked(STUCK)
        assert live(account, [{"at": place}], str(place)) == 1
        assert account.run().code == EXIT_DONE
