"""The whole replayed year, traded by the real program to the end of its data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from oms.app import rules_of
from oms.audit.explain import decisions, explain_order
from oms.config import config_from_canonical, load_config
from oms.gateways.paper.log import LogKind, read_log
from oms.journal.history import EventFilter, journal_stream
from oms.journal.reader import open_reader
from oms.model.order import Side
from oms.model.rules import Rules
from oms.places import places

ROOT = Path(__file__).parents[2]
QUICK = """
broker: {paper: {settle_after: 20ms, funds_lag: 10ms, partial_fills: 20%, fill_delay: 5ms}}
settlement: {poll: 20ms}
execution: {grace: 0s}
backup: {daily: false}
"""


def oms(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *arguments, "--config", str(folder / "config.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=dict(os.environ))


def answer(folder: Path, *arguments: str) -> dict[str, object]:
    done = oms(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("year")
    (folder / "config.yaml").write_text(QUICK, encoding="utf-8")
    done = oms(folder, "run", "--loop")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_day_of_the_data_is_traded_and_every_cycle_ends(year: Path) -> None:
    """A loop over the replay ends by itself at the end of the data, with no cycle left open."""
    cycles = answer(year, "cycle", "list", "--limit", "1000")["cycles"]
    assert isinstance(cycles, list)
    assert len(cycles) > 100
    assert {cycle["phase"] for cycle in cycles} == {"DONE"}
    assert Counter(cycle["outcome"] for cycle in cycles)["complete"] == len(cycles)


def test_the_journal_of_the_year_verifies(year: Path) -> None:
    """The chain holds, and every table is what a fresh fold of all facts casts."""
    done = oms(year, "journal", "verify", "--full")
    assert done.returncode == 0, done.stdout + done.stderr


def test_cash_and_positions_are_equal_at_broker_and_journal(year: Path) -> None:
    """What the journal adds up to is what the broker's own book says, to the cent and to the share."""
    cash, shares = Decimal(0), Counter[str]()
    for entry in read_log(year / "var" / "paper.db"):
        if entry.kind is LogKind.OPENED:
            cash = entry.price or Decimal(0)
        if entry.kind is LogKind.OPENED_POSITION and entry.symbol and entry.qty:
            shares[entry.symbol] = int(entry.qty)
        if entry.kind is LogKind.FILL and entry.symbol and entry.qty and entry.price:
            sign = 1 if entry.side is Side.BUY else -1
            shares[entry.symbol] += sign * int(entry.qty)
            cash -= sign * entry.qty * entry.price + (entry.fee or 0)
    positions = answer(year, "positions")["positions"]
    assert isinstance(positions, list)
    assert {p["symbol"]: int(p["qty"]) for p in positions if int(p["qty"])} == {s: q for s, q in shares.items() if q}
    assert Decimal(str(answer(year, "funds")["cash"])) == cash


def test_no_buy_was_ever_refused_for_lack_of_funds(year: Path) -> None:
    """Each buy that was sent could be paid: the broker's own log holds no refusal at all."""
    log = read_log(year / "var" / "paper.db")
    assert [entry for entry in log if entry.kind is LogKind.REFUSED] == []
    accepted = Counter(entry.user_mark for entry in log if entry.kind is LogKind.ACCEPTED)
    assert set(accepted.values()) == {1}


def test_every_cut_of_the_year_is_made_again_to_the_same_bytes(year: Path) -> None:
    """Each decision, made once more from its journaled inputs and its kept configuration, is what stands in the journal."""
    loaded = load_config(year / "config.yaml", {})
    cut: set[str] = set()
    with closing(open_reader(places(loaded).journal_url)) as reader:
        made_again = dict(decisions(reader, _rules_under))
        for fact in journal_stream(reader, EventFilter(kind="buys_revalidated")):
            for buy in fact["data"]["buys"]:
                if buy["quantity"] < buy["original"]:
                    assert made_again[fact["cycle_id"]].same is True, buy
                    cut.add(buy["cl_ord_id"])
        for key in sorted(cut)[::20]:
            explained = explain_order(reader, key, _rules_under)
            assert explained["decision"]["same"] is True
            assert explained["sentences"]
    assert len(cut) > 100
    assert {again.same for again in made_again.values()} == {True}


def _rules_under(canonical: str) -> Rules:
    return rules_of(config_from_canonical(canonical))
