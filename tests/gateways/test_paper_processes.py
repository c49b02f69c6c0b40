"""The paper broker's book under real processes: killed between acceptance and reply, at random, and several at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from oms.errors import Refused
from oms.gateways.paper import PaperBroker
from oms.gateways.paper.log import LogKind, read_log
from oms.model.order import BrokerOrder, Side
from tests.gateways.paper_trader import SHARES, open_book, sell

ROOT = Path(__file__).parent.parent.parent
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "paper.db"


@pytest.fixture
def broker(book: Path) -> Iterator[PaperBroker]:
    broker = open_book(book)
    yield broker
    broker.close()


def trader(book: Path, *numbers: str, crash_at: str = "") -> subprocess.Popen[str]:
    """A process that sells 2 shares per number."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMS_CRASH_AT": crash_at}
    command = [sys.executable, "-m", "tests.gateways.paper_trader", str(book), *numbers]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def ends(process: subprocess.Popen[str]) -> list[str]:
    """The numbers that were acknowledged before the process ended."""
    output, _ = process.communicate(timeout=240)
    return [word for word in output.split() if word != "READY"]


def orders(broker: PaperBroker) -> dict[str, BrokerOrder]:
    return {str(order.order_no): order for order in broker.orders(LONG_AGO).orders}


def test_a_process_that_dies_before_acceptance_leaves_nothing(broker: PaperBroker, book: Path) -> None:
    """Killed when the request arrived but nothing was stored, there is no order, and the number may be used."""
    (number,) = broker.reserve(1)
    process = trader(book, number, crash_at="paper.place.before_accept")
    assert ends(process) == []
    assert process.returncode != 0
    assert orders(broker) == {}
    sell(broker, number)
    assert list(orders(broker)) == [number]


def test_a_process_that_dies_after_acceptance_leaves_one_order(broker: PaperBroker, book: Path) -> None:
    """Killed between acceptance and reply, the order is there, working, and the same number is refused as a repeat."""
    (number,) = broker.reserve(1)
    process = trader(book, number, crash_at="paper.place.after_accept")
    assert ends(process) == []
    assert process.returncode != 0
    assert list(orders(broker)) == [number]
    with pytest.raises(Refused) as refusal:
        sell(broker, number)
    assert refusal.value.repeat
    assert sum(row.kind is LogKind.ACCEPTED for row in read_log(book)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_random_kills_lose_no_acknowledged_order(broker: PaperBroker, book: Path, seed: int) -> None:
    """Killed at a random acknowledgement while eight threads place, each acknowledged order is there once, and sound."""
    numbers = broker.reserve(40)
    process = trader(book, *numbers)
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(1 + Random(seed).randrange(30))]
    process.kill()
    acknowledged = [*lines[1:], *ends(process)]
    found = orders(broker)
    assert set(acknowledged) <= set(found) <= set(numbers)
    check(broker, book, found)


def test_many_processes_share_the_book(broker: PaperBroker, book: Path) -> None:
    """Four processes of eight threads each place 20 orders: 80 distinct numbers and orders, and the money adds up."""
    processes = [trader(book, "+20") for _ in range(4)]
    acknowledged = [number for process in processes for number in ends(process)]
    assert all(process.returncode == 0 for process in processes)
    assert len(acknowledged) == len(set(acknowledged)) == 80
    found = orders(broker)
    assert set(found) == set(acknowledged)
    check(broker, book, found)


def test_a_new_book_is_made_once(book: Path) -> None:
    """Processes that open a new book at the same time make one, with one opening balance."""
    processes = [trader(book, "+5") for _ in range(3)]
    assert [len(ends(process)) for process in processes] == [5, 5, 5]
    assert sum(row.kind is LogKind.OPENED for row in read_log(book)) == 1


def check(broker: PaperBroker, book: Path, found: dict[str, BrokerOrder]) -> None:
    """The book is whole: shares and cash are what its orders and its log say."""
    sold = sum((order.cum_qty for order in found.values()), Decimal(0))
    cash = sum((order.notional - order.fees for order in found.values()), Decimal(0))
    assert broker.positions()[0].qty == SHARES - sold
    assert broker.funds().cash == cash
    log = read_log(book)
    fills = [row for row in log if row.kind is LogKind.FILL]
    assert sum((row.qty or Decimal(0) for row in fills), Decimal(0)) == sold
    assert all(row.side is Side.SELL for row in fills)
    assert [row.id for row in log] == list(range(1, len(log) + 1))
    assert sorted(str(row.order_no) for row in log if row.kind is LogKind.ACCEPTED) == sorted(found)
    assert timedelta(0) <= datetime.now(UTC) - log[-1].at < timedelta(minutes=5)
