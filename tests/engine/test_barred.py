"""A list acts at once, like the brake: on first requests and on repeats, and no longer than it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from oms.model.order import OrdStatus
from oms.model.rules import Rules
from tests.engine.house import House, buy, sell
from tests.fakes.faulty_broker import PlaceFault


def test_a_buy_in_doubt_is_not_sent_again_once_its_symbol_is_barred(tmp_path: Path) -> None:
    """A request is lost, an operator bars the symbol, and the buy ends in quarantine instead of going out again."""
    house = House(tmp_path, rules=Rules(poll=timedelta(seconds=1)))
    house.broker.next_places(PlaceFault.REQUEST_LOST)
    place = house.broker.place

    def bar_then_place(request):
        if not house.mailbox.messages:
            house.mailbox.post(house.clock, "blacklist_add", symbol="CCC", reason="scandal")
        return place(request)

    house.broker.place = bar_then_place  # type: ignore[method-assign]
    ending = house.run(buy("CCC", 10))
    assert ending.exit_code == 7
    assert len(house.broker.placed) == 1
    assert house.order("CCC").ord_status is OrdStatus.UNKNOWN
    assert house.order("CCC").quarantined
    house.paper.close()


def test_a_listing_that_ran_out_bars_nothing(tmp_path: Path) -> None:
    """Revalidation and sending agree about when a listing ends."""
    house = House(tmp_path)
    until = (house.clock.now() + timedelta(seconds=1)).isoformat()
    house.mailbox.post(house.clock, "blacklist_add", symbol="CCC", reason="for a second", until=until)
    house.clock.advance(timedelta(seconds=5))
    house.run(buy("CCC", 10))
    assert house.order("CCC").ord_status is OrdStatus.FILLED
    house.paper.close()


@pytest.mark.parametrize("command", ["halt", "blacklist_add"])
def test_a_command_that_comes_between_intent_and_request_is_in_time(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buy whose SENDING is on record, but whose request has not left, stays here."""
    house = House(tmp_path)

    def arrives(name: str) -> None:
        if name == "send.after_intent" and house.journal.state.cycle is not None and house.cycle.buys:
            arguments = {"symbol": "CCC"} if command == "blacklist_add" else {}
            if not house.mailbox.messages:
                house.mailbox.post(house.clock, command, reason="now", **arguments)

    monkeypatch.setattr("oms.crashpoints.strike", arrives)
    house.run(sell("AAA"), buy("CCC", 10))
    assert [request.symbol for request in house.broker.placed] == ["AAA"]
    status = OrdStatus.BLOCKED if command == "blacklist_add" else OrdStatus.RESERVED
    assert house.order("CCC").ord_status is status
    house.paper.close()
