"""How often the disk is asked to keep something: three times a cycle, however many orders it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.fsyncs import counted

PROGRAM = """
import sys
from oms.journal.store import open_journal
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened
from oms.model.event import AttentionRaised

orders = int(sys.argv[2])
journal = open_journal(sys.argv[1], ACCOUNT, "paper", FakeClock())
journal.append_barrier([account_opened()])
mark("open")
journal.append([AttentionRaised(rule="x", text="x")])
mark("soft")
journal.append_barrier([AttentionRaised(rule="x", text="x")])
mark("barrier")
journal.renew()
mark("renewal")
for number in range(1, 11):
    for is_barrier, facts in Script(number, sells=orders // 2, buys=orders // 2).commits():
        (journal.append_barrier if is_barrier else journal.append)(facts)
    journal.tidy()
mark("cycles")
"""


@pytest.mark.parametrize("orders", [2, 20, 200])
def test_a_cycle_costs_three_syncs(tmp_path: Path, orders: int) -> None:
    """A soft commit costs none, a barrier one, and a whole cycle at most 3.2, for 2, 20 and 200 orders."""
    marks = dict(counted(PROGRAM, f"sqlite:///{tmp_path / 'oms.db'}", str(orders), folder=tmp_path))
    assert marks["soft"] == 0
    assert marks["barrier"] == 1
    assert marks["renewal"] == 0
    assert 3.0 <= marks["cycles"] / 10 <= 3.2
