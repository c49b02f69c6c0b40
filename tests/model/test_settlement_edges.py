"""The settlement ledger at its edges: exact sums, exact days, and lots that are partly gone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from oms.model.settlement import FREE_RIDING, GOOD_FAITH, HeldBack, Ledger, Lot, Tagged, ledger_of_reading
from tests.model.test_settlement import MONDAY, TUESDAY, WEDNESDAY, ledger, reading


def with_lots(*lots: Lot) -> Ledger:
    return replace(ledger(), tagged=(Tagged(symbol="AAA", lots=lots),))


TWO_LOTS = with_lots(Lot(qty=10, frees=TUESDAY), Lot(qty=5, frees=WEDNESDAY))


def test_shares_that_are_free_by_now_may_go_before_those_that_are_not() -> None:
    """Of 20 held, 5 were never tagged and 10 are free since this morning; the last 5 wait for another day."""
    back = TWO_LOTS.held_back("AAA", Decimal(20), TUESDAY)
    assert back is not None
    assert (back.free, back.qty, back.until) == (15, 5, WEDNESDAY)


def test_what_has_gone_was_the_oldest() -> None:
    """With 12 left of 15, three of the first lot have gone and nothing of the second; with 4 left, only of the second."""
    twelve, four = (TWO_LOTS.held_back("AAA", Decimal(held), MONDAY) for held in (12, 4))
    assert twelve is not None
    assert four is not None
    assert (twelve.free, twelve.qty, twelve.until) == (0, 12, TUESDAY)
    assert (four.free, four.qty, four.until) == (0, 4, WEDNESDAY)


@pytest.mark.parametrize(
    ("rule", "why"), [(GOOD_FAITH, "proceeds that have not settled"), (FREE_RIDING, "money that is not there yet")]
)
def test_a_share_that_is_held_back_says_what_paid_for_it(rule: str, why: str) -> None:
    """Unsettled proceeds, or nothing that is known."""
    back = HeldBack(symbol="AAA", free=3, qty=7, until=TUESDAY, rule=rule)
    assert back.reason(10, 3) == (
        f"10 AAA to sell, 3 may be: the next were bought with {why}; they may be sold from 2026-03-03 on"
    )


def test_the_shares_held_are_noted_beside_their_lots() -> None:
    """What is kept back can be reckoned again from the ledger alone; a symbol that is gone is held no more."""
    (counted,) = TWO_LOTS.counting({"AAA": Decimal(17), "BBB": Decimal(3)}).tagged
    assert (counted.symbol, counted.held, counted.qty) == ("AAA", Decimal(17), 15)
    (gone,) = TWO_LOTS.counting({}).tagged
    assert gone.held == 0


def test_what_settles_this_morning_is_settled() -> None:
    """Proceeds of this date are no longer in transit when the day is opened."""
    opened = ledger("100", (MONDAY, "50"), (TUESDAY, "25")).opened(MONDAY, reading("175"), Decimal(175))
    assert (opened.settled, opened.unsettled) == (Decimal(150), ((TUESDAY, Decimal(25)),))


@pytest.mark.parametrize(("cash", "outside"), [("100.01", "0"), ("99.99", "0"), ("100.02", "0.02"), ("99.98", "-0.02")])
def test_a_cent_is_no_difference_and_two_are(cash: str, outside: str) -> None:
    """Brokers round to it."""
    assert ledger("100").opened(MONDAY, reading(cash), Decimal(100)).outside == Decimal(outside)


def test_money_from_outside_may_turn_into_money_that_is_missing() -> None:
    """Five more than the trades explain, and later five less: the later figure stands."""
    richer = ledger("100").opened(MONDAY, reading("105"), Decimal(100))
    assert richer.outside == 5
    assert richer.opened(MONDAY, reading("95"), Decimal(100)).outside == -5


def test_what_the_broker_does_not_call_settled_is_withheld() -> None:
    """Of 1,000 that have come, 700 count; nothing is withheld where the broker calls more settled than we do."""
    assert ledger("1000").opened(MONDAY, reading("1000", "700"), Decimal(1000)).withheld == 300
    assert ledger("1000", (TUESDAY, "50")).opened(MONDAY, reading("1050"), Decimal(1050)).withheld == 0


@pytest.mark.parametrize(
    ("unsettled", "cost", "until"),
    [
        ((), "100", None),
        ((), "200", TUESDAY),
        (((WEDNESDAY, "50"),), "120", WEDNESDAY),
        (((WEDNESDAY, "50"),), "200", WEDNESDAY),
        (((MONDAY, "50"),), "200", TUESDAY),
    ],
    ids=["settled money", "on credit", "proceeds", "late proceeds and credit", "early proceeds and credit"],
)
def test_buys_wait_for_the_last_money_that_may_pay_for_them(
    unsettled: tuple[tuple[object, str], ...], cost: str, until: object
) -> None:
    """The latest of the proceeds they may take, and their own settlement where nothing known pays for the rest."""
    assert ledger("100", *unsettled).promised(Decimal(cost), TUESDAY).pledged == until  # type: ignore[arg-type]


def test_a_lot_waits_for_the_later_of_its_money_and_its_pledge() -> None:
    """Whichever comes first is not enough."""
    for pledged, taken in ((TUESDAY, WEDNESDAY), (WEDNESDAY, TUESDAY)):
        book = replace(ledger("0", (taken, "500")), pledged=pledged).bought("AAA", 1, Decimal(100), TUESDAY)
        assert book.tagged[0].lots == (Lot(qty=1, frees=WEDNESDAY),)


def test_a_buy_on_credit_waits_for_the_proceeds_it_took_as_well() -> None:
    """Its own settlement comes on Tuesday, the proceeds that paid a part of it on Wednesday."""
    book = ledger("10", (WEDNESDAY, "20")).bought("AAA", 1, Decimal(100), TUESDAY)
    assert book.tagged[0].lots == (Lot(qty=1, frees=WEDNESDAY, unfunded=True),)


@pytest.mark.parametrize(("cost", "unfunded"), [("100", False), ("100.01", True)])
def test_money_that_is_only_not_called_settled_pays_to_its_last_cent(cost: str, unfunded: bool) -> None:
    """A hundred are withheld: a buy of a hundred is paid for by money that is there."""
    book = replace(ledger("0"), withheld=Decimal(100)).bought("AAA", 1, Decimal(cost), TUESDAY)
    assert book.tagged[0].lots == (Lot(qty=1, frees=TUESDAY, unfunded=unfunded),)


def test_half_a_dollar_that_is_not_settled_settles_with_the_trades_of_the_day() -> None:
    """However little it is."""
    assert ledger_of_reading(reading("100", "99.50"), TUESDAY) == ledger("99.50", (TUESDAY, "0.50"))


def test_a_lot_that_is_free_is_not_carried_before_one_that_is_not() -> None:
    """From the morning on which the first is free, only the second is remembered."""
    opened = TWO_LOTS.opened(TUESDAY, reading("0"), Decimal(0))
    assert opened.tagged == (Tagged(symbol="AAA", lots=(Lot(qty=5, frees=WEDNESDAY),)),)
