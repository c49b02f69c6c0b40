"""A fill that the broker shows for the first time when the next cycle is under way still counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.model.event import OrderFilled
from oms.model.order import BrokerOrder, BrokerState, Fill, OrderRequest, OrdStatus, Side
from oms.model.rules import Rules
from oms.model.signal import Signal
from oms.ports import OrdersRead
from tests.engine.house import House, buy
from tests.fakes.faulty_broker import FaultyBroker

RESTING = Signal(side=Side.SELL, symbol="AAA", quantity=100, price=Decimal("50.45"))
"""A sell that nobody takes, so it is cancelled at its deadline."""
LATE = 7


class Latecomer(FaultyBroker):
    """Shows a fill of every cancelled order from the moment it is told to."""

    is_late = False

    def orders(self, since: datetime) -> OrdersRead:
        read = super().orders(since)
        if not self.is_late:
            return read
        return replace(read, orders=tuple(self._filled(order) for order in read.orders))

    @staticmethod
    def _filled(order: BrokerOrder) -> BrokerOrder:
        if order.state is not BrokerState.CANCELED or order.transact_time is None:
            return order
        fill = Fill(
            exec_id=f"late-{order.order_no}",
            last_qty=LATE,
            last_px=Decimal("50.45"),
            fee=Decimal(0),
            transact_time=order.transact_time,
        )
        return replace(order, cum_qty=Decimal(LATE), notional=LATE * fill.last_px, fills=(fill,))


def story(folder: Path) -> tuple[House, str]:
    """A cycle whose only sell was cancelled unfilled, and the key of that sell."""
    house = House(folder, rules=Rules(order_deadline=timedelta(seconds=2)))
    house.broker = Latecomer(house.paper)
    house.run(RESTING)
    sell = house.order("AAA")
    assert (sell.ord_status, sell.cum_qty) == (OrdStatus.CANCELED, 0)
    return house, sell.cl_ord_id


def late_fills(house: House) -> list[OrderFilled]:
    return [event for event in house.journal.events if isinstance(event, OrderFilled) and event.late]


@pytest.mark.parametrize("cycles", [1, 2])
def test_a_fill_shown_only_after_the_next_cycle_has_opened_is_booked_once(tmp_path: Path, cycles: int) -> None:
    """The order is out of memory by then, and is known by its number all the same."""
    house, key = story(tmp_path)
    for _ in range(cycles):
        house.run(buy("EEE", 10))
    assert isinstance(house.broker, Latecomer)
    held = house.journal.state.holdings["AAA"].qty
    plan_then_late(house)
    house.run(buy("DDD", 10))
    (fill,) = late_fills(house)
    assert (fill.cl_ord_id, fill.last_qty, fill.cum_qty) == (key, LATE, LATE)
    assert house.journal.state.holdings["AAA"].qty == held - LATE


def plan_then_late(house: House) -> None:
    """Let the broker show the fill when the next cycle sends, and not before."""
    broker = house.broker
    assert isinstance(broker, Latecomer)
    place = broker.place

    def placed(order: OrderRequest) -> str:
        broker.is_late = True
        return place(order)

    broker.place = placed  # type: ignore[method-assign]


def test_an_order_of_earlier_that_says_nothing_new_adds_no_fact(tmp_path: Path) -> None:
    """Neither a fact nor a foreign order comes from reading what the journal holds already."""
    house, key = story(tmp_path)
    house.run(buy("EEE", 10))
    house.run(buy("DDD", 10))
    later = house.journal.events[house.journal.kinds.index("buys_closed") + 1 :]
    assert not [event for event in later if getattr(event, "cl_ord_id", None) == key]
    assert "external_order_seen" not in house.journal.kinds
