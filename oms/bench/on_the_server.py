"""What a PostgreSQL says of itself while the bench runs: flushes of its log, the size of a schema, and processor time."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The server at one moment; two of them tell what was done in between."""

    syncs: int
    """Flushes of the log so far, by whomever."""
    syncs_of_its_own: int
    """Of these, those of the server's own processes: its log writer, its vacuum."""
    size: int
    """Bytes of the schema's tables and indices."""
    events: int
    cpu_s: float | None
    """Processor time of all its processes that live; None where it is on another machine."""


def look(raw: psycopg.Connection[Any], schema: str) -> Look:
    """Ask it for all of these."""
    syncs, of_its_own = _syncs(raw)
    events = raw.execute(f"SELECT sum(seq) FROM {schema}.heads".encode()).fetchone()  # noqa: S608  # our own name
    return Look(
        syncs=syncs,
        syncs_of_its_own=of_its_own,
        size=_size(raw, schema),
        events=int(events[0]) if events and events[0] else 0,
        cpu_s=_cpu(raw),
    )


def _syncs(raw: psycopg.Connection[Any]) -> tuple[int, int]:
    """The column moved in release 18, which also tells whose they are."""
    raw.execute("SELECT pg_stat_force_next_flush()")
    for sql in (
        (
            "SELECT sum(fsyncs), sum(fsyncs) FILTER (WHERE backend_type <> 'client backend') FROM pg_stat_io"
            " WHERE object = 'wal'"
        ),
        "SELECT wal_sync, 0 FROM pg_stat_wal",
    ):
        with suppress(psycopg.Error):
            row = raw.execute(sql.encode()).fetchone()
            if row is not None and row[0] is not None:
                return int(row[0]), int(row[1] or 0)
    return 0, 0


def _size(raw: psycopg.Connection[Any], schema: str) -> int:
    row = raw.execute(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind = 'r'",
        (schema,),
    ).fetchone()
    return int(row[0]) if row is not None and row[0] is not None else 0


def _cpu(raw: psycopg.Connection[Any]) -> float | None:
    """Of the processes that the server names, where this machine has them and they are its own."""
    spent = 0.0
    for (pid,) in raw.execute("SELECT pid FROM pg_stat_activity").fetchall():
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")
        except OSError:
            return None
        if "postgres" not in name:
            return None
        figures = rest.split()
        # Fields 14 and 15 of proc(5), counted from 3 behind the name.
        spent += (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")
    return spent


SMALL = 300
"""Characters of details below which a fact counts as small: all but the two of a cycle that hold its wishes and quotes."""


def bytes_a_small_fact(raw: psycopg.Connection[Any], schema: str) -> float:
    """Bytes of a small fact with its link, its keys and every index of the facts, without the tables cast from them.

    In a table beside the facts, filled in the order in which they came, which is dropped again.
    """
    table = f"{schema}.small"  # our own names, here and below
    raw.execute(f"CREATE TABLE {table} (LIKE {schema}.events INCLUDING ALL)".encode())
    try:
        chosen = f"SELECT * FROM {schema}.events WHERE length(data) < {SMALL} ORDER BY at, account, seq"  # noqa: S608  # our own name and a number
        made = raw.execute(f"INSERT INTO {table} {chosen}".encode())
        row = raw.execute("SELECT pg_total_relation_size(%s::regclass)", (table,)).fetchone()
        return round(int(row[0]) / made.rowcount, 1) if row is not None and made.rowcount else 0.0
    finally:
        raw.execute(f"DROP TABLE {table}".encode())
