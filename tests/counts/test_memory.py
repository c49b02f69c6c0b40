"""An engine that runs for months needs no more memory, and no more open files, than on its first day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_after_ten_thousand_cycles_is_what_it_was_after_a_hundred(tmp_path: Path) -> None:
    """A whole engine in a process of its own, its four tasks at work: at most 5 % more pages are resident, and after the
    caches are full, at a thousand, at most 2 %; the files that are open are the same all along.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMS_TOLD": "json://127.0.0.1:9"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.counts.months", str(tmp_path), "10000"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=3500,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    measured = json.loads(ran.stdout)
    assert [cycles for cycles, _, _ in measured] == [100, 1_000, 2_000, 5_000, 10_000]
    pages = {cycles: resident for cycles, resident, _ in measured}
    assert pages[10_000] <= pages[100] * 1.05, pages
    assert pages[10_000] <= pages[1_000] * 1.02, pages
    assert len({files for *_, files in measured}) == 1, measured
