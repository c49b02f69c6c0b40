"""One ledger for each currency: what is in one never counts in another, and every change of any is seen."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from oms.engine.money import differences
from oms.model.account import Balance, Funds
from oms.model.currencies import Ledgers, ledgers_of_start
from oms.model.exchange import currency_of
from oms.model.settlement import Ledger

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def balance(currency: str, cash: str, settled: str | None = None) -> Balance:
    return Balance(currency=currency, cash=Decimal(cash), settled_cash=None if settled is None else Decimal(settled))


def reading(cash: str, *others: Balance, settled: str | None = None) -> Funds:
    amount = Decimal(cash)
    return Funds(
        currency="USD",
        cash=amount,
        settled_cash=amount if settled is None else Decimal(settled),
        available=amount,
        locked=Decimal(0),
        buying_power=amount,
        at=datetime(2026, 3, 2, tzinfo=UTC),
        others=others,
    )


def start(*others: Balance) -> Ledgers:
    return ledgers_of_start("USD", Decimal(1000), others)


def test_each_currency_has_its_own_ledger() -> None:
    """At the start: the account's own first, the others by name, and what is not called settled is not."""
    ledgers = start(balance("SGD", "70", "20"), balance("HKD", "500", "500"), balance("EUR", "9"))
    assert [(each.currency, int(each.settled), int(each.withheld), int(each.cash)) for each in ledgers] == [
        ("USD", 1000, 0, 1000),
        ("EUR", 0, 9, 9),
        ("HKD", 500, 0, 500),
        ("SGD", 20, 50, 70),
    ]
    assert ledgers.of("HKD") == list(ledgers)[2]


def test_a_journal_begins_with_the_other_currencies_that_hold_something() -> None:
    """What is empty has no ledger yet, and the account's own is not there twice."""
    ledgers = start(balance("USD", "5"), balance("SGD", "0"), balance("HKD", "-3"))
    assert [(each.currency, int(each.cash)) for each in ledgers] == [("USD", 1000), ("HKD", -3)]
    assert ledgers.of("JPY") is None


def test_what_is_bought_and_sold_moves_its_own_currency_only() -> None:
    """A sale of 300 and a buy of 1,200 leave the Hong Kong dollars as they are, and take none of them."""
    before = start(balance("HKD", "50000", "50000"))
    after = before.with_own(before.own.sold(Decimal(300), TUESDAY).bought("AAA", 10, Decimal(1200), TUESDAY))
    assert after.others == before.others
    assert (after.own.settled, after.own.unsettled) == (Decimal(0), ((TUESDAY, Decimal(100)),))
    back = after.own.held_back("AAA", Decimal(10), MONDAY)
    assert back is not None, "the shares were bought with proceeds in transit, whatever there is in another currency"


def test_a_morning_takes_over_what_the_broker_says_of_each() -> None:
    """A currency that the reading does not name stays as it was; one that is empty and was never there is not kept."""
    before = start(balance("HKD", "500", "500"), balance("SGD", "70"))
    now = before.opened(TUESDAY, reading("1000", balance("HKD", "400", "100"), balance("EUR", "0")), Decimal(1000))
    assert [(each.currency, int(each.settled), int(each.withheld)) for each in now.others] == [
        ("HKD", 100, 300),
        ("SGD", 0, 70),
    ]
    assert now.own == before.own


def test_money_that_went_to_nothing_is_remembered_as_nothing() -> None:
    """Converted or taken out: the ledger says 0, and the next morning has nothing new to tell."""
    gone = start(balance("HKD", "500", "500")).opened(TUESDAY, reading("1000", balance("HKD", "0", "0")), Decimal(1000))
    assert [(each.currency, int(each.cash)) for each in gone.others] == [("HKD", 0)]


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (("500", "500"), ("500.01", "500"), None),
        (("500", "500"), ("500.02", "500"), "0.02 HKD more"),
        (("500", "500"), ("0", "0"), "500 HKD less"),
        (("500", "500"), ("500", "0"), None),
        (("-20", "-20"), ("-50", "-50"), "30 HKD less"),
    ],
    ids=["a cent", "two cents", "all gone", "only not settled", "owed more"],
)
def test_a_change_of_money_that_is_not_traded_is_told(
    then: tuple[str, str], now: tuple[str, str], told: str | None
) -> None:
    """By its currency and amount, and never as a change of the account's own money."""
    before, read = start(balance("HKD", *then)), reading("1000", balance("HKD", *now))
    found = list(differences(before, before.opened(TUESDAY, read, Decimal(1000)), read))
    assert [event.rule for event in found] == (["cash_differs"] if told else [])
    assert all(told in event.text for event in found if told)


def test_a_currency_that_appears_later_is_told() -> None:
    """A deposit of Hong Kong dollars into an account that never had any."""
    read = reading("1000", balance("HKD", "500", "500"))
    (told,) = differences(start(), start().opened(TUESDAY, read, Decimal(1000)), read)
    assert "500 HKD more than when it was last looked at" in told.text
    assert "nothing is ever spent here" in told.text


def test_cash_is_settled_in_transit_and_withheld() -> None:
    """The three parts add up."""
    ledger = Ledger(
        currency="USD", settled=Decimal(5), unsettled=((TUESDAY, Decimal(7)),), withheld=Decimal(11), outside=Decimal(2)
    )
    assert ledger.cash == 23


def test_exchanges_have_their_currencies() -> None:
    """By their ISO names and by the other names that the calendar knows; an unknown one has none."""
    found = {
        name: currency_of(name) for name in ("XNYS", "NASDAQ", "24/7", "XHKG", "HKEX", "XSES", "XLON", "XETR", "X")
    }
    assert found == {
        **dict.fromkeys(("XNYS", "NASDAQ", "24/7"), "USD"),
        **dict.fromkeys(("XHKG", "HKEX"), "HKD"),
        "XSES": "SGD",
        "XLON": "GBP",
        "XETR": "EUR",
        "X": None,
    }


def test_every_calendar_has_a_currency() -> None:
    """No exchange of ``exchange_calendars``, by any of its names, is without one."""
    utils = pytest.importorskip("exchange_calendars.calendar_utils")
    names = {*utils._default_calendar_factories, *utils._default_calendar_aliases}
    assert [name for name in sorted(names) if currency_of(name) is None] == []
