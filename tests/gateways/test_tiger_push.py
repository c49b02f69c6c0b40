"""Tiger's push, by the SDK's own client against a push gateway on loopback: a hint to look, which may fail at any time."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from oms.errors import RefusedError, UsageError
from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from oms.gateways.tiger import Endpoint, PushState, TigerPush, endpoint_of, push_sdk
from oms.model.order import OrdStatus
from oms.model.rules import Rules
from tests.engine.house import buy, sell
from tests.fakes.clock import FakeClock
from tests.gateways.test_tiger_properties import leaks
from tests.gateways.tiger_house import TigerHouse
from tests.tigerd.book import PAPER_ACCOUNT
from tests.tigerd.desk import TIGER_ID, connected, credentials
from tests.tigerd.pushd import Pushd, order_frame
from tests.tigerd.secrets import certificate

TOPICS = ["OrderStatus", "OrderTransaction", "Position", "Asset"]


class Listener(TigerPush):
    """Keeps what every message was about."""

    about: list[str]

    def _hear(self, account: str) -> None:
        self.__dict__.setdefault("about", []).append(account)
        super()._hear(account)


@pytest.fixture
def made() -> Iterator[list[Any]]:
    """What is to be closed."""
    things: list[Any] = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def pushd(made: list[Any]) -> Pushd:
    pushd = Pushd()
    made.append(pushd)
    return pushd


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def push(pushd: Pushd, clock: FakeClock, made: list[Any]) -> Listener:
    """Logged in, subscribed, and with nothing left to look for."""
    push: Listener = connected(pushd, PAPER_ACCOUNT, clock, kind=Listener)
    made.append(push)
    quiet(pushd, push, clock)
    return push


def quiet(pushd: Pushd, push: TigerPush, clock: FakeClock) -> None:
    """What a new connection stirs is looked for."""
    pushd.until(lambda: push.state is PushState.CONNECTED)
    while not push.stirred():
        clock.advance(timedelta(seconds=1))
    clock.advance(timedelta(seconds=1))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_logs_in_and_subscribes(tls: bool, tmp_path: Path, clock: FakeClock, made: list[Any]) -> None:
    """The developer id logs in with its signature, and subscribes to the changes of its account only."""
    public, context = certificate(tmp_path)
    pushd = Pushd(context if tls else None)
    push = connected(pushd, PAPER_ACCOUNT, clock, **({"ca_file": public} if tls else {}))
    made += [pushd, push]
    assert pushd.logins == [TIGER_ID]
    accounts = {frame.subscribe.account for frame in pushd.frames if frame.HasField("subscribe")}
    assert accounts == {PAPER_ACCOUNT}
    quiet(pushd, push, clock)


@pytest.mark.parametrize("topic", TOPICS)
def test_change_stirs_once(pushd: Pushd, push: Listener, clock: FakeClock, topic: str) -> None:
    """Each kind of change stirs, once however often it is told, and at most once in half a second."""
    for _ in range(5):
        pushd.tell(topic, PAPER_ACCOUNT)
    pushd.until(lambda: push._heard)
    assert push.stirred()
    pushd.tell(topic, PAPER_ACCOUNT)
    pushd.until(lambda: push._heard)
    assert not push.stirred()
    clock.advance(timedelta(seconds=1))
    assert push.stirred()


@pytest.mark.parametrize("account", ["5012345", "", PAPER_ACCOUNT[:-1], f" {PAPER_ACCOUNT}"])
def test_other_account_does_not_stir(pushd: Pushd, push: Listener, account: str) -> None:
    """A message about another account of the same developer id, or about none, is not for this engine."""
    for topic in TOPICS:
        pushd.tell(topic, account)
    pushd.until(lambda: push.about[-4:] == [account] * 4)
    assert not push._heard


WAYS_TO_LOSE: dict[str, Callable[[Pushd], None]] = {
    "FIN": lambda pushd: pushd.drop(),
    "RST": lambda pushd: pushd.drop(reset=True),
    "a frame of no length": lambda pushd: pushd.send(b"\x00"),
    "a frame that is no message": lambda pushd: pushd.send(b"\x03abc"),
    "a frame of a gigabyte": lambda pushd: pushd.send(b"\x80\x80\x80\x80\x04" + b"x" * 100),
    "a length without end": lambda pushd: pushd.send(b"\xff" * 40 + b"\x01"),
}


@pytest.mark.parametrize("way", WAYS_TO_LOSE)
def test_lost_connection_is_made_again(pushd: Pushd, push: Listener, clock: FakeClock, way: str) -> None:
    """However a connection ends, the next one logs in, subscribes again, and looks for what it missed."""
    WAYS_TO_LOSE[way](pushd)
    pushd.until(lambda: pushd.subscribed(2))
    quiet(pushd, push, clock)
    pushd.tell("OrderStatus", PAPER_ACCOUNT, id=5)
    pushd.until(lambda: push._heard)


def test_silent_gateway_counts_as_lost(made: list[Any], clock: FakeClock) -> None:
    """A gateway that answers no sign of life is left, and called anew."""
    pushd = Pushd(heartbeat_ms=50)
    made.append(pushd)
    pushd.beats = False
    made.append(connected(pushd, PAPER_ACCOUNT, clock, heartbeat_s=0.05))
    pushd.until(lambda: pushd.subscribed(3))


def test_connections_leave_nothing_behind(pushd: Pushd, push: Listener) -> None:
    """Ten lost connections later as many threads run as after the first."""
    before = _own_threads()
    for number in range(2, 12):
        pushd.drop()
        pushd.until(lambda number=number: pushd.subscribed(number))
    pushd.until(lambda: _own_threads() <= before)
    push.close()
    pushd.until(lambda: _own_threads() == 0)


def _own_threads() -> int:
    names = [thread.name for thread in threading.enumerate()]
    return sum(1 for name in names if name.startswith(("tiger-push", "Heartbeat")))


def test_logged_in_elsewhere_is_no_fight(pushd: Pushd, clock: FakeClock, made: list[Any]) -> None:
    """Kicked out by another program with the same developer id, it says so and lets that one have the connection."""
    said: list[str] = []
    push = connected(pushd, PAPER_ACCOUNT, clock, say=said.append)
    made.append(push)
    pushd.kick_out()
    pushd.until(lambda: push.state is PushState.ELSEWHERE and _own_threads() == 0)
    assert pushd.connections == 1
    assert said == ["tiger push: another program has logged in with this developer id; going on by polling alone"]


def test_refused_login_is_said_once_and_tried_again(pushd: Pushd, clock: FakeClock, made: list[Any]) -> None:
    """A refusal is told in one line, without any secret; the login that is taken at last counts."""
    said: list[str] = []
    pushd.takes_logins = False
    push = TigerPush(
        credentials(), Endpoint("127.0.0.1", pushd.port, tls=False), clock, retry_waits=(0.01,), say=said.append
    )
    made.append(push)
    push.start()
    pushd.until(lambda: pushd.connections >= 4)
    pushd.takes_logins = True
    pushd.until(pushd.subscribed)
    assert said == ["tiger push: refused with code 4: login refused\\nfor a reason; going on by polling"]
    assert leaks("".join(said)) == []


def test_gateway_that_is_not_there(clock: FakeClock, made: list[Any]) -> None:
    """Nobody listens: nothing stirs, nothing fails, and closing ends it."""
    gone = Pushd()
    gone.close()
    push = TigerPush(credentials(), Endpoint("127.0.0.1", gone.port, tls=False), clock, retry_waits=(0.01,))
    push.start()
    made.append(push)
    assert not push.stirred()
    push.close()
    assert push.state is PushState.OFF


def test_sdk_that_cannot_be_hardened(clock: FakeClock, made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer SDK whose push is built otherwise is not used: that is said, and polling goes on."""
    said: list[str] = []

    def changed() -> None:
        raise AssertionError("this tigeropen has no such thing")

    monkeypatch.setattr(push_sdk, "_harden", changed)
    push = TigerPush(credentials(), Endpoint("127.0.0.1", 9, tls=False), clock, say=said.append)
    made.append(push)
    push.start()
    assert push._thread is not None
    push._thread.join(120)
    assert (push.state, push.stirred()) == (PushState.OFF, False)
    assert said == [
        "tiger push: given up (AssertionError: this tigeropen has no such thing); going on by polling alone"
    ]


def test_stranger_with_a_certificate_gets_no_login(tmp_path: Path, clock: FakeClock, made: list[Any]) -> None:
    """A gateway whose certificate the system does not trust is told nothing; the SDK alone would log in to it."""
    pushd = Pushd(certificate(tmp_path)[1])
    push = TigerPush(credentials(), Endpoint("127.0.0.1", pushd.port), clock, retry_waits=(0.01,))
    made += [pushd, push]
    push.start()
    pushd.until(lambda: pushd.connections >= 3)
    assert (pushd.logins, pushd.frames) == ([], [])


def test_rest_of_the_process_is_left_alone(
    pushd: Pushd, push: Listener, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """TLS of the whole process stays as it was, no handler appears on the root logger, and nothing is printed."""
    caplog.set_level(logging.DEBUG)
    assert ssl.SSLContext.wrap_socket.__module__ == "ssl"
    for number, way in enumerate(WAYS_TO_LOSE.values(), 2):
        way(pushd)
        pushd.until(lambda number=number: pushd.subscribed(number))
    assert [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler] == []
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_frame_in_pieces_is_one(pushd: Pushd, push: Listener) -> None:
    """A message that arrives byte by byte stirs when its last byte is there."""
    frame = order_frame(PAPER_ACCOUNT)
    for byte in frame[:-1]:
        pushd.send(bytes([byte]))
    assert not push._heard
    pushd.send(frame[-1:])
    pushd.until(lambda: push._heard)


class TestEndpoint:
    """Where the push gateway is."""

    def test_of_the_licence(self) -> None:
        """The SDK's own two, by licence."""
        assert endpoint_of(None, "TBNZ") == Endpoint("openapi.tigerfintech.com", 9883)
        assert endpoint_of("", "TBUS") == Endpoint("openapi.tradeup.com", 9983)

    def test_as_users_of_the_sdk_write_it(self) -> None:
        """``ssl,host,port``."""
        assert endpoint_of("ssl, push.example ,9884", "TBNZ") == Endpoint("push.example", 9884)
        assert endpoint_of("tcp,127.0.0.1,9884", "TBNZ") == Endpoint("127.0.0.1", 9884, tls=False)

    @pytest.mark.parametrize(
        "text", ["push.example", "ssl,push.example", "ssl,,9883", "ssl,a,b", "ssl,a,0", "ssl,a,99999"]
    )
    def test_what_is_none(self, text: str) -> None:
        """Anything else is an error that says what was expected."""
        with pytest.raises(UsageError, match="expected ssl,host,port"):
            endpoint_of(text, "TBNZ")

    def test_without_tls_only_here(self) -> None:
        """A login never travels in plain to another machine."""
        with pytest.raises(RefusedError, match="without TLS"):
            endpoint_of("tcp,push.example,9883", "TBNZ")


LONG = timedelta(minutes=10)
"""Whoever waits for a poll of this length does not end within the test."""
PATIENCE_S = 180.0


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, pushd: Pushd, made: list[Any]) -> TigerHouse:
    """An engine that polls every ten minutes, at a broker whose orders fill in two parts and whose money takes a while."""
    hands = ThreadHands(8)
    house = TigerHouse(
        Path(tmp_path_factory.getbasetemp()),
        clock=SystemClock(),
        hands=hands,
        pushd=pushd,
        rules=Rules(poll=LONG, settle_deadline=6 * LONG, order_deadline=6 * LONG, grace=timedelta(0)),
    )
    house.terms.parts = True
    house.terms.fill_delay = house.terms.settle_after = timedelta(seconds=0.3)
    made += [hands, house.desk]
    until = monotonic() + PATIENCE_S

    def market_moves() -> int | None:
        house.book.answer("order_no", {})
        return 143 if monotonic() > until else None

    house.stopping = market_moves
    return house


def test_cycle_is_woken(house: TigerHouse) -> None:
    """Fills and money are seen when they are pushed: a whole cycle ends without a single poll, judged by the gateway."""
    assert house.run(sell("AAA"), buy("CCC", 30)).exit_code == 0
    assert [order.ord_status for order in house.orders] == [OrdStatus.FILLED] * 2
    house.judge()


def test_cycle_ends_without_push(house: TigerHouse, pushd: Pushd) -> None:
    """A push gateway that goes away in the middle costs time and nothing else: polling goes on."""
    house.change_rules(poll=timedelta(seconds=0.2))
    pushd.close()
    assert house.run(sell("AAA"), buy("CCC", 30)).exit_code == 0
    assert [order.ord_status for order in house.orders] == [OrdStatus.FILLED] * 2
    house.judge()


def test_lies_of_the_push_change_nothing(house: TigerHouse, pushd: Pushd) -> None:
    """Fills that never were, twice, in the wrong order and for a stranger: the journal holds what the lists say."""
    stopping = house.stopping

    def lying() -> int | None:
        for status, filled in (("Filled", 100), ("Filled", 100), ("Submitted", 7), ("Cancelled", 0), ("Odd", -5)):
            for account in (PAPER_ACCOUNT, "stranger"):
                pushd.tell("OrderStatus", account, id=40_000_000_000_000_001, status=status, filledQuantity=filled)
        pushd.tell("Asset", PAPER_ACCOUNT, cashBalance=1e12, buyingPower=float("inf"))
        pushd.tell("Position", PAPER_ACCOUNT, symbol="AAA", positionQty=1e9)
        return stopping()

    house.stopping = lying
    assert house.run(sell("AAA"), buy("CCC", 30)).exit_code == 0
    assert [order.cum_qty for order in house.orders] == [100, 30]
    house.judge()
