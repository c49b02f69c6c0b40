"""Real money moves only while a person's word for it stands: looked at before every send, at every start, between cycles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oms.engine.operators import carry_out
from oms.engine.refusals import unarmed
from oms.model.arming import LiveArmed, LiveDisarmed
from oms.model.event import AccountOpened
from oms.model.order import OrdStatus, Side
from oms.model.rules import Rules
from oms.model.state import AccountState
from oms.ports import Message
from tests.engine.house import House, buy, sell
from tests.fakes.clock import START

LICENCE = "a" * 64


def armed(until: datetime = START + timedelta(days=30), limits_hash: str = LICENCE) -> LiveArmed:
    return LiveArmed(
        fingerprint="f" * 64,
        shown="…4321",
        until=until,
        limits="{}",
        limits_hash=limits_hash,
        config_hash="c0",
        author="ada",
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An account of real money whose rules keep within the limits that are armed."""
    house = House(tmp_path, rules=Rules(licences=(LICENCE,)), mode="live")
    house.journal.append_barrier([AccountOpened(mode="live", broker="paper", currency="USD", cash=house.cash)])
    yield house
    house.paper.close()


def at_place(house: House, nth: int, deed: Any) -> None:
    """Do something when the ``nth`` order of the process is about to reach the broker."""
    place, left = house.broker.place, [nth]

    def placing(order: Any) -> str:
        left[0] -= 1
        if left[0] == 0:
            deed()
        return place(order)

    house.broker.place = placing  # type: ignore[method-assign]


class TestBeforeAnythingIsSent:
    """At a start."""

    def test_armed(self, house: House) -> None:
        """With a person's word, a whole cycle goes through."""
        house.journal.append([armed()])
        assert house.run(sell("AAA", 60), buy("CCC", 10)).exit_code == 0
        assert house.order("CCC").ord_status is OrdStatus.FILLED

    @pytest.mark.parametrize(
        ("facts", "why"),
        [
            ([], "live trading is not armed"),
            ([armed(START)], "was armed until 2026-03-02 15:00 UTC"),
            ([armed(), LiveDisarmed(reason="holidays", author="ada")], "disarmed by ada: holidays"),
            ([armed(limits_hash="b" * 64)], "tighter limits"),
        ],
    )
    def test_not_armed(self, house: House, facts: list[Any], why: str) -> None:
        """Without it, or after it ended, no cycle is opened and the process ends with 5."""
        if facts:
            house.journal.append(facts)
        ending = house.run(sell("AAA", 60), buy("CCC", 10))
        assert (ending.exit_code, house.journal.state.cycle) == (5, None)
        assert why in ending.why

    def test_money_that_is_not_real_needs_no_word(self) -> None:
        """A paper account, and one that nobody has opened yet, are never asked."""
        state = AccountState("a")
        assert unarmed(state, Rules(), START) == ""
        state.opened = AccountOpened(mode="paper", broker="paper", currency="USD")
        assert unarmed(state, Rules(), START) == ""


class TestWhileOrdersAreOut:
    """The word ends in the middle of a cycle."""

    def test_disarmed_between_two_orders(self, house: House) -> None:
        """A disarming in the mailbox stops the next order; what is out is followed to its end, then the process ends."""
        house.journal.append([armed()])
        at_place(house, 1, lambda: house.mailbox.post(house.clock, "live_disarm", reason="stop"))
        ending = house.run(sell("AAA", 60), buy("CCC", 10))
        assert ending.exit_code == 5
        assert "disarmed" in ending.why
        assert house.order("AAA").ord_status is OrdStatus.FILLED
        assert not [o for o in house.cycle.orders.values() if o.side is Side.BUY and o.sends]

    def test_expiry_between_two_orders(self, house: House) -> None:
        """The instant passes while the first sell is on its way: the second is never sent."""
        house.journal.append([armed(START + timedelta(seconds=10))])
        at_place(house, 1, lambda: house.clock.advance(timedelta(seconds=10)))
        ending = house.run(sell("AAA", 60), sell("BBB", 60))
        assert ending.exit_code == 5
        there = house.paper.orders(START - timedelta(days=1)).orders
        assert [order.symbol for order in there] == ["AAA"]

    def test_stays_up_for_nobody(self, house: House) -> None:
        """An engine in ``--loop`` waits out a halt, but ends when it is disarmed: only a new start goes on."""
        house.patient = True
        house.journal.append([armed()])
        at_place(house, 1, lambda: house.mailbox.post(house.clock, "live_disarm", reason="stop"))
        assert house.run(sell("AAA", 60), buy("CCC", 10), loop=True).exit_code == 5

    def test_armed_again(self, house: House) -> None:
        """After a new word the next process finishes the cycle that was left open."""
        house.journal.append([armed()])
        at_place(house, 1, lambda: house.mailbox.post(house.clock, "live_disarm", reason="stop"))
        assert house.run(sell("AAA", 60), buy("CCC", 10)).exit_code == 5
        house.reborn()
        house.journal.append([armed()])
        del house.broker.place
        assert house.run(open_new=False).exit_code == 0
        assert house.order("CCC").ord_status is OrdStatus.FILLED


@pytest.mark.parametrize("command", ["live_arm", "arm", "live_armed", "LiveArmed"])
def test_nothing_in_the_mailbox_can_arm(command: str) -> None:
    """The mailbox, into which the web writes as well, knows no command that arms."""
    message = Message(inbox_id=1, at=START, author="web", command=command, arguments={"until": "2027-01-01"})
    events, answer = carry_out(AccountState("a"), message)
    assert [event.kind for event in events] == ["command_answered"]
    assert answer.startswith("refused")
