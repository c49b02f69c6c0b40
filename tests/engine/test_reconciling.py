"""Continuous reconciliation: what a look between two cycles books, shows, leaves alone, and what an operator settles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.engine.driver import Driver
from oms.engine.errands import Errands
from oms.engine.reconciling import AGREED, Reconciling
from oms.engine.register import Register
from oms.errors import BrokerUnavailable
from oms.gateways.paper.outsider import Outsider
from oms.model.account import Position
from oms.model.difference import DifferenceKind
from oms.model.event import AttentionRaised, PositionAdopted, Reconciled, Recorded
from oms.model.order import Side
from oms.model.task import RECONCILIATION
from tests.engine.house import House, buy, sell
from tests.engine.test_late_fills import LATE, Latecomer, late_fills, story
from tests.fakes.hands import SequentialHands
from tests.model.story import Story

EVERY = timedelta(seconds=60)


class Post:
    """An engine between two cycles, with its reconciliation; one more look each time :meth:`look` is called."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.driver: Driver = house.driver()
        self.driver.enter_session(None)
        self.register = Register(house.clock, house.journal.note_tasks)
        self.errands = Errands(house.clock, SequentialHands(), self.register)
        self.errands.add(Reconciling(self.driver, EVERY))

    def look(self, times: int = 1) -> str:
        for _ in range(times):
            self.errands.tend()
            self.errands.tend()
            self.house.clock.advance(EVERY)
        return self.register.task(RECONCILIATION).text

    def kinds(self) -> list[str]:
        return self.house.journal.kinds


def by_hand(house: House, side: Side, quantity: int) -> None:
    """Somebody trades AAA in the broker's app, and it is filled."""
    with closing(
        Outsider(
            house.folder / "paper.db",
            house.market,
            house.clock,
            cash=house.cash,
            positions=house.positions,
            settle_after=house.settle_after,
            session=house.market.session,
        )
    ) as outsider:
        outsider.external_order("AAA", side, quantity)
        house.clock.advance(timedelta(seconds=5))
        outsider.positions()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """After one cycle that sold BBB and bought CCC."""
    house = House(tmp_path)
    house.run(sell("BBB"), buy("CCC", 10))
    return house


def test_two_books_that_agree_leave_no_trace_in_the_journal(house: House) -> None:
    """The task says so and when; a fact each minute would say nothing."""
    post, before = Post(house), len(house.journal.rows)
    assert post.look(3) == AGREED
    assert len(house.journal.rows) == before
    assert house.journal.tasks[RECONCILIATION].runs >= 2


def test_a_trade_by_hand_is_shown_and_no_trade_is_made_up_for_it(house: House) -> None:
    """One fact with its class, its explanation and the proposal; the books stay as they are."""
    post = Post(house)
    post.look()
    by_hand(house, Side.BUY, 30)
    text = post.look(2)
    assert text.startswith("1 difference: AAA manual trade")
    (difference,) = house.journal.state.differences
    assert difference.kind is DifferenceKind.MANUAL_TRADE
    assert house.journal.state.holdings["AAA"].qty == 100
    assert post.kinds().count("order_filled") == 2
    raised = [event for event in house.journal.events if isinstance(event, AttentionRaised)]
    assert [event.rule for event in raised] == ["reconciliation_manual_trade"]
    assert "reconcile adopt AAA" in raised[0].text
    before = len(house.journal.rows)
    post.look(5)
    assert len(house.journal.rows) == before, "the same difference is journaled once"


def test_an_operator_s_word_takes_it_into_the_books(house: House) -> None:
    """Adopted with author and reason, at the broker's cost, and the next look agrees."""
    post = Post(house)
    by_hand(house, Side.SELL, 40)
    post.look(2)
    inbox_id = house.mailbox.post(house.clock, "adopt", symbol="AAA", reason="sold in the app", shares="60")
    post.driver.operators()
    assert house.mailbox.answers[inbox_id].startswith("the books hold 60 AAA instead of 100")
    adopted = house.journal.events[-1]
    assert isinstance(adopted, PositionAdopted)
    assert (adopted.author, adopted.reason, adopted.before) == ("ann", "sold in the app", Decimal(100))
    held = house.journal.state.holdings["AAA"]
    assert (held.qty, held.realised) == (Decimal(60), Decimal(0))
    assert house.journal.state.differences == ()
    assert post.look(2) == AGREED


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"symbol": "AAA", "shares": "61"}, "holds 60 AAA, not 61"),
        ({"symbol": "BBB"}, "no difference in shares of BBB stands"),
        ({"symbol": "AAA", "shares": "many"}, "refused"),
        ({}, "refused"),
    ],
)
def test_what_is_adopted_is_a_difference_that_stands(house: House, arguments: dict[str, str], why: str) -> None:
    """A figure that is not the broker's, a symbol that agrees and a command of no sense change nothing."""
    post = Post(house)
    by_hand(house, Side.SELL, 40)
    post.look(2)
    inbox_id = house.mailbox.post(house.clock, "adopt", **arguments)
    post.driver.operators()
    assert why in house.mailbox.answers[inbox_id]
    assert "position_adopted" not in post.kinds()


def test_what_only_one_look_has_seen_is_not_journaled(house: House) -> None:
    """A position list that lags behind a fill for a moment is no difference."""
    post = Post(house)
    positions = house.broker.positions
    house.broker.positions = lambda: [p for p in positions() if p.symbol != "CCC"]  # type: ignore[method-assign]
    assert "CCC missing" in post.look()
    house.broker.positions = positions  # type: ignore[method-assign]
    assert post.look(3) == AGREED
    assert "reconciled" not in post.kinds()


def test_a_difference_that_is_over_is_over(house: House) -> None:
    """Without anybody's word: the broker's figure came back, and one fact says that nothing stands any more."""
    post = Post(house)
    positions = house.broker.positions
    house.broker.positions = lambda: [p for p in positions() if p.symbol != "CCC"]  # type: ignore[method-assign]
    post.look(2)
    assert house.journal.state.differences
    house.broker.positions = positions  # type: ignore[method-assign]
    post.look()
    last = house.journal.events[-1]
    assert isinstance(last, Reconciled)
    assert last.differences == ()


def test_an_open_cycle_looks_for_itself(house: House, tmp_path: Path) -> None:
    """While a cycle is open the task waits, and an answer that a cycle has overtaken is dropped."""
    post = Post(house)
    reconciling = Reconciling(post.driver, EVERY)
    look = reconciling.begin()
    assert isinstance(look, Callable)  # type: ignore[arg-type]  # a look, and not a reason why there is none
    seen = look()  # type: ignore[operator]
    by_hand(house, Side.SELL, 40)
    house.run(buy("DDD", 5))
    before = len(house.journal.rows)
    assert "a cycle has begun meanwhile" in reconciling.take(seen)
    assert len(house.journal.rows) == before


def test_a_broker_that_is_down_is_the_task_s_failure_and_concludes_nothing(house: House) -> None:
    """No answer is no difference; the task says what failed and tries again."""
    post = Post(house)
    house.broker.fail("positions")
    post.look()
    task = post.register.task(RECONCILIATION)
    assert (task.healthy, task.last_error) == (False, "positions failed")
    assert post.look(2) == AGREED


def test_a_fill_that_came_late_is_booked_between_two_cycles(tmp_path: Path) -> None:
    """Not made up: it is an execution of our own order that the broker shows now, long after its cycle."""
    house, key = story(tmp_path)
    house.run(buy("EEE", 10))
    post = Post(house)
    assert post.look() == AGREED
    assert isinstance(house.broker, Latecomer)
    house.broker.is_late = True
    assert post.look().startswith("1 late fill booked")
    (fill,) = late_fills(house)
    assert (fill.cl_ord_id, fill.last_qty) == (key, LATE)
    assert house.journal.state.holdings["AAA"].qty == 100 - LATE


def test_it_does_not_look_before_its_time(house: House) -> None:
    """Nothing calls for a look but the interval: a minute after the last one, and not half a minute."""
    post = Post(house)
    post.look()
    runs = house.journal.tasks[RECONCILIATION].runs
    for _ in range(4):
        post.errands.tend()
    assert house.journal.tasks[RECONCILIATION].runs == runs + 1
    house.clock.advance(EVERY / 2)
    for _ in range(4):
        post.errands.tend()
    assert house.journal.tasks[RECONCILIATION].runs == runs + 1


def test_it_says_why_it_does_not_look(tmp_path: Path) -> None:
    """While a cycle is open, and before the journal has begun."""
    house = House(tmp_path)
    driver = house.driver()
    assert Reconciling(driver, EVERY).begin() == "the journal has not begun"
    house.run(sell("BBB"))
    house.journal.state.apply(
        Recorded(
            seq=house.journal.state.seq + 1, at=house.clock.now(), event=Story().opens(cycle_id="c-9").rows[-1].event
        )
    )
    assert Reconciling(house.driver(), EVERY).begin() == "a cycle is open, which looks for itself"


def test_a_look_that_failed_stands_between_two_that_agree(house: House) -> None:
    """Two looks in a row must have found the same; what was found before a failure does not count towards it."""
    post = Post(house)
    positions = house.broker.positions
    house.broker.positions = lambda: [p for p in positions() if p.symbol != "CCC"]  # type: ignore[method-assign]
    assert "CCC missing" in post.look()
    hidden = house.broker.positions

    def down() -> list[Position]:
        raise BrokerUnavailable("down")

    house.broker.positions = down  # type: ignore[method-assign]
    post.look()
    house.broker.positions = hidden  # type: ignore[method-assign]
    assert "CCC missing" in post.look()
    assert "reconciled" not in post.kinds()
    post.look()
    assert "reconciled" in post.kinds()
