"""A journal of any length, filled fast through the real codec, chain and projection, and its questions timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from oms.bench.life import Life
from oms.journal import marks
from oms.journal.chain import genesis, link
from oms.journal.codec import encode
from oms.journal.connection import driver
from oms.journal.opening import opened_for_writing
from oms.journal.packed import Packing
from oms.journal.projection import Shadow
from oms.journal.reader import Reader, open_reader
from oms.journal.scalars import to_instant
from oms.model.event import CycleOpened, Event, Recorded
from oms.model.order import Order
from oms.model.state import AccountState

ACCOUNT = "bench"
CYCLES_A_COMMIT = 50
"""Cycles written in one transaction."""
REPEATS = 7
"""Times that each question is asked; the median counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A journal that was filled."""

    path: Path
    rows: int
    cycles: int
    seconds: float
    bytes: int


class _StillClock:
    """Real time does not matter here; the facts carry their own."""

    def now(self) -> datetime:
        return datetime(2020, 1, 2, 14, 30, tzinfo=UTC)

    def elapsed(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        del seconds


def fill(path: Path, rows: int, life: Life | None = None) -> Filled:
    """Make a journal of at least so many rows of a life, whole cycles only; nothing of it needs to survive a power cut."""
    began = time.perf_counter()
    state = AccountState(ACCOUNT)
    closed: dict[str, Order] = {}
    state.recall = closed.get
    life = life or Life()
    seq, previous, cycles = 0, genesis(ACCOUNT), 0
    with opened_for_writing(f"sqlite:///{path.as_posix()}", ACCOUNT, "paper", _StillClock(), lambda _: None) as opened:
        raw = driver(opened)
        raw.execute("PRAGMA synchronous = OFF")
        raw.execute("PRAGMA wal_autocheckpoint = 2000")
        raw.execute("PRAGMA cache_size = -200000")
        packing = Packing(raw)
        shadow = Shadow(state, packing=packing)
        config_hash, canonical = life.config
        raw.execute("INSERT INTO configs VALUES (?, ?, ?)", (config_hash, canonical, to_instant(life.now)))
        chapters: Iterator[list[Event]] = iter(life.chapters())
        while seq < rows:
            raw.execute("BEGIN IMMEDIATE")
            for chapter in islice(chapters, CYCLES_A_COMMIT):
                written: list[tuple[Any, ...]] = []
                for event in chapter:
                    seq += 1
                    if isinstance(event, CycleOpened):
                        cycles += 1
                    fact = Recorded(seq=seq, at=life.now, event=event)
                    parts = encode(event)
                    state.apply(fact)
                    shadow.note(state, fact, parts.cycle_id)
                    cycle = state.cycle
                    version = cycle.version if cycle is not None and parts.cycle_id == cycle.cycle_id else None
                    stored = (
                        *(seq, to_instant(fact.at), parts.cycle_id, version, parts.cl_ord_id, parts.symbol),
                        *(parts.kind, parts.data),
                    )
                    previous = link(previous, ACCOUNT, stored)
                    written.append((ACCOUNT, *stored, previous))
                    life.pass_time()
                packing.add_facts(written)
                shadow.write(raw, state)
                if seq >= rows:
                    break
            raw.execute("DELETE FROM heads")
            raw.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", (ACCOUNT, seq, previous, seq, previous))
            while (marks.next_block(raw, ACCOUNT) + 1) * marks.BLOCK <= seq:
                marks.keep_next(raw, ACCOUNT)
            raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        opened.close()
        opened.engine.dispose()
    return Filled(path=path, rows=seq, cycles=cycles, seconds=time.perf_counter() - began, bytes=path.stat().st_size)


# Questions


def questions(reader: Reader) -> dict[str, Callable[[], Any]]:
    """Every question whose time is asked, by its name; each gives its first page."""
    from oms.audit.then import funds_at, positions_at, status_at
    from oms.journal import history, views
    from oms.journal.loading import last_cycle, load, rows_of_cycle
    from oms.model.cycle import Phase
    from oms.model.order import OrdStatus

    newest = history.journal_tail(reader, 1)["events"][0]
    middle = history.journal_query(reader, history.EventFilter(after=newest["seq"] // 2), limit=300, newest=False)[
        "events"
    ]
    order = next(event for event in middle if event["cl_ord_id"])
    begin = datetime.fromisoformat(middle[0]["at"])

    def query(**wanted: Any) -> Callable[[], Any]:
        return lambda: history.journal_query(reader, history.EventFilter(**wanted), limit=100)

    def looked_up() -> Any:
        with reader.asking("looking the last cycle up") as connection:
            return list(rows_of_cycle(connection, last_cycle(connection, reader.account).cycle_id, reader.account))

    def resumed() -> Any:
        with reader.asking("loading") as connection:
            return load(connection, reader.account)

    return {
        "status": lambda: views.status(reader),
        "resume look-up": looked_up,
        "a whole start (load)": resumed,
        "funds": lambda: views.funds(reader),
        "positions": lambda: views.positions(reader),
        "journal tail": lambda: history.journal_tail(reader),
        "query --cycle": query(cycle_id=order["cycle_id"]),
        "query --order": query(cl_ord_id=order["cl_ord_id"]),
        "query --symbol": query(symbol=order["symbol"]),
        "query --account": query(account=reader.account),
        "query --kind order_filled": query(kind="order_filled"),
        "query --kind order_quarantined (rare)": query(kind="order_quarantined"),
        "query --rule funds_fraction": query(rule="funds_fraction"),
        "query --rule no_such_rule": query(rule="no_such_rule"),
        "query --since --until (1 h in the middle)": query(since=begin, until=begin + timedelta(hours=1)),
        "query --symbol --since --until": query(symbol=order["symbol"], since=begin, until=begin + timedelta(days=9)),
        "query --text exec_id (in every fill)": query(text="exec_id"),
        "cycle list": lambda: history.cycle_list(reader),
        "cycle list --state --cut": lambda: history.cycle_list(reader, phase=Phase.DONE, cut=True),
        "cycle list --outcome partial": lambda: history.cycle_list(reader, outcome="partial"),
        "cycle list --symbol": lambda: history.cycle_list(reader, symbol=order["symbol"]),
        "cycle list --resumed": lambda: history.cycle_list(reader, resumed=True),
        "cycle show": lambda: history.cycle_show(reader, order["cycle_id"]),
        "order list": lambda: history.order_list(reader),
        "order list --status BLOCKED": lambda: history.order_list(reader, statuses=(OrdStatus.BLOCKED,)),
        "order list --status VOID (none)": lambda: history.order_list(reader, statuses=(OrdStatus.VOID,)),
        "order list --unresolved": lambda: history.order_list(reader, unresolved=True),
        "order show": lambda: history.order_show(reader, order["cl_ord_id"]),
        "status --at (middle)": lambda: status_at(reader, begin),
        "positions --at (middle)": lambda: positions_at(reader, begin),
        "funds --at (middle)": lambda: funds_at(reader, begin),
    }


SLOW = ("query --text nowhere", "count of all", "count --kind order_filled")
"""Questions that look at every row by their nature."""


def slow_questions(reader: Reader) -> dict[str, Callable[[], Any]]:
    """Questions that walk the whole journal, asked once."""
    from oms.journal import history

    wanted = history.EventFilter
    return {
        SLOW[0]: lambda: history.journal_query(reader, wanted(text="nowhere at all"), limit=100),
        SLOW[1]: lambda: history.journal_count(reader),
        SLOW[2]: lambda: history.journal_count(reader, wanted(kind="order_filled")),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long a question takes, in milliseconds."""

    wall: tuple[float, float, float]
    """Median, least and most by the clock."""
    cpu: float
    """Median of the processor's time, which other work on the machine does not change."""


def timed(ask: Callable[[], Any], repeats: int = REPEATS) -> Timed:
    """Ask a question several times; the first asking warms and is not counted where there are more."""
    taken = []
    for _ in range(repeats + (repeats > 1)):
        wall, cpu = time.perf_counter(), time.process_time()
        ask()
        taken.append(((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000))
    walls, cpus = zip(*(taken[1:] if repeats > 1 else taken), strict=True)
    return Timed(wall=(round(median(walls), 2), round(min(walls), 2), round(max(walls), 2)), cpu=round(median(cpus), 2))


LOOK_UPS = ("resume look-up", "journal tail", "query --cycle", "query --symbol", "query --account")
"""What the goal G8 names: questions whose time must not depend on how long the journal is."""
COLD = (*LOOK_UPS, "a whole start (load)")
"""Questions that are asked on a cold disk as well. A start also folds what it finds, which is the processor's work."""


def measure(path: Path) -> dict[str, Any]:
    """Time every question to a journal, its commits beside those of an empty one, and its verification."""
    from oms.bench.beside_empty import cold, commits_beside_empty
    from oms.bench.weight import bytes_a_small_fact, verification

    with closing(open_reader(f"sqlite:///{path.as_posix()}")) as reader:
        asked = questions(reader)
        found = {name: timed(ask) for name, ask in asked.items()}
        found |= {name: timed(ask, 1) for name, ask in slow_questions(reader).items()}
        cold_ms = {name: cold(path, asked[name]) for name in COLD}
        verified = verification(reader)
        small = bytes_a_small_fact(path)
    with TemporaryDirectory(prefix="oms-bench-", dir=path.parent) as folder:
        commits = commits_beside_empty(path, Path(folder) / "empty.db", ACCOUNT, verified["rows"] // 100 + 1)
    return {
        "bytes_a_small_fact": small,
        "questions_ms": {name: list(took.wall) for name, took in found.items()},
        "questions_cpu_ms": {name: took.cpu for name, took in found.items()},
        "cold_ms": cold_ms,
        "barrier": commits,
        "verify": verified,
    }


def bare_scan(reader: Reader, scan: Callable[[Any, int], None] | None = None) -> None:
    """Read every stored row and hash what its link covers, or what another scan hashes."""
    from oms.bench import weight

    with reader.asking("reading every row") as connection:
        (scan or weight.scan)(driver(connection), 0)


def bench(folder: Path, rows: int) -> dict[str, Any]:
    """Fill a journal and measure it; one that was left in the folder is measured as it is."""
    path = folder / "bench.db"
    made = found(path) if path.exists() else fill(path, rows)
    return {
        "rows": made.rows,
        "cycles": made.cycles,
        "fill_rows_a_second": round(made.rows / made.seconds) if made.seconds else None,
        "bytes_a_row": round(made.bytes / made.rows, 1),
        **measure(made.path),
    }


def found(path: Path) -> Filled:
    """A journal that was filled before."""
    with closing(open_reader(f"sqlite:///{path.as_posix()}")) as reader, reader.asking("counting") as connection:
        raw = driver(connection)
        (rows,) = raw.execute("SELECT max(seq) FROM facts").fetchone()
        (cycles,) = raw.execute("SELECT count(*) FROM cycles").fetchone()
    return Filled(path=path, rows=rows, cycles=cycles, seconds=0.0, bytes=path.stat().st_size)
