"""Counts of a whole cycle that no noise can move: how often it asks the disk to keep what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.fsyncs import counted

CYCLES = 12

WORKER = f"""
import sys
from pathlib import Path
from oms.bench.cycle import bench
half = int(sys.argv[2]) // 2
with bench(Path(sys.argv[1]), half, half) as running:
    running.cycle()
    mark("warm")
    for _ in range({CYCLES}):
        running.cycle()
    mark("cycles")
"""


@pytest.mark.parametrize("orders", [2, 20, 200])
def test_a_cycle_in_the_worker_syncs_the_disk_twice_however_many_orders_it_has(tmp_path: Path, orders: int) -> None:
    """One sync before the sells, one before the buys; DONE rides in the next cycle's first."""
    marks = dict(counted(WORKER, str(tmp_path), str(orders), folder=tmp_path))
    assert marks["cycles"] / CYCLES <= 2.2


@pytest.mark.parametrize("orders", [2, 20, 200])
def test_a_cycle_that_is_told_to_the_world_syncs_the_disk_three_times(tmp_path: Path, orders: int) -> None:
    """With the lease held: the sells' barrier, the buys' barrier, and DONE before it is told."""
    program = WORKER.replace("as running:", "as running:\n    running.tell_the_world()")
    marks = dict(counted(program, str(tmp_path), str(orders), folder=tmp_path))
    assert 2.9 <= marks["cycles"] / CYCLES <= 3.2
