"""Several processes around one account: one trades, the others wait, watch, brake, or have been asleep too long."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import SQLAlchemyError

from oms.model.event import CycleResumed, OrderSending
from tests.kill.account import Account, Weather

Maker = Callable[[Weather], Account]

PATIENCE_S = 120.0
"""Longest wait for a condition; a machine under load is slow."""

SLOW_FUNDS = Weather(name="slow funds", settings={"ORDER_DEADLINE": "60s", "settle_after: 20ms": "settle_after: 6s"})
"""Leaves a cycle in SETTLING for some seconds: time to act on it."""
SHORT_LEASE = Weather(
    name="short lease", settings={"LEASE": "1s", "settle_after: 20ms": "settle_after: 6s", "ORDER_DEADLINE": "60s"}
)


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a condition; a process that ends before it is a failure."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_at, "the condition never came true"
        time.sleep(0.01)


def kinds(account: Account) -> list[str]:
    """Kinds of the facts so far; none while there is no journal to read."""
    try:
        return [fact.event.kind for fact in account.facts()]
    except SQLAlchemyError:
        return []


def is_settling(account: Account) -> bool:
    return "sells_closed" in kinds(account)


@contextmanager
def trading(account: Account, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that trades and has come to wait for its money; it is gone afterwards."""
    process = account.begin("run", *(arguments or ("--signals", "signals.csv")))
    try:
        until(lambda: is_settling(account), process)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_second_process_ends_with_6_and_sends_nothing(fresh: Maker) -> None:
    """While one process trades, another one is refused with a sentence that names it."""
    account = fresh(SLOW_FUNDS)
    with trading(account) as holder:
        before, rows = account.accepted(), len(account.log())
        second = account.run()
        assert second.code == 6, second
        assert f"process {holder.pid}" in second.err
        assert account.accepted() == before
        assert len(account.log()) == rows
        holder.wait(timeout=PATIENCE_S)
        assert holder.returncode == 0
    account.judge("two processes")


def test_a_run_right_after_a_kill_takes_over_at_once(fresh: Maker) -> None:
    """The lease of a process that is gone is no obstacle, though its time is not over."""
    account = fresh(Weather(name="slow funds", settings={**SLOW_FUNDS.settings, "LEASE": "600s"}))
    with trading(account) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert account.call("resume").code == 0
    assert any(isinstance(fact.event, CycleResumed) for fact in account.facts())
    account.judge("taken over at once")


def test_a_holder_that_slept_through_its_lease_writes_nothing_more(fresh: Maker) -> None:
    """Stopped, taken over, and woken: it ends with 6, without a row and without a send of its own."""
    account = fresh(SHORT_LEASE)
    with trading(account) as holder:
        holder.send_signal(signal.SIGSTOP)
        give_up_at = time.monotonic() + PATIENCE_S
        while (taken := account.call("resume")).code == 6:
            assert time.monotonic() < give_up_at
        assert taken.code == 0, taken
        rows, log = len(account.facts()), len(account.log())
        holder.send_signal(signal.SIGCONT)
        assert holder.wait(timeout=PATIENCE_S) == 6, holder.communicate()
        assert len(account.facts()) == rows
        assert len(account.log()) == log
    account.judge("a sleeper")
    account.verify("a sleeper")


def test_a_halt_from_a_second_terminal_stops_the_next_send(fresh: Maker) -> None:
    """`halt` is answered by the running engine; no buy leaves until `release`, and then the cycle goes on."""
    account = fresh(SLOW_FUNDS)
    with trading(account) as holder:
        halted = account.call("halt", "--reason", "lunch")
        assert halted.code == 0, halted
        assert holder.wait(timeout=PATIENCE_S) == 7, holder.communicate()
    sells = len(account.accepted())
    assert sells == 2
    assert account.run().code == 7
    assert len(account.accepted()) == sells
    released = account.call("release", "--yes")
    assert released.code == 0, released
    assert account.call("resume").code == 0
    assert len(account.accepted()) == 4
    account.judge("halted")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_process_that_is_asked_to_stop_stops_cleanly(fresh: Maker, number: int, code: int) -> None:
    """In the middle of a cycle: its own exit code, no order after it, and the next run goes on."""
    account = fresh(SLOW_FUNDS)
    with trading(account) as holder:
        holder.send_signal(number)
        assert holder.wait(timeout=PATIENCE_S) == code
    sent = [fact for fact in account.facts() if isinstance(fact.event, OrderSending)]
    assert len(sent) == 2
    assert account.call("resume").code == 0
    account.judge(f"signal {number}")
    account.verify(f"signal {number}")


def test_a_killed_holder_s_files_are_whole(fresh: Maker) -> None:
    """After SIGKILL in the middle, status still answers from the database."""
    account = fresh(SLOW_FUNDS)
    with trading(account) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        status = account.call("status", "--json")
        assert '"oms.status/1"' in status.out, status
