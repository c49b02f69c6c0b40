"""What the simulator found in the engine, each held down by a test; the seeds are those of the day it was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oms.engine import conductor
from oms.engine.reads import orders_read
from oms.engine.refusals import trades_today
from oms.errors import TryAgainError
from oms.model.account import Position
from oms.model.order import Order, OrderPhase, OrdType, Side
from oms.model.rules import DoubtPolicy
from oms.model.state import AccountState, Holding
from oms.ports import OrdersRead
from oms.sim.faults import Fault
from oms.sim.judge import judge
from oms.sim.scenario import draw
from tests.engine.house import House, buy, sell

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_seed_9_more_numbers_than_orders_are_refused(tmp_path: Path) -> None:
    """A broker that hands out one number twice for one order is asked again; it used to end the process as a bug."""
    house = House(tmp_path)
    reserve = house.broker.reserve
    answers = [["7", "7"]]
    house.broker.reserve = lambda count: answers.pop() if answers else reserve(count)  # type: ignore[method-assign]
    assert house.run(sell("AAA")).exit_code == 0
    assert house.order("AAA").cum_qty == 100


@pytest.mark.parametrize("figure", ["NaN", "Infinity"])
def test_seed_25_no_journal_begins_on_cash_that_is_no_number(tmp_path: Path, figure: str) -> None:
    """The process asks to be tried again, and nothing is written; it used to end as a bug."""
    house = House(tmp_path)
    funds = house.broker.funds
    house.broker.funds = lambda: replace(funds(), cash=Decimal(figure))  # type: ignore[method-assign]
    with pytest.raises(TryAgainError):
        house.run(sell("AAA"))
    assert house.journal.rows == []


def test_seed_79_readings_that_miss_an_order_are_counted_only_as_far_as_they_matter() -> None:
    """An order held for a person adds no row a poll to the journal for as long as the person is away."""
    scenario = draw(7, on_sqlite=False)
    rules = replace(scenario.rules, doubt_then=DoubtPolicy.HOLD, doubt_reads=3)
    rates = {Fault.REQUEST_LOST: 1.0}
    lines: list[str] = []
    held = replace(scenario, rules=rules, rates=rates, strikes=(), visits=(), patient=True)
    assert judge(held, lines.append).violations == ()
    counts = [line for line in lines if "OrderNotFound(" in line]
    assert counts
    assert not [line for line in counts if "reads=4" in line]


def test_seed_17_a_difference_is_shown_although_another_order_is_in_doubt() -> None:
    """An order in doubt hides no difference but that of its own symbol."""
    state = AccountState("test")
    state.holdings = {"AAA": Holding(qty=Decimal(5)), "BBB": Holding(qty=Decimal(5))}
    doubtful = Order(
        cl_ord_id="S000", cycle_id="c", side=Side.SELL, index=0, symbol="AAA", ord_type=OrdType.LIMIT, order_qty=5,
        price=Decimal(1), worst_px=Decimal(1), phase=OrderPhase.AMBIGUOUS, in_doubt=True,
    )  # fmt: skip
    state.parked = {"S000": doubtful}
    there = {s: Position(symbol=s, qty=Decimal(9), sellable=Decimal(9), avg_cost=Decimal(1)) for s in ("AAA", "BBB")}
    seen: Any = SimpleNamespace(positions=there)
    cycle: Any = SimpleNamespace(cycle_id="c")
    assert [event.symbol for event in conductor._differences(state, cycle, seen)] == ["BBB"]


def test_seed_2295_a_live_order_that_the_list_does_not_show_is_asked_for_by_number() -> None:
    """A clock that was a day ahead when an order was made asked for too short a list, and never saw the order's end."""
    report: Any = SimpleNamespace(order_no="1")

    class ShortList:
        def orders(self, since: datetime) -> OrdersRead:
            return OrdersRead(orders=(), complete=True, asked_at=since)

        def order(self, order_no: str) -> Any:
            return report if order_no == "1" else None

    broker: Any = ShortList()
    assert orders_read(broker, NOW, [], ["1", "2"]).orders == (report,)


def test_seed_29_of_twenty_cycles_money_that_a_broker_made_up_is_no_fault_of_the_account() -> None:
    """It told of settled money that was not there; shares bought with it were sold, too early as nobody could know."""
    drawn = draw(29, cycles=20)
    needed = {"funds_high", "FFF/4", "BBB/4", "BBB/20"}
    verdict = judge(drawn.leaving_out(name for name in drawn.names() if name not in needed))
    assert verdict.tally.faults[Fault.FUNDS_HIGH]
    assert verdict.violations == ()


def test_buys_follow_in_a_house_without_weather(tmp_path: Path) -> None:
    """The house of these tests trades as it should where nothing is scripted."""
    house = House(tmp_path)
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 0
    assert house.order("CCC").cum_qty == 10


def test_seed_5521_an_order_in_doubt_of_an_earlier_cycle_counts_as_a_trade_of_the_day() -> None:
    """It may be found accepted yet, and the buys of a later cycle would then have gone beyond the day's limit."""
    state = AccountState("a")
    doubtful = Order(
        cl_ord_id="B000", cycle_id="c-1", side=Side.BUY, index=0, symbol="AAA", ord_type=OrdType.LIMIT, order_qty=5,
        price=Decimal(1), worst_px=Decimal(1), phase=OrderPhase.AMBIGUOUS, in_doubt=True, quarantined=True,
    )  # fmt: skip
    state.trades_today, state.parked = 2, {"B000": doubtful}
    later: Any = SimpleNamespace(cycle_id="c-2", orders={})
    assert trades_today(state, later) == 3
    own: Any = SimpleNamespace(cycle_id="c-1", orders={"B000": doubtful})
    assert trades_today(state, own) == 3
