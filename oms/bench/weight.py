"""What a fact weighs without the long ones, and how fast the chain is walked beside a bare reading and hashing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from oms.journal import tables
from oms.journal.connection import driver, tune_scratch, writer_engine
from oms.journal.reader import Reader
from oms.journal.verify import verify
from oms.journal.walking import walk, walk_together

SMALL = 300
"""Characters of details below which a fact counts as small: all but the two of a cycle that hold its wishes and quotes."""
WHOLE_FACT = "a fact of the protocol's own cycles, with orders, fills and all that is cast"
"""What is weighed beside a small one."""
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
    """Rows a second over the newest rows, in alternating rounds: bare scans, one process, and two together.

    Other work on the machine does not change what a process takes of the processor, so that is what is compared: of two
    processes half of what both take, since parts go to whichever is free. By the clock two of them are as fast only where
    two processors are free for them, and that is said as well.
    """
    with reader.asking("looking for a place to begin") as connection:
        raw, account = driver(connection), reader.account
        (last,) = raw.execute("SELECT max(seq) FROM facts").fetchone()
        start = max(last - WALKED, 0)
        found = raw.execute("SELECT hash FROM facts WHERE seq = ?", (start,)).fetchone()
        head = None if found is None else found[0]
        rounds = [
            [
                taken(work)
                for work in (
                    lambda: scan(raw, start),
                    lambda: scan_details(raw, start),
                    lambda: walk(raw, account, start, head),
                    lambda: walk_together(raw, account, start, head, 2),
                )
            ]
            for _ in range(ROUNDS)
        ]
    rows = last - start
    cpu = [[each.cpu for each in turn] for turn in rounds]
    wall = [[each.wall for each in turn] for turn in rounds]
    return {
        "rows_walked": rows,
        "bare_scan_rows_a_cpu_second": round(rows / median(each[0] for each in cpu)),
        "scan_of_details_rows_a_cpu_second": round(rows / median(each[1] for each in cpu)),
        "chain_rows_a_cpu_second": round(rows / median(each[2] for each in cpu)),
        "of_bare_scan": round(median(bare / one for bare, _, one, _ in cpu), 2),
        "of_scan_of_details": round(median(bare / one for _, bare, one, _ in cpu), 2),
        "two_of_bare_scan": round(median(2 * bare / two for bare, _, _, two in cpu), 2),
        "two_of_one": round(median(2 * one / two for _, _, one, two in cpu), 2),
        "one_process_rows_a_second": round(rows / median(each[2] for each in wall)),
        "two_processes_rows_a_second": round(rows / median(each[3] for each in wall)),
        "two_of_one_by_the_clock": round(median(one / two for _, _, one, two in wall), 2),
    }


class Taken(NamedTuple):
    """Seconds by the clock, and of the processor: of this process and of those that it started and that have ended."""

    wall: float
    cpu: float


def taken(work: Callable[[], object]) -> Taken:
    """What it takes to do a work once."""
    wall, cpu = time.perf_counter(), _processor()
    work()
    return Taken(time.perf_counter() - wall, _processor() - cpu)


def _processor() -> float:
    return time.process_time() + sum(os.times()[2:4])


_STORED = "SELECT seq, at, cycle, version, ord, symbol, code, data, hash FROM facts WHERE seq > ? ORDER BY seq"


def scan(raw: Any, start: int) -> None:
    """Read every stored row and hash the bytes of it that its link covers, one after the other, and check nothing."""
    previous = b""
    with closing(raw.execute(_STORED, (start,))) as rows:
        for seq, at, cycle, version, order, symbol, code, data, _ in rows:
            previous = sha256(previous + f"{seq}{at}{cycle}{version}{order}{symbol}{code}{data}".encode()).digest()


def scan_details(raw: Any, start: int) -> None:
    """Read every stored row and hash nothing of it but its details, which are less than what its link covers."""
    previous = b""
    with closing(raw.execute(_STORED, (start,))) as rows:
        for row in rows:
            previous = sha256(previous + row[7].encode()).digest()


FOLDED = 2_000_000
"""Rows up to which the whole journal is folded afresh as well."""


def verification(reader: Reader) -> dict[str, Any]:
    """How long the newest 10,000 rows take, and the whole; a long journal is walked and not folded."""
    newest = taken(lambda: verify(reader, full=False))
    with reader.asking("counting") as connection:
        (last,) = driver(connection).execute("SELECT max(seq) FROM facts").fetchone()
    began = time.process_time()
    verdict = verify(reader, fold=last <= FOLDED)
    folded = time.process_time() - began
    return {
        "ok": verdict.ok,
        "rows": verdict.rows,
        "newest_10000_s": round(newest.wall, 3),
        "newest_10000_cpu_s": round(newest.cpu, 3),
        "walked_in_s": round(verdict.chain_s, 1),
        "fold_rows_a_cpu_second": round(verdict.rows / folded) if last <= FOLDED else None,
        **chain_rates(reader),
    }
