"""The money rule: every buy cut to what each rule allows, by arithmetic that can be redone on paper."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.model.account import Funds
from oms.model.detail import Intent, RevalidationInputs, Validated
from oms.model.liquidity import (
    NotFinite,
    budget,
    committed_to,
    cost_ceiling,
    in_priority,
    reserved_for,
    revalidate,
    spendable,
)
from oms.model.order import OrdType, Side
from oms.model.pricing import is_usable, limit_for, to_tick, within_collar
from oms.model.rules import FundsPolicy, Rules
from tests.model.story import START, Story, funds, intent, position, quote

CENT = Decimal("0.01")
PLAIN = Rules(collar=Decimal(0), fee_allowance=Decimal(0), min_order_value=Decimal(0))
"""Rules under which a limit is the quote and nothing is added for fees."""


def inputs(money: str | int = 100_000, *quotes: Any, **changes: Any) -> RevalidationInputs:
    known = RevalidationInputs(
        funds=funds(money),
        spendable=Decimal(money),
        reserved=Decimal(0),
        quotes=quotes or (quote("CCC", "10"), quote("DDD", "10"), quote("EEE", "10")),
        market_time=START,
        held=(),
        committed=(),
        barred=(),
        trades_today=0,
        loss_today=Decimal(0),
    )
    return replace(known, **changes)


def one(buy: Intent, given_inputs: RevalidationInputs, rules: Rules = PLAIN) -> Validated:
    (answer,) = revalidate([buy], given_inputs, rules)
    return answer


BUY = intent("B0", "CCC", 100, "10")


# The examples ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_with_money_enough_a_buy_stays_as_planned() -> None:
    """Nothing binds: the original quantity, and the rule says so."""
    answer = one(BUY, inputs())
    assert (answer.quantity, answer.rule, answer.limit) == (100, "original", Decimal(10))


def test_eighty_per_cent_of_the_funds_are_spent_at_most() -> None:
    """1,000 to spend at 10 a share: 80 shares, and the sentence holds both figures."""
    answer = one(BUY, inputs(1000))
    assert (answer.quantity, answer.rule) == (80, "funds_fraction")
    assert "800" in answer.reason
    assert "1,000" in answer.reason


def test_the_limit_is_the_fresh_quote_and_the_collar() -> None:
    """10.03 and half a per cent is 10.08015: rounded down to the tick, so that it stays inside."""
    answer = one(BUY, inputs(100_000, quote("CCC", "10.03")), replace(PLAIN, collar=Decimal("0.005")))
    assert answer.limit == Decimal("10.08")


def test_a_market_order_has_no_limit_and_is_counted_at_the_collar() -> None:
    """It travels without a price, and its worst price is the one that a limit would have had."""
    market = replace(BUY, ord_type=OrdType.MARKET, limit=None)
    answer = one(market, inputs(), replace(PLAIN, collar=Decimal("0.005")))
    assert (answer.limit, answer.worst_px) == (None, Decimal("10.05"))


def test_a_dearer_share_is_bought_in_a_smaller_number() -> None:
    """100 × 10 was planned; at 12.50 a share the same value buys 80."""
    answer = one(BUY, inputs(100_000, quote("CCC", "12.50")))
    assert (answer.quantity, answer.rule) == (80, "original_value")


def test_a_cheaper_share_is_not_bought_in_a_larger_number() -> None:
    """Never above the original quantity."""
    assert one(BUY, inputs(100_000, quote("CCC", "5"))).quantity == 100


def test_the_position_cap_counts_what_is_held_and_what_is_on_order() -> None:
    """10,000 less 600 shares held at 10 less 2,500 on order leaves 150 shares."""
    big = intent("B0", "CCC", 900, "10")
    answer = one(big, inputs(held=(position("CCC", 600),), committed=(("CCC", Decimal(2500)),)))
    assert (answer.quantity, answer.rule) == (150, "max_position_value")
    assert "6,000.00 held and 2,500.00 on order leave 1,500.00 of 10,000" in answer.reason


def test_a_position_above_the_cap_takes_nothing_more() -> None:
    """Room below zero is no room, not a sale."""
    answer = one(BUY, inputs(held=(position("CCC", 2000),)))
    assert (answer.quantity, answer.rule) == (0, "max_position_value")


def test_the_cap_counts_the_dearer_of_limit_and_price() -> None:
    """A limit rounded down to the tick may lie below the price: 10,000 at 10.009 are 999 shares, not 1,000."""
    answer = one(intent("B0", "CCC", 5000, "10"), inputs(100_000, quote("CCC", "10.009")))
    assert (answer.limit, answer.quantity, answer.rule) == (Decimal("10.00"), 999, "max_position_value")


def test_whole_lots_rounded_down() -> None:
    """With lots of 30, a budget of 80 shares buys 60."""
    assert one(BUY, inputs(1000, quote("CCC", "10", lot=30))).quantity == 60
    nothing = one(BUY, inputs(100_000, quote("CCC", "10", lot=101)))
    assert (nothing.quantity, nothing.rule) == (0, "min_order_value")


def test_the_fee_allowance_is_part_of_the_cost() -> None:
    """800 to spend on shares of 10 with 1 % for fees: 79 × 10.10 = 797.90."""
    answer = one(BUY, inputs(1000), replace(PLAIN, fee_allowance=Decimal("0.01")))
    assert answer.quantity == 79


def test_the_best_score_is_served_first() -> None:
    """Priority is the score; without one the file's order; and the answer keeps the plan's order."""
    buys = [
        intent("B0", "CCC", 100, "10", score=Decimal(60)),
        intent("B1", "DDD", 100, "10", score=Decimal(90)),
        intent("B2", "EEE", 100, "10"),
    ]
    assert [buy.cl_ord_id for buy in in_priority(buys)] == ["B1", "B0", "B2"]
    assert [answer.quantity for answer in revalidate(buys, inputs(1500), PLAIN)] == [20, 100, 0]


def test_equal_scores_are_served_in_the_order_of_the_plan() -> None:
    """A tie is broken by the place in the plan, whatever the order in which the buys are handed over."""
    buys = [intent(f"B{n}", symbol, 100, "10", score=Decimal(70)) for n, symbol in enumerate(("CCC", "DDD", "EEE"))]
    for order in (buys, buys[::-1]):
        assert [buy.cl_ord_id for buy in in_priority(order)] == ["B0", "B1", "B2"]


def test_money_that_is_promised_already_is_not_there() -> None:
    """Reserved for unclosed buys: 800 less 300 leaves 50 shares; more reserved than there is leaves none."""
    assert one(BUY, inputs(1000, reserved=Decimal(300))).quantity == 50
    assert one(BUY, inputs(1000, reserved=Decimal(9000))).quantity == 0
    assert budget(inputs(1000, reserved=Decimal(9000)), PLAIN) == 0


# Both sides of every limit ────────────────────────────────────────────────────────────────────────────────────────

STEP = Decimal("0.01")


@pytest.mark.parametrize(
    ("name", "below", "at", "above"),
    [
        ("max_order_quantity", 99, 100, 100),
        ("max_order_value", 99, 100, 100),
        ("funds", 99, 100, 100),
        ("held", 100, 100, 99),
    ],
)
def test_a_limit_in_shares_binds_from_its_own_value_on(name: str, below: int, at: int, above: int) -> None:
    """One cent or one share below, at, and above the limit that lets exactly 100 shares through."""
    found = []
    for step in (-1, 0, 1):
        rules, given_inputs = PLAIN, inputs()
        match name:
            case "max_order_quantity":
                rules = replace(PLAIN, max_order_quantity=100 + step)
            case "max_order_value":
                rules = replace(PLAIN, max_order_value=1000 + step * STEP)
            case "funds":
                given_inputs = inputs(str(1250 + step * Decimal("0.02")))
            case _:
                given_inputs = inputs(held=(position("CCC", 900 + step),))
        found.append(one(BUY, given_inputs, rules).quantity)
    assert found == [below, at, above]


@pytest.mark.parametrize(
    ("rule", "changes", "rules", "passes"),
    [
        ("min_order_value", {}, {"min_order_value": Decimal("999.99")}, True),
        ("min_order_value", {}, {"min_order_value": Decimal(1000)}, True),
        ("min_order_value", {}, {"min_order_value": Decimal("1000.01")}, False),
        ("max_trades_per_day", {"trades_today": 98}, {}, True),
        ("max_trades_per_day", {"trades_today": 99}, {}, True),
        ("max_trades_per_day", {"trades_today": 100}, {}, False),
        ("daily_loss_limit", {"loss_today": Decimal("99.99")}, {"daily_loss_limit": Decimal(100)}, True),
        ("daily_loss_limit", {"loss_today": Decimal(100)}, {"daily_loss_limit": Decimal(100)}, True),
        ("daily_loss_limit", {"loss_today": Decimal("100.01")}, {"daily_loss_limit": Decimal(100)}, False),
        ("max_quote_age", {"market_time": START + timedelta(seconds=59.999999)}, {}, True),
        ("max_quote_age", {"market_time": START + timedelta(seconds=60)}, {}, True),
        ("max_quote_age", {"market_time": START + timedelta(seconds=60.000001)}, {}, False),
        ("min_price", {}, {"min_price": Decimal("9.99")}, True),
        ("min_price", {}, {"min_price": Decimal(10)}, True),
        ("min_price", {}, {"min_price": Decimal("10.01")}, False),
        ("blacklist", {"barred": (("DDD", "blacklist"),)}, {}, True),
        ("blacklist", {"barred": (("CCC", "blacklist"),)}, {}, False),
        ("unresolved_sell", {"blocked_by": "unresolved_sell"}, {}, False),
        ("no_quote", {"quotes": ()}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "NaN"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "Infinity"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "0"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "-1"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "0.0099"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "10", tick="NaN"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "10", tick="0"),)}, {}, False),
        ("no_quote", {"quotes": (quote("CCC", "10", lot=0),)}, {}, False),
        ("max_position_value", {"held": (position("CCC", "NaN"),)}, {}, False),
        ("max_position_value", {"held": (position("CCC", "-Infinity"),)}, {}, False),
    ],
)
def test_a_rule_refuses_beyond_its_limit_and_only_there(
    rule: str, changes: dict[str, Any], rules: dict[str, Any], passes: bool
) -> None:
    """Accept if within: what is not a number is never within, and the refusal names its rule and its figures."""
    answer = one(BUY, inputs(**changes), replace(PLAIN, **rules))
    assert answer.quantity == (100 if passes else 0)
    assert answer.rule == ("original" if passes else rule)
    assert passes or answer.reason


def test_trades_that_are_promised_in_this_plan_count() -> None:
    """With one trade left the best buy takes it, and the next is refused."""
    buys = [intent("B0", "CCC", 10, "10", score=Decimal(1)), intent("B1", "DDD", 10, "10", score=Decimal(2))]
    first, second = revalidate(buys, inputs(trades_today=99), PLAIN)
    assert (first.rule, second.quantity) == ("max_trades_per_day", 10)


def test_each_buy_takes_one_trade_of_the_day() -> None:
    """With two trades left, two of three buys are made."""
    buys = [intent(f"B{n}", symbol, 10, "10") for n, symbol in enumerate(("CCC", "DDD", "EEE"))]
    assert [answer.quantity for answer in revalidate(buys, inputs(trades_today=98), PLAIN)] == [10, 10, 0]


def test_a_budget_is_whole_cents_rounded_down() -> None:
    """80 % of 1,000.02 are 800.016: 800.01 may be spent."""
    assert budget(inputs("1000.02"), PLAIN) == Decimal("800.01")


def test_what_is_held_is_counted_up_to_the_cent() -> None:
    """One share at 10.001 counts as 10.01: a second would make 20.002, more than a cap of 20.001."""
    rules = replace(PLAIN, max_position_value=Decimal("20.001"))
    world = inputs(100_000, quote("CCC", "10.001", tick="0.001"), held=(position("CCC", 1),))
    answer = one(BUY, world, rules)
    assert (answer.quantity, answer.rule) == (0, "max_position_value")


def test_what_the_plan_refused_stays_refused() -> None:
    """A wish that a rule refused when the plan was made keeps that rule and its reason."""
    answer = one(replace(BUY, rule="both_sides", reason="told"), inputs())
    assert (answer.quantity, answer.rule, answer.reason) == (0, "both_sides", "told")


def test_a_share_that_costs_less_than_a_tick_is_refused_and_the_others_are_bought() -> None:
    """Rounded down to the tick its limit is zero, which buys nothing; it used to end the process, at every start again."""
    buys = [intent("B0", "CCC", 10, "0.01"), intent("B1", "DDD", 10, "10")]
    penny, other = revalidate(buys, inputs(100_000, quote("CCC", "0.0099"), quote("DDD", "10")), PLAIN)
    assert (penny.quantity, penny.rule) == (0, "no_quote")
    assert other.quantity == 10


# Money that may be spent ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(FundsPolicy.CASH, 700), (FundsPolicy.BUYING_POWER, 5000), (FundsPolicy.SETTLED_CASH, 300)],
)
def test_each_policy_has_its_figure(policy: FundsPolicy, expected: int) -> None:
    """Cash less locked; the broker's buying power; the same as cash less what is in transit."""
    reading = funds(1000, locked="200", available="700", settled_cash="500", buying_power="5000")
    assert spendable(reading, policy) == expected


def test_the_brokers_own_figure_caps_cash() -> None:
    """Cash is never more than what the broker says may be traded with."""
    assert spendable(funds(1000, available="100"), FundsPolicy.CASH) == 100


@pytest.mark.parametrize("policy", [FundsPolicy.CASH, FundsPolicy.SETTLED_CASH])
def test_what_is_locked_cannot_be_spent(policy: FundsPolicy) -> None:
    """Of 1,000 of which 400 are locked, 600 are left, however much the broker would let be traded."""
    assert spendable(funds(1000, locked="400", available="9000", settled_cash="9000"), policy) == 600


def test_what_is_in_transit_by_our_own_ledger_is_not_settled() -> None:
    """The broker calls all of 1,000 settled, the ledger knows 300 of it to be on the way; locked money comes off too."""
    reading = funds(1000, locked="100", available="9000")
    assert spendable(reading, FundsPolicy.SETTLED_CASH, Decimal(300)) == 600
    assert spendable(reading, FundsPolicy.CASH, Decimal(300)) == 900
    owed = funds(1000, locked="100", available="9000", settled_cash="9000")
    assert spendable(owed, FundsPolicy.SETTLED_CASH, Decimal(-300)) == 900, "what is owed makes nobody richer"


@pytest.mark.parametrize("policy", FundsPolicy)
@pytest.mark.parametrize("bad", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_figure_that_is_no_number_is_nothing_to_spend(policy: FundsPolicy, bad: str) -> None:
    """Any of the figures that a policy needs raises, whatever the others are, and however they would cancel out."""
    used = {
        FundsPolicy.CASH: ("cash", "locked", "available"),
        FundsPolicy.BUYING_POWER: ("buying_power",),
        FundsPolicy.SETTLED_CASH: ("cash", "locked", "available", "settled_cash"),
    }[policy]

    def spoilt(*names: str) -> Funds:
        figures: dict[str, Any] = dict.fromkeys(names, Decimal(bad))
        return replace(funds(1000), **figures)

    for name in used:
        with pytest.raises(NotFinite):
            spendable(spoilt(name), policy)
    with pytest.raises(NotFinite):
        spendable(spoilt(*used), policy)


def test_reserved_is_what_unclosed_buys_may_still_cost() -> None:
    """The rest at its worst price with its fees, of live, parked and doubtful buys; closed ones and sells cost nothing."""
    sells = intent("S0", "AAA"), intent("S1", "CCC")
    story = Story().opens(*sells, *(intent(f"B{n}", "DDD" if n == 2 else "CCC", 100, "10") for n in range(4)))
    story.sends("S0").fills("S0").sends("S1").doubts("S1").quarantines("S1").sells_close().settles().revalidates()
    story.sends("B0").acknowledges("B0").fills("B0", 40).sends("B1").doubts("B1").sends("B2").fills("B2")
    orders = story.state.orders
    allowance = Decimal("0.001")
    assert reserved_for(orders, allowance) == Decimal("600.60") + Decimal("1001.00") + Decimal("1001.00")
    assert committed_to(orders) == {"CCC": Decimal(600) + 1000 + 1000}


def test_a_cost_ceiling_is_rounded_up() -> None:
    """A fraction of a cent is a cent."""
    assert cost_ceiling(1, Decimal("0.001"), Decimal(0)) == CENT
    assert cost_ceiling(3, Decimal("1.00"), Decimal("0.001")) == Decimal("3.01")


# Properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

SYMBOLS = [f"S{n}" for n in range(6)]
prices = st.integers(100, 60_000).map(lambda cents: Decimal(cents) / 100)
money = st.integers(0, 5_000_000).map(lambda cents: Decimal(cents) / 100)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Intent], RevalidationInputs, Rules]:
    """A plan of up to six buys in a market that has moved since."""
    count = draw(st.integers(1, 6))
    buys = [
        intent(
            f"B{n}",
            SYMBOLS[n],
            draw(st.integers(1, 500)),
            str(draw(prices)),
            score=draw(st.one_of(st.none(), st.integers(0, 3).map(Decimal))),
        )
        for n in range(count)
    ]
    quotes = [quote(SYMBOLS[n], draw(prices), lot=draw(st.sampled_from([1, 1, 5, 100]))) for n in range(count)]
    world = inputs(
        "0",
        *quotes,
        spendable=draw(money),
        reserved=draw(money) / 10,
        held=tuple(position(SYMBOLS[n], draw(st.integers(0, 300))) for n in range(count) if draw(st.booleans())),
        committed=tuple((SYMBOLS[n], draw(money) / 10) for n in range(count) if draw(st.booleans())),
        trades_today=draw(st.sampled_from([0, 0, 96, 100])),
    )
    fees = draw(st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.05")]))
    return buys, world, Rules(fee_allowance=fees)


def total(answers: Sequence[Validated], rules: Rules) -> Decimal:
    return sum((cost_ceiling(a.quantity, a.worst_px, rules.fee_allowance) for a in answers if a.quantity), Decimal(0))


@given(worlds())
def test_the_bounds_hold(world: tuple[list[Intent], RevalidationInputs, Rules]) -> None:
    """For every plan: the budget with fees, the original quantity and value, the cap, whole lots, the least value."""
    buys, given_inputs, rules = world
    answers = revalidate(buys, given_inputs, rules)
    share = (rules.funds_fraction * given_inputs.spendable).quantize(CENT, rounding=ROUND_FLOOR)
    assert total(answers, rules) <= max(share - given_inputs.reserved, Decimal(0))
    assert given_inputs.trades_today + sum(a.quantity > 0 for a in answers) <= max(100, given_inputs.trades_today)
    held = {p.symbol: p.qty for p in given_inputs.held}
    quotes = {q.symbol: q for q in given_inputs.quotes}
    for buy, answer in zip(buys, answers, strict=True):
        assert answer.cl_ord_id == buy.cl_ord_id
        assert 0 <= answer.quantity <= buy.quantity
        assert answer.quantity * answer.worst_px <= buy.quantity * buy.worst_px
        assert answer.quantity % quotes[buy.symbol].lot == 0
        assert answer.rule
        assert answer.reason
        if answer.quantity:
            counted = max(answer.worst_px, quotes[buy.symbol].last)
            on_order = dict(given_inputs.committed).get(buy.symbol, Decimal(0))
            value = (held.get(buy.symbol, Decimal(0)) + answer.quantity) * counted + on_order
            assert value <= rules.max_position_value
            assert answer.quantity * answer.worst_px >= rules.min_order_value
            assert answer.quantity * answer.worst_px <= rules.max_order_value


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_plan_does_not_matter(
    world: tuple[list[Intent], RevalidationInputs, Rules], chance: random.Random
) -> None:
    """Handed over in another order, every buy gets the same answer."""
    buys, given_inputs, rules = world
    shuffled = buys.copy()
    chance.shuffle(shuffled)
    first = {a.cl_ord_id: a for a in revalidate(buys, given_inputs, rules)}
    assert {a.cl_ord_id: a for a in revalidate(shuffled, given_inputs, rules)} == first


@given(worlds(), st.integers(1, 1_000_000))
def test_more_money_never_buys_less_of_the_first(
    world: tuple[list[Intent], RevalidationInputs, Rules], cents: int
) -> None:
    """The best buy of a plan grows with the funds; none of it shrinks for there being more."""
    buys, given_inputs, rules = world
    first = in_priority(buys)[0].cl_ord_id
    richer = replace(given_inputs, spendable=given_inputs.spendable + Decimal(cents) / 100)
    before = {a.cl_ord_id: a.quantity for a in revalidate(buys, given_inputs, rules)}[first]
    assert {a.cl_ord_id: a.quantity for a in revalidate(buys, richer, rules)}[first] >= before


@given(worlds())
def test_one_buy_alone_takes_as_much_as_the_rules_allow(world: tuple[list[Intent], RevalidationInputs, Rules]) -> None:
    """One lot more would break the rule that the answer names."""
    buys, given_inputs, rules = world
    answer = one(buys[0], given_inputs, rules)
    lot = next(q.lot for q in given_inputs.quotes if q.symbol == buys[0].symbol)
    more = answer.quantity + lot
    match answer.rule:
        case "original":
            assert more > buys[0].quantity
        case "original_value":
            assert more * answer.worst_px > buys[0].quantity * buys[0].worst_px
        case "funds_fraction":
            assert cost_ceiling(more, answer.worst_px, rules.fee_allowance) > budget(given_inputs, rules)
        case "max_order_value":
            assert more * answer.worst_px > rules.max_order_value
        case "max_position_value":
            held = next((p.qty for p in given_inputs.held if p.symbol == buys[0].symbol), Decimal(0))
            counted = max(answer.worst_px, given_inputs.quotes[0].last)
            on_order = dict(given_inputs.committed).get(buys[0].symbol, Decimal(0))
            assert (held + more) * counted + on_order > rules.max_position_value - CENT
        case other:
            assert other in ("max_trades_per_day", "min_order_value")


# Prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(prices, st.sampled_from(["0.01", "0.05", "0.25"]), st.sampled_from(["0", "0.005", "0.05"]))
def test_a_limit_lies_on_the_tick_and_inside_the_collar(last: Decimal, tick: str, collar: str) -> None:
    """A buy's limit never exceeds the collar, a sell's never undercuts it but for the last tick above nothing."""
    seen, width = quote("CCC", last, tick=tick), Decimal(collar)
    bought, sold = limit_for(seen, Side.BUY, width), limit_for(seen, Side.SELL, width)
    assert bought % seen.tick == 0
    assert sold % seen.tick == 0
    assert bought <= last * (1 + width)
    assert sold >= max(last * (1 - width), seen.tick)
    assert within_collar(bought, seen, width)


def test_a_tick_is_rounded_as_asked() -> None:
    """Down is down and up is up."""
    assert to_tick(Decimal("1.019"), CENT, ROUND_FLOOR) == Decimal("1.01")
    assert to_tick(Decimal("1.011"), CENT, "ROUND_CEILING") == Decimal("1.02")


def test_a_price_that_is_none_is_within_no_collar() -> None:
    """NaN is not near to anything."""
    for last in ("NaN", "sNaN", "Infinity", "0", "-1"):
        assert not within_collar(Decimal(10), quote("CCC", last), Decimal(1))
        assert not is_usable(quote("CCC", last))
