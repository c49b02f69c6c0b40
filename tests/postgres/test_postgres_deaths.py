"""What is left when the wire is cut, a worker dies or the server does: a prefix, never less than was promised."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from oms.errors import LeaseHeldError, StorageError
from oms.gateways.system_clock import SystemClock
from oms.journal.machine import this_process
from oms.journal.postgres.address import Address, parse, writers
from oms.journal.postgres.commit_doubt import NOT_WRITTEN, UNKNOWN, WRITTEN
from oms.journal.postgres.journal import PostgresJournal, open_postgres
from oms.journal.reader import open_reader
from oms.journal.verify import verify
from oms.model.event import AttentionRaised
from oms.model.order import Side
from tests.fakes.clock import FakeClock
from tests.journal.facts import Script, account_opened, oddities
from tests.postgres.server import Server
from tests.postgres.wire import Wire

_accounts = count(1)


def facts(number: int) -> AttentionRaised:
    return AttentionRaised(rule="test", text=f"number {number}")


@pytest.fixture(scope="module")
def wire(server: Server) -> Iterator[Wire]:
    if not server.is_own:
        pytest.skip("only a server that the tests start has a socket to be cut from")
    made = Wire(server.socket_file)
    yield made
    made.close()


@pytest.fixture(scope="module")
def cut_off(server: Server, wire: Wire) -> Iterator[tuple[Server, str, Address]]:
    """A database, by its name and through the wire."""
    database = server.new_database()
    url = f"postgresql://postgres@127.0.0.1:{wire.port}/{database}?sslmode=disable"
    yield server, database, parse(url)
    server.drop(database)


def live(address: Address, account: str) -> tuple[int, Exception | None]:
    """One short life; how many rows it was told are written, and what ended it."""
    told = 0
    journal: PostgresJournal | None = None
    try:
        journal = open_postgres(address, account, "paper", FakeClock(), 15.0)
        script = Script(fence=journal.lease.fence)
        reserved = [script.reserved(i) for i in script.intents(Side.SELL)]
        for is_barrier, events in (
            (True, [account_opened()]),
            (False, [script.opened(), *script.planned(Side.SELL)]),
            (True, reserved),
            (False, oddities()),
            (True, [facts(1)]),
        ):
            (journal.append_barrier if is_barrier else journal.append)(events)
            told = journal.state.seq
        journal.close()
    except StorageError as error:
        return told, error
    finally:
        if journal is not None:
            journal._break("the test is over")
    return told, None


def check(server: Server, database: str, account: str, told: int, ended: Exception | None) -> None:
    """A prefix that holds together, with everything that was promised, and the sentence about it is true."""
    successor = open_postgres(
        parse(server.url(database)), account, "paper", later(), 15.0, process=replace(this_process(), pid=1)
    )
    there = successor.state.seq
    successor.close()
    assert there >= told
    with closing(open_reader(server.url(database, account=account))) as reader:
        verdict = verify(reader)
    assert verdict.problem == ""
    if ended is not None and there > told:
        assert NOT_WRITTEN not in str(ended)
    if ended is not None and there == told:
        assert WRITTEN not in str(ended)


def later() -> FakeClock:
    clock = FakeClock()
    clock.advance(timedelta(minutes=1))
    return clock


def messages(wire: Wire, address: Address) -> int:
    """How many messages a whole life sends."""

    writers(address.server, address.schema).dispose()
    wire.arm(None)
    told, ended = live(address, f"cut-{next(_accounts)}")
    assert (told > 15, ended) == (True, None)
    return wire.sent


class TestTheWire:
    """The connection is cut at every message, before the server gets it and after."""

    @pytest.mark.parametrize("answer", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.nightly)])
    def test_cut_anywhere(self, wire: Wire, cut_off: tuple[Server, str, Address], step: int, answer: bool) -> None:
        """Whichever message is the last, the next process finds a whole prefix with all that was acknowledged."""
        server, database, address = cut_off
        whole = messages(wire, address)
        assert whole > 10
        sentences: set[str] = set()
        for at in range(1, whole + 1, step):
            account = f"cut-{next(_accounts)}"
            writers(address.server, address.schema).dispose()
            wire.arm(at, answer=answer)
            told, ended = live(address, account)
            wire.arm(None)
            check(server, database, account, told, ended)
            sentences |= {s for s in (WRITTEN, NOT_WRITTEN, UNKNOWN) if s in str(ended)}
        # The server could be asked every time.
        assert sentences
        assert UNKNOWN not in sentences


HOLDER = """
import sys
from oms.gateways.system_clock import SystemClock
from oms.journal.postgres.address import parse
from oms.journal.postgres.journal import open_postgres
from oms.model.event import AttentionRaised
from tests.journal.facts import account_opened
journal = open_postgres(parse(sys.argv[1]), "victim", "paper", SystemClock(), 15.0)
journal.append_barrier([account_opened()])
print("holding", flush=True)
while True:
    journal.append([AttentionRaised(rule="test", text="soft")])
    print(journal.state.seq, flush=True)
"""


def test_kill_9_of_a_worker_loses_nothing(server: Server, database: str) -> None:
    """Every commit it was told of is there, soft ones too, and the next process need not wait for the lease to end."""
    url = server.url(database)
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "holding\n"
        with pytest.raises(LeaseHeldError, match=str(victim.pid)):
            open_postgres(parse(url), "victim", "paper", SystemClock(), 15.0)
        lines = [victim.stdout.readline() for _ in range(30)]
        victim.send_signal(signal.SIGKILL)
        lines += victim.stdout.readlines()
    told = int([line for line in lines if line.endswith("\n")][-1])
    successor = open_postgres(parse(url), "victim", "paper", SystemClock(), 15.0)
    assert successor.state.seq in (told, told + 1)
    assert successor.lease.fence == 2
    successor.close()


def test_kill_9_of_the_server_leaves_every_barrier(server: Server, database: str) -> None:
    """What a barrier covered is there after the crash, soft commits may be gone, and the token says so."""
    if not server.is_own:
        pytest.skip("the tests kill only a server that they started")
    address = parse(server.url(database))
    journal = open_postgres(address, "victim", "paper", FakeClock(), 15.0)
    journal.append_barrier([account_opened()])
    for number in range(10):
        journal.append([facts(number)])
    journal.append_barrier([facts(10)])
    covered = journal.state.seq
    for number in range(20):
        journal.append([facts(number)])
    told = journal.state.seq
    server.kill()
    try:
        with pytest.raises(StorageError, match="cannot be reached") as caught:
            journal.append([facts(0)])
        assert caught.value.exit_code == 75
        with pytest.raises(StorageError, match="cannot be reached"):
            open_postgres(address, "other", "paper", FakeClock(), 15.0)
    finally:
        server.start_again()
    successor = open_postgres(address, "victim", "paper", later(), 15.0)
    assert covered <= successor.state.seq <= told
    assert successor.lease.restart_token != journal.lease.restart_token
    successor.append_barrier([facts(0)])
    successor.close()
    with closing(open_reader(server.url(database, account="victim"))) as reader:
        assert verify(reader).ok


SHARERS = """
import sys, threading
from oms.gateways.system_clock import SystemClock
from oms.journal.postgres.address import parse
from oms.journal.postgres.journal import open_postgres
from oms.model.event import AttentionRaised
from tests.journal.facts import account_opened
address = parse(sys.argv[1])
journals = [open_postgres(address, f"sharer-{n}", "paper", SystemClock(), 60.0) for n in range(4)]
for journal in journals:
    journal.append_barrier([account_opened()])
print("holding", flush=True)
def live(n, journal):
    while True:
        journal.append_barrier([AttentionRaised(rule="test", text="a shared barrier")])
        sys.stdout.write(f"{n} {journal.state.seq}\\n")
        sys.stdout.flush()
crowd = [threading.Thread(target=live, args=each, daemon=True) for each in enumerate(journals)]
for each in crowd:
    each.start()
for each in crowd:
    each.join()
"""


def test_kill_9_of_the_server_leaves_every_shared_barrier(server: Server, database: str) -> None:
    """What an account was told of is there after the crash, although another connection's flush brought it to the disk."""
    if not server.is_own:
        pytest.skip("the tests kill only a server that they started")
    address = parse(server.url(database))
    command = [sys.executable, "-c", SHARERS, server.url(database)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[2]
    ) as sharers:
        assert sharers.stdout is not None
        assert sharers.stdout.readline() == "holding\n"
        lines = [sharers.stdout.readline() for _ in range(60)]
        server.kill()
        lines += sharers.stdout.readlines()
    server.start_again()
    told: dict[int, int] = {}
    for line in lines:
        number, seq = line.split()
        told[int(number)] = int(seq)
    assert len(told) == 4
    for who, seen in told.items():
        successor = open_postgres(address, f"sharer-{who}", "paper", later(), 15.0)
        assert successor.state.seq >= seen
        successor.close()
