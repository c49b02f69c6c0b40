"""What a fact weighs without the long ones, and how fast the chain is walked beside a bare reading and hashing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from oms.journal import tables
from oms.journal.connection import driver, tune_scratch, writer_engine
from oms.journal.reader import Reader
from oms.journal.verify import verify
from oms.journal.walking import walk, walk_together

SMALL = 300
"""Characters of details below which a fact counts as small: all but the two of a cycle that hold its wishes and quotes."""
WEIGHED = 300_000
"""Small facts that are weighed."""
WALKED = 1_000_000
"""Newest rows over which the chain is timed."""
ROUNDS = 3


def bytes_a_small_fact(path: Path) -> float:
    """Bytes of a small fact with its link, its keys and every index of the facts, without the tables cast from them."""
    with TemporaryDirectory(prefix="oms-bench-", dir=path.parent) as folder:
        made = Path(folder) / "small.db"
        engine = writer_engine(f"sqlite:///{made.as_posix()}", create=True)
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                raw = driver(connection)
                tune_scratch(raw)
                tables.create_tables(connection)
                empty = raw.execute("PRAGMA page_count").fetchone()[0]
                raw.execute("ATTACH DATABASE ? AS long", (str(path),))
                raw.execute("BEGIN")
                columns = "seq, at, cycle, version, ord, symbol, code, data, hash"  # our own names
                raw.execute(
                    f"INSERT INTO main.facts ({columns}) SELECT {columns} FROM long.facts"  # noqa: S608
                    " WHERE length(data) < ? ORDER BY seq LIMIT ?",
                    (SMALL, WEIGHED),
                )
                raw.execute(
                    "INSERT INTO main.words SELECT id, word FROM long.words AS known"
                    " WHERE EXISTS (SELECT 1 FROM main.facts WHERE cycle = known.id)"
                    " OR id IN (SELECT ord FROM main.facts) ORDER BY id"
                )
                raw.execute("COMMIT")
                (facts,) = raw.execute("SELECT count(*) FROM main.facts").fetchone()
                pages, size = (raw.execute(f"PRAGMA main.{what}").fetchone()[0] for what in ("page_count", "page_size"))
        finally:
            engine.dispose()
    weight: float = (pages - empty) * size / facts
    return round(weight, 1)


def chain_rates(reader: Reader) -> dict[str, Any]:
    """Rows a second over the newest rows, in alternating rounds: a bare scan, one process, and two together.

    One process is compared with the scan by its time on the processor, which other work on the machine does not change; two
    processes by the clock.
    """
    with reader.asking("looking for a place to begin") as connection:
        raw, account = driver(connection), reader.account
        (last,) = raw.execute("SELECT max(seq) FROM facts").fetchone()
        start = max(last - WALKED, 0)
        found = raw.execute("SELECT hash FROM facts WHERE seq = ?", (start,)).fetchone()
        head = None if found is None else found[0]
        scans, walks, alone, together = [], [], [], []
        for _ in range(ROUNDS):
            bare = _taken(lambda: scan(raw, start))
            one = _taken(lambda: walk(raw, account, start, head))
            two = _taken(lambda: walk_together(reader, start, head, 2))
            scans.append(bare[1])
            walks.append(one[1])
            alone.append(one[0])
            together.append(two[0])
    rows = last - start
    return {
        "rows_walked": rows,
        "bare_scan_rows_a_cpu_second": round(rows / median(scans)),
        "chain_rows_a_cpu_second": round(rows / median(walks)),
        "of_bare_scan": round(median(s / w for s, w in zip(scans, walks, strict=True)), 2),
        "one_process_rows_a_second": round(rows / median(alone)),
        "two_processes_rows_a_second": round(rows / median(together)),
        "two_of_one": round(median(a / t for a, t in zip(alone, together, strict=True)), 2),
    }


def _taken(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def scan(raw: Any, start: int) -> None:
    """Read every stored row and hash its details, which no check of a chain can do without."""
    previous = b""
    sql = "SELECT seq, at, cycle, version, ord, symbol, code, data, hash FROM facts WHERE seq > ? ORDER BY seq"
    with closing(raw.execute(sql, (start,))) as rows:
        for row in rows:
            previous = sha256(previous + row[7].encode()).digest()


FOLDED = 2_000_000
"""Rows up to which the whole journal is folded afresh as well."""


def verification(reader: Reader) -> dict[str, Any]:
    """How long the newest 10,000 rows take, and the whole; a long journal is walked and not folded."""
    wall, cpu = _taken(lambda: verify(reader, full=False))
    with reader.asking("counting") as connection:
        (last,) = driver(connection).execute("SELECT max(seq) FROM facts").fetchone()
    began = time.process_time()
    verdict = verify(reader, fold=last <= FOLDED)
    taken = time.process_time() - began
    return {
        "ok": verdict.ok,
        "rows": verdict.rows,
        "newest_10000_s": round(wall, 3),
        "newest_10000_cpu_s": round(cpu, 3),
        "walked_in_s": round(verdict.chain_s, 1),
        "fold_rows_a_cpu_second": round(verdict.rows / taken) if last <= FOLDED else None,
        **chain_rates(reader),
    }
