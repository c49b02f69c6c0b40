"""A paper account tried out by the real SDK at a gateway on loopback: what is proven, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oms.errors import BrokerUnavailable, RefusedError, TryAgainError
from oms.gateways.tiger.probing import Probe, Proof
from tests.fakes.clock import FakeClock
from tests.tigerd.book import OPEN, PAPER_ACCOUNT, PRIME_ACCOUNT
from tests.tigerd.desk import Desk, open_desk
from tests.tigerd.faults import WIRE_FAULTS

OpenDesk = Callable[..., Desk]


@pytest.fixture
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDesk]:
    """A maker of desks whose broker behaves as it is told."""
    desks: list[Desk] = []

    def make(account: str = PAPER_ACCOUNT, **terms: Any) -> Desk:
        desks.append(open_desk(Path(tmp_path_factory.getbasetemp()), clock=FakeClock(), account=account))
        for name, value in {"refuses_repeats": True, **terms}.items():
            setattr(desks[-1].book.terms, name, value)
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def probed(desk: Desk, symbol: str = "BBB") -> Proof:
    return Probe(desk.client, desk.broker, desk.clock, symbol).run()


def found(proof: Proof, name: str) -> str:
    (finding,) = [finding for finding in proof.findings if finding.name == name]
    return finding.found


def nothing_is_left(desk: Desk) -> bool:
    """No order is open, and the account holds what it held."""
    held = {position.symbol: position.qty for position in desk.broker.positions()}
    return held == {"AAA": 100} and not any(order.status in OPEN for order in desk.book.orders)


def test_broker_that_refuses_repeats(opened: OpenDesk) -> None:
    """Refused while it rests, after its cancel and after its fill, for nearly three minutes: proven for so long."""
    desk = opened()
    proof = probed(desk)
    assert 150 <= proof.refused_for_s <= 180
    assert all(finding.ok for finding in proof.findings), proof.findings
    assert len(desk.book.orders) == 3
    assert set(desk.book.accepted().values()) == {1}
    assert nothing_is_left(desk)


def test_what_is_found(opened: OpenDesk) -> None:
    """The mark's echo, the question for one number, the lists' delays and the answer to a useless cancel are told."""
    proof = probed(opened(hidden_for=timedelta(seconds=4)))
    assert found(proof, "mark").startswith("echoed")
    assert found(proof, "question for one number") == "answered"
    assert found(proof, "cancel of a filled order") == "refused: tiger_1300: the order can no longer be cancelled"
    assert found(proof, "cancel of an open order") == "taken"
    assert found(proof, "share that was bought") == "sold again"
    for method in ("orders", "active_orders", "filled_orders", "inactive_orders"):
        seconds = float(found(proof, f"list {method}").split()[2])
        assert seconds <= (7 if method in ("orders", "filled_orders") else 20)
    assert float(found(proof, "list orders").split()[2]) >= 4


@pytest.mark.parametrize(
    ("terms", "name", "said"),
    [
        ({"echoes_mark": False}, "mark", "not echoed"),
        ({"asks_by_number": False}, "question for one number", "not answered"),
    ],
)
def test_other_answers(opened: OpenDesk, terms: dict[str, Any], name: str, said: str) -> None:
    """An account that keeps no mark, or has no question for a number, is as good; it is only told."""
    proof = probed(opened(**terms))
    assert found(proof, name).startswith(said)
    assert proof.refused_for_s > 0


def test_broker_that_answers_with_the_first_id(opened: OpenDesk) -> None:
    """No second order is no second order, however it is said."""
    desk = opened(returns_first=True)
    assert probed(desk).refused_for_s >= 150
    assert nothing_is_left(desk)


class TestNotProven:
    """A single repeat that makes a second order, or might, and nothing is proven; what was made is put away."""

    def test_broker_that_takes_repeats(self, opened: OpenDesk) -> None:
        """The first repeat tells it, so there is no third order; both are cancelled."""
        desk = opened(refuses_repeats=False)
        proof = probed(desk)
        assert proof.refused_for_s == 0
        assert "another id" in found(proof, "repeated number")
        assert len([order for order in desk.book.orders if order.action == "BUY" and not order.executions]) == 2
        assert nothing_is_left(desk)

    @pytest.mark.parametrize("after", [timedelta(seconds=10), timedelta(seconds=100)])
    def test_broker_that_forgets(self, opened: OpenDesk, after: timedelta) -> None:
        """A number that is refused for a while only is not refused."""
        desk = opened(forgets_after=after)
        assert probed(desk).refused_for_s == 0
        assert nothing_is_left(desk)

    def test_broker_that_forgets_filled_orders(self, opened: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the repeat of a filled order buys another share, both are sold."""
        desk = opened()
        monkeypatch.setattr(desk.book, "_remembers", lambda first: first.status in OPEN)
        assert probed(desk).refused_for_s == 0
        assert nothing_is_left(desk)

    @pytest.mark.parametrize("name", ["accepted, then RST", "500 before acceptance", "429 before acceptance"])
    def test_repeat_without_an_answer(self, opened: OpenDesk, name: str) -> None:
        """A repeat of which nobody knows what became proves nothing."""
        desk = opened()
        place, calls = desk.client.place, [0]

        def second_fails(*args: Any) -> int:
            calls[0] += 1
            if calls[0] == 2:
                desk.gateway.fail("place_order", WIRE_FAULTS[name])
            return place(*args)

        desk.client.place = second_fails  # type: ignore[method-assign, assignment]
        proof = probed(desk)
        assert proof.refused_for_s == 0
        assert "no answer" in found(proof, "repeated number")
        assert nothing_is_left(desk)

    def test_refusal_that_does_not_name_the_number(self, opened: OpenDesk) -> None:
        """A refusal for another reason is no proof, for without that reason the order might have been taken."""
        desk = opened()
        place, calls = desk.client.place, [0]

        def second_is_refused(*args: Any) -> int:
            calls[0] += 1
            if calls[0] == 2:
                desk.gateway.answer_with("place_order", {"code": 1300, "message": "not at this moment"})
            return place(*args)

        desk.client.place = second_is_refused  # type: ignore[method-assign, assignment]
        assert probed(desk).refused_for_s == 0

    def test_order_that_does_not_trade(self, opened: OpenDesk) -> None:
        """Without a fill half of the question stays open: nothing is proven, and nothing stays."""
        desk = opened()
        desk.book.terms.reject_next = 2
        assert probed(desk).refused_for_s == 0
        assert nothing_is_left(desk)


class TestNotBegun:
    """What is refused before anything is sent."""

    def test_real_account(self, opened: OpenDesk) -> None:
        """A probe is for a paper account only."""
        desk = opened(PRIME_ACCOUNT)
        with pytest.raises(RefusedError, match="paper account only"):
            probed(desk)
        assert desk.gateway.posts["place_order"] == 0

    def test_closed_market(self, opened: OpenDesk) -> None:
        """A closed market takes no orders: try again later."""
        desk = opened(is_open=False)
        with pytest.raises(TryAgainError, match="MARKET_CLOSED"):
            probed(desk)
        assert desk.gateway.posts["place_order"] == 0

    def test_symbol_that_is_held_or_wanted(self, opened: OpenDesk) -> None:
        """Shares of the user's are not mixed with those of the probe."""
        desk = opened()
        with pytest.raises(RefusedError, match="holds AAA"):
            probed(desk, "AAA")
        desk.book.outsider("BBB", "BUY", Decimal(1), Decimal(1))
        with pytest.raises(RefusedError, match="an order for it"):
            probed(desk)
        assert desk.gateway.posts["place_order"] == 0

    def test_symbol_without_a_quote(self, opened: OpenDesk) -> None:
        """A symbol that nobody quotes cannot be bought."""
        with pytest.raises(TryAgainError, match="no quote"):
            probed(opened(), "ZZZZZ")


def test_gateway_that_goes_away_in_the_middle(opened: OpenDesk) -> None:
    """What was placed is cancelled as far as anything still answers."""
    desk = opened()
    desk.gateway.fail("active_orders", *[WIRE_FAULTS["500 before acceptance"]] * 3)
    with pytest.raises(BrokerUnavailable):
        probed(desk)
    assert len(desk.book.orders) == 1
    assert nothing_is_left(desk)


def test_lease_is_kept_alive(opened: OpenDesk) -> None:
    """The journal's lease is renewed at least once a second of those three minutes."""
    desk = opened()
    beats: list[float] = []
    Probe(desk.client, desk.broker, desk.clock, "BBB", beat=lambda: beats.append(desk.clock.elapsed())).run()
    assert max(later - earlier for earlier, later in pairwise(beats)) < 5
