"""Lives one seed and says what came of it: the laws over the exchange's log and the journal, and the trace's hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from oms.model.event import BuysRevalidated, CycleOpened, Event, FundsObserved
from oms.model.rules import DoubtPolicy
from oms.sim.evidence import Evidence, fold
from oms.sim.laws import check
from oms.sim.scenario import Scenario
from oms.sim.sky import Tally
from oms.sim.store import ACCOUNT
from oms.sim.world import EngineFell, Stuck, World
from oms.sim.world_laws import check_world

IN_FLIGHT = timedelta(seconds=2)
"""How long a thread may take from the last look at the brake to the broker's door."""


class UnderWay(Evidence):
    """Evidence from the middle of a life: the broker may know facts that nobody has asked about yet."""

    @property
    def at_rest(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one world showed."""

    scenario: Scenario
    violations: tuple[str, ...]
    digest: str
    tally: Tally = field(repr=False)
    struck: tuple[str, ...] = ()
    """Single occurrences of faults, by the names under which they can be left out."""

    @property
    def failed(self) -> bool:
        return bool(self.violations)


def judge(
    scenario: Scenario,
    listener: Callable[[str], None] | None = None,
    make: Callable[[Scenario, Callable[[str], None] | None], World] = World,
) -> Verdict:
    """Live a scenario to its end and hold every law against it."""
    world = make(scenario, listener)
    found: list[str] = []
    try:
        world.live(lambda: found.extend(_broken(world, UnderWay)), lambda: found.extend(_broken(world, Evidence)))
    except Stuck as error:
        found.append(f"I22 (a cycle comes to its end once the weather is fair) is broken: {error}")
    except EngineFell as error:
        found.append(f"I0 (no weather makes the engine fall) is broken: {error}")
    found += [f"I22 (what runs beside the trading is never waited for) is broken: {text}" for text in world.stood_still]
    return Verdict(
        scenario=scenario,
        violations=tuple(dict.fromkeys(found)),
        digest=world.trace.digest(),
        tally=world.tally,
        struck=tuple(world.sky.struck),
    )


def _broken(world: World, kind: type[Evidence]) -> list[str]:
    evidence = evidence_of(world, kind)
    found = [*(str(violation) for violation in check(evidence)), *check_world(evidence)]
    for fact in evidence.facts:
        world.trace.note(f"fact {fact.seq} {fact.at}")
    return found


def evidence_of(world: World, kind: type[Evidence] = Evidence) -> Evidence:
    """Both sides as they stand, on the true clock."""
    scenario, facts = world.scenario, world.store.facts()
    state = fold(facts, ACCOUNT)
    truth = world.clock.truth
    if truth:
        facts = [replace(fact, at=truth.get(fact.at, fact.at), event=_true(fact.event, truth)) for fact in facts]
    return kind(
        log=world.exchange.log,
        facts=facts,
        state=state,
        rules=scenario.rules,
        refuses_repeats=scenario.refuses_repeats is not None and scenario.rules.doubt_then is DoubtPolicy.RESEND,
        restart_token=f"boot-{world.machine}",
        in_flight=IN_FLIGHT,
    )


def _true(event: Event, truth: Mapping[datetime, datetime]) -> Event:
    """The fact with the instants at which its readings were really made."""
    match event:
        case FundsObserved() | CycleOpened():
            return replace(event, funds=replace(event.funds, at=truth.get(event.funds.at, event.funds.at)))
        case BuysRevalidated():
            funds = event.inputs.funds
            true = replace(funds, at=truth.get(funds.at, funds.at))
            return replace(event, inputs=replace(event.inputs, funds=true))
        case _:
            return event
