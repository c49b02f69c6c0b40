"""The least durable work on PostgreSQL: three commits of a cycle's bytes through one connection."""

from __future__ import annotations

import json
import sys
import time

import psycopg

from oms.bench.floor import COMMITS
from oms.bench.postgres import BYTES


def serve(url: str) -> None:
    """Print READY; then for each line N of stdin the seconds of N cycles, as JSON."""
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("CREATE TABLE public.floor (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data text)")
        print("READY", flush=True)
        for line in sys.stdin:
            took = []
            for _ in range(int(line)):
                began = time.perf_counter()
                for _ in range(COMMITS):
                    raw.execute("INSERT INTO public.floor (data) VALUES (%s)", ("x" * BYTES,))
                took.append(time.perf_counter() - began)
            print(json.dumps(took), flush=True)
