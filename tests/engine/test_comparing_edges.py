"""Differences at their edges: each ratio of a split, costs that a broker does not tell, and what passes for a new symbol."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from oms.model.difference import Difference, DifferenceKind
from oms.model.order import Side
from oms.ports import OrdersRead
from tests.engine.glance import report
from tests.engine.test_comparing import account, compared, foreign, only, position, working
from tests.model.story import START

SPLITS = [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (15, 1), (20, 1), (25, 1), (30, 1), (50, 1)]
SPLITS += [(1, old) for old in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100)]
SPLITS += [(3, 2), (4, 3), (5, 2), (5, 4)]
MANY = 8_400
"""Shares that every ratio divides."""


class TestSplits:
    """A ratio that companies use, and a cost that stayed."""

    @pytest.mark.parametrize(("new", "old"), SPLITS, ids=str)
    def test_each_ratio_is_known(self, new: int, old: int) -> None:
        """It is named as new shares for old ones, and the cost stays what it was."""
        there = Decimal(MANY) * new / old
        found = only(account(position("AAA", str(MANY))), position("AAA", f"{there:f}", avg_cost=f"{84_000 / there:f}"))
        assert found.kind is DifferenceKind.CORPORATE_ACTION
        assert f"likely a split, {new} new shares for {old}" in found.text
        assert found.cost == Decimal(84_000)

    @pytest.mark.parametrize("there", ["7", "9", "8390", "16790", "8410"])
    def test_any_other_number_is_no_split(self, there: str) -> None:
        """However near."""
        kind = only(
            account(position("AAA", str(MANY))), position("AAA", there, avg_cost=f"{84_000 / Decimal(there):f}")
        ).kind
        assert kind in (DifferenceKind.MISSING, DifferenceKind.SURPLUS)

    def test_fractions_may_have_been_paid_out(self) -> None:
        """Half of 101 shares are 50, and half a share in cash."""
        found = only(account(position("AAA", "101")), position("AAA", "50", avg_cost="20.2"))
        assert "1 new shares for 2" in found.text
        kept = only(account(position("AAA", "101")), position("AAA", "50.5", avg_cost="20"))
        assert "1 new shares for 2" in kept.text

    @pytest.mark.parametrize(
        ("avg_cost", "is_split"),
        [
            ("5.10", True),
            ("5.1001", False),
            ("4.90", True),
            ("4.8999", False),
            ("0", True),
            ("NaN", True),
            ("-1", True),
        ],
    )
    def test_the_cost_of_a_holding_stays_within_two_per_cent(self, avg_cost: str, is_split: bool) -> None:
        """A broker that tells none leaves it to the ratio."""
        found = only(account(position("AAA", "100")), position("AAA", "200", avg_cost=avg_cost))
        assert (found.kind is DifferenceKind.CORPORATE_ACTION) is is_split

    @pytest.mark.parametrize(("here", "there"), [(("100", "0.40"), ("200", "0.50")), (("1", "0.80"), ("2", "5"))])
    def test_a_cost_that_is_told_counts_however_small(self, here: tuple[str, str], there: tuple[str, str]) -> None:
        """Of a share that costs less than one, and of a holding that did."""
        found = only(account(position("AAA", here[0], avg_cost=here[1])), position("AAA", there[0], avg_cost=there[1]))
        assert found.kind is DifferenceKind.SURPLUS

    def test_a_holding_without_a_cost_is_judged_by_its_ratio(self) -> None:
        """Such as shares that were given away."""
        found = only(account(position("AAA", "100", avg_cost="0")), position("AAA", "200", avg_cost="5"))
        assert found.kind is DifferenceKind.CORPORATE_ACTION

    @pytest.mark.parametrize(
        ("here", "there"), [("0", "10"), ("10", "0"), ("-10", "-20"), ("-10", "20"), ("10", "-20")]
    )
    def test_nothing_and_debts_are_not_split(self, here: str, there: str) -> None:
        """There is no ratio to or from nothing."""
        shown = [] if there == "0" else [position("AAA", there, avg_cost="5")]
        (found,) = compared(account(position("AAA", here)), *shown)
        assert found.kind in (DifferenceKind.MISSING, DifferenceKind.SURPLUS)

    def test_one_share_becomes_two(self) -> None:
        """The smallest split there is, and the smallest that is taken together."""
        assert (
            only(account(position("AAA", "1")), position("AAA", "2", avg_cost="5")).kind
            is DifferenceKind.CORPORATE_ACTION
        )
        assert (
            only(account(position("AAA", "2")), position("AAA", "1", avg_cost="20")).kind
            is DifferenceKind.CORPORATE_ACTION
        )

    def test_where_somebody_traded_no_split_is_seen(self) -> None:
        """Though the ratio would fit."""
        story = account(position("AAA", "100")).tell(foreign("AAA", Side.BUY, "20"))
        assert only(story, position("AAA", "200", avg_cost="5")).kind is DifferenceKind.SURPLUS

    def test_trades_of_another_symbol_explain_nothing_here(self) -> None:
        """Nor do orders that have filled nothing yet."""
        story = account(position("AAA", "100")).tell(
            foreign("BBB", Side.BUY, "30", order_id="X1"), foreign("AAA", Side.BUY, "30", order_id="X2", open_=True)
        )
        found = next(each for each in compared(story, position("AAA", "130")) if each.order is None)
        assert found.kind is DifferenceKind.SURPLUS
        split = next(each for each in compared(story, position("AAA", "200", avg_cost="5")) if each.order is None)
        assert split.kind is DifferenceKind.CORPORATE_ACTION


class TestCosts:
    """What the shares at the broker did cost, for an adoption."""

    @pytest.mark.parametrize(
        ("avg_cost", "cost"), [("12", "1560"), ("0.5", "65"), ("0", "1300"), ("-1", "1300"), ("NaN", "1300")]
    )
    def test_by_the_brokers_average_else_in_proportion(self, avg_cost: str, cost: str) -> None:
        """130 of 100 shares that did cost 10 each."""
        assert only(account(position("AAA", "100")), position("AAA", "130", avg_cost=avg_cost)).cost == Decimal(cost)

    def test_of_shares_that_the_journal_never_had_nothing_is_known(self) -> None:
        """Without the broker's word they did cost nothing."""
        assert only(account(), position("AAA", "130", avg_cost="0")).cost == Decimal(0)

    def test_fewer_and_more(self) -> None:
        """By one share either way."""
        assert only(account(position("AAA", "100")), position("AAA", "99")).kind is DifferenceKind.MISSING
        assert only(account(position("AAA", "100")), position("AAA", "101")).kind is DifferenceKind.SURPLUS
        assert only(account(position("AAA", "100")), position("AAA", "100.5")).kind is DifferenceKind.SURPLUS


class TestNewSymbols:
    """Shares that are gone, and as many that have come."""

    def kinds(self, *found: Difference) -> list[DifferenceKind]:
        return [each.kind for each in found]

    def test_as_many_of_one_symbol_for_another(self) -> None:
        """Both sides of it are told, with the cost moved over."""
        old, new = compared(account(position("AAA", "100")), position("BBB", "100"))
        assert self.kinds(old, new) == [DifferenceKind.CORPORATE_ACTION] * 2
        assert (old.cost, new.cost) == (Decimal(0), Decimal(1000))

    @pytest.mark.parametrize(
        ("held", "shown"),
        [
            (["AAA:100"], ["BBB:99"]),
            (["AAA:100", "CCC:100"], ["BBB:100"]),
            (["AAA:100"], ["BBB:100", "CCC:100"]),
            (["AAA:100", "BBB:50"], ["BBB:150"]),
            (["AAA:100"], ["AAA:50", "BBB:50"]),
            (["AAA:100"], ["AAA:50", "BBB:100"]),
            (["AAA:100", "BBB:10"], ["BBB:100"]),
        ],
    )
    def test_anything_else_is_no_new_symbol(self, held: list[str], shown: list[str]) -> None:
        """Another number, two that went, two that came, one that was there before, one that is not all gone."""
        split = [each.split(":") for each in held]
        story = account(*(position(symbol, qty) for symbol, qty in split))
        found = compared(story, *(position(*each.split(":")) for each in shown))
        assert all("new symbol" not in each.text for each in found)
        assert len(found) >= 2

    @pytest.mark.parametrize("traded", ["AAA", "BBB"])
    def test_what_somebody_traded_is_no_new_symbol(self, traded: str) -> None:
        """On either side."""
        story = account(position("AAA", "100")).tell(foreign(traded, Side.BUY, "7"))
        assert all("new symbol" not in each.text for each in compared(story, position("BBB", "100")))


class TestOrders:
    """Differences about orders."""

    def test_an_order_at_the_market_has_no_price(self) -> None:
        """It is said in words."""
        story = account().tell(foreign("AAA", Side.BUY, "30", open_=True))
        assert "BUY 30 AAA at 10, 0 filled (X1)" in only(story).text
        story = account().tell(replace(foreign("AAA", Side.BUY, "30", open_=True), price=None))
        assert "BUY 30 AAA at the market, 0 filled (X1)" in only(story).text

    def test_a_figure_that_is_no_number_is_no_fill(self) -> None:
        """It neither ends the comparison nor is told as one."""
        story = working()
        shown = replace(report(story.order("S0")), cum_qty=Decimal("NaN"))
        read = OrdersRead(orders=(shown,), complete=True, asked_at=START)
        assert compared(story, position("AAA", "100"), read=read) == []

    def test_only_a_live_order_can_be_missing(self) -> None:
        """One in doubt, or closed, is not, and none is in a reading that is not complete."""
        story = working()
        nothing = OrdersRead(orders=(), complete=True, asked_at=START)
        (found,) = compared(story, position("AAA", "100"), read=nothing)
        assert found.kind is DifferenceKind.MISSING_ORDER
        assert compared(story, position("AAA", "100"), read=replace(nothing, complete=False)) == []
        story.doubts("S0", raw="PartiallyWhat")
        assert compared(story, position("AAA", "100"), read=nothing) == []
        story.acknowledges("S0").cancels("S0")
        assert compared(story, position("AAA", "100"), read=nothing) == []
