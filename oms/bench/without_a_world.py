"""What needs no disk and no broker: the screen, and simulated cycles on the production store in memory (G14, G15)."""

from __future__ import annotations

import pickle
import time
from statistics import median

from oms.bench import screen, turns
from oms.bench.figures import Setting, against, found
from oms.bench.record import Figure
from oms.sim.judge import judge
from oms.sim.scenario import draw

WARM = 2
"""Worlds lived before the first round."""


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
    worlds = 8 if setting.quick else 60
    setting.say(f"G15: {setting.rounds} rounds of {worlds} worlds …")
    for seed in range(WARM):
        judge(draw(seed))
    rates, facts, cycles, seed = [], 0, 0, WARM
    for _ in range(setting.rounds):
        began, done = time.process_time(), 0
        for _ in range(worlds):
            tally = judge(draw(seed)).tally
            done, facts, seed = done + tally.cycles, facts + tally.facts, seed + 1
        rates.append(done / (time.process_time() - began))
        cycles += done
    size = f"{cycles} cycles of {facts / cycles:.0f} facts"
    floor = against(
        "as many facts in three commits (sqlite3 in memory)", _bare(setting, facts // cycles), "cycles a second", rates
    )
    return [found("G15", "cycles", rates, size, floor=floor)]


def _bare(setting: Setting, facts: int) -> list[float]:
    rows = setting.folder / "small.pickle"
    rows.write_bytes(pickle.dumps([(n, "order_filled", "x" * 300, b"h" * 32) for n in range(facts)]))
    program = turns.the_floor(setting.folder, rows, in_memory=True)
    return turns.paces([program], setting.rounds, [200])[0].rates
