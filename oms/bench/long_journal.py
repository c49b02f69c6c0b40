"""What a journal of many facts costs: to write, to ask, to verify and to keep (G7 to G10, on SQLite)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from oms.bench.beside_empty import barriers, cold_rounds
from oms.bench.figures import Setting, against, beside, found, missing
from oms.bench.journal import ACCOUNT, LOOK_UPS, bare_scan, fill, questions
from oms.bench.record import Figure
from oms.bench.weight import WHOLE_FACT, Taken, bytes_a_small_fact, scan_details, taken
from oms.journal.connection import driver
from oms.journal.reader import Reader, open_reader
from oms.journal.verify import verify

FEW = 1
"""Rounds of a verification so long that more of them say no more."""
LONG = 2_000_000


def long_journal(setting: Setting, goals: Collection[str]) -> list[Figure]:
    """Those of G7, G8, G9 and G10 that are wanted, on one journal."""
    path = setting.folder / "long.db"
    setting.say(
        f"{', '.join(sorted(goals, key=lambda goal: int(goal[1:])))}: filling a journal with {setting.rows:,} facts …"
    )
    made = fill(path, setting.rows)
    size, figures = f"{made.rows:,} facts, {made.cycles:,} cycles", []
    with closing(open_reader(f"sqlite:///{path.as_posix()}")) as reader:
        if "G10" in goals:
            figures.append(_bytes(path, made.bytes / made.rows, size))
        if "G8" in goals:
            setting.say("G8: questions …")
            figures += _questions(setting, reader, path, size)
        if "G9" in goals:
            setting.say("G9: verification …")
            figures += _verification(setting, reader, size)
    if "G7" in goals:
        setting.say("G7: commits by turns …")
        figures.append(_commits(path, setting.folder / "empty.db", made.rows // 100 + 1, size))
    return figures


def _commits(path: Path, empty: Path, first: int, size: str) -> Figure:
    on_long, on_empty = barriers(path, empty, ACCOUNT, first)
    ratios = [least / mine for mine, least in zip(on_long, on_empty, strict=True)]
    ms = [seconds * 1000 for seconds in on_long]
    return found(
        "G7",
        "barrier",
        ratios,
        size,
        floor=against("the same on an empty journal", [seconds * 1000 for seconds in on_empty], "ms", ms),
    )


def _bytes(path: Path, bytes_a_fact: float, size: str) -> Figure:
    """The goal was set with small facts and nothing cast from them; what the protocol's own mix takes is said beside it."""
    small = bytes_a_small_fact(path)
    whole = beside(WHOLE_FACT, [bytes_a_fact], "bytes")
    return found("G10", "sqlite", [small], size, floor=whole)


# Questions


def _questions(setting: Setting, reader: Reader, path: Path, size: str) -> list[Figure]:
    asked = {name: ask for name, ask in questions(reader).items() if name in LOOK_UPS}
    both = {name: _warm(ask, setting.rounds) for name, ask in asked.items()}
    warm = {name: clock for name, (clock, _) in both.items()}
    slowest = max(warm, key=lambda name: median(warm[name]))
    each = ", ".join(f"{name} {median(ms):.2f}" for name, ms in warm.items())
    floor = against("100 facts by their numbers (sqlite3)", _bare_page(reader, setting.rounds), "ms", warm[slowest])
    figures = [
        found("G8", "warm", warm[slowest], f"{size}; ms of each: {each}", floor=floor, by_processor=both[slowest][1])
    ]
    cold = {name: [s * 1000 for s in cold_rounds(path, ask, setting.rounds)] for name, ask in asked.items()}
    if all(cold.values()):
        slowest = max(cold, key=lambda name: median(cold[name]))
        figures.append(found("G8", "cold", cold[slowest], f"{size}; {slowest}"))
    else:
        figures += missing("G8", ["cold"], "this system cannot be asked to forget a file's pages")
    return [*figures, found("G8", "scans", [float(_scans(reader))], f"{size}; {len(asked)} questions")]


def _warm(ask: Callable[[], Any], rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each asking but the first, by the clock and of this process's own work."""
    ask()
    clock, work = [], []
    for _ in range(rounds):
        began, worked = time.perf_counter(), time.process_time()
        ask()
        work.append((time.process_time() - worked) * 1000)
        clock.append((time.perf_counter() - began) * 1000)
    return clock, work


def _bare_page(reader: Reader, rounds: int) -> list[float]:
    """Milliseconds in which sqlite3 alone reads as many facts as a page has."""
    sql = "SELECT * FROM events WHERE account = ? AND seq > ? ORDER BY seq LIMIT 100"
    with reader.asking("reading a page") as connection:
        raw = driver(connection)
        return _warm(lambda: raw.execute(sql, (reader.account, 1000)).fetchall(), rounds)[0]


def _scans(reader: Reader) -> int:
    """Plans of these questions' statements that walk a whole table."""
    texts: list[str] = []
    with reader.at_once() as still:
        asked = [ask for name, ask in questions(still).items() if name in LOOK_UPS]
        with still.asking("explaining questions") as connection:
            raw = driver(connection)
            raw.set_trace_callback(texts.append)
            for ask in asked:
                ask()
            raw.set_trace_callback(None)
            plans = [
                row[3]
                for text in texts
                if text.lstrip().upper().startswith(("SELECT", "WITH"))
                for row in raw.execute(f"EXPLAIN QUERY PLAN {text}")
            ]
    return sum(plan.startswith(("SCAN facts", "SCAN events")) for plan in plans)


# Verification


def _verification(setting: Setting, reader: Reader, size: str) -> list[Figure]:
    ours: dict[int, list[Taken]] = {1: [], 2: []}
    bare, details = [], []
    for _ in range(setting.rounds if setting.rows < LONG else FEW):
        for jobs, seen in ours.items():
            seen.append(taken(partial(_verified, reader, jobs)))
        bare.append(taken(partial(bare_scan, reader)))
        details.append(taken(partial(bare_scan, reader, scan_details)))
    recent = []
    for _ in range(setting.rounds):
        began = time.perf_counter()
        verify(reader, full=False)
        recent.append(time.perf_counter() - began)
    rows = _rows(reader)
    rates = [rows / each.wall for each in bare]
    one, two = ours[1], ours[2]
    stricter = median(least.cpu / mine.cpu for mine, least in zip(one, details, strict=True))
    shared = median(2 * least.cpu / mine.cpu for mine, least in zip(two, bare, strict=True))
    figures = [
        found(
            "G9",
            "full",
            [least.wall / mine.wall for mine, least in zip(one, bare, strict=True)],
            f"{size}; of a scan that hashes the details alone {stricter:.2f} by the processor",
            floor=against("the bare scan", rates, "facts a second", [rows / each.wall for each in one]),
            by_processor=[least.cpu / mine.cpu for mine, least in zip(one, bare, strict=True)],
        ),
        found(
            "G9",
            "two",
            [alone.wall / both.wall for alone, both in zip(one, two, strict=True)],
            f"{size}; of the bare scan on one process {shared:.2f} by the processor",
            floor=against(
                "one process", [rows / each.wall for each in one], "facts a second", [rows / t.wall for t in two]
            ),
            # Parts go to whichever process is free, so each of them would take half.
            by_processor=[2 * alone.cpu / both.cpu for alone, both in zip(one, two, strict=True)],
        ),
    ]
    per_row = [10_000 / rate for rate in rates]
    return [*figures, found("G9", "recent", recent, size, floor=beside("the same of as many facts", per_row, "s"))]


def _verified(reader: Reader, jobs: int) -> None:
    verdict = verify(reader, fold=False, jobs=jobs)
    if not verdict.ok:
        raise AssertionError(verdict.problem)


def _rows(reader: Reader) -> int:
    with reader.asking("counting") as connection:
        rows: int = driver(connection).execute("SELECT max(seq) FROM facts").fetchone()[0]
        return rows
