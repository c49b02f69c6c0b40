"""Counts how often a Python program asks the disk to keep what it wrote."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

SOURCE = Path(__file__).with_name("count_fsyncs.c")
ROOT = SOURCE.parents[2]


@cache
def library() -> Path | None:
    """The compiled counter; None where there is no C compiler or no LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    built = Path(mkdtemp(prefix="oms-fsyncs-")) / "count_fsyncs.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, SOURCE, "-ldl"], check=True)
    return built


def need_counter() -> None:
    """Skip the test, and say so, where syncs cannot be counted."""
    if library() is None:
        pytest.skip("SYNCS ARE NOT COUNTED HERE: this test needs Linux and a C compiler (cc)")


def counted(program: str, *arguments: str, folder: Path, sleep_us: int = 0) -> list[tuple[str, int]]:
    """Run a Python program that may call ``mark(name)``; returns each mark with the syncs since the one before."""
    need_counter()
    counter = folder / "fsyncs.count"
    counter.write_bytes(bytes(8))
    prologue = (
        "import struct\n"
        "def mark(name):\n"
        f"    with open({str(counter)!r}, 'rb') as file:\n"
        "        print('MARK', name, struct.unpack('Q', file.read(8))[0], flush=True)\n"
    )
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library()),
        "COUNT_FSYNCS": str(counter),
        "COUNT_FSYNCS_SLEEP_US": str(sleep_us),
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
    count: int = struct.unpack("Q", (folder / "fsyncs.count").read_bytes())[0]
    return count
