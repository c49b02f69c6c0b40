"""This machine's clock and threads as the ports want them."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from tests.fakes.hands import SequentialHands

ROOT = Path(__file__).parent.parent.parent


def test_system_clock_is_aware_utc() -> None:
    """Real time is now, and aware UTC."""
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_elapsed_goes_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elapsed time never falls, with the boot-time clock and without it."""
    clock = SystemClock()
    readings = [clock.elapsed() for _ in range(1000)]
    assert readings == sorted(readings)
    monkeypatch.setattr("oms.gateways.system_clock._COUNTS_SUSPENSION", None)
    readings = [clock.elapsed() for _ in range(1000)]
    assert readings == sorted(readings)


def test_sleep_for_a_passed_deadline_is_none() -> None:
    """A negative span is no error, and no wait."""
    SystemClock().sleep(-3600)


@pytest.mark.parametrize("hands", [ThreadHands(4), SequentialHands()], ids=["threads", "sequential"])
def test_hands_bring_answers_and_errors(hands: ThreadHands | SequentialHands) -> None:
    """Each handle has the answer of its own call, or the exception it ended with."""
    handles = [hands.start(partial(divmod, 100, divisor)) for divisor in (7, 0, 9)]
    for handle in handles:
        while not handle.done():
            hands.wait([handle], 10)
    assert (handles[0].result(), handles[2].result()) == ((14, 2), (11, 1))
    with pytest.raises(ZeroDivisionError):
        handles[1].result()
    hands.wait([], 10)
    hands.close()


def test_calls_run_side_by_side() -> None:
    """Eight calls that wait for one another all end, so eight threads carry them at once."""
    hands = ThreadHands(8)
    meeting = threading.Barrier(8, timeout=120)
    handles = [hands.start(meeting.wait) for _ in range(8)]
    assert sorted(handle.result() for handle in handles) == list(range(8))
    hands.close()


def test_no_more_threads_than_stated() -> None:
    """Many calls share the stated number of threads, and every one of them is carried."""
    hands = ThreadHands(3)
    handles = [hands.start(threading.get_ident) for _ in range(100)]
    assert len({handle.result() for handle in handles}) <= 3
    assert len(hands._threads) <= 3
    hands.close()


def test_wait_returns_at_the_first_answer_or_in_time() -> None:
    """Waiting ends with the first call that is done, and without one when the time is over."""
    hands = ThreadHands(2)
    gate = threading.Event()
    hanging, quick = hands.start(gate.wait), hands.start(lambda: 1)
    hands.wait([hanging, quick], 30)
    assert quick.done()
    hands.wait([hanging], 0)
    assert not hanging.done()
    gate.set()
    assert hanging.result()
    hands.close()


def test_closed_hands_take_nothing() -> None:
    """After closing, a new call is refused instead of being forgotten."""
    hands = ThreadHands(1)
    hands.close()
    with pytest.raises(RuntimeError):
        hands.start(int)
    with pytest.raises(ValueError, match="carry nothing"):
        ThreadHands(0)


def test_a_hanging_call_does_not_keep_the_process() -> None:
    """A process whose call hangs at a broker for ever ends when it wants to."""
    script = (
        "import threading\n"
        "from oms.gateways.threads import ThreadHands\n"
        "hands = ThreadHands()\n"
        "hands.start(threading.Event().wait)\n"
        "hands.close()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120, check=True)
