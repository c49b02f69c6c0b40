"""What a revalidation looks at, what it counts, and the row that each buy gets from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.engine.orders import Look, NextDay, ReadFunds, Stop, Wait
from oms.model.detail import HaltScope, RevalidationInputs
from oms.model.event import BuysRevalidated, ExternalOrderSeen, Halted, OrderBlocked, OrderPlanned
from oms.model.order import Side
from oms.model.rules import FundsPolicy, Rules
from oms.model.state import Holding
from tests.engine.glance import decided, glance, kinds
from tests.model.story import SESSION, Story, funds, intent, position, quote

SELL, BUY = intent("S0", "AAA"), intent("B0", "CCC")


def revalidating(*buys: Any, spendable: str = "11000", held: Any = ()) -> Story:
    """One sell filled for 1,000, and its money there."""
    story = Story(held=held).opens(SELL, *buys).sends("S0").acknowledges("S0").fills("S0").sells_close()
    return story.settles(spendable)


def inputs(story: Story, **changes: Any) -> RevalidationInputs:
    found = decided(story, glance(story, **changes)).events[0]
    assert isinstance(found, BuysRevalidated)
    return found.inputs


def test_a_sell_that_is_found_after_the_money_came_is_followed_to_its_end_first() -> None:
    """It was parked, and the broker shows it after all: no buy is decided while it may trade."""
    story = (
        Story().opens(SELL, BUY).sends("S0").doubts("S0").quarantines("S0").sells_close().settles().acknowledges("S0")
    )
    decision = decided(story)
    assert isinstance(decision.then, Wait)
    assert "1 sell order to be closed" in decision.then.why


def test_a_day_that_is_only_played_is_left_for_that_of_the_settlement() -> None:
    """Under `settled_cash`, by a process that entered the cycle's own day again; a day of the world has to be waited for."""
    rules = Rules(funds=FundsPolicy.SETTLED_CASH)
    story = revalidating(BUY)
    assert decided(story, glance(story, plays_days=True), rules).then == NextDay()
    assert decided(story, glance(story, plays_days=False, quotes_at=None), rules).then == Look(symbols=("CCC",))
    assert decided(story, glance(story, plays_days=True, quotes_at=None)).then == Look(symbols=("CCC",))


def test_a_halt_keeps_no_cycle_open_that_has_no_buys() -> None:
    """There is nothing that the brake could stop."""
    halt = Halted(scope=HaltScope.ALL, reason="", author="ann")
    assert kinds(decided(revalidating().tell(halt))) == ["buys_revalidated"]
    assert isinstance(decided(revalidating(BUY).tell(halt)).then, Stop)


def test_funds_that_are_no_number_hold_the_buys() -> None:
    """They are read again, and nothing is decided from them."""
    story = revalidating(BUY)
    seen = glance(story, funds=funds("NaN", glance(story).now))
    decision = decided(story, seen)
    assert decision.events == ()
    assert isinstance(decision.then, Wait)
    assert decided(story, replace(seen, now=seen.now + Rules().poll)).then == ReadFunds()


def test_without_a_session_the_market_is_closed() -> None:
    """Every buy is blocked by that rule."""
    story = revalidating(BUY)
    assert inputs(story, session=None).blocked_by == "market_closed"
    assert inputs(story).blocked_by is None


@pytest.mark.parametrize(("rejected", "rule"), [(1, None), (2, None), (3, "repeated_rejections")])
def test_each_rejection_counts_once(rejected: int, rule: str | None) -> None:
    """The third of one cycle stops its buys."""
    sells = [intent(f"S{n}", symbol) for n, symbol in enumerate(("AAA", "BBB", "EEE", "FFF"))]
    story = Story().opens(*sells, BUY)
    for number, sell in enumerate(sells):
        story.sends(sell.cl_ord_id)
        if number < rejected:
            story.rejects(sell.cl_ord_id)
        else:
            story.cancels(sell.cl_ord_id)
    assert inputs(story.sells_close().settles()).blocked_by == rule


FOREIGN: dict[str, tuple[dict[str, Any], bool]] = {
    "an open buy at the market": ({}, True),
    "an open sell at the market": ({"side": Side.SELL}, False),
    "a closed buy at the market": ({"open": False}, False),
    "a closed sell at the market": ({"open": False, "side": Side.SELL}, False),
}


def foreign(**changes: Any) -> ExternalOrderSeen:
    known: dict[str, Any] = {
        "symbol": "ZZZ",
        "order_id": "x",
        "side": Side.BUY,
        "order_qty": Decimal(10),
        "cum_qty": Decimal(0),
        "price": None,
        "raw_status": "told",
    }
    return ExternalOrderSeen(**(known | changes))


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("price", [None, Decimal(40)], ids=["without a price", "with a price"])
def test_only_open_buys_of_others_are_looked_up_and_counted(name: str, price: Decimal | None) -> None:
    """At their own limit, or at the quote where they have none."""
    changes, counts = FOREIGN[name]
    story = revalidating(BUY).tell(foreign(**changes, price=price))
    wanted = ("CCC", "ZZZ") if counts and price is None else ("CCC",)
    assert decided(story, glance(story, quotes_at=None)).then == Look(symbols=wanted)
    now = glance(story).now
    quotes = {"CCC": quote("CCC", "10", now), "ZZZ": quote("ZZZ", "50", now)}
    value = 10 * (price or Decimal(50)) if counts else Decimal(0)
    assert inputs(story, quotes=quotes).reserved == value * Decimal("1.001")


@pytest.mark.parametrize(("price", "loss"), [("9", "100"), ("11", "0")])
def test_a_loss_of_the_day_is_a_positive_figure_and_a_profit_is_no_loss(price: str, loss: str) -> None:
    """A hundred shares that cost 1,000, sold for 900 and for 1,100."""
    story = Story(held=[position("AAA", 100)]).opens(SELL, BUY).sends("S0").fills("S0", price=price).sells_close()
    assert inputs(story.settles()).loss_today == Decimal(loss)


@pytest.mark.parametrize(
    ("there", "here", "held"),
    [
        ("20", "30", "30"),
        ("30", "20", "30"),
        ("30", "30", "30"),
        ("NaN", "30", "NaN"),
        (None, "30", "30"),
        (None, "1", "1"),
        (None, "0", None),
        ("0", "0", "0"),
    ],
)
def test_the_higher_of_what_broker_and_journal_hold_counts(there: str | None, here: str, held: str | None) -> None:
    """A position that lags behind our own fills leaves no room for more; a figure that is none is left for its rule."""
    story = revalidating(BUY)
    story.state.holdings["CCC"] = Holding(qty=Decimal(here))
    positions = {} if there is None else {"CCC": position("CCC", there)}
    found = inputs(story, positions=positions).held
    assert [str(each.qty) for each in found if each.symbol == "CCC"] == ([] if held is None else [held])


def test_every_buy_gets_its_row_and_a_blocked_one_keeps_what_was_planned() -> None:
    """One is cut, one stays, and one gets nothing: its row shows the wish, and the next one the rule."""
    plan = (
        intent("B0", "CCC", 100, "40", score=Decimal(3)),
        intent("B1", "DDD", 200, "40", score=Decimal(2)),
        intent("B2", "EEE", 50, "40", score=Decimal(1)),
    )
    story = revalidating(*plan)
    now = glance(story).now
    quotes = {symbol: quote(symbol, "39.80", now) for symbol in ("CCC", "DDD", "EEE")}
    events = decided(story, glance(story, quotes=quotes)).events
    planned = {event.symbol: event.order_qty for event in events if isinstance(event, OrderPlanned)}
    blocked = [(event.symbol, event.limit, event.value) for event in events if isinstance(event, OrderBlocked)]
    assert planned["CCC"] == 100
    assert 0 < planned["DDD"] < 200
    assert planned["EEE"] == 50
    assert blocked == [("EEE", "50", "0")]


def test_the_last_minutes_begin_at_their_instant() -> None:
    """A microsecond before it buys are decided, from it on they are blocked."""
    story = revalidating(BUY)
    last = SESSION.closes - Rules().no_buys_before_close
    assert inputs(story, market_time=last - timedelta(microseconds=1)).blocked_by is None
    assert inputs(story, market_time=last).blocked_by == "no_buys_before_close"


def test_decided_buys_have_their_deadline_from_now_on() -> None:
    """An absolute instant in the journal."""
    story = revalidating(BUY)
    seen = glance(story)
    found = decided(story, seen).events[0]
    assert isinstance(found, BuysRevalidated)
    assert found.deadline == seen.now + Rules().order_deadline
