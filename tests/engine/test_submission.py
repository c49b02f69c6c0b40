"""Exactly once: what leaves, when, and what every possible answer makes of an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from oms import crashpoints
from oms.engine.limiter import MessageRate
from oms.engine.refusals import blocked
from oms.engine.submission import Submission
from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused
from oms.model.account import Quote
from oms.model.detail import HaltScope
from oms.model.event import Blacklisted, Event, Halted, OrderBlocked, OrderSending, SymbolFrozen
from oms.model.order import Order, OrderRequest, OrdStatus
from oms.model.rules import Rules
from oms.model.state import AccountState
from oms.ports import Handle, Lease
from tests.fakes.clock import FakeClock
from tests.fakes.hands import SequentialHands
from tests.model.story import START, Story, intent, quote


class Wire:
    """A broker of which only the wire is there: each request meets the next answer; the last one stays."""

    name = "wire"

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers) or ["id"]
        self.placed: list[OrderRequest] = []
        self.at_arrival: Callable[[OrderRequest], None] = lambda _: None

    def place(self, order: OrderRequest) -> object:
        self.at_arrival(order)
        self.placed.append(order)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Table:
    """A round of sends on a story: what a driver would lend it."""

    def __init__(self, story: Story, wire: Wire, rules: Rules | None = None) -> None:
        self.story, self.wire, self.clock = story, wire, FakeClock()
        self.state: AccountState = story.state
        self.lease = Lease(fence=1, restart_token="boot-1", host="here", pid=1)
        self.hands = SequentialHands()
        self.journaled: list[tuple[str, ...]] = []
        self.operators: Callable[[], None] = lambda: None
        self.quotes: dict[str, Quote] | None = {s: quote(s, "10") for s in ("AAA", "BBB", "CCC", "DDD")}
        self.refused: dict[str, str] = {}
        self.stopping = False
        self.renewed = self.looks = 0
        self.asked: list[tuple[str, ...]] = []
        self.market_time = START
        self.submission = Submission(
            self,  # type: ignore[arg-type]  # the three things it uses of a journal
            wire,  # type: ignore[arg-type]  # it only places
            self.hands,
            self.clock,
            MessageRate(self.clock, 600, 4),
            rules or Rules(),
            max_in_flight=4,
            lease_s=15.0,
            operators=self.look_into_the_mailbox,
            refuses=self.refuses,
            is_stopping=lambda: self.stopping,
            quotes=self.read_quotes,
            append=self.append,
            market_time=lambda: self.market_time,
        )

    def append(self, events: Sequence[Event]) -> None:
        self.journaled.append(tuple(event.kind for event in events))
        self.story.tell(*events)

    def look_into_the_mailbox(self) -> None:
        self.looks += 1
        assert self.looks < 1000, "the round does not end"
        self.operators()

    def renew(self) -> None:
        """The lease lasts as long as it is renewed."""
        self.renewed += 1

    def refuses(self, order: Order) -> OrderBlocked | None:
        rule = self.refused.get(order.cl_ord_id)
        return None if rule is None else blocked(order, rule, "", "", "told")

    def read_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        self.asked.append(tuple(symbols))
        if self.quotes is None:
            raise BrokerUnavailable("no quotes")
        return self.quotes

    def send(self, *keys: str) -> None:
        self.submission.send(keys)

    def status(self, key: str = "S0") -> OrdStatus:
        return self.story.order(key).ord_status


def reserved(*keys: str) -> Story:
    symbols = dict(zip(("S0", "S1", "B0", "B1"), ("AAA", "BBB", "CCC", "DDD"), strict=True))
    story = Story()
    wishes = [intent(key, symbols[key]) for key in keys]
    if keys[0].startswith("S"):
        story.opens(*wishes)
    else:
        story.buying(*wishes)
    for key in keys:
        story.reserves(key)
    return story


def test_the_request_leaves_after_sending_is_journaled() -> None:
    """At the instant of arrival the order is SENDING; afterwards the answer is on record."""
    wire = Wire("id-7")
    table = Table(reserved("S0"), wire)
    seen: list[OrdStatus] = []
    wire.at_arrival = lambda _: seen.append(table.status())
    table.send("S0")
    assert seen == [OrdStatus.SENDING]
    assert table.journaled == [("order_sending",), ("order_acknowledged",)]
    assert (table.status(), table.story.order("S0").order_id) == (OrdStatus.NEW, "id-7")


def test_what_travels_is_what_was_reserved() -> None:
    """Number, key, symbol, side, quantity and limit are those of the RESERVED row."""
    table = Table(reserved("S0"), Wire())
    table.send("S0")
    assert table.wire.placed == [table.story.order("S0").request()]


ANSWERS: dict[str, tuple[object, OrdStatus]] = {
    "an id": ("id-1", OrdStatus.NEW),
    "an empty id": ("", OrdStatus.UNKNOWN),
    "nothing": (None, OrdStatus.UNKNOWN),
    "a number": (17, OrdStatus.UNKNOWN),
    "doubt": (InDoubt("timeout"), OrdStatus.UNKNOWN),
    "a definite no": (Refused("insufficient_funds"), OrdStatus.REJECTED),
    "a refused repeat": (Refused("duplicate", repeat=True), OrdStatus.UNKNOWN),
    "proof that nothing left": (NotSent("refused_connection"), OrdStatus.RESERVED),
    "a failed read": (BrokerUnavailable("down"), OrdStatus.UNKNOWN),
    "a bug": (ZeroDivisionError("oh"), OrdStatus.UNKNOWN),
    "a time-out": (TimeoutError(), OrdStatus.UNKNOWN),
    "a broken pipe": (ConnectionResetError(), OrdStatus.UNKNOWN),
    "no memory": (MemoryError(), OrdStatus.UNKNOWN),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_to_a_first_request(name: str) -> None:
    """An id, a definite no and a proof are what they say; everything else leaves the order in doubt."""
    answer, status = ANSWERS[name]
    table = Table(reserved("S0"), Wire(answer))
    table.send("S0")
    assert table.status() is status
    assert table.story.order("S0").repeat_refused is (name == "a refused repeat")
    assert len(table.wire.placed) == 1


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "an id"])
def test_no_answer_to_a_repeat_ends_the_doubt_but_an_id(name: str) -> None:
    """The refusal of a repeat closes nothing, and a repeat that did not leave clears nothing."""
    story = reserved("S0").sends("S0").doubts("S0")
    table = Table(story, Wire(ANSWERS[name][0]))
    table.send("S0")
    assert table.status() is OrdStatus.UNKNOWN
    assert story.order("S0").sends == (1 if name == "proof that nothing left" else 2)


def test_a_refusal_after_a_request_that_never_left_is_a_first_refusal() -> None:
    """Where exactly one request was ever sent, the broker's no closes the order."""
    story = reserved("S0").sends("S0").not_sent("S0")
    table = Table(story, Wire(Refused("closed")))
    table.send("S0")
    assert table.status() is OrdStatus.REJECTED


def test_a_refusal_is_no_verdict_when_the_process_died_in_between() -> None:
    """SENDING found at a start counts as sent: the refusal of the next request closes nothing."""
    story = reserved("S0").sends("S0").resumes().doubts("S0")
    table = Table(story, Wire(Refused("closed")))
    table.send("S0")
    assert table.status() is OrdStatus.UNKNOWN


def test_one_order_that_could_not_leave_ends_the_round() -> None:
    """After a proof that nothing left, what still waits stays RESERVED, and the caller is told."""
    table = Table(reserved("S0", "S1"), Wire(NotSent("refused_connection")))
    table.submission._max_in_flight = 1
    table.send("S0", "S1")
    assert [table.status("S0"), table.status("S1")] == [OrdStatus.RESERVED, OrdStatus.RESERVED]
    assert len(table.wire.placed) == 1
    assert table.submission.not_sent


def test_a_process_that_slept_sends_nothing_it_had_committed() -> None:
    """More than half the lease between SENDING and the wire: the order is not sent, and provably so."""
    table = Table(reserved("S0"), Wire())
    launched = table.submission._start

    def sleeps(order: Order, committed: float) -> object:
        table.clock.advance(timedelta(seconds=7.6))
        return launched(order, committed)

    table.submission._start = sleeps  # type: ignore[assignment, method-assign]
    table.send("S0")
    assert table.wire.placed == []
    assert table.status() is OrdStatus.RESERVED


def test_half_the_lease_is_still_in_time() -> None:
    """Just below half the lease the request goes."""
    table = Table(reserved("S0"), Wire())
    launched = table.submission._start

    def dozes(order: Order, committed: float) -> object:
        table.clock.advance(timedelta(seconds=7.5))
        return launched(order, committed)

    table.submission._start = dozes  # type: ignore[assignment, method-assign]
    table.send("S0")
    assert len(table.wire.placed) == 1


@pytest.mark.parametrize("scope", HaltScope)
def test_the_brake_is_looked_at_before_every_request(scope: HaltScope) -> None:
    """Pulled while the first of two buys is on the wire, it keeps the second here."""
    table = Table(reserved("B0", "B1"), Wire())
    table.submission._max_in_flight = 1

    def pull(_: OrderRequest) -> None:
        table.story.tell(Halted(scope=scope, reason="", author="ann"))

    table.wire.at_arrival = pull
    table.send("B0", "B1")
    assert [order.cl_ord_id for order in table.wire.placed] == ["B0"]
    assert table.status("B1") is OrdStatus.RESERVED


def test_the_brake_is_in_time_between_intent_and_request() -> None:
    """SENDING is on record, the request has not left: it never does."""
    table = Table(reserved("B0"), Wire())
    calls = iter(range(9))

    def second_look() -> None:
        if next(calls) == 1:
            table.story.tell(Blacklisted(symbol="CCC", reason="", author="ann"))

    table.operators = second_look
    table.send("B0")
    assert table.wire.placed == []
    assert table.journaled == [("order_sending",), ("order_not_sent",)]


def test_a_signal_to_stop_ends_the_round() -> None:
    """No new request leaves after the signal; what is on the wire gets its answer."""
    table = Table(reserved("S0", "S1"), Wire())
    table.submission._max_in_flight = 1

    def stop(_: OrderRequest) -> None:
        table.stopping = True

    table.wire.at_arrival = stop
    table.send("S0", "S1")
    assert [table.status("S0"), table.status("S1")] == [OrdStatus.NEW, OrdStatus.RESERVED]


@pytest.mark.parametrize(
    ("last", "goes"), [("10.09", True), ("10.12", False), ("9.91", True), ("9.89", False), ("NaN", False), ("0", False)]
)
def test_a_limit_too_far_from_the_price_of_now_is_blocked(last: str, goes: bool) -> None:
    """Twice the collar and a tick around the quote read just before the send; a price that is none lets nothing pass."""
    table = Table(reserved("S0"), Wire())
    table.quotes = {"AAA": quote("AAA", "10")}
    table.quotes["AAA"] = quote("AAA", last)
    table.send("S0")
    assert table.status() is (OrdStatus.NEW if goes else OrdStatus.BLOCKED)
    assert table.story.order("S0").rule == (None if goes else "price_collar")


def test_without_quotes_nothing_leaves_and_nothing_is_blocked() -> None:
    """A market that cannot be asked is trouble, not a verdict."""
    table = Table(reserved("S0"), Wire())
    table.quotes = None
    table.send("S0")
    assert table.wire.placed == []
    assert table.status() is OrdStatus.RESERVED
    assert table.submission.not_sent


def test_rules_are_looked_at_again_in_the_middle_of_a_round() -> None:
    """A round may outlast a deadline or the market: what a rule refuses now is blocked with its name."""
    table = Table(reserved("S0", "S1"), Wire())
    table.submission._max_in_flight = 1
    table.wire.at_arrival = lambda _: table.refused.update(S1="order_deadline")
    table.send("S0", "S1")
    assert [table.status("S0"), table.status("S1")] == [OrdStatus.NEW, OrdStatus.BLOCKED]
    assert table.story.order("S1").rule == "order_deadline"


@pytest.mark.parametrize("how", ["rule", "price", "no quotes"])
def test_a_repeat_that_may_not_go_stays_in_doubt(how: str) -> None:
    """What may be at the broker cannot be blocked here: it is not sent, and asked about again after a poll."""
    story = reserved("S0").sends("S0").doubts("S0")
    table = Table(story, Wire())
    match how:
        case "rule":
            table.refused["S0"] = "market_closed"
        case "price":
            table.quotes = {"AAA": quote("AAA", "20")}
        case _:
            table.quotes = None
    table.send("S0")
    assert table.wire.placed == []
    assert table.status() is OrdStatus.UNKNOWN
    assert table.submission.not_sent


def test_only_so_many_requests_are_under_way_at_once() -> None:
    """SENDING is committed with a free thread in hand: a crash puts at most max_in_flight orders in doubt."""
    keys = ("S0", "S1")
    table = Table(reserved(*keys), Wire())
    table.submission._max_in_flight = 1
    most: list[int] = []
    table.wire.at_arrival = lambda _: most.append(sum(table.status(key) is OrdStatus.SENDING for key in keys))
    table.send(*keys)
    assert most == [1, 1]


# Answers that take their time ─────────────────────────────────────────────────────────────────────────────────────


class Later:
    """An answer that is there from an instant on."""

    def __init__(self, clock: FakeClock, handle: Handle[Any], due: float) -> None:
        self._clock, self._handle, self.due = clock, handle, due

    def done(self) -> bool:
        return self._clock.elapsed() >= self.due

    def result(self) -> Any:
        return self._handle.result()


class SlowHands(SequentialHands):
    """A request leaves at once, its answer comes after so many seconds; what was waited for is kept."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self.waits: list[float] = []

    def start(self, call: Callable[[], Any]) -> Handle[Any]:
        return Later(self._clock, super().start(call), self._clock.elapsed() + self._seconds)

    def wait(self, handles: Sequence[Any], timeout: float) -> None:
        self.waits.append(timeout)
        soonest = min(handle.due for handle in handles) - self._clock.elapsed()
        self._clock.advance(timedelta(seconds=max(min(soonest, timeout), 0.0)))


def slow(
    seconds: float, *keys: str, threads: int = 4, per_minute: int = 600, burst: int = 4
) -> tuple[Table, SlowHands]:
    """A table at which each answer takes so long."""
    table = Table(reserved(*keys), Wire())
    hands = SlowHands(table.clock, seconds)
    table.submission._hands = hands
    table.submission._max_in_flight = threads
    table.submission._rate = MessageRate(table.clock, per_minute, burst)
    return table, hands


def test_an_answer_is_waited_for_when_everything_has_left_and_the_lease_is_kept_meanwhile() -> None:
    """In looks of a third of the lease, which is renewed at each of them."""
    table, hands = slow(12, "S0")
    table.send("S0")
    assert table.status() is OrdStatus.NEW
    assert hands.waits == [5.0, 5.0, 5.0]
    assert table.renewed == 3


def test_a_request_waits_for_a_free_thread_however_many_permits_there_are() -> None:
    """With one thread the second order is not SENDING before the first has its answer."""
    table, hands = slow(12, "S0", "S1", threads=1)
    under_way: list[int] = []
    table.wire.at_arrival = lambda _: under_way.append(
        sum(table.status(key) is OrdStatus.SENDING for key in ("S0", "S1"))
    )
    table.send("S0", "S1")
    assert under_way == [1, 1]
    assert hands.waits == [5.0] * 6
    assert len(table.wire.placed) == 2


def test_a_request_waits_for_its_permit_and_no_longer() -> None:
    """With a thread free the next look comes when the permit is there; once nothing waits, with the answers."""
    table, hands = slow(12, "S0", "S1", per_minute=60, burst=1)
    left: list[float] = []
    table.wire.at_arrival = lambda _: left.append(table.clock.elapsed())
    table.send("S0", "S1")
    assert left == [0.0, 1.0]
    assert hands.waits[:2] == [1.0, 5.0]


def test_no_wait_is_longer_than_a_third_of_the_lease() -> None:
    """Where permits come once a minute, with an answer outstanding and without one."""
    table, hands = slow(1, "S0", "S1", per_minute=1, burst=1)
    slept: list[float] = []
    sleep = table.clock.sleep

    def sleeps(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)

    table.clock.sleep = sleeps  # type: ignore[method-assign]
    left: list[float] = []
    table.wire.at_arrival = lambda _: left.append(table.clock.elapsed())
    table.send("S0", "S1")
    assert left == [0.0, 60.0]
    assert hands.waits[0] == 5.0
    assert slept == [5.0] * 11 + [4.0]


def test_a_request_without_an_answer_is_in_doubt_after_a_minute_and_a_half() -> None:
    """At ninety seconds it is still waited for, at the look after that no longer; the thread is left to itself."""
    table, hands = slow(1000, "S0")
    table.clock.advance(timedelta(seconds=40))
    table.send("S0")
    assert table.status() is OrdStatus.UNKNOWN
    assert table.story.order("S0").text == "InDoubt: no_answer: no answer in 90 s"
    assert hands.waits == [5.0] * 19


def test_one_order_that_may_not_go_makes_all_be_decided_afresh() -> None:
    """A symbol frozen in the middle of a round: nothing more leaves, and nothing is blocked, before the next decision."""
    table = Table(reserved("B0", "B1"), Wire())
    table.story.tell(SymbolFrozen(symbol="DDD", reason="told"))
    table.send("B0", "B1")
    assert table.wire.placed == []
    assert [table.status("B0"), table.status("B1")] == [OrdStatus.RESERVED, OrdStatus.RESERVED]


@pytest.mark.parametrize(
    ("key", "price", "seconds", "rule"),
    [
        ("B0", "10", 60, None),
        ("B0", "10", 60.000001, "max_quote_age"),
        ("S0", "10", 3600, None),
        ("B0", "20", 0, "price_collar"),
        ("B0", "20", 3600, "price_collar"),
        ("S0", "20", 3600, "price_collar"),
    ],
)
def test_only_a_buy_needs_a_price_that_is_fresh(key: str, price: str, seconds: float, rule: str | None) -> None:
    """A sell that reduces risk is not kept back because its share trades rarely; too far is too far on either side."""
    table = Table(reserved(key), Wire())
    table.quotes = {symbol: quote(symbol, price) for symbol in ("AAA", "CCC")}
    table.market_time = START + timedelta(seconds=seconds)
    table.send(key)
    assert table.story.order(key).rule == rule
    assert table.status(key) is (OrdStatus.NEW if rule is None else OrdStatus.BLOCKED)


def test_a_send_passes_its_points_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of them a test may kill the process, so none may be missing."""
    passed: list[str] = []
    table = Table(reserved("S0"), Wire())
    monkeypatch.setattr(crashpoints, "strike", passed.append)
    table.send("S0")
    assert passed == [
        "send.before_intent",
        "send.after_intent",
        "send.before_call",
        "send.after_call",
        "send.before_outcome",
        "send.after_outcome",
    ]


def test_requests_are_numbered() -> None:
    """The first attempt is one, a repeat is two."""
    story = reserved("S0")
    for _ in range(2):
        table = Table(story, Wire(InDoubt("timeout")))
        table.send("S0")
    attempts = [row.event.attempt for row in story.rows if isinstance(row.event, OrderSending)]
    assert attempts == [1, 2]


def test_a_round_begins_with_nothing_kept_back() -> None:
    """Whatever the round before it could not send goes now."""
    table = Table(reserved("S0"), Wire(NotSent("refused_connection"), "id"))
    kept_back = [table.submission.not_sent]
    for _ in range(2):
        table.send("S0")
        kept_back.append(table.submission.not_sent)
    assert kept_back == [False, True, False]
    assert table.status() is OrdStatus.NEW


def test_each_look_at_the_prices_is_for_the_whole_round() -> None:
    """One question for all symbols that are to go, whichever of them goes now."""
    table = Table(reserved("S0", "S1"), Wire())
    table.submission._max_in_flight = 1
    table.send("S0", "S1")
    assert table.asked == [("AAA", "BBB"), ("AAA", "BBB")]


@pytest.mark.parametrize("how", ["another request", "a doubt meanwhile"])
def test_a_refusal_closes_only_an_order_of_which_nothing_else_is_unsure(how: str) -> None:
    """A second request that nobody doubts yet, or a doubt that came while the only one was on the wire."""
    story = reserved("S0")
    if how == "another request":
        story.sends("S0")
    table = Table(story, Wire(Refused("closed")))
    if how == "a doubt meanwhile":

        def doubts(_: OrderRequest) -> None:
            table.story.doubts("S0", raw="Held")

        table.wire.at_arrival = doubts
    table.send("S0")
    assert table.status() is OrdStatus.UNKNOWN
    assert "a repeat was refused" in table.story.order("S0").text


def test_a_reason_is_cut_to_three_hundred_characters() -> None:
    """Whatever an adapter says goes into the journal, and not more of it than that."""
    table = Table(reserved("S0"), Wire(InDoubt("x" * 1000)))
    table.send("S0")
    assert len(table.story.order("S0").text) == 300


# The rate ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("per_minute", "burst"), [(60, 1), (600, 24), (10, 10), (72, 12), (5, 50), (1, 1)])
def test_no_minute_sees_more_requests_than_the_limit(per_minute: int, burst: int) -> None:
    """However greedily permits are taken, no span of a minute holds more of them; and none is wasted for long."""
    clock = FakeClock()
    rate = MessageRate(clock, per_minute, burst)
    taken: list[float] = []
    while clock.elapsed() < 200:
        if rate.take():
            taken.append(clock.elapsed())
        else:
            clock.advance(timedelta(seconds=max(rate.wait(), 0.000_001)))
    assert max(sum(at <= other < at + 60 for other in taken) for at in taken) <= per_minute
    assert len(taken) >= 2 * per_minute - burst


def test_a_burst_leaves_at_once() -> None:
    """After a rest so many requests leave without waiting, and not one more."""
    clock = FakeClock()
    rate = MessageRate(clock, 60, 3)
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    clock.advance(timedelta(seconds=rate.wait()))
    assert rate.take()
