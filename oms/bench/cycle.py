"""Whole cycles of the production engine, timed: journal on disk, full durability, a broker that costs nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from oms.bench.noop import NoopBroker, NoopMarket
from oms.engine.driver import Driver, Settings
from oms.engine.opening import look_and_plan, open_account, open_cycle
from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from oms.journal.account import AccountJournal
from oms.journal.inbox import Inbox
from oms.journal.store import open_journal
from oms.model.order import Side
from oms.model.rules import Rules
from oms.model.signal import Signal, Signals
from oms.ports import Mailbox

QUANTITY = 100
LIFTED = Rules(
    max_position_value=Decimal(1_000_000_000),
    max_order_value=Decimal(1_000_000_000),
    max_trades_per_day=1_000_000_000,
    grace=timedelta(0),
)
"""The limits that would end a run of many cycles on one day, lifted in the open."""


class CycleBench:
    """Runs cycles of ``sells`` sells and ``buys`` buys, one after the other, in one process that holds its lease."""

    def __init__(
        self,
        folder: Path,
        sells: int = 10,
        buys: int = 10,
        *,
        journal: AccountJournal | None = None,
        mailbox: Mailbox | None = None,
        broker: NoopBroker | None = None,
        hands: ThreadHands | None = None,
    ) -> None:
        self._sells, self._buys = sells, buys
        self._clock = SystemClock()
        market = NoopMarket()
        held = {f"S{n:04d}": QUANTITY for n in range(sells)}
        self._sides = (sorted(held), [f"B{n:04d}" for n in range(buys)])
        self.broker = broker or NoopBroker(self._clock, market, Decimal(1_000_000_000), held, 2 * (sells + buys))
        url = f"sqlite:///{(folder / 'bench.db').as_posix()}"
        self.journal: AccountJournal = journal or open_journal(url, "bench", "paper", self._clock)
        self._inbox: Mailbox = mailbox or Inbox(folder / "inbox.db")
        self._hands = hands or ThreadHands(8)
        self._outside = (self.broker, market)
        self._count = 0
        self.driver = self._driver(patient=True)
        open_account(self.driver, mode="paper")

    def _driver(self, *, patient: bool) -> Driver:
        broker, market = self._outside
        settings = Settings(patient=patient, max_in_flight=64, messages_per_minute=60_000_000)
        driver = Driver(self.journal, broker, market, self._clock, self._hands, self._inbox, LIFTED, settings)
        driver.enter_session(None)
        return driver

    def tell_the_world(self) -> None:
        """From here on each cycle ends as ``run --once`` ends it: DONE is on the disk before it is told."""
        self.driver = self._driver(patient=False)

    def cycle(self) -> float:
        """Run one cycle; the seconds it took."""
        began = time.perf_counter()
        self._count += 1
        cycle_id = f"c-bench-{self._count:08d}"
        plan, funds = look_and_plan(self.driver, self._signals(), cycle_id)
        open_cycle(self.driver, plan, funds, cycle_id=cycle_id, config_hash="bench", version="bench")
        ending = self.driver.run()
        self.journal.tidy()
        seconds = time.perf_counter() - began
        cycle = self.driver.state.cycle
        if ending.exit_code or cycle is None or any(order.leaves_qty for order in cycle.orders.values()):
            raise AssertionError(f"cycle {cycle_id} did not fill: {ending}")
        return seconds

    def rows_of_a_cycle(self) -> list[tuple[Any, ...]]:
        """Run one cycle; its facts as they are stored."""
        before = self.journal.state.seq
        self.cycle()
        found = self.journal.connection.exec_driver_sql(f"SELECT * FROM events WHERE seq > {before:d} ORDER BY seq")  # noqa: S608  # a number
        return [tuple(row) for row in found]

    def _signals(self) -> Signals:
        """Sell what the cycle before has bought, and buy back what it sold."""
        sold, bought = self._sides if self._count % 2 else self._sides[::-1]
        wishes = [Signal(side=Side.SELL, symbol=symbol, quantity=QUANTITY) for symbol in sold]
        wishes += [Signal(side=Side.BUY, symbol=symbol, quantity=QUANTITY) for symbol in bought]
        return Signals(signals=tuple(wishes), source="bench", digest="bench")

    def close(self) -> None:
        self.journal.close()
        self._hands.close()
        self._inbox.close()


@contextmanager
def bench(folder: Path, sells: int = 10, buys: int = 10) -> Iterator[CycleBench]:
    """A bench that is closed at the end."""
    made = CycleBench(folder, sells, buys)
    try:
        yield made
    finally:
        made.close()


def serve(folder: Path, lines: TextIO, answers: TextIO, made: CycleBench | None = None, *, told: bool = False) -> None:
    """Print ``READY``; then for each line ``N`` run N cycles and print one JSON list of their N seconds.

    So that another program can time this one beside others, in alternating rounds. Ends with the input. With ``told``
    each cycle is told to the world.
    """
    with closing(made or CycleBench(folder)) as running:
        if told:
            running.tell_the_world()
        print("READY", file=answers, flush=True)
        for line in lines:
            if line.strip():
                print(json.dumps([running.cycle() for _ in range(int(line))]), file=answers, flush=True)
