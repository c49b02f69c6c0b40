"""Names of cycles: unique, however many one process opens in a second."""

from __future__ import annotations

import re

import pytest

from oms import app


def test_a_process_gives_no_name_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With chance reduced to two letters, sixteen cycles of one second still have sixteen names."""
    monkeypatch.setattr(app, "CYCLE_ALPHABET", "23")
    names = [app.new_cycle_id() for _ in range(16)]
    assert len(set(names)) == 16
    assert all(re.fullmatch(r"c-\d{8}T\d{6}Z-[23]{4}", name) for name in names)
