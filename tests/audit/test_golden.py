"""Journals that earlier releases wrote are read, folded and explained by this one; what is new has its defaults there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from oms.app import rules_of
from oms.audit.explain import decisions
from oms.audit.importing import bring_in, check
from oms.audit.pnl import pnl
from oms.audit.report import report
from oms.config import config_from_canonical
from oms.gateways.system_clock import SystemClock
from oms.journal.codec import decode, encode
from oms.journal.loading import load
from oms.journal.reader import Reader, open_reader
from oms.journal.verify import verify
from oms.model.event import CycleOpened

GOLDEN = Path(__file__).parent / "golden"
BEFORE_THE_LEDGER = GOLDEN / "before_the_ledger"
"""Three cycles of the replay, exported by the release that kept no settlement ledger yet."""

CASH = "2031.225"
HELD = {"ABT": 136, "AMT": 232, "BA": 158, "GD": 138, "GE": 300, "ISRG": 7}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """The golden journal, brought into a database of this release."""
    bring_in(BEFORE_THE_LEDGER, tmp_path / "oms.db", SystemClock())
    with closing(open_reader(f"sqlite:///{tmp_path / 'oms.db'}")) as opened:
        yield opened


def test_every_stored_fact_is_read_and_written_in_the_same_bytes() -> None:
    """No release may change how the past is written: each fact decodes, and encodes to the very text."""
    for line in (BEFORE_THE_LEDGER / "events.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        data = (
            row["data"]
            if isinstance(row["data"], str)
            else json.dumps(row["data"], sort_keys=True, separators=(",", ":"))
        )
        event = decode(row["kind"], data, row["cycle_id"], row["cl_ord_id"], row["symbol"])
        assert encode(event).data == data, row["seq"]


def test_the_golden_journal_folds_to_what_it_was(reader: Reader) -> None:
    """Chain and tables are whole, and cash and shares are those of the day on which it was written."""
    assert check(BEFORE_THE_LEDGER).rows == 126
    assert verify(reader).ok
    with reader.asking("a test") as connection:
        state = load(connection, reader.account).state
    held = {symbol: holding.qty for symbol, holding in state.holdings.items() if holding.qty}
    assert state.cash == Decimal(CASH)
    assert held == {symbol: Decimal(qty) for symbol, qty in HELD.items()}


def test_a_cycle_without_a_ledger_begins_with_the_brokers_word(reader: Reader) -> None:
    """What that broker called settled is settled; what its own sales paid for is kept back until they settle."""
    with reader.asking("a test") as connection:
        state = load(connection, reader.account).state
    assert state.cycle is not None
    opened: CycleOpened = state.cycle.opened
    assert opened.ledger is None
    assert state.ledger is not None
    assert state.ledger.settled_on(opened.settles) == state.cash
    back = state.held_back(opened.trading_day)
    assert set(back) == {order.symbol for order in state.cycle.buys if order.cum_qty}
    assert {each.until for each in back.values()} == {opened.settles}
    assert state.held_back(opened.settles) == {}


def test_its_decisions_come_out_again_byte_for_byte(reader: Reader) -> None:
    """Each revalidation of the earlier release, made again by this one."""
    found = list(decisions(reader, lambda text: rules_of(config_from_canonical(text))))
    assert len(found) == 3
    assert all(again.same for _, again in found), [again.why for _, again in found]


def test_the_new_figures_are_reckoned_from_the_old_facts(reader: Reader) -> None:
    """Report and profit need nothing that the earlier release did not journal."""
    assert report(reader)["cycles"] == 3
    assert report(reader)["buy_success_rate"] == "1"
    assert pnl(reader)["unpriced"] == []
