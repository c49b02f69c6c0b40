"""Model checking in the small: one cycle of two sells and two buys, and everything that can be enumerated about it.

Every passage of a crash point × every kind of death × every broker fault that strikes at the cycle's first occasions; and
every pair of deaths. What a seed leaves to chance is tried here in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from oms.model.order import Side
from oms.model.rules import DoubtPolicy, Rules
from oms.model.signal import Signal
from oms.sim.faults import AT_A_TIME, OF_PROCESSES, Fault
from oms.sim.judge import judge
from oms.sim.scenario import Scenario, Strike

WISHES = (
    Signal(side=Side.SELL, symbol="AAA"),
    Signal(side=Side.SELL, symbol="BBB", quantity=150),
    Signal(side=Side.BUY, symbol="CCC", quantity=100),
    Signal(side=Side.BUY, symbol="DDD", quantity=400),
)
DEATHS = (Fault.KILL, Fault.POWER_CUT, Fault.PAUSE, Fault.STORAGE_ERROR, Fault.STORAGE_ERROR_KEPT)
ELSEWHERE = (Fault.NIGHT, Fault.LICENCE_ENDS, Fault.FOLLOWER_FAILS, Fault.FOLLOWER_HANGS)
"""What is no fault of the broker's, or of worlds of more than one small cycle."""
BROKER_FAULTS = tuple(f for f in Fault if f not in OF_PROCESSES and f not in AT_A_TIME and f not in ELSEWHERE)
FAIR = "fair"
OCCASIONS = 2
"""How often in a life a fault strikes: at the first occasions, so that the death falls before, at and after it."""
RULES = Rules(
    order_deadline=timedelta(seconds=6),
    settle_deadline=timedelta(seconds=6),
    doubt_window=timedelta(seconds=2),
    doubt_reads=2,
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """All deaths of one kind under one fault."""

    fault: str
    death: str
    lives: int
    broken: tuple[str, ...]
    """Each failing life, with the law it broke."""


def small(fault: Fault | None, strikes: Sequence[Strike], policy: DoubtPolicy, *, on_sqlite: bool = False) -> Scenario:
    """The small cycle under one fault."""
    return Scenario(
        seed=0,
        rules=replace(RULES, doubt_then=policy),
        rates={} if fault is None else {fault: 1.0},
        strikes=tuple(strikes),
        visits=(),
        wishes=(WISHES,),
        cash=Decimal(20_000),
        positions={"AAA": 100, "BBB": 200},
        refuses_repeats=timedelta(days=7) if policy is DoubtPolicy.RESEND else None,
        patient=False,
        on_sqlite=on_sqlite,
        most=OCCASIONS,
    )


def passages(scenario: Scenario) -> int:
    """Crash points that the first process passes when nothing strikes it."""
    names: list[str] = []
    judge(scenario, lambda line: names.append(line.partition("  ")[2]))
    end = next(at for at, name in enumerate(names) if name.startswith("process 1 ends"))
    return sum(1 for name in names[:end] if name.startswith(". "))


def singles(
    faults: Sequence[Fault | None] = (None, *BROKER_FAULTS),
    deaths: Sequence[Fault] = DEATHS,
    policies: Sequence[DoubtPolicy] = (DoubtPolicy.RESEND, DoubtPolicy.QUARANTINE),
    step: int = 1,
) -> Iterator[Row]:
    """One death in a life: at every ``step``-th passage, under every fault."""
    for fault in faults:
        ends = {policy: passages(small(fault, (), policy)) for policy in policies}
        for death in deaths:
            lives, broken = 0, []
            for policy, end in ends.items():
                for at in range(1, end + 1, step):
                    strikes = [Strike(kind=death, process=1, passage=at)]
                    verdict = judge(small(fault, strikes, policy))
                    lives += 1
                    broken += [f"{policy} {strikes[0].name}: {violation}" for violation in verdict.violations]
            yield Row(fault=str(fault or FAIR), death=str(death), lives=lives, broken=tuple(broken))


def successor(first: Strike) -> int:
    """Number of the process that takes over after a death; after a power cut the first ones find the lease not run out."""
    names: list[str] = []
    judge(small(None, [first], DoubtPolicy.RESEND), lambda line: names.append(line.partition("  ")[2]))
    number = 1
    for name in names:
        if name.startswith("process ") and " starts " in name:
            number = int(name.split()[1])
        elif number > 1 and name.startswith(". "):
            return number
    return 2


def pairs(deaths: Sequence[Fault] = (Fault.KILL, Fault.POWER_CUT), step: int = 1) -> Iterator[Row]:
    """Two deaths in a life, the second in the recovery from the first, in fair weather."""
    for death in deaths:
        lives, broken = 0, []
        for first in range(1, passages(small(None, (), DoubtPolicy.RESEND)) + 1, step):
            one = Strike(kind=death, process=1, passage=first)
            taker, second, is_hit = successor(one), 0, True
            while is_hit:
                second += 1
                strikes = [one, Strike(kind=death, process=taker, passage=second)]
                verdict = judge(small(None, strikes, DoubtPolicy.RESEND))
                is_hit = verdict.tally.faults[death] == len(strikes)
                lives += is_hit
                broken += [f"{strikes[0].name}, {strikes[1].name}: {violation}" for violation in verdict.violations]
        yield Row(fault=FAIR, death=f"{death} twice", lives=lives, broken=tuple(broken))
