"""What goes wrong on the wire: one request of a send leaves in every case, and its outcome is what was proven."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from tigeropen.common.util import web_utils

from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused, RefusedError, SendError
from oms.gateways.tiger import TigerClient
from tests.fakes.clock import FakeClock
from tests.tigerd.desk import Desk, credentials, open_desk
from tests.tigerd.faults import WIRE_FAULTS, Fault, Way
from tests.tigerd.secrets import certificate

OpenDesk = Callable[..., Desk]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's certificate lies."""
    return tmp_path_factory.getbasetemp()


@pytest.fixture
def opened(folder: Path) -> Iterator[OpenDesk]:
    """A maker of desks, which closes them."""
    desks: list[Desk] = []

    def make(**how: Any) -> Desk:
        desks.append(open_desk(folder, **how))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(opened: OpenDesk) -> Desk:
    return opened()


TRANSPORTS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@TRANSPORTS
@pytest.mark.parametrize("name", WIRE_FAULTS)
def test_a_place_that_goes_wrong_leaves_once_and_is_in_doubt(opened: OpenDesk, name: str, tls: bool) -> None:
    """Whatever happens to the reply, exactly one place_order reaches the gateway, and the outcome is doubt."""
    fault = WIRE_FAULTS[name]
    desk = opened(tls=tls, timeout=fault.patience)
    request = desk.request()
    desk.gateway.fail("place_order", fault, fault, fault)
    with pytest.raises(InDoubt):
        desk.broker.place(request)
    assert desk.gateway.posts["place_order"] == 1
    assert len(desk.book.orders) == (1 if fault.accepts else 0)
    found = desk.broker.order(request.order_no)
    assert (found is not None) == fault.accepts


@TRANSPORTS
@pytest.mark.parametrize("name", WIRE_FAULTS)
def test_a_cancel_that_goes_wrong_leaves_once_and_is_in_doubt(opened: OpenDesk, name: str, tls: bool) -> None:
    """A cancel is sent once as well, though asking again would be harmless."""
    if WIRE_FAULTS[name].way in (Way.ZERO_ID, Way.TEXT_ID, Way.NEGATIVE_ID, Way.NAN_ID):
        pytest.skip("the id in the answer to a cancel says nothing")
    desk = opened(tls=tls, timeout=WIRE_FAULTS[name].patience)
    request = desk.request()
    order_id = desk.broker.place(request)
    desk.gateway.fail("cancel_order", *[WIRE_FAULTS[name]] * 3)
    with pytest.raises(InDoubt):
        desk.broker.cancel(request.order_no, order_id)
    assert desk.gateway.posts["cancel_order"] == 1


@TRANSPORTS
def test_a_fault_after_a_reused_connection_is_no_reason_to_send_again(opened: OpenDesk, tls: bool) -> None:
    """A connection that served a good order and then breaks under the next one carries that one once."""
    desk = opened(tls=tls)
    desk.broker.place(desk.request())
    desk.gateway.fail("place_order", Fault(Way.RST), Fault(Way.RST))
    with pytest.raises(InDoubt):
        desk.broker.place(desk.request())
    assert desk.gateway.posts["place_order"] == 2
    assert set(desk.book.accepted().values()) == {1}


@TRANSPORTS
def test_connection_that_lay_idle_is_not_used_again(opened: OpenDesk, tls: bool) -> None:
    """A connection that a firewall may have forgotten carries no order; one that was used a moment ago does."""
    desk = opened(tls=tls)
    for pause, connections in ((0, 1), (9, 1), (11, 2), (9, 2), (3600, 3)):
        desk.clock.sleep(pause)
        desk.broker.reserve(1)
        assert desk.gateway.connections == connections


@pytest.mark.parametrize("name", ["redirect 307", "TLS record corrupt", "plain text inside TLS"])
def test_these_faults_can_tell_one_request_from_many(
    opened: OpenDesk, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own pool does send an order again under these faults, so the tests above can fail."""
    desk = opened(tls=True)
    request = desk.request()
    stock = urllib3.PoolManager(ca_certs=str(certificate(folder)[0]))
    monkeypatch.setattr(web_utils, "http_pool", stock)
    desk.gateway.fail("place_order", *[WIRE_FAULTS[name]] * 9)
    with pytest.raises(SendError):
        desk.broker.place(request)
    assert desk.gateway.posts["place_order"] > 1
    stock.clear()


class TestNothingLeft:
    """Proof that the request never left this machine."""

    def test_refused_connection(self, folder: Path) -> None:
        """Nobody listens: NotSent, with one attempt to connect."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        desk = open_desk(folder)
        request = desk.request()
        client = TigerClient(credentials(), FakeClock(), server_url=f"http://127.0.0.1:{port}/gateway", timeout=0.3)
        with pytest.raises(NotSent):
            client.place(request, int(request.order_no), 10.0)
        client.close()
        desk.close()

    def test_name_that_is_not_resolved(self, desk: Desk) -> None:
        """A host that has no address: NotSent."""
        request = desk.request()
        client = TigerClient(credentials(), FakeClock(), server_url="https://tiger.invalid/gateway", timeout=0.3)
        with pytest.raises(NotSent):
            client.place(request, int(request.order_no), 10.0)
        client.close()

    def test_connection_time_out(self, desk: Desk) -> None:
        """A host that lets nobody in: NotSent."""
        request = desk.request()
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [_knocking(full.getsockname()) for _ in range(4)]  # the queue is full, so the next one waits
            client = TigerClient(
                credentials(), FakeClock(), server_url=f"http://127.0.0.1:{full.getsockname()[1]}/gateway", timeout=0.3
            )
            with pytest.raises(SendError) as outcome:
                client.place(request, int(request.order_no), 10.0)
            client.close()
            for knock in waiting:
                knock.close()
        assert isinstance(outcome.value, NotSent)

    def test_request_that_cannot_be_signed(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where signing fails there was no request: NotSent, and the gateway saw none."""
        request = desk.request()
        import tigeropen.tiger_open_client as sdk

        def fail(*args: object) -> str:
            raise ValueError("no such key")

        monkeypatch.setattr(sdk, "sign_with_rsa", fail)
        with pytest.raises(NotSent):
            desk.broker.place(request)
        assert desk.gateway.posts["place_order"] == 0

    def test_no_permit_of_the_rate_limit(self, desk: Desk) -> None:
        """Without a permit within two seconds nothing leaves, and the same number may be tried again."""
        request = desk.request()
        while desk.client._limits.take("place_order", 0):
            pass
        desk.client._limits._empty_at["writes"] += 60
        with pytest.raises(NotSent, match="rate_limit"):
            desk.broker.place(request)
        assert desk.gateway.posts["place_order"] == 0
        desk.clock.sleep(120)
        desk.broker.place(request)

    def test_number_that_is_none_of_tigers(self, desk: Desk) -> None:
        """A number that the SDK would leave out, so that the server invents one, is refused here."""
        for number in ("0", "", "A1", "-5", "1.5"):
            with pytest.raises(Refused, match="bad_number"):
                desk.broker.place(_renumbered(desk, number))
        assert desk.gateway.posts["place_order"] == 0


def _knocking(address: Any) -> socket.socket:
    knock = socket.socket()
    knock.setblocking(False)
    knock.connect_ex(address)
    return knock


def _renumbered(desk: Desk, number: str) -> Any:
    return replace(desk.request(), order_no=number)


class TestTheBrokersNo:
    """Which answers are definite."""

    @pytest.mark.parametrize("code", [4, 5, 1000, 1010, 1100, 1200, 1300, 2100, 2400, 40013])
    def test_code_on_the_list_is_a_refusal(self, desk: Desk, code: int) -> None:
        """A documented refusal is Refused with its code and text; one request was made."""
        desk.gateway.answer_with("place_order", {"code": code, "message": "no\nbecause"})
        with pytest.raises(Refused, match=r"no\\nbecause") as refusal:
            desk.broker.place(desk.request())
        assert (refusal.value.code, refusal.value.repeat) == (f"tiger_{code}", False)
        assert desk.gateway.posts["place_order"] == 1

    @pytest.mark.parametrize("code", [1, 2, 3, -1, 0.5, "1200", None, 99999, 4001, 2300])
    def test_any_other_code_is_doubt(self, desk: Desk, code: object) -> None:
        """A code that is not on the list, even one of another family, proves nothing."""
        desk.gateway.answer_with("place_order", {"code": code, "message": "something"})
        with pytest.raises(InDoubt):
            desk.broker.place(desk.request())

    @pytest.mark.parametrize("message", [None, ""])
    def test_refusal_without_a_message_is_still_one(self, desk: Desk, message: str | None) -> None:
        """The SDK's text of such an error raises TypeError; code and message are read instead."""
        desk.gateway.answer_with("place_order", {"code": 1200, "message": message})
        with pytest.raises(Refused, match="no reason given"):
            desk.broker.place(desk.request())

    @pytest.mark.parametrize(
        "message",
        ["TRADE_DUPLICATE_ORDER_ID", "duplicate order id 17", "Duplicated order", "order id already exists: 17"],
    )
    @pytest.mark.parametrize("code", [1100, 1200, 1300, 1010])
    def test_duplicate_number_is_a_repeat(self, desk: Desk, code: int, message: str) -> None:
        """A refusal because the number is taken says that an order has it, not that there is none."""
        desk.gateway.answer_with("place_order", {"code": code, "message": message})
        with pytest.raises(Refused) as refusal:
            desk.broker.place(desk.request())
        assert refusal.value.repeat

    def test_code_inside_the_data_overrides_the_outer_one(self, desk: Desk) -> None:
        """Code 0 outside and a refusal inside is a refusal; one that is no number is doubt."""
        desk.gateway.answer_with(
            "place_order",
            {"code": 0, "data": {"code": "1200", "message": "too late", "id": 5}},
            {"code": 0, "data": {"code": "what", "id": 5}},
        )
        with pytest.raises(Refused, match="too late"):
            desk.broker.place(desk.request())
        with pytest.raises(InDoubt):
            desk.broker.place(desk.request())

    def test_closed_market_is_a_refusal(self, desk: Desk) -> None:
        """A broker whose market is closed refuses, and has no order."""
        desk.book.terms.is_open = False
        with pytest.raises(Refused, match="cannot be placed at this moment"):
            desk.broker.place(desk.request())
        assert desk.book.orders == []

    def test_repeat_that_is_not_refused_makes_a_second_order(self, desk: Desk) -> None:
        """Without such a refusal a repeat is a second order, which is why it is never sent on a guess."""
        desk.book.terms.refuses_repeats = False
        request = desk.request()
        desk.broker.place(request)
        desk.broker.place(request)
        assert set(desk.book.accepted().values()) == {2}


class TestReads:
    """Reads may be tried again, within bounds."""

    @pytest.mark.parametrize(
        "name", ["accepted, then FIN", "500 after acceptance", "malformed reply", "reply {}", "truncated reply"]
    )
    def test_read_that_fails_twice_succeeds(self, desk: Desk, name: str) -> None:
        """Two failures are made good by the third try."""
        desk.gateway.fail("prime_assets", *[WIRE_FAULTS[name]] * 2)
        assert desk.broker.funds().cash == 10_000
        assert desk.gateway.posts["prime_assets"] == 3

    def test_read_that_fails_three_times_is_given_up(self, desk: Desk) -> None:
        """There is no fourth try."""
        desk.gateway.fail("prime_assets", *[WIRE_FAULTS["502 after acceptance"]] * 5)
        with pytest.raises(BrokerUnavailable, match="HTTP status 502"):
            desk.broker.funds()
        assert desk.gateway.posts["prime_assets"] == 3

    def test_definite_no_to_a_read_is_not_asked_again(self, desk: Desk) -> None:
        """A refusal ends the reading at once."""
        desk.gateway.answer_with("prime_assets", {"code": 1010, "message": "bad parameter"})
        with pytest.raises(BrokerUnavailable, match="bad parameter"):
            desk.broker.funds()
        assert desk.gateway.posts["prime_assets"] == 1

    @pytest.mark.parametrize("code", [4, 5])
    def test_rate_limit_is_not_made_worse(self, desk: Desk, code: int) -> None:
        """Asked too often, by status or by code: no second try, and no quotes of another kind in their place."""
        desk.broker.quotes(["AAA"])
        desk.gateway.answer_with("quote_real_time", {"code": code, "message": "rate limit(current limiting interface)"})
        desk.gateway.fail("prime_assets", WIRE_FAULTS["429 before acceptance"])
        for ask in (lambda: desk.broker.quotes(["AAA"]), desk.broker.funds):
            with pytest.raises(BrokerUnavailable):
                ask()
        posts = desk.gateway.posts
        assert (posts["quote_real_time"], posts["quote_delay"], posts["prime_assets"]) == (2, 0, 1)

    @pytest.mark.parametrize("data", [{}, {"data": None}, {"data": 5}, {"data": {}}, {"data": {"items": None}}])
    @pytest.mark.parametrize("method", ["orders", "positions", "active_orders"])
    def test_answer_without_a_list_is_no_empty_list(self, desk: Desk, method: str, data: dict[str, Any]) -> None:
        """Code 0 without data, which the SDK takes for an empty list, is a reading that failed."""
        desk.gateway.answer_with(method, *[{"code": 0, "message": "success", **data}] * 3)
        ask: dict[str, Callable[[], Any]] = {
            "orders": lambda: desk.broker.orders(desk.clock.now() - timedelta(days=1)),
            "positions": desk.broker.positions,
            "active_orders": lambda: desk.broker.order("5"),
        }
        with pytest.raises(BrokerUnavailable):
            ask[method]()


def test_address_must_be_safe() -> None:
    """Plain HTTP is for this machine only; replies are not signed as a whole, so TLS alone protects them."""
    for url in ("http://openapi.tigerfintech.com/gateway", "ftp://127.0.0.1/", "http://10.0.0.1/gateway"):
        with pytest.raises(RefusedError, match="neither https nor on this machine"):
            TigerClient(credentials(), FakeClock(), server_url=url)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("accepted, then FIN", "the connection broke off (ProtocolError)"),
        ("accepted, read time-out", "no answer before the time-out (ReadTimeoutError)"),
        ("502 after acceptance", "HTTP status 502"),
        ("malformed reply", "the answer could not be used (JSONDecodeError)"),
        ("TLS record corrupt", "TLS failed (SSLError)"),
    ],
)
def test_what_happened_on_the_way_is_a_sentence(opened: OpenDesk, name: str, sentence: str) -> None:
    """Whoever reads it at night learns what happened, and nothing of the request."""
    desk = opened(tls=True, timeout=WIRE_FAULTS[name].patience)
    request = desk.request()
    desk.gateway.fail("place_order", WIRE_FAULTS[name])
    with pytest.raises(InDoubt) as doubt:
        desk.broker.place(request)
    assert sentence in str(doubt.value)


def test_gateway_that_is_not_there_is_named(desk: Desk) -> None:
    """Nobody listening is a sentence too."""
    client = TigerClient(credentials(), FakeClock(), server_url="http://127.0.0.1:9/gateway", timeout=0.3)
    with pytest.raises(BrokerUnavailable, match=r"could not be reached \(NewConnectionError\)"):
        client.login()
    client.close()
