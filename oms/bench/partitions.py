"""Facts in one table, split by account, and split by month: what each costs to write and to ask. See docs/scale.md."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import psycopg

from oms.journal.postgres.address import parse

SCHEMA = "oms_bench_partitions"
PARTS = 16
BATCH = 20
"""Rows of one commit, all of one account."""
COLUMNS = "account text, seq bigint, at bigint, cycle_id text, version bigint, data text"

BY_TIME = "CREATE INDEX ON facts USING brin (at) WITH (pages_per_range = 32)"
"""As the journal has it: a summary of each stretch of pages, which costs no row."""
LAYOUTS = {
    # Keys over everything, as one table can have them.
    "one table": [
        f"CREATE TABLE facts ({COLUMNS}, PRIMARY KEY (account, seq))",
        "CREATE UNIQUE INDEX ON facts (cycle_id, version, account)",
        BY_TIME,
    ],
    "by account": [
        f"CREATE TABLE facts ({COLUMNS}, PRIMARY KEY (account, seq)) PARTITION BY HASH (account)",
        *(
            f"CREATE TABLE facts_{n} PARTITION OF facts FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {n})"
            for n in range(PARTS)
        ),
        "CREATE UNIQUE INDEX ON facts (cycle_id, version, account)",
        BY_TIME,
    ],
    # Every key must hold the time, so none of them says what it should: a row number may be there twice.
    "by month": [
        f"CREATE TABLE facts ({COLUMNS}, PRIMARY KEY (account, seq, at)) PARTITION BY RANGE (at)",
        *(f"CREATE TABLE facts_{n} PARTITION OF facts FOR VALUES FROM ({n}) TO ({n + 1})" for n in range(PARTS)),
        "CREATE UNIQUE INDEX ON facts (cycle_id, version, account, at)",
    ],
    # Each account's part split once more: its keys, too, must hold the time.
    "both": [
        f"CREATE TABLE facts ({COLUMNS}, PRIMARY KEY (account, seq, at)) PARTITION BY HASH (account)",
        *(
            f"CREATE TABLE facts_{n} PARTITION OF facts FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {n})"
            " PARTITION BY RANGE (at)"
            for n in range(PARTS)
        ),
        *(
            f"CREATE TABLE facts_{n}_{m} PARTITION OF facts_{n} FOR VALUES FROM ({m}) TO ({m + 1})"
            for n in range(PARTS)
            for m in range(PARTS)
        ),
        "CREATE UNIQUE INDEX ON facts (cycle_id, version, account, at)",
    ],
}


def bench(url: str, rows: int, accounts: int) -> dict[str, Any]:
    """Write so many rows of so many accounts into each layout; ask each for a last row, a cycle, a month of everybody."""
    server = parse(url).server.set(drivername="postgresql").render_as_string(hide_password=False)
    found = {}
    with psycopg.connect(server, autocommit=True) as raw:
        for name, statements in LAYOUTS.items():
            raw.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
            raw.execute(f"CREATE SCHEMA {SCHEMA}".encode())
            raw.execute(f"SET search_path = {SCHEMA}".encode())
            for statement in statements:
                raw.execute(statement.encode())
            found[name] = _measured(raw, rows, accounts)
        raw.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
    return {"rows": rows, "accounts": accounts, "layouts": found}


def _measured(raw: psycopg.Connection[Any], rows: int, accounts: int) -> dict[str, float]:
    raw.execute("SET synchronous_commit = off")
    insert = "INSERT INTO facts SELECT %s, %s + n, %s, %s, %s + n, repeat('x', 300) FROM generate_series(1, %s) n"
    seqs, began = dict.fromkeys(range(accounts), 0), time.perf_counter()
    for number in range(rows // BATCH):
        account, month = number % accounts, number * PARTS // (rows // BATCH)
        seq = seqs[account]
        values = (f"account-{account}", seq, month, f"c-{account}-{seq // 100}", seq % 100, BATCH)
        raw.execute(insert, values)
        seqs[account] += BATCH
    wrote = time.perf_counter() - began
    raw.execute("VACUUM ANALYZE facts")
    size = raw.execute(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind = 'r'",
        (SCHEMA,),
    ).fetchone()
    return {
        "rows_a_second": round(rows / wrote),
        "bytes_a_row": round(float(size[0]) / rows) if size is not None else 0,
        "last_row_ms": _ms(
            raw, "SELECT * FROM facts WHERE account = %s ORDER BY seq DESC LIMIT 1", "account-{}", accounts
        ),
        "month_ms": _ms(raw, "SELECT count(data) FROM facts WHERE at = %s::bigint", "{}", PARTS),
        "cycle_ms": _ms(raw, "SELECT * FROM facts WHERE cycle_id = %s ORDER BY version", "c-{}-0", accounts),
    }


def _ms(raw: psycopg.Connection[Any], sql: str, name: str, accounts: int) -> float:
    took = []
    for number in range(50):
        began = time.perf_counter()
        raw.execute(sql.encode(), (name.format(number % accounts),)).fetchall()
        took.append(time.perf_counter() - began)
    return round(median(took) * 1000, 3)
