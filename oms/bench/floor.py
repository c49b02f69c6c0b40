"""The least durable work: the rows of a cycle in three commits, or two commits after looking at what is open.

A program of its own that needs nothing but Python. ``cycles FOLDER ROWS [memory]`` answers as ``oms bench cycle --serve``
does; ``resume ROWS FILE…`` reads each file's open cycle, commits twice, and prints RECONCILED.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, TextIO

COMMITS = 3
SHIFT = 1_000_000
"""Added to the numbers of a cycle's rows to make the next one's."""

Rows = list[tuple[Any, ...]]


def opened(file: str) -> sqlite3.Connection:
    """A connection whose commits have reached the disk when they return, and that never copies its log in between."""
    raw = sqlite3.connect(file, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    return raw


def insert_for(raw: sqlite3.Connection, rows: Rows) -> str:
    """Make a table for such rows; how one of them is inserted. The first column is the number of the row."""
    names = [f"c{number}" for number in range(len(rows[0]))]
    raw.execute(f"CREATE TABLE IF NOT EXISTS facts (n INTEGER PRIMARY KEY, {', '.join(names)})")
    return f"INSERT INTO facts VALUES ({', '.join('?' * (len(names) + 1))})"  # noqa: S608  # our own names


def cycle(raw: sqlite3.Connection, insert: str, rows: Rows, first: int) -> None:
    """The rows, in three commits."""
    size = -(-len(rows) // COMMITS)
    for start in range(0, len(rows), size):
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(insert, [(first + start + n, *row) for n, row in enumerate(rows[start : start + size])])
        raw.execute("COMMIT")


def serve(file: str, rows: Rows, lines: TextIO, answers: TextIO) -> None:
    """Print READY; for each line N the seconds of N cycles."""
    raw = opened(file)
    insert, first = insert_for(raw, rows), 0
    print("READY", file=answers, flush=True)
    for line in lines:
        took = []
        for _ in range(int(line)):
            began = time.perf_counter()
            cycle(raw, insert, rows, first)
            took.append(time.perf_counter() - began)
            first += SHIFT
        print(json.dumps(took), file=answers, flush=True)
    raw.close()


def resume(rows: Rows, files: list[str]) -> None:
    """For each file: read all that is there, take the lease in one commit and add one row in another."""
    for file in files:
        raw = opened(file)
        insert = insert_for(raw, rows)
        found = raw.execute("SELECT * FROM facts").fetchall()
        raw.execute("CREATE TABLE IF NOT EXISTS lease (holder INTEGER)")
        raw.execute(insert, (len(found) + SHIFT, *rows[-1]))


def left_open(file: str, rows: Rows) -> None:
    """A file with the first two commits of a cycle."""
    raw = opened(file)
    cycle(raw, insert_for(raw, rows), rows[: len(rows) * 2 // 3], 0)
    raw.close()


def main(arguments: list[str]) -> None:
    """Run what the arguments ask for."""
    task, place, *more = arguments
    if task == "resume":
        resume(pickle.loads(Path(place).read_bytes()), more)  # noqa: S301  # written by the bench itself
        print("RECONCILED", flush=True)
        return
    rows = pickle.loads(Path(more[0]).read_bytes())  # noqa: S301  # as above
    serve(":memory:" if "memory" in more else str(Path(place, "floor.db")), rows, sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
