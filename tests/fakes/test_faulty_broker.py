"""The broker in bad weather does what its script says, for other tests rely on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused, SendError
from oms.model.order import BrokerState
from tests.fakes.faulty_broker import FaultyBroker, PlaceFault
from tests.gateways.test_paper import PaperStage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[PaperStage]:
    stage = PaperStage(tmp_path / "paper.db")
    stage.broker = FaultyBroker(stage.paper)
    yield stage
    stage.close()


@pytest.fixture
def faulty(stage: PaperStage) -> FaultyBroker:
    assert isinstance(stage.broker, FaultyBroker)
    return stage.broker


@pytest.mark.parametrize(
    ("fault", "error", "arrived"),
    [
        (PlaceFault.REPLY_LOST, InDoubt, True),
        (PlaceFault.REQUEST_LOST, InDoubt, False),
        (PlaceFault.LATE, InDoubt, False),
        (PlaceFault.NOT_SENT, NotSent, False),
        (PlaceFault.REFUSED, Refused, False),
    ],
)
def test_faults_of_a_place(
    stage: PaperStage, faulty: FaultyBroker, fault: PlaceFault, error: type[SendError], arrived: bool
) -> None:
    """Each fault ends the one call it was scripted for in its own way; the next call goes through."""
    first, second = stage.resting_buy(1), stage.resting_buy(2)
    faulty.next_places(fault)
    with pytest.raises(error):
        faulty.place(first)
    faulty.place(second)
    assert [order.order_no for order in stage.all_orders()] == (
        [first.order_no, second.order_no] if arrived else [second.order_no]
    )
    assert faulty.placed == [first, second]


def test_late_requests_arrive_when_delivered(stage: PaperStage, faulty: FaultyBroker) -> None:
    """A late request is accepted once, when the test delivers it."""
    request = stage.resting_buy()
    faulty.next_places(PlaceFault.LATE)
    with pytest.raises(InDoubt):
        faulty.place(request)
    faulty.deliver_late()
    faulty.deliver_late()
    assert [order.order_no for order in stage.all_orders()] == [request.order_no]


def test_cancel_whose_reply_is_lost_has_happened(stage: PaperStage, faulty: FaultyBroker) -> None:
    """A cancel may be lost before or after it arrives."""
    request = stage.resting_buy()
    faulty.place(request)
    faulty.next_cancels(PlaceFault.REQUEST_LOST, PlaceFault.REPLY_LOST)
    with pytest.raises(InDoubt):
        faulty.cancel(request.order_no, None)
    assert stage.shown(request).state is BrokerState.NEW
    with pytest.raises(InDoubt):
        faulty.cancel(request.order_no, None)
    assert stage.shown(request).state is BrokerState.CANCELED


def test_reads_fail_as_often_as_asked(stage: PaperStage, faulty: FaultyBroker) -> None:
    """A read fails the stated number of times and is counted each time."""
    faulty.fail("funds", times=2)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            faulty.funds()
    faulty.funds()
    assert faulty.calls["funds"] == 3


def test_hidden_order_is_missed_so_many_times(stage: PaperStage, faulty: FaultyBroker) -> None:
    """A hidden order is missing from the stated number of readings, of either kind."""
    request = stage.resting_buy()
    faulty.place(request)
    faulty.hide(request.order_no, 2)
    assert faulty.order(request.order_no) is None
    assert stage.all_orders() == ()
    assert len(stage.all_orders()) == 1
