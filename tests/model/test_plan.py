"""From wishes to intents: each with its limit, its key, and the rule that refuses it where one does."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oms.model.order import OrdType, Side
from oms.model.plan import Market, Plan, cl_ord_id, make_plan
from oms.model.rules import Rules
from oms.model.signal import Signal, Signals
from tests.model.story import Story, funds, intent, position, quote


def wish(
    side: Side, symbol: str, quantity: int | None = None, price: str | None = None, score: int | None = None
) -> Signal:
    return Signal(
        side=side,
        symbol=symbol,
        quantity=quantity,
        price=None if price is None else Decimal(price),
        score=None if score is None else Decimal(score),
    )


def sell(symbol: str, quantity: int | None = None, price: str | None = None) -> Signal:
    return wish(Side.SELL, symbol, quantity, price)


def buy(symbol: str, quantity: int | None = None, price: str | None = None) -> Signal:
    return wish(Side.BUY, symbol, quantity, price)


SEEN = Market(
    funds=funds(10_000),
    positions={"AAA": position("AAA", 100), "BBB": position("BBB", "50.5", "30.5")},
    quotes={"AAA": quote("AAA", "50"), "BBB": quote("BBB", "20"), "CCC": quote("CCC", "100", lot=10)},
)


def plan(*wishes: Signal, orders: Any = (), rules: Rules | None = None) -> Plan:
    signals = Signals(signals=wishes, source="test", digest="0")
    return make_plan(signals, SEEN, orders, rules or Rules(), account="test", cycle_id="c-1")


def test_a_key_is_the_same_for_the_same_place() -> None:
    """Account, cycle, side and index make the key; each of them changes it; it is short and plain."""
    key = cl_ord_id("test", "c-1", Side.SELL, 0)
    assert key == cl_ord_id("test", "c-1", Side.SELL, 0)
    others = {
        cl_ord_id("other", "c-1", Side.SELL, 0),
        cl_ord_id("test", "c-2", Side.SELL, 0),
        cl_ord_id("test", "c-1", Side.BUY, 0),
        cl_ord_id("test", "c-1", Side.SELL, 1),
    }
    assert key not in others
    assert len(others) == 4


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(Side), st.integers(0, 10_000))
def test_a_key_has_at_most_32_plain_characters(account: str, cycle_id: str, side: Side, index: int) -> None:
    """Whatever goes in, the broker can carry what comes out."""
    key = cl_ord_id(account, cycle_id, side, index)
    assert key.isascii()
    assert key.isprintable()
    assert len(key) <= 32


def test_sells_and_buys_keep_their_order_and_get_their_limits() -> None:
    """The quote less the collar for a sell, plus the collar for a buy."""
    made = plan(sell("AAA", 10), buy("CCC", 20), sell("BBB", 5))
    assert [(i.symbol, i.index, i.limit) for i in made.sells] == [
        ("AAA", 0, Decimal("49.75")),
        ("BBB", 1, Decimal("19.90")),
    ]
    assert [(i.symbol, i.index, i.limit) for i in made.buys] == [("CCC", 0, Decimal("100.50"))]


def test_a_wish_without_quantity_takes_what_there_is() -> None:
    """All whole shares that can be sold; as many as the caps leave room for, in whole lots."""
    made = plan(sell("AAA"), sell("BBB"), buy("CCC"))
    assert [i.quantity for i in made.sells] == [100, 30]
    assert [i.quantity for i in made.buys] == [90]


def test_nothing_to_sell_and_nothing_to_buy_is_no_intent() -> None:
    """A wish for all of nothing is left out, so that a plan may be empty."""
    assert plan(sell("CCC")).is_empty
    assert plan(buy("ZZZ")).is_empty


def test_nobody_goes_short() -> None:
    """One share more than is held, or than is not being sold already, is refused with both numbers."""
    assert plan(sell("AAA", 100)).sells[0].rule is None
    (refused,) = plan(sell("AAA", 101)).sells
    assert refused.rule == "no_short"
    assert "101" in refused.reason
    assert "100" in refused.reason


def test_an_unresolved_sell_counts_as_sold() -> None:
    """Shares of a sell in doubt or in quarantine are promised; those of a closed one are not."""
    for deed in ("doubts", "quarantines"):
        story = Story().opens(intent("S0", "AAA", 60)).sends("S0").doubts("S0")
        getattr(story, deed)("S0")
        assert plan(sell("AAA", 40), orders=story.state.orders).sells[0].rule is None
        assert plan(sell("AAA", 41), orders=story.state.orders).sells[0].rule == "no_short"
        assert plan(sell("AAA"), orders=story.state.orders).sells[0].quantity == 40
    story.voids("S0")
    assert plan(sell("AAA"), orders=story.state.orders).sells[0].quantity == 100


def test_a_plans_own_limit_travels_with_a_sell() -> None:
    """A price in the file is the plan's limit."""
    assert plan(sell("AAA", 1, "51.11")).sells[0].limit == Decimal("51.11")


def test_a_market_order_has_no_limit_and_a_worst_price() -> None:
    """Market orders only by configuration, and never where the plan names a price."""
    rules = Rules(ord_type=OrdType.MARKET)
    free, bound = plan(sell("AAA", 1), sell("BBB", 1, "21"), rules=rules).sells
    assert (free.ord_type, free.limit, free.worst_px) == (OrdType.MARKET, None, Decimal("49.75"))
    assert (bound.ord_type, bound.limit) == (OrdType.LIMIT, Decimal(21))


def test_without_a_quote_nothing_is_priced() -> None:
    """The wish stays in the plan with the rule that refuses it."""
    (refused,) = plan(buy("ZZZ", 10, "5")).buys
    assert (refused.rule, refused.quantity) == ("no_quote", 10)


def test_a_symbol_stands_once_in_a_plan_and_on_one_side() -> None:
    """Twice on one side hides a sum, on both sides a trade with oneself: the later wish is refused."""
    made = plan(sell("AAA", 60), sell("AAA", 60), buy("AAA", 10), buy("CCC", 10), buy("CCC", 10), sell("CCC", 1))
    assert [i.rule for i in made.sells] == [None, "duplicate_symbol", "both_sides"]
    assert [i.rule for i in made.buys] == ["both_sides", None, "duplicate_symbol"]


def test_a_share_that_costs_less_than_a_tick_is_not_bought_and_stops_no_other() -> None:
    """No limit lies inside its collar; it used to be divided by, and no cycle with it in its plan could begin."""
    penny = replace(SEEN, quotes={**SEEN.quotes, "PPP": quote("PPP", "0.0099")})
    wishes = buy("PPP"), buy("PPP", 10), buy("CCC", 20), sell("PPP", 1)
    signals = Signals(signals=wishes, source="test", digest="0")
    made = make_plan(signals, penny, (), replace(Rules(), min_order_value=Decimal(0)), account="test", cycle_id="c-1")
    assert [(i.symbol, i.quantity, i.rule) for i in made.buys][-1] == ("CCC", 20, None)
    assert [(i.quantity, i.rule) for i in made.buys if i.symbol == "PPP"] == [(10, "no_quote")]
