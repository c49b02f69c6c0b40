"""What needs no disk and no broker: the screen, and simulated cycles on the production store in memory (G14, G15)."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace
from statistics import median

from oms.bench import screen, turns
from oms.bench.figures import Setting, against, found
from oms.bench.record import Figure
from oms.sim.judge import judge
from oms.sim.scenario import draw

CYCLES = 10
"""Of each simulated life."""


def screened(setting: Setting) -> list[Figure]:
    """G14."""
    setting.say("G14: screens …")
    clock, work = screen.rounds(max(setting.rounds, 15))
    ms = [seconds * 1000 for seconds in work]
    middle = median(clock) * 1000
    size = f"{screen.SYMBOLS} symbols, {screen.DAYS} days; {middle:.1f} ms by the clock"
    return [found("G14", "screen", ms, size)]


def simulated(setting: Setting) -> list[Figure]:
    """G15: seeds that all differ, the same in every run."""
    lives = 2 if setting.quick else 12
    setting.say(f"G15: {setting.rounds} rounds of {lives} lives of {CYCLES} cycles …")
    judge(draw(0))
    return [_rates(setting, mark, lives, fair=mark == "fair") for mark in ("bad", "fair")]


def _rates(setting: Setting, mark: str, lives: int, *, fair: bool) -> Figure:
    rates, facts, cycles, processes = [], 0, 0, 0
    for number in range(setting.rounds):
        began, done = time.process_time(), 0
        for seed in range(number * lives, (number + 1) * lives):
            scenario = draw(seed, cycles=CYCLES)
            if fair:
                scenario = replace(scenario, rates={}, strikes=(), visits=())
            verdict = judge(scenario)
            if verdict.failed:
                raise AssertionError(f"seed {seed}: {verdict.violations[0]}")
            tally = verdict.tally
            done, facts, processes = done + tally.cycles, facts + tally.facts, processes + tally.processes
        rates.append(done / (time.process_time() - began))
        cycles += done
    size = f"{cycles} cycles of {facts / cycles:.0f} facts in {processes} processes"
    what = "as many facts in three commits (sqlite3 in memory)"
    floor = against(what, _bare(setting, facts // cycles), "cycles a second", rates)
    return found("G15", mark, rates, size, floor=floor)


def _bare(setting: Setting, facts: int) -> list[float]:
    rows = setting.folder / "small.pickle"
    rows.write_bytes(pickle.dumps([(n, "order_filled", "x" * 300, b"h" * 32) for n in range(facts)]))
    program = turns.the_floor(setting.folder, rows, in_memory=True)
    return turns.paces([program], setting.rounds, [200])[0].rates
