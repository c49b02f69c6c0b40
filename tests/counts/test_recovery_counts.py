"""How many commits a recovery needs before it goes on: counted at every crash point of a cycle."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms import crashpoints
from tests.engine.house import House, buy, sell

WISHES = (sell("AAA"), sell("BBB", 150), buy("CCC", 100), buy("DDD", 400))


class Died(BaseException):
    """The process ends here."""


def die_at(house: House, passage: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let the house's process die at one passage of a crash point; False when its life has fewer."""
    passed = 0

    def strike(_: str) -> None:
        nonlocal passed
        passed += 1
        if passed == passage:
            raise Died

    monkeypatch.setattr(crashpoints, "strike", strike)
    try:
        house.run(*WISHES)
    except Died:
        return True
    finally:
        monkeypatch.setattr(crashpoints, "strike", None)
    return False


def test_a_recovery_is_the_lease_and_one_barrier_with_all_that_asking_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever instant a cycle dies, its first commit after the lease is a barrier, and the next one is a new step."""
    recoveries = 0
    for passage in range(1, 200):
        house = House(tmp_path / str(passage))
        if not die_at(house, passage, monkeypatch):
            break
        house.reborn()
        if house.journal.state.open_cycle is None:
            continue
        house.run(open_new=False)
        how, events = house.journal.commits[0]
        assert (how, events[0].kind) == ("barrier", "cycle_resumed")
        learnt = {"order_acknowledged", "order_filled", "order_in_doubt", "order_not_found"}
        assert not learnt & {event.kind for event in house.journal.commits[1][1]}, f"passage {passage}"
        recoveries += 1
    assert recoveries > 40
