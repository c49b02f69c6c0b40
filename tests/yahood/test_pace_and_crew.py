"""The parts of the Yahoo market that need no Yahoo: the pace, the pauses, the threads and the spelling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from oms.gateways.yahoo.crew import Crew
from oms.gateways.yahoo.pace import Breaker, Pace, TimeUp
from oms.gateways.yahoo.symbols import to_yahoo
from tests.fakes.clock import FakeClock


def test_pace() -> None:
    """After a burst of four, permits come three a second, and a pause brings no more than another burst."""
    clock = FakeClock()
    pace = Pace(clock)
    for _ in range(34):
        pace.take(until=1_000)
    assert clock.elapsed() == pytest.approx(10)
    clock.sleep(3600)
    began = clock.elapsed()
    for _ in range(7):
        pace.take(until=10_000)
    assert clock.elapsed() - began == pytest.approx(1)


def test_a_permit_that_comes_too_late_is_not_waited_for() -> None:
    """A request that could leave only after the deadline does not wait, and takes no permit from the next one."""
    clock = FakeClock()
    pace = Pace(clock)
    for _ in range(4):
        pace.take(until=1)
    with pytest.raises(TimeUp):
        pace.take(until=0.3)
    assert clock.elapsed() == 0
    pace.take(until=1)
    assert clock.elapsed() == pytest.approx(1 / 3)


def test_one_refusal_that_many_threads_notice_counts_once() -> None:
    """The first pause stays five minutes however often the same refusal is reported."""
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.refused()
    assert breaker.wait()[0] == 300
    clock.sleep(300)
    assert breaker.wait() == (0, "")
    breaker.refused()
    assert breaker.wait()[0] == 900


def test_leaving_early_starts_no_further_call() -> None:
    """Who stops taking results ends the run: calls that have not begun never do."""
    begun: list[int] = []
    gate = threading.Event()

    def call(number: int) -> Callable[[], int]:
        def work() -> int:
            begun.append(number)
            if number:
                gate.wait(120)
            return number

        return work

    crew = Crew(FakeClock())
    with closing(crew.results({number: call(number) for number in range(20)}, until=60)) as results:
        assert next(results) == (0, 0)
    gate.set()
    for thread in crew._threads:
        thread.join(120)
    assert len(begun) <= 5
    assert crew.hanging == 0


def test_every_result_is_handed_over() -> None:
    """Each call's result comes once, under its key."""
    jobs = {number: (lambda number=number: number * number) for number in range(50)}
    assert dict(Crew(FakeClock()).results(jobs, until=60)) == {number: number * number for number in range(50)}
    assert list(Crew(FakeClock()).results({}, until=60)) == []


@pytest.mark.parametrize(
    ("symbol", "exchange", "written"),
    [
        ("OXY", "XNYS", "OXY"),
        ("BRK.B", "XNYS", "BRK-B"),
        ("00700", "XHKG", "0700.HK"),
        ("9988", "XHKG", "9988.HK"),
        ("5", "XHKG", "0005.HK"),
        ("D05", "XSES", "D05.SI"),
        ("7203", "XTKS", "7203.T"),
        ("BTC.USD", "24/7", "BTC-USD"),
    ],
)
def test_spelling(symbol: str, exchange: str, written: str) -> None:
    """A symbol is written as Yahoo writes it at its exchange."""
    assert to_yahoo(symbol, exchange) == written
