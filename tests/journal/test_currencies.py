"""The account's money by currency, asked of the journal: the ledgers beside the broker's newest word."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from oms.audit.then import funds_at
from oms.journal import views
from oms.journal.reader import reader_over
from oms.journal.store import SqliteJournal
from oms.model.event import FundsObserved
from tests.journal.facts import Script, account_opened, reading, write


def currencies(journal: SqliteJournal) -> dict[str, dict[str, Any]]:
    reader = reader_over(journal.connection)
    return {each["currency"]: each for each in views.funds(reader)["currencies"]}


def test_before_the_first_cycle_it_is_what_the_account_began_with(journal: SqliteJournal) -> None:
    """Nothing was read since, so the broker has said nothing and nothing can differ."""
    assert currencies(journal) == {}
    journal.append_barrier([account_opened()])
    found = currencies(journal)
    assert [(name, each["settled"], each["waiting"], each["is_traded"]) for name, each in found.items()] == [
        ("USD", "20000.00", "0.00", True),
        ("HKD", "6500.00", "500.00", False),
        ("SGD", "0.00", "12.50", False),
    ]
    assert {(each["broker"], each["differs_by"]) for each in found.values()} == {(None, None)}


def test_each_currency_stands_beside_the_brokers_word(journal: SqliteJournal) -> None:
    """After a cycle: what the sales brought waits for its day; where the broker does not say what has settled, there is
    nothing; and a reading from before the last execution says nothing about the cash.
    """
    journal.append_barrier([account_opened()])
    write(journal, Script(1).commits())
    found = currencies(journal)
    ledger = journal.state.ledger
    assert ledger is not None
    ((day, amount),) = ledger.unsettled
    assert found["USD"]["unsettled"] == [{"settles": day.isoformat(), "amount": f"{amount:.2f}"}]
    assert Decimal(found["USD"]["cash"]) == ledger.cash
    assert found["USD"]["differs_by"] is None
    assert found["HKD"]["broker"] == {"cash": "7000.00", "settled_cash": "6500.00", "unsettled_cash": "500.00"}
    assert found["SGD"]["broker"] == {"cash": "12.50", "settled_cash": None, "unsettled_cash": None}
    assert [found[name]["differs_by"] for name in ("HKD", "SGD")] == ["0.00", "0.00"]


@pytest.mark.parametrize(("more", "apart"), [("0", "0.00"), ("1.25", "1.25"), ("-3", "-3.00")])
def test_a_newer_reading_agrees_or_says_by_how_much_it_does_not(journal: SqliteJournal, more: str, apart: str) -> None:
    """Read after the last execution, the broker's cash is the ledger's, or differs by so much."""
    journal.append_barrier([account_opened()])
    write(journal, Script(1).commits())
    ledger = journal.state.ledger
    assert ledger is not None
    read = reading(str(ledger.cash + Decimal(more)))
    journal.append([FundsObserved(funds=read, spendable=read.cash)])
    assert currencies(journal)["USD"]["differs_by"] == apart


def test_an_earlier_moment_is_answered_as_now(journal: SqliteJournal) -> None:
    """``funds --at`` has the same ledgers as ``funds`` at that moment had."""
    journal.append_barrier([account_opened()])
    write(journal, Script(1).commits())
    reader = reader_over(journal.connection)
    now = views.funds(reader)
    then = funds_at(reader, journal._clock.now())
    assert then["currencies"] == now["currencies"]
    assert len(now["currencies"]) == 3
