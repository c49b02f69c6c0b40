"""A broker that contradicts itself: whole cycles at the Tiger gateway when its lists lie, flicker, repeat or come late.

The numbers are those of the catalogue of broker faults (B09, B10, B12, B13, B16, B37, B39).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.model.order import BrokerState, OrdStatus
from oms.model.rules import Rules
from tests.engine.house import buy, sell
from tests.fakes.clock import FakeClock
from tests.gateways.tiger_house import TigerHouse
from tests.tigerd.book import OPEN, PAPER_ACCOUNT, PRIME_ACCOUNT, Kept
from tests.tigerd.faults import WIRE_FAULTS

Build = Callable[..., TigerHouse]
SECOND = timedelta(seconds=1)


@pytest.fixture(params=[PAPER_ACCOUNT, PRIME_ACCOUNT], ids=["paper account", "prime account"])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """A maker of houses, whose accounts show cumulative figures or executions."""
    houses: list[TigerHouse] = []

    def make(**how: Any) -> TigerHouse:
        houses.append(TigerHouse(Path(tmp_path_factory.getbasetemp()), account=request.param, **how))
        return houses[-1]

    yield make
    for house in houses:
        house.desk.close()


def when(house: TigerHouse, is_time: Callable[[Kept], bool], act: Callable[[Kept], None]) -> None:
    """Do this once, to the first order of which that is true, as soon as it is."""
    done: list[Kept] = []

    def look() -> int | None:
        for order in house.book.orders:
            if not done and is_time(order):
                done.append(order)
                act(order)
        return None

    house.stopping = look


def partly_filled(order: Kept) -> bool:
    return 0 < order.filled < order.qty and order.status in OPEN


@pytest.mark.parametrize("word", ["Cancelled", "Inactive", "Invalid"])
def test_ended_by_the_broker_after_a_part(build: Build, word: str) -> None:
    """B09: under whichever word an order ends, what it sold is booked to the share, and the buys have that money only."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = timedelta(hours=1)
    when(house, partly_filled, lambda order: house.book.end(order, word, "because"))
    house.run(sell("AAA"), buy("CCC", 10))
    order = house.order("AAA")
    assert (order.cum_qty, order.is_closed) == (50, True)
    assert order.ord_status in (OrdStatus.CANCELED, OrdStatus.EXPIRED)
    house.judge()


@pytest.mark.parametrize(
    "lie",
    [
        {"filledQuantity": 40},
        {"filledQuantity": 40, "avgFillPrice": 0.0},
        {"filledQuantity": 40, "avgFillPrice": -5.0},
        {"filledQuantity": 0},
        {"status": "PartiallyFilled"},
        {"status": "Gefüllt"},
        {"status": None},
    ],
    ids=str,
)
def test_report_that_contradicts_itself(build: Build, lie: dict[str, Any]) -> None:
    """B10, B11: called filled with fewer shares, at no price, or in a word nobody knows: that is no verdict. What is booked
    is what was traded, from the executions where there are any, and no buy is sent on anything else.
    """
    house = build()
    until = [house.clock.now() + 6 * SECOND]

    def shown(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, **lie} if item["action"] == "SELL" and house.clock.now() < until[0] else item

    house.terms.shown_as = shown
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    (bought,) = [order for order in house.book.orders if order.action == "BUY"]
    if "filledQuantity" in lie and not house.tiger.capabilities.reports_executions:
        assert bought.made_at >= until[0]
    assert house.order("AAA").cum_qty == 100
    house.judge()


def test_order_that_flickers(build: Build) -> None:
    """B12: shown, hidden for a while, shown again: it is one order, never lost and never sent again."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = 6 * SECOND
    looks = [0]

    def shown(item: dict[str, Any]) -> dict[str, Any] | None:
        looks[0] += 1
        return None if looks[0] % 3 == 0 else item

    house.terms.shown_as = shown
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert house.desk.gateway.posts["place_order"] == 2
    house.judge()


def test_filled_quantity_that_falls(build: Build) -> None:
    """B10: a list that shows fewer shares than it did takes none of them back."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = 8 * SECOND
    looks = [0]

    def shown(item: dict[str, Any]) -> dict[str, Any]:
        looks[0] += 1
        is_lie = item["filledQuantity"] and looks[0] % 3 == 0
        return {**item, "filledQuantity": 0, "avgFillPrice": 0.0} if is_lie else item

    house.terms.shown_as = shown
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.order("AAA").cum_qty) == (0, 100)
    house.judge()


def test_fill_after_the_cancel_was_confirmed(build: Build) -> None:
    """B16: shares that trade after an order was shown as cancelled are booked, and it stays cancelled."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = timedelta(hours=1)
    house.change_rules(grace=5 * SECOND)
    when(
        house,
        lambda order: order.status == "Cancelled" and house.clock.now() - order.updated_at > SECOND,
        lambda order: house.book.fill_late(order, Decimal(20)),
    )
    house.run(sell("AAA"), buy("CCC", 10))
    order = house.order("AAA")
    assert (order.ord_status, order.cum_qty) == (OrdStatus.CANCELED, 70)
    house.judge()


def test_cancel_whose_order_is_filled_already(build: Build) -> None:
    """B16: a cancel that comes too late is refused, and the order is filled; both are told as they are."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = timedelta(hours=1)
    house.terms.fills_win = True
    house.run(sell("AAA"), buy("CCC", 10))
    assert (house.order("AAA").ord_status, house.order("AAA").cum_qty) == (OrdStatus.FILLED, 100)
    house.judge()


def test_order_on_two_pages_is_one(build: Build) -> None:
    """B13, B37: a new order that pushes another one onto the next page makes it no second one, nor its fills."""
    house = build()
    requests = [house.desk.request(symbol="CCC", price=Decimal(50)) for _ in range(3)]
    for request in requests:
        house.tiger.place(request)
    house.terms.page = 2
    page, moved = house.book._page, [False]

    def moving(biz: dict[str, Any], orders: list[Kept]) -> Any:
        answer = page(biz, orders)
        if not moved[0]:  # between the first page and the second
            moved[0] = True
            house.book.outsider("DDD", "BUY", Decimal(1), Decimal(1))
        return answer

    house.book._page = moving
    shown = [order.order_no for order in house.tiger.orders(house.clock.now() - timedelta(hours=1)).orders]
    assert sorted(filter(None, shown)) == [request.order_no for request in requests]


class Skewed(FakeClock):
    """The house's clock as a broker has it that is wrong by hours."""

    def __init__(self, house: TigerHouse, by: timedelta) -> None:
        super().__init__()
        self._house, self._by = house, by

    def now(self) -> datetime:
        return self._house.clock.now() + self._by


@pytest.mark.parametrize("hours", [-7, -1, 1, 7])
@pytest.mark.parametrize("fault", [None, "accepted, then RST", "500 before acceptance"])
def test_broker_whose_clock_is_wrong(build: Build, hours: int, fault: str | None) -> None:
    """B39: orders are told by their numbers and not by their times, so hours more or less lose and double nothing."""
    house = build(rules=Rules(max_quote_age=timedelta(hours=9)))
    house.book._clock = Skewed(house, timedelta(hours=hours))
    if fault is not None:
        house.desk.gateway.fail("place_order", WIRE_FAULTS[fault])
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert [order.ord_status for order in house.orders] == [OrdStatus.FILLED] * 2
    assert len(house.book.orders) == 2
    assert set(house.book.accepted().values()) == {1}


def test_single_question_and_list_disagree(build: Build) -> None:
    """B12: where the list of open orders is older than that of all, the newer word counts."""
    house = build()
    request = house.desk.request(symbol="AAA", price=Decimal(1), side=sell("AAA").side)
    house.tiger.place(request)
    kept = house.book.orders[0]
    assert kept.status == "Filled"
    old = {**house.book._shown(kept), "status": "PendingSubmit", "filledQuantity": 0, "avgFillPrice": 0.0}
    reply = {"code": 0, "message": "success", "data": {"items": [old], "nextPageToken": ""}}
    house.desk.gateway.answer_with("active_orders", reply)
    shown = house.tiger.order(request.order_no)
    assert shown is not None
    assert (shown.state, shown.cum_qty) == (BrokerState.FILLED, Decimal(10))
