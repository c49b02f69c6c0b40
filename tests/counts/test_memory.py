"""An engine that runs for months needs no more memory than on its first day."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, sys
from pathlib import Path
from oms.bench.cycle import bench

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1])

with bench(Path(sys.argv[1]), 1, 1) as running:
    for _ in range(100):
        running.cycle()
    early = resident()
    for _ in range(9_900):
        running.cycle()
    print(early, resident())
"""


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_after_ten_thousand_cycles_is_what_it_was_after_a_hundred(tmp_path: Path) -> None:
    """At most 5 % more pages are resident."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True, timeout=1700
    )
    early, late = map(int, ran.stdout.split())
    assert late <= early * 1.05
