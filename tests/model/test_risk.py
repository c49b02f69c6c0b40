"""Every pre-trade check on both sides of its limit, on the limit, with NaN, and with a check that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.model import risk
from oms.model.account import Quote
from oms.model.order import Side
from oms.model.risk import Refusal
from oms.model.rules import Rules
from oms.model.settlement import HeldBack
from tests.model.story import SESSION, START, quote

NAN = Decimal("NaN")
RULES = Rules(
    max_trades_per_day=100,
    max_order_quantity=500,
    max_order_value=Decimal(9000),
    max_position_value=Decimal(10000),
    daily_loss_limit=Decimal(300),
    min_price=Decimal(5),
    max_rejections=3,
    max_quote_age=timedelta(seconds=60),
    no_buys_before_close=timedelta(minutes=10),
)
CLOSE = SESSION.closes - RULES.no_buys_before_close
MICRO = timedelta(microseconds=1)
CENT = Decimal("0.01")
BACK = HeldBack(symbol="AAA", free=30, qty=10, until=date(2010, 3, 2), rule="good_faith")


def aged(seconds: float) -> Quote:
    return quote("AAA", 10, at=START - timedelta(seconds=seconds))


Case = tuple[str, Callable[[Any], Refusal | None], Any, Any, Any]
CASES: list[Case] = [
    # rule, the check, just within, exactly at the edge that is still allowed, just beyond
    ("max_trades_per_day", lambda n: risk.trades(n, RULES), 98, 99, 100),
    ("max_order_quantity", lambda n: risk.order_quantity(n, RULES), 499, 500, 501),
    ("max_order_quantity", lambda n: risk.order_quantity(n, RULES), 2, 1, 0),
    ("max_order_value", lambda v: risk.order_value(v, RULES), 9000 - CENT, Decimal(9000), 9000 + CENT),
    ("max_order_value", lambda v: risk.order_value(v, RULES), Decimal(1), CENT, Decimal(0)),
    ("max_position_value", lambda v: risk.position_value(v, RULES), 10000 - CENT, Decimal(10000), 10000 + CENT),
    ("daily_loss_limit", lambda v: risk.daily_loss(v, RULES), 300 - CENT, Decimal(300), 300 + CENT),
    ("min_price", lambda v: risk.price_floor(quote("AAA", v), RULES), 5 + CENT, Decimal(5), 5 - CENT),
    ("repeated_rejections", lambda n: risk.rejections(n, RULES), 1, 2, 3),
    ("max_quote_age", lambda s: risk.quote_age(aged(s), START, RULES), 59, 60, 60.000001),
    (
        "price_collar",
        lambda v: risk.collar(v, quote("AAA", 100), Decimal("0.01")),
        Decimal(101),
        101 + CENT,
        101 + 2 * CENT,
    ),
    (
        "price_collar",
        lambda v: risk.collar(v, quote("AAA", 100), Decimal("0.01")),
        Decimal(99),
        99 - CENT,
        99 - 2 * CENT,
    ),
    (
        "no_buys_before_close",
        lambda t: risk.before_the_close(SESSION, t, RULES),
        CLOSE - 2 * MICRO,
        CLOSE - MICRO,
        CLOSE,
    ),
    (
        "market_closed",
        lambda t: risk.market_open(SESSION, t),
        SESSION.opens + MICRO,
        SESSION.opens,
        SESSION.opens - MICRO,
    ),
    ("market_closed", lambda t: risk.market_open(SESSION, t), START, SESSION.closes - MICRO, SESSION.closes),
    ("order_deadline", lambda t: risk.deadline(t, START), START - 2 * MICRO, START - MICRO, START),
    ("no_short", lambda n: risk.no_short(n, 40), 39, 40, 41),
    ("good_faith", lambda n: risk.good_faith(n, BACK, 0), 29, 30, 31),
    ("good_faith", lambda n: risk.good_faith(n, BACK, 5), 24, 25, 26),
    ("good_faith", lambda n: risk.good_faith(n, BACK, 31), -1, 0, 1),
    ("funds_fraction", lambda v: risk.within_budget(v, Decimal(800)), 800 - CENT, Decimal(800), 800 + CENT),
    ("unresolved_sell", risk.unresolved_sells, -1, 0, 1),
]


@pytest.mark.parametrize(("rule", "check", "inside", "edge", "beyond"), CASES, ids=[f"{c[0]}-{c[4]}" for c in CASES])
def test_a_limit_holds_on_both_of_its_sides(
    rule: str, check: Callable[[Any], Refusal | None], inside: Any, edge: Any, beyond: Any
) -> None:
    """One step within and the limit itself are accepted; one step beyond is refused by name, with both figures."""
    assert check(inside) is None
    assert check(edge) is None
    refused = check(beyond)
    assert refused is not None
    assert refused.rule == rule
    assert refused.limit
    assert refused.value
    assert refused.reason


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        ("max_order_value", lambda: risk.order_value(NAN, RULES)),
        ("max_position_value", lambda: risk.position_value(NAN, RULES)),
        ("daily_loss_limit", lambda: risk.daily_loss(NAN, RULES)),
        ("funds_fraction", lambda: risk.within_budget(NAN, Decimal(100))),
        ("funds_fraction", lambda: risk.within_budget(Decimal(100), NAN)),
        ("min_price", lambda: risk.price_floor(quote("AAA", NAN), RULES)),
        ("price_collar", lambda: risk.collar(NAN, quote("AAA", 10), Decimal("0.01"))),
        ("price_collar", lambda: risk.collar(Decimal(10), quote("AAA", NAN), Decimal("0.01"))),
        ("no_quote", lambda: risk.buyable_quote(quote("AAA", NAN), RULES)),
        ("max_order_value", lambda: risk.order_value(Decimal(1), replace(RULES, max_order_value=NAN))),
        ("max_order_value", lambda: risk.order_value(Decimal("Infinity"), RULES)),
    ],
)
def test_what_is_no_number_is_within_nothing(rule: str, check: Callable[[], Refusal | None]) -> None:
    """NaN on either side of a comparison refuses."""
    refused = check()
    assert refused is not None
    assert refused.rule == rule


@pytest.mark.parametrize("missing", [None, 0, ""])
def test_only_a_plain_yes_accepts(missing: Any) -> None:
    """A check that answers anything else than True refuses."""
    assert risk.accept("it", lambda: missing, limit=1, value=2, reason="r") is not None
    assert risk.accept("it", lambda: True, limit=1, value=2, reason="r") is None


def test_a_check_that_fails_refuses() -> None:
    """An exception inside a control, or while it is made, is a refusal under its name; the next check is not asked."""

    def broken() -> bool:
        raise ZeroDivisionError

    def never() -> Refusal | None:
        raise AssertionError("asked although the one before refused")

    refused = risk.accept("it", broken, limit=1, value=2, reason="two is more than one")
    assert refused is not None
    assert (refused.rule, refused.reason) == (
        "it",
        "two is more than one; the check could not be made: ZeroDivisionError",
    )
    failed = risk.first([("fine", lambda: None), ("torn", lambda: risk.no_short(1 // 0, 1)), ("next", never)])
    assert failed is not None
    assert (failed.rule, failed.value) == ("torn", "ZeroDivisionError")


def test_the_first_refusal_counts() -> None:
    """Checks are asked in their order."""
    found = risk.first([("no_short", lambda: risk.no_short(9, 1)), ("trades", lambda: risk.trades(1000, RULES))])
    assert found is not None
    assert found.rule == "no_short"
    assert risk.first([("fine", lambda: None)]) is None


def test_a_symbol_stands_in_a_plan_once_and_on_one_side() -> None:
    """The second time on the same side, and any time on the other one."""
    assert risk.once_in_the_plan("AAA", Side.BUY, {}) is None
    again = risk.once_in_the_plan("AAA", Side.BUY, {"AAA": {Side.BUY}})
    other = risk.once_in_the_plan("AAA", Side.BUY, {"AAA": {Side.SELL}})
    assert again is not None
    assert other is not None
    assert (again.rule, other.rule) == ("duplicate_symbol", "both_sides")


def test_lists_and_frozen_symbols_are_refused_by_name() -> None:
    """A blacklisted symbol is not bought, a frozen one takes no order; others are free."""
    assert risk.not_listed("AAA", is_listed=False) is None
    assert risk.frozen("AAA", None) is None
    listed, stopped = risk.not_listed("AAA", is_listed=True), risk.frozen("AAA", "books differ")
    assert listed is not None
    assert stopped is not None
    assert (listed.rule, stopped.rule) == ("blacklist", "symbol_frozen")
    assert "books differ" in stopped.reason


def test_a_limit_that_is_not_set_limits_nothing() -> None:
    """Without a loss limit, a price floor or a deadline every figure passes, and no shares kept back means all are free."""
    free = replace(RULES, daily_loss_limit=None, min_price=None)
    assert risk.daily_loss(Decimal(10**9), free) is None
    assert risk.price_floor(quote("AAA", "0.01"), free) is None
    assert risk.deadline(datetime.max.replace(tzinfo=START.tzinfo), None) is None
    assert risk.good_faith(10**6, None, 0) is None


def test_without_a_quote_nothing_is_priced() -> None:
    """No quote: neither its age nor its distance can be within a limit, and the sentence says what is missing."""
    refused = (
        risk.quote_age(None, START, RULES),
        risk.collar(Decimal(1), None, Decimal(1)),
        risk.buyable_quote(None, RULES),
    )
    assert [None if each is None else each.reason for each in refused] == [
        "there is no quote",
        "its limit 1 is too far from the price: no quote",
        "the broker has no usable quote for it",
    ]


def test_the_wrong_day_is_a_closed_market() -> None:
    """An open exchange is closed to an order of another day, and so is one without a session."""
    for refused in (risk.market_open(SESSION, START, is_its_day=False), risk.market_open(None, START)):
        assert refused is not None
        assert refused.reason == "the market is closed"


def test_a_refusal_shows_the_limit_that_it_met() -> None:
    """No unresolved sell is allowed; and where the caller knows better why no trade is left, that is what is said."""
    unresolved = risk.unresolved_sells(1)
    used_up = risk.trades(100, RULES, "all of them are promised")
    assert unresolved is not None
    assert used_up is not None
    assert (unresolved.limit, used_up.reason) == ("0", "all of them are promised")
