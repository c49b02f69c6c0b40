"""Names of cycles: unique, however many one process opens in a second."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from oms import app


def test_a_process_gives_no_name_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With chance reduced to two letters, sixteen cycles of one second still have sixteen names."""
    monkeypatch.setattr(app, "CYCLE_ALPHABET", "23")
    names = [app.new_cycle_id() for _ in range(16)]
    assert len(set(names)) == 16
    assert all(re.fullmatch(r"c-\d{8}T\d{6}Z-[23]{4}", name) for name in names)


def test_the_lanes_of_a_worker_name_cycles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads, each interrupted as often as can be: no name comes twice, and none ends in an error."""
    monkeypatch.setattr(app, "CYCLE_ALPHABET", "23456789")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as lanes:
            parts = list(lanes.map(lambda _: [app.new_cycle_id() for _ in range(100)], range(8)))
    finally:
        sys.setswitchinterval(before)
    names = [name for part in parts for name in part]
    assert len(set(names)) == len(names) == 800
