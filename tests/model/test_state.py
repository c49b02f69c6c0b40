"""What all facts of an account add up to: shares, money, profit, trades of the day, and what may not be traded."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.model.cycle import ImpossibleFact
from oms.model.detail import HaltScope
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    Blacklisted,
    CommandAnswered,
    Halted,
    Recorded,
    Released,
    SymbolFrozen,
    SymbolUnfrozen,
    Unblacklisted,
)
from oms.model.state import AccountState, Holding
from tests.model.story import DAY, Story, intent, position

BUY, SELL = intent("B0", "AAA"), intent("S0", "AAA")


def test_a_buy_moves_cash_shares_and_cost() -> None:
    """100 × 10 and a fee of 0.50: cash falls by 1,000.50, and the shares cost that."""
    story = Story().buying(BUY).sends("B0").fills("B0", fee="0.50")
    assert story.state.cash == Decimal("8999.50")
    assert story.state.holdings["AAA"] == Holding(qty=Decimal(100), cost=Decimal("1000.50"))


def test_a_sale_realises_its_part_of_the_cost() -> None:
    """40 of 100 shares that cost 1,000, sold at 12 with a fee of 1: 480 − 1 − 400 = 79."""
    story = (
        Story(held=[position("AAA", 100)]).opens(intent("S0", "AAA", 40)).sends("S0").fills("S0", price="12", fee="1")
    )
    held = story.state.holdings["AAA"]
    assert [held.qty, held.cost, held.realised] == [60, 600, 79]
    assert story.state.realised_today == 79
    assert story.state.cash == 10_000 + 479


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9999), st.integers(0, 99)), min_size=1, max_size=8))
def test_money_and_profit_add_up_exactly(sales: list[tuple[int, int, int]]) -> None:
    """Cash at the end is cash at the start plus sales less fees; cost and profit together are cash and cost before."""
    story = Story(held=[position("AAA", 333)]).opens(intent("S0", "AAA", 10_000)).sends("S0").acknowledges("S0")
    cash, cost = story.state.cash, story.state.holdings["AAA"].cost
    for quantity, cents, fee in sales:
        story.fills("S0", quantity, str(Decimal(cents) / 100), str(Decimal(fee) / 100))
    income = sum((q * Decimal(c) / 100 - Decimal(f) / 100 for q, c, f in sales), Decimal(0))
    held = story.state.holdings["AAA"]
    assert story.state.cash == cash + income
    assert held.qty == 333 - sum(q for q, _, _ in sales)
    if held.qty > 0:
        assert held.realised == income - (cost - held.cost)


def test_a_trade_is_an_order_acknowledged_once() -> None:
    """Adopted twice it is one trade; blocked, refused and in doubt it is none."""
    story = Story().opens(*(intent(f"S{n}", symbol) for n, symbol in enumerate(("AAA", "BBB", "EEE", "FFF"))))
    story.sends("S0").acknowledges("S0").doubts("S0", raw="Held").acknowledges("S0")
    story.blocks("S1").sends("S2").rejects("S2").sends("S3").doubts("S3")
    assert story.state.trades_today == 1
    story.acknowledges("S3")
    assert story.state.trades_today == 2


def test_trades_and_losses_of_a_day_end_with_it() -> None:
    """The next cycle of the same day goes on counting, the first of the next day begins at zero."""
    story = Story(held=[position("AAA", 100)]).opens(SELL).sends("S0").acknowledges("S0").fills("S0", price="9")
    story.sells_close().settles().revalidates().ends()
    story.opens(intent("B1", "CCC"), cycle_id="c-2")
    assert [story.state.trades_today, story.state.realised_today] == [1, -100]
    story.sells_close().settles().revalidates({"B1": 0}).ends()
    story.opens(intent("B2", "CCC"), cycle_id="c-3", day=DAY + timedelta(days=1))
    assert [story.state.trades_today, story.state.realised_today] == [0, 0]


@pytest.mark.parametrize("end", ["acknowledges", "voids"])
def test_quarantine_freezes_the_symbol_until_the_order_is_found_or_void(end: str) -> None:
    """The freeze names the order, and only that order's fate lifts it."""
    story = Story().opens(SELL).sends("S0").doubts("S0").quarantines("S0")
    assert story.state.frozen == {"AAA": "order S0 is in quarantine"}
    getattr(story, end)("S0")
    assert story.state.frozen == {}


def test_a_freeze_for_another_reason_stays() -> None:
    """An overfilled symbol stays frozen when an order of it is found; a person releases it."""
    story = Story().opens(SELL).sends("S0").doubts("S0").tell(SymbolFrozen(symbol="AAA", reason="overfill"))
    story.acknowledges("S0")
    assert story.state.frozen == {"AAA": "overfill"}
    story.tell(SymbolUnfrozen(symbol="AAA", reason="", author="ann"))
    assert not story.state.frozen


def test_orders_that_are_not_closed_are_parked_when_the_next_cycle_opens() -> None:
    """A quarantined order goes on being ours; a closed one is the journal's."""
    story = Story().buying(BUY, intent("B1", "CCC")).sends("B0").doubts("B0").quarantines("B0")
    story.sends("B1").fills("B1").ends().opens(intent("B2", "DDD"), cycle_id="c-2")
    assert list(story.state.parked) == ["B0"]
    assert [order.cl_ord_id for order in story.state.unresolved] == ["B0"]
    story.acknowledges("B0").fills("B0")
    assert story.state.holdings["AAA"].qty == 100


def test_a_very_late_fact_finds_its_order_again() -> None:
    """An order of long ago is recalled from the journal, and its late fill is booked."""
    story = Story().buying(BUY).sends("B0").acknowledges("B0").cancels("B0").ends()
    kept = story.order("B0")
    story.opens(intent("B1", "CCC"), cycle_id="c-2")
    assert story.state.order("B0") is None
    story.state.recall = lambda key: kept if key == "B0" else None
    row = Story().buying(BUY).sends("B0").acknowledges("B0").cancels("B0").fills("B0", 7).rows[-1]
    story.state.apply(Recorded(seq=story.state.seq + 1, at=story.now, event=row.event))
    assert story.state.holdings["AAA"].qty == 7


def test_the_brake_and_the_lists_are_what_was_said_last() -> None:
    """Halted, released, listed, taken off: each is the last word; the mailbox's cursor only grows."""
    story = Story().tell(Halted(scope=HaltScope.ALL, reason="", author="ann", inbox_id=5))
    assert "halted" in [row.event.kind for row in story.rows]
    story.tell(Released(reason="", author="ann", inbox_id=4), Blacklisted(symbol="AAA", reason="", author="ann"))
    assert (story.state.halt is None, list(story.state.blacklist), story.state.inbox_id) == (True, ["AAA"], 5)
    story.tell(Unblacklisted(symbol="AAA", reason="", author="ann"))
    assert not story.state.blacklist


@pytest.mark.parametrize(("seconds", "barred"), [(-1, True), (0, False), (1, False)])
def test_a_listing_ends_at_its_instant(seconds: int, barred: bool) -> None:
    """Until then the symbol is barred, from then on it is not; without an instant it stays."""
    story = Story()
    until = story.now + timedelta(hours=1)
    story.tell(
        Blacklisted(symbol="AAA", reason="", author="ann", until=until),
        Blacklisted(symbol="BBB", reason="", author="ann"),
    )
    assert story.state.is_blacklisted("AAA", until + timedelta(seconds=seconds)) is barred
    assert story.state.is_blacklisted("BBB", until + timedelta(days=999))
    assert not story.state.is_blacklisted("CCC", until)


def test_facts_come_in_their_order() -> None:
    """A row that is not the next one is refused, and the first row can be only the account's own."""
    story = Story()
    with pytest.raises(ImpossibleFact, match="offered after"):
        story.state.apply(Recorded(seq=9, at=story.now, event=Released(reason="", author="")))
    with pytest.raises(ImpossibleFact, match="first row"):
        story.tell(AccountOpened(mode="paper", broker="paper", currency="USD"))


def test_attention_is_counted() -> None:
    """Every time a person is asked to look counts once, within a cycle and without."""
    story = Story().opens(SELL)
    version = story.cycle.version
    story.tell(AttentionRaised(rule="x", text="y"), AttentionRaised(rule="x", text="y", cycle_id="c-1"))
    assert (story.state.attention, story.cycle.version) == (2, version + 1)


def test_the_same_facts_give_the_same_state() -> None:
    """Folding the rows once more gives the same account: nothing is kept that the facts do not say."""
    story = Story(held=[position("AAA", 100)]).opens(SELL, BUY).sends("S0").acknowledges("S0").fills("S0", 30)
    story.asks_cancel("S0").cancels("S0").sells_close().observes("10300").resumes(2)
    story.tell(CommandAnswered(command="x", accepted=False, answer="", author="ann", inbox_id=3))
    again = AccountState("test")
    for row in story.rows:
        again.apply(row)
    assert again.orders == story.state.orders
    assert again.cycle is not None
    assert vars(again.cycle) == vars(story.cycle)
    assert {n: v for n, v in vars(again).items() if n != "cycle"} == {
        n: v for n, v in vars(story.state).items() if n != "cycle"
    }
