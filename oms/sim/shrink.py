"""From a failing world to the shortest schedule that still fails: parts are left out greedily until none can be."""

from __future__ import annotations

from collections.abc import Callable

from oms.sim.judge import Verdict, judge
from oms.sim.scenario import Scenario

MOST_TRIALS = 400


def law_of(violation: str) -> str:
    """The law's number, by which two failures are the same failure."""
    return violation.partition(" ")[0]


def shrink(
    verdict: Verdict, lives: Callable[[Scenario], Verdict] = judge, say: Callable[[str], None] = lambda _: None
) -> Verdict:
    """The verdict of the smallest world found that breaks the same law."""
    law = law_of(verdict.violations[0])
    best = verdict
    trials = 0
    is_smaller = True
    while is_smaller and trials < MOST_TRIALS:
        is_smaller = False
        # Whole kinds first, then single occurrences of the kinds that are left.
        for name in (*best.scenario.names(), *best.struck):
            if trials >= MOST_TRIALS or name in best.scenario.without:
                continue
            trials += 1
            found = lives(best.scenario.leaving_out([name]))
            if any(law_of(violation) == law for violation in found.violations):
                best, is_smaller = found, True
                say(f"without {name} it still fails")
    return best


def command(scenario: Scenario) -> str:
    """The line that lives a world again."""
    words = [f"oms sim replay {scenario.seed}"]
    if not scenario.on_sqlite:
        words.append("--in-ram")
    if scenario.cycles is not None:
        words.append(f"--cycles {scenario.cycles}")
    if scenario.without:
        words.append(f"--without '{','.join(sorted(scenario.without))}'")
    return " ".join(words)
