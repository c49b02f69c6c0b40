"""The checks between a decision and the wire: what came to bear since, and that a sell meets no rule of a buy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.engine.refusals import refusal
from oms.model import risk
from oms.model.event import OrderBlocked
from oms.model.order import Order, OrderPhase, OrdStatus, Side
from oms.model.rules import Rules
from tests.engine.house import House, buy, sell
from tests.engine.test_settlement_days import live


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A cycle with a sell and a buy, both done; its orders serve as patterns of unsent ones."""
    house = live(House(tmp_path))
    house.run(sell("AAA", 10), buy("CCC", 5))
    yield house
    house.paper.close()


def refused(house: House, symbol: str, rules: Rules | None = None, **changes: Any) -> OrderBlocked | None:
    """What the checks say of the order as if it stood unsent, with these changes."""
    driver = house.driver()
    driver.enter_session(None)
    driver.look_at_the_clock()
    unsent: Order = replace(
        house.order(symbol), phase=OrderPhase.LOCAL, close_reason=None, sends=0, cum_qty=0, deadline=None, **changes
    )
    done, house.cycle.orders[unsent.cl_ord_id] = house.cycle.orders[unsent.cl_ord_id], unsent
    try:
        return refusal(house.journal.state, house.cycle, unsent, driver.seen, rules or house.rules)
    finally:
        house.cycle.orders[unsent.cl_ord_id] = done


def test_an_order_within_all_limits_may_go(house: House) -> None:
    """Neither side is refused."""
    assert refused(house, "AAA") is None
    assert refused(house, "CCC") is None


@pytest.mark.parametrize(
    ("rule", "rules", "changes"),
    [
        ("max_order_quantity", {"max_order_quantity": 4}, {}),
        ("max_order_value", {"max_order_value": Decimal("502.49")}, {}),
        ("max_position_value", {"max_position_value": Decimal(1000)}, {}),
        (
            "funds_fraction",
            {"max_order_value": Decimal(10**6), "max_position_value": Decimal(10**6)},
            {"order_qty": 170},
        ),
        ("daily_loss_limit", {"daily_loss_limit": Decimal(1)}, {}),
        ("max_trades_per_day", {"max_trades_per_day": 2}, {}),
        ("repeated_rejections", {"max_rejections": 0}, {}),
        ("blacklist", {"blacklist": frozenset({"CCC"})}, {}),
        ("no_buys_before_close", {"no_buys_before_close": timedelta(hours=6)}, {}),
    ],
)
def test_a_buy_meets_every_limit_once_more_and_a_sell_none_of_a_buys(
    house: House, rule: str, rules: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Each limit of buys refuses the buy by name; the same limits let the sell go, which reduces risk."""
    house.journal.state.realised_today = Decimal(-5)
    tight = replace(house.rules, **rules)
    event = refused(house, "CCC", tight, **changes)
    assert event is not None
    assert event.rule == rule
    assert event.value
    assert refused(house, "AAA", tight) is None


def test_a_check_that_fails_keeps_the_order_here(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception inside a control is a refusal under the control's name, for buys and for sells."""

    def torn(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(risk, "trades", torn)
    monkeypatch.setattr(risk, "good_faith", torn)
    buying, selling = refused(house, "CCC"), refused(house, "AAA")
    assert buying is not None
    assert selling is not None
    assert (buying.rule, selling.rule) == ("max_trades_per_day", "good_faith")
    assert "could not be made" in buying.reason


def test_a_whole_cycle_of_sells_ignores_the_limits_of_buys(tmp_path: Path) -> None:
    """With every limit of buys at its tightest the sell is filled and the buy is not sent."""
    rules = Rules(
        max_trades_per_day=0,
        max_order_quantity=1,
        max_order_value=Decimal(1),
        max_position_value=Decimal(1),
        daily_loss_limit=Decimal(0),
        min_price=Decimal(10_000),
        blacklist=frozenset({"AAA", "CCC"}),
        max_quote_age=timedelta(0),
    )
    house = House(tmp_path, rules=rules)
    house.run(sell("AAA", 60), buy("CCC", 5))
    assert house.order("AAA").ord_status is OrdStatus.FILLED
    assert house.order("CCC").ord_status is OrdStatus.BLOCKED
    assert [request.side for request in house.broker.placed] == [Side.SELL]
    house.paper.close()


def test_a_price_that_grew_old_on_the_way_keeps_a_buy_here_and_no_sell(tmp_path: Path) -> None:
    """The quote is read again before each send, and its age is a limit of buys."""
    house = House(tmp_path, rules=Rules(max_quote_age=timedelta(seconds=30)))
    quotes = house.broker.quotes

    def old(symbols: Any) -> Any:
        found = quotes(symbols)
        if house.journal.kinds.count("order_reserved") < 2:
            return found
        return {name: replace(quote, at=quote.at - timedelta(seconds=31)) for name, quote in found.items()}

    house.broker.quotes = old  # type: ignore[method-assign]
    reserve = house.broker.reserve

    def slow(count: int) -> list[str]:
        house.clock.advance(timedelta(seconds=2))
        return reserve(count)

    house.broker.reserve = slow  # type: ignore[method-assign]
    house.run(sell("AAA", 10), buy("CCC", 5))
    assert house.order("AAA").ord_status is OrdStatus.FILLED
    assert (house.order("CCC").ord_status, house.order("CCC").rule) == (OrdStatus.BLOCKED, "max_quote_age")
    house.paper.close()


def test_positions_that_lag_do_not_widen_the_cap(tmp_path: Path) -> None:
    """A reading without the shares bought a moment ago leaves the room that the journal's own books leave."""
    house = live(House(tmp_path, cash=Decimal(50_000)))
    house.run(buy("CCC", 90))
    positions = house.broker.positions
    house.broker.positions = lambda: [each for each in positions() if each.symbol != "CCC"]  # type: ignore[method-assign]
    house.run(buy("CCC", 90))
    assert (house.order("CCC").order_qty, house.cycle.revalidated.buys[0].rule) == (9, "max_position_value")  # type: ignore[union-attr]
    house.paper.close()


def test_positions_that_lag_sell_nothing_twice(tmp_path: Path) -> None:
    """A reading that still shows what was sold a moment ago makes no second sell."""
    house = live(House(tmp_path))
    before = house.broker.positions()
    house.run(sell("AAA"))
    house.broker.positions = lambda: before  # type: ignore[method-assign]
    house.run(sell("AAA", 100))
    assert (house.order("AAA").ord_status, house.order("AAA").rule) == (OrdStatus.BLOCKED, "no_short")
    house.paper.close()
