"""Broker against journal: each kind of difference, what explains it, and what must never pass for an explanation."""

from __future__ import annotations

from decimal import Decimal

import pytest

from oms.engine.comparing import differences
from oms.model.account import Position
from oms.model.difference import Difference, DifferenceKind
from oms.model.event import ExternalOrderSeen
from oms.model.order import Side
from oms.ports import OrdersRead
from tests.engine.glance import execution, report
from tests.model.story import START, Story, intent

NOTHING = OrdersRead(orders=(), complete=True, asked_at=START)


def position(symbol: str, qty: str, avg_cost: str = "10") -> Position:
    return Position(symbol=symbol, qty=Decimal(qty), sellable=Decimal(qty), avg_cost=Decimal(avg_cost))


def account(*held: Position) -> Story:
    return Story(held=held)


def working() -> Story:
    """An account with one sell of 100 AAA that works at the broker."""
    story = Story(held=[position("AAA", "100")]).opens(intent("S0", "AAA", 100))
    return story.sends("S0").acknowledges("S0")


def foreign(symbol: str, side: Side, qty: str, *, order_id: str = "X1", open_: bool = False) -> ExternalOrderSeen:
    return ExternalOrderSeen(
        symbol=symbol,
        order_id=order_id,
        side=side,
        order_qty=Decimal(qty),
        cum_qty=Decimal(0) if open_ else Decimal(qty),
        price=Decimal(10),
        raw_status="Filled",
        open=open_,
    )


def compared(story: Story, *positions: Position, read: OrdersRead = NOTHING) -> list[Difference]:
    return list(differences(story.state, {each.symbol: each for each in positions}, read))


def only(story: Story, *positions: Position) -> Difference:
    (found,) = compared(story, *positions)
    return found


def test_two_books_that_agree_differ_in_nothing() -> None:
    """Equal shares are no difference, whatever they cost; a symbol with no shares at either side neither."""
    story = account(position("AAA", "100"))
    assert compared(story, position("AAA", "100.0", avg_cost="11"), position("ZZZ", "0")) == []


@pytest.mark.parametrize(("side", "there"), [(Side.BUY, "130"), (Side.SELL, "70")])
def test_fills_of_other_programs_that_are_exactly_what_differs_explain_it(side: Side, there: str) -> None:
    """A trade by hand is told from its own order, which is named; the proposal is to adopt it."""
    story = account(position("AAA", "100")).tell(foreign("AAA", side, "30"))
    found = only(story, position("AAA", there))
    assert found.kind is DifferenceKind.MANUAL_TRADE
    assert "X1" in found.text
    assert "reconcile adopt AAA" in found.proposal
    assert (found.broker, found.journal, found.cost) == (Decimal(there), Decimal(100), Decimal(there) * 10)


def test_fills_that_do_not_add_up_explain_nothing() -> None:
    """Twenty bought by hand are no reason for thirty more shares, and no split is seen where somebody traded."""
    story = account(position("AAA", "100")).tell(foreign("AAA", Side.BUY, "20"))
    assert only(story, position("AAA", "130")).kind is DifferenceKind.SURPLUS
    assert only(story, position("AAA", "200")).kind is DifferenceKind.SURPLUS


def test_a_second_trade_by_hand_is_explained_after_the_first_was_adopted() -> None:
    """Of two foreign orders the one whose fills are what differs now explains it."""
    story = account(position("AAA", "130")).tell(foreign("AAA", Side.BUY, "30"))
    story.tell(foreign("AAA", Side.SELL, "10", order_id="X2"))
    found = only(story, position("AAA", "120"))
    assert (found.kind, "X2" in found.text, "X1" in found.text) == (DifferenceKind.MANUAL_TRADE, True, False)


@pytest.mark.parametrize(
    ("there", "avg_cost"),
    [("200", "5"), ("300", "3.3333"), ("10", "100"), ("150", "6.6667"), ("200", "0"), ("33", "30")],
)
def test_a_split_is_told_by_its_ratio_and_the_cost_that_stayed(there: str, avg_cost: str) -> None:
    """Two for one, three for one, one for ten, three for two; a fraction paid out in cash; a broker without a cost."""
    found = only(account(position("AAA", "100")), position("AAA", there, avg_cost))
    assert found.kind is DifferenceKind.CORPORATE_ACTION
    assert "likely a split" in found.text
    assert found.cost == 1000, "the cost of a holding does not change with a split"


def test_twice_the_shares_at_twice_the_cost_are_no_split() -> None:
    """Somebody paid for them: the ratio alone proves nothing."""
    assert only(account(position("AAA", "100")), position("AAA", "200", "10")).kind is DifferenceKind.SURPLUS


def test_shares_under_another_symbol_are_one_story_told_twice() -> None:
    """All of one gone and as many of a new one there: likely a new name, with the cost carried over."""
    found = {each.symbol: each for each in compared(account(position("FB", "40")), position("META", "40"))}
    assert {each.kind for each in found.values()} == {DifferenceKind.CORPORATE_ACTION}
    assert (found["FB"].cost, found["META"].cost) == (Decimal(0), Decimal(400))


def test_shares_that_are_gone_without_a_trace_are_missing() -> None:
    """Nothing explains it, and the sentence says so instead of guessing."""
    found = only(account(position("AAA", "100")), position("AAA", "60"))
    assert found.kind is DifferenceKind.MISSING
    assert "nothing that the broker showed explains it" in found.text
    assert only(account(position("AAA", "100"))).broker == 0


def test_an_open_order_of_another_program_is_shown() -> None:
    """It is no difference in shares, so there is nothing to adopt."""
    found = only(account().tell(foreign("AAA", Side.BUY, "30", open_=True)))
    assert (found.kind, found.cost, found.order) == (DifferenceKind.FOREIGN_ORDER, None, "X1")


def test_a_symbol_whose_order_is_not_closed_is_not_compared() -> None:
    """While an order of ours works or is in doubt nobody can say what should be there."""
    story = working()
    order = story.order("S0")
    shown = OrdersRead(orders=(report(order),), complete=True, asked_at=START)
    assert compared(story, position("AAA", "7"), read=shown) == []


def test_an_open_order_that_no_complete_reading_shows_is_missing() -> None:
    """An incomplete reading says nothing; a complete one that lacks it is shown, and concludes nothing."""
    story = working()
    (found,) = compared(story, position("AAA", "100"))
    assert (found.kind, found.order) == (DifferenceKind.MISSING_ORDER, story.order("S0").cl_ord_id)
    assert compared(story, read=OrdersRead(orders=(), complete=False, asked_at=START)) == []


def test_fills_that_the_figures_show_and_the_executions_do_not_are_late() -> None:
    """They are booked when their executions appear, and not before."""
    story = working()
    order = story.order("S0")
    shown = report(order, fills=[execution(3)])
    read = OrdersRead(orders=(shown,), complete=True, asked_at=START)
    assert [each.kind for each in compared(story, read=read)] == [DifferenceKind.LATE_FILL]
