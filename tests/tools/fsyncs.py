"""Counts how often a Python program asks the disk to keep what it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oms.bench.syncs import library, new_counter, read_counter, slowed

ROOT = Path(__file__).parents[2]


def need_counter() -> None:
    """Skip the test, and say so, where syncs cannot be counted."""
    if library() is None:
        pytest.skip("SYNCS ARE NOT COUNTED HERE: this test needs Linux and a C compiler (cc)")


def counted(program: str, *arguments: str, folder: Path, sleep_us: int = 0) -> list[tuple[str, int]]:
    """Run a Python program that may call ``mark(name)``; returns each mark with the syncs since the one before."""
    need_counter()
    counter = folder / "fsyncs.count"
    counted_there = new_counter(counter)
    prologue = (
        "import struct\n"
        "def mark(name):\n"
        f"    with open({str(counter)!r}, 'rb') as file:\n"
        "        print('MARK', name, struct.unpack('Q', file.read(8))[0], flush=True)\n"
    )
    environment = {
        **os.environ,
        **counted_there,
        **slowed(sleep_us),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", prologue + program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    marks, before = [], 0
    for line in done.stdout.splitlines():
        if line.startswith("MARK "):
            _, name, count = line.split()
            marks.append((name, int(count) - before))
            before = int(count)
    return marks


def total(folder: Path) -> int:
    """Syncs that the last counted program made in all."""
    return read_counter(folder / "fsyncs.count")
