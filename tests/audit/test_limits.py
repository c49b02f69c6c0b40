"""The limits with their use: every control is in the catalogue, and each figure is what the journal says."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.audit.limits import risk
from oms.audit.past import moment_of
from oms.configuration.keys import leaves
from oms.journal.reader import Reader
from oms.journal.store import SqliteJournal
from oms.model.controls import CATALOGUE
from oms.model.detail import HaltScope, Outcome
from oms.model.event import Blacklisted, BuysClosed, Halted, OrderBlocked
from oms.model.order import Side
from oms.model.rules import FundsPolicy, Rules
from tests.audit.test_report import told
from tests.fakes.clock import START
from tests.journal.facts import Script

ROOT = Path(__file__).parents[2]
NOW = START + timedelta(days=30)


def rows(reader: Reader | None, rules: Rules | None = None, **how: Any) -> dict[str, Any]:
    found = risk(reader, rules or Rules(), messages_per_minute=600, now=how.get("now", NOW))
    return {**{row["rule"]: row for row in found["limits"]}, "": found}


def test_every_rule_that_can_refuse_is_in_the_catalogue() -> None:
    """Each name in the room of checks stands in the catalogue once, and every key there is one of config.yaml."""
    text = (ROOT / "oms" / "model" / "risk.py").read_text("utf-8")
    named = set(re.findall(r'accept\(\s*"([a-z_]+)"', text)) | set(re.findall(r'rule="([a-z_]+)"', text))
    catalogue = [rule.name for rule in CATALOGUE]
    assert len(set(catalogue)) == len(catalogue)
    # no_quote is no limit of anybody's: without a price there is nothing to compare.
    assert named - {"no_quote"} <= set(catalogue)
    assert {rule.key for rule in CATALOGUE if rule.key} <= {".".join(path) for path in leaves()}


def test_before_the_first_run_every_limit_is_shown_unused() -> None:
    """No journal: the limits of the configuration, nothing used, nothing stopped."""
    found = rows(None)
    assert found["max_trades_per_day"]["limit"] == "100"
    assert found["max_trades_per_day"]["used"] == "0"
    assert found["daily_loss_limit"]["state"] == "off"
    assert found[""]["settlement"] is None
    assert {row["state"] for row in found[""]["limits"]} <= {"ok", "off"}


def test_the_use_of_each_limit_is_what_the_journal_says() -> None:
    """Four trades, the largest buy of the day, the largest position at its newest price, messages of the last minute."""
    with told(Script(1, sells=2, buys=2)) as (_, clock, reader):
        found = rows(reader, Rules(max_trades_per_day=5, max_order_quantity=5), now=clock.now())
    assert (found["max_trades_per_day"]["used"], found["max_trades_per_day"]["share"]) == ("4", "0.8")
    assert found["max_trades_per_day"]["state"] == "near"
    assert (found["max_order_quantity"]["used"], found["max_order_quantity"]["state"]) == ("5", "reached")
    assert found["max_order_value"]["used"] == "50.55"
    assert found["message_rate"]["used"] == "4"
    assert found["funds_fraction"]["used"] == str((Decimal("101.22") / Decimal("20000.10")).quantize(Decimal("0.0001")))
    assert found[""]["trading_day"] == "2026-03-02"


def test_what_a_rule_has_stopped_today_is_counted() -> None:
    """Orders of the last trading day that were blocked, by rule; those of earlier days do not count."""
    with told(Script(1)) as (journal, _, reader):
        _block_first_buy(journal, Script(2), "price_collar")
        assert rows(reader)["price_collar"]["blocked"] == 1
    with told(Script(1)) as (journal, _, reader):
        script = Script(2, sells=0, buys=1)
        _block_first_buy(journal, script, "price_collar")
        journal.append([BuysClosed(cycle_id=script.cycle_id, outcome=Outcome.PARTIAL), Script(3).opened()])
        assert rows(reader)["price_collar"]["blocked"] == 0


def _block_first_buy(journal: SqliteJournal, script: Script, rule: str) -> None:
    for is_barrier, facts in script.commits():
        (journal.append_barrier if is_barrier else journal.append)(facts)
        if any(fact.kind == "order_planned" and fact.side is Side.BUY for fact in facts):  # type: ignore[attr-defined]
            break
    first = script.intents(Side.BUY)[0]
    journal.append([OrderBlocked(**script._of(first), rule=rule, limit="1%", value="2%", reason="too far")])


def test_brakes_and_lists_that_are_on_are_shown_with_their_author() -> None:
    """A halt and a listing are on, an expired listing is not shown, and the configuration's own list is."""
    with told(Script(1)) as (journal, _, reader):
        journal.append([Halted(scope=HaltScope.ALL, reason="storm", author="ada")])
        journal.append([Blacklisted(symbol="C", reason="no", author="ada", until=NOW - timedelta(days=1))])
        journal.append([Blacklisted(symbol="D", reason="scandal", author="ada")])
        found = rows(reader, Rules(blacklist=frozenset({"F"})))
    assert (found["halted"]["state"], found["halted"]["about"]) == ("on", "all")
    assert found[""]["halted"] == {"scope": "all", "reason": "storm", "author": "ada"}
    assert [(row["symbol"], row["author"]) for row in found[""]["blacklist"]] == [("D", "ada"), ("F", "config.yaml")]


def test_the_ledger_says_what_settles_when_and_what_is_kept_back() -> None:
    """The story's sales settle tomorrow; what was bought beyond the settled cash waits for that day."""
    with told(Script(1, sells=3, buys=1)) as (journal, _, reader):
        found = rows(reader)[""]["settlement"]
        assert journal.state.ledger is not None
        assert found["unsettled"] == [{"settles": "2026-03-03", "amount": "151.62"}]
        total = Decimal(found["settled"]) + Decimal("151.62")
        assert total == journal.state.ledger.settled_on(date(2026, 3, 3))
        assert found["kept_back"] == []
        with reader.asking("a test") as connection:
            then = moment_of(connection, reader.account, journal.state.seq)
        assert then.state.ledger == journal.state.ledger


def test_a_margin_account_keeps_nothing_back() -> None:
    """Under ``buying_power`` the two rules of settlement are off."""
    with told(Script(1)) as (_, _, reader):
        found = rows(reader, Rules(funds=FundsPolicy.BUYING_POWER))
    assert found["good_faith"]["state"] == found["free_riding"]["state"] == "off"
    assert found[""]["settlement"]["guarded"] is False
