"""The plan at its edges: what is free to be sold, how much room a cap leaves, and which price a wish gets."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from oms.model.order import Side
from oms.model.plan import Market, Plan, make_plan, promised_of
from oms.model.rules import Rules
from oms.model.settlement import HeldBack
from oms.model.signal import Signal, Signals
from tests.model.story import DAY, Story, funds, intent, position, quote
from tests.model.test_plan import SEEN, buy, sell


def plan(*wishes: Signal, seen: Market = SEEN, orders: Any = (), rules: Rules | None = None) -> Plan:
    signals = Signals(signals=wishes, source="test", digest="0")
    return make_plan(signals, seen, orders, rules or Rules(), account="test", cycle_id="c-1")


def back(free: int, symbol: str = "AAA") -> HeldBack:
    """So many of the shares may be sold; the others, 100 in all, were bought with unsettled money."""
    return HeldBack(symbol=symbol, free=free, qty=100 - free, until=DAY, rule="good_faith")


def held_back(free: int) -> Market:
    return replace(SEEN, held_back={"AAA": back(free)})


class TestWhole:
    """The plan as a whole."""

    def test_a_plan_is_empty_without_either_side(self) -> None:
        """One sell, or one buy, and it is not."""
        assert plan().is_empty
        assert not plan(sell("AAA", 1)).is_empty
        assert not plan(buy("CCC", 10)).is_empty

    def test_a_wish_for_nothing_is_left_out_and_the_next_is_not(self) -> None:
        """A sell of what is not held leaves no gap in the order of the others."""
        made = plan(sell("CCC"), sell("AAA", 5), buy("ZZZ"), buy("CCC", 10))
        assert [(each.symbol, each.index) for each in (*made.sells, *made.buys)] == [("AAA", 0), ("CCC", 0)]

    def test_the_second_wish_for_a_symbol_says_why_it_is_refused(self) -> None:
        """With the rule and a sentence."""
        (_, second) = plan(sell("AAA", 5), sell("AAA", 6)).sells
        assert (second.rule, bool(second.reason)) == ("duplicate_symbol", True)


class TestSells:
    """What may be sold."""

    def test_promised_shares_are_those_of_open_sells_of_the_symbol(self) -> None:
        """Not of another symbol, not of buys, not of what is closed."""
        story = Story().opens(
            intent("S0", "AAA", 40), intent("S1", "BBB", 30), intent("S2", "EEE", 20), intent("B0", "CCC")
        )
        story.sends("S0").acknowledges("S0").fills("S0", 15).sends("S1").fills("S1")
        orders = story.state.orders
        assert promised_of(orders, "AAA") == 25
        assert promised_of(orders, "BBB") == 0
        assert promised_of(orders, "EEE") == 20
        bought = Story().buying(intent("B0", "CCC"))
        assert promised_of(bought.state.orders, "CCC") == 0

    def test_everything_that_is_free(self) -> None:
        """A wish without a quantity sells whole shares that are held, free of promises, and of faith."""
        assert plan(sell("AAA")).sells[0].quantity == 100
        assert plan(sell("AAA"), seen=held_back(40)).sells[0].quantity == 40
        promised = Story().opens(intent("S0", "AAA", 30)).state.orders
        assert plan(sell("AAA"), seen=held_back(40), orders=promised).sells[0].quantity == 10
        assert plan(sell("AAA"), seen=held_back(140)).sells[0].quantity == 100

    @pytest.mark.parametrize("promised", [40, 41])
    def test_where_nothing_is_free_yet_it_says_why(self, promised: int) -> None:
        """All of the shares are in the plan with the rule that keeps them, so that a person sees it."""
        orders = Story().opens(intent("S0", "AAA", promised)).state.orders
        (only,) = plan(sell("AAA"), seen=held_back(40), orders=orders).sells
        assert (only.quantity, only.rule) == (100 - promised, "good_faith")

    def test_a_position_that_is_owed_sells_nothing(self) -> None:
        """Less than nothing is not one share."""
        short = replace(SEEN, positions={"AAA": position("AAA", -5)})
        assert plan(sell("AAA"), seen=short).sells == ()
        (asked,) = plan(sell("AAA", 1), seen=short).sells
        assert asked.rule == "no_short"

    def test_a_limit_of_its_own_waits_for_no_fair_price(self) -> None:
        """Of a sell and of a buy; a buy without one must be buyable within its collar."""
        cheap = replace(SEEN, quotes={"AAA": quote("AAA", "0.004"), "CCC": quote("CCC", "0.004")})
        with_limit = Signal(side=Side.BUY, symbol="CCC", quantity=10, price=Decimal("0.01"))
        made = plan(sell("AAA", 5), with_limit, seen=cheap)
        assert (made.sells[0].rule, made.buys[0].rule, made.buys[0].limit) == (None, None, Decimal("0.01"))
        (unpriced,) = plan(buy("CCC", 10), seen=cheap).buys
        assert (unpriced.rule, unpriced.worst_px) == ("no_quote", Decimal(0))


class TestRoom:
    """How many shares a buy without a quantity takes."""

    RULES = Rules(max_position_value=Decimal(10_000), max_order_value=Decimal(8_000), collar=Decimal(0))

    def room(self, held: int = 0, last: str = "10", rules: Rules | None = None, lot: int = 1) -> int:
        shown = {"CCC": position("CCC", held)} if held else {}
        seen = Market(funds=funds(10_000), positions=shown, quotes={"CCC": quote("CCC", last, lot=lot)})
        made = plan(buy("CCC"), seen=seen, rules=rules or self.RULES).buys
        return made[0].quantity if made else 0

    def test_the_smaller_of_both_caps_counts(self) -> None:
        """Of an order, until what is held leaves less room in the position."""
        assert self.room() == 800
        assert self.room(held=200) == 800
        assert self.room(held=201) == 799
        assert self.room(held=950) == 50
        assert self.room(held=2_000) == 0

    def test_what_is_held_counts_at_the_higher_price(self) -> None:
        """At the limit of the buy, which stands a collar above the price."""
        rules = replace(self.RULES, collar=Decimal("0.10"), max_order_value=Decimal(10_000))
        assert self.room(held=500, rules=rules) == (10_000 - 5_500) // 11

    def test_whole_lots(self) -> None:
        """The rest of a lot is left."""
        assert self.room(held=950, lot=20) == 40

    def test_too_little_is_left_out(self) -> None:
        """Less than min_order_value is no wish; just as much is one."""
        rules = replace(self.RULES, min_order_value=Decimal(500))
        assert self.room(held=950, rules=rules) == 50
        assert self.room(held=951, rules=rules) == 0

    def test_no_price_leaves_no_room(self) -> None:
        """Neither without a quote nor with one that cannot be bought at, however low the smallest order."""
        rules = replace(self.RULES, min_order_value=Decimal(0))
        assert plan(buy("ZZZ"), rules=rules).buys == ()
        unbuyable = Market(funds=funds(1), positions={}, quotes={"CCC": quote("CCC", "0.004")})
        assert plan(buy("CCC"), seen=unbuyable, rules=rules).buys == ()

    def test_a_full_position_leaves_no_wish_for_no_shares(self) -> None:
        """Without a smallest order a buy of nothing stood in the plan."""
        rules = replace(self.RULES, min_order_value=Decimal(0))
        full = Market(funds=funds(1), positions={"CCC": position("CCC", 1_000)}, quotes={"CCC": quote("CCC", "10")})
        assert plan(buy("CCC"), seen=full, rules=rules).buys == ()
        one = replace(full, positions={"CCC": position("CCC", 999)})
        assert [each.quantity for each in plan(buy("CCC"), seen=one, rules=rules).buys] == [1]
