"""How long the whole screen takes: 118 symbols and a year of bars, loaded, from the filters to the wishes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from oms.engine.selection import SelectionRules, screen, signals
from oms.ports import Bar, BarSet

SYMBOLS, DAYS = 118, 253
GOAL_S = 0.050
"""Goal G14."""
RULES = SelectionRules(top=10, min_score=Decimal(60), sell_below=Decimal(50), min_history=100)


def a_year(seed: int = 1) -> BarSet:
    """Made-up bars of the universe's size; the same seed, the same bars."""
    chance = random.Random(seed)
    last = date(2026, 11, 20)
    days = [last - timedelta(days=DAYS - 1 - at) for at in range(DAYS)]
    return BarSet(as_of=last, bars={f"S{n:03d}": tuple(_walk(chance, days)) for n in range(SYMBOLS)}, problems={})


def _walk(chance: random.Random, days: list[date]) -> Iterator[Bar]:
    cents = chance.randrange(2_000, 20_000)
    for day in days:
        cents = max(cents + round(cents * chance.gauss(0.0003, 0.015)), 600)
        px = Decimal(cents) / 100
        yield Bar(day=day, open=px, high=px, low=px, close=px, volume=chance.randrange(2_000_000, 20_000_000))


def rounds(count: int = 15) -> tuple[list[float], list[float]]:
    """Seconds of each of so many screens, after one that loads pandas: by the clock, and of this process's own work."""
    bars = a_year()
    held = [f"S{n:03d}" for n in range(20)]
    clock, work = [], []
    for _ in range(count + 1):
        began, worked = time.perf_counter(), time.process_time()
        signals(screen(bars, bars.bars, RULES), held, RULES)
        clock.append(time.perf_counter() - began)
        work.append(time.process_time() - worked)
    return clock[1:], work[1:]
