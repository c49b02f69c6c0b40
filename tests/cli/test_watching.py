"""``cycle watch``: the picture of a cycle in a terminal, to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oms.cli.watching import lines
from tests.cli.conftest import Oms


def test_a_cycle_that_is_done_is_drawn_once(tiny: Path, oms: Oms) -> None:
    """With its phases, its orders and its outcome; then the command ends."""
    assert oms("run", "--signals", "plan.csv").code == 0
    done = oms("cycle", "watch")
    assert done.code == 0
    drawn = done.out.splitlines()
    assert drawn[1] == "selling → settling → revalidating → buying → [DONE]"
    assert drawn[2] == "done: complete"
    assert drawn[3] == "sells 1/1 filled, buys 1/1 filled"
    assert sum("AAA" in line or "BBB" in line for line in drawn) >= 2


def test_an_open_cycle_says_what_it_waits_for() -> None:
    """In the sentence of ``status``; a cycle that is not the newest waits for nothing."""
    about: dict[str, Any] = {
        "account": "a", "cycle_id": "c-1", "trading_day": "2026-03-02", "phase": "SETTLING", "resumed": 1, "outcome": None,
    }  # fmt: skip
    answer = {"cycle": about, "orders": [], "cuts": []}
    drawn = list(lines(answer, {"cycle_id": "c-1", "waiting_for": "the money of the sells"}))
    assert drawn[:3] == [
        "a · c-1 of 2026-03-02, taken up again 1 time",
        "selling → [SETTLING] → revalidating → buying → done",
        "waiting for the money of the sells",
    ]
    assert not any("waiting" in line for line in lines(answer, {"cycle_id": "c-2", "waiting_for": "x"}))


def test_an_unknown_cycle_is_refused(tiny: Path, oms: Oms) -> None:
    """By its name."""
    oms("run", "--signals", "plan.csv")
    done = oms("cycle", "watch", "c-9")
    assert done.code == 2
    assert "c-9" in done.err
