"""A whole engine on fakes and the real paper broker, small enough to hold in one test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from oms.engine.driver import Driver, Ending, Settings
from oms.engine.worker import Assignment, Worker
from oms.gateways.paper import PaperBroker
from oms.model.cycle import Cycle
from oms.model.order import Order, Side
from oms.model.rules import Rules
from oms.model.signal import Signal, Signals
from tests.fakes.clock import FakeClock
from tests.fakes.faulty_broker import FaultyBroker
from tests.fakes.hands import SequentialHands
from tests.fakes.journal import MemoryJournal, MemoryMailbox
from tests.fakes.market import FixedMarket

PRICES = {"AAA": "50", "BBB": "20", "CCC": "100", "DDD": "40", "EEE": "25"}


def sell(symbol: str, quantity: int | None = None) -> Signal:
    return Signal(side=Side.SELL, symbol=symbol, quantity=quantity)


def buy(symbol: str, quantity: int | None = None, price: str | None = None, score: str | None = None) -> Signal:
    return Signal(
        side=Side.BUY,
        symbol=symbol,
        quantity=quantity,
        price=Decimal(price) if price else None,
        score=Decimal(score) if score else None,
    )


class TickingClock(FakeClock):
    """Every look at it takes a tenth of a millisecond, as every deed in the world takes time."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=100))
        return super().now()


@dataclass
class House:
    """One account; :meth:`process` is a new process of it after a death."""

    folder: Path
    rules: Rules = field(default_factory=Rules)
    cash: Decimal = Decimal(20_000)
    positions: Mapping[str, int] = field(default_factory=lambda: {"AAA": 100, "BBB": 200})
    settle_after: timedelta = timedelta(seconds=1)
    list_lag: timedelta = timedelta(0)
    partial_fills: Decimal = Decimal(0)
    patient: bool = False
    mode: str = "paper"
    stopping: Callable[[], int | None] = lambda: None

    def __post_init__(self) -> None:
        self.clock = TickingClock()
        self.market = FixedMarket(PRICES)
        self.mailbox = MemoryMailbox()
        self.journal = MemoryJournal(self.clock)
        self.paper = PaperBroker(
            self.folder / "paper.db",
            self.market,
            self.clock,
            cash=self.cash,
            positions=self.positions,
            settle_after=self.settle_after,
            list_lag=self.list_lag,
            partial_fills=self.partial_fills,
            session=self.market.session,
        )
        self.broker = FaultyBroker(self.paper)
        self._cycles = 0

    def driver(self) -> Driver:
        return Driver(
            self.journal,
            self.broker,
            self.market,
            self.clock,
            SequentialHands(),
            self.mailbox,
            self.rules,
            Settings(patient=self.patient),
            stopping=self.stopping,
        )

    def run(self, *wishes: Signal, open_new: bool = True, loop: bool = False, stop_after: int = 1) -> Ending:
        """One process from start to end: resume, then one cycle from these wishes.

        With ``loop`` the process gets its SIGTERM when ``stop_after`` cycles of the journal are done.
        """
        assignment = Assignment(
            mode=self.mode, config_hash="c0", canonical="{}", version="test", loop=loop, open_new=open_new
        )
        signals = Signals(signals=wishes, source="test", digest="0")
        if loop:
            self.stopping = lambda: 143 if self._done() >= stop_after else None
        return Worker(self.driver(), assignment, wishes=lambda _: signals, new_cycle_id=self._new_cycle_id).run()

    def _done(self) -> int:
        return self.journal.kinds.count("buys_closed")

    def reborn(self, **how: object) -> None:
        """The process is gone; the next one folds what is there."""
        self.journal = self.journal.reborn(**how)  # type: ignore[arg-type]

    def change_rules(self, **changes: object) -> None:
        self.rules = replace(self.rules, **changes)  # type: ignore[arg-type]

    def _new_cycle_id(self) -> str:
        self._cycles += 1
        return f"c-{self._cycles:04d}"

    @property
    def cycle(self) -> Cycle:
        assert self.journal.state.cycle is not None
        return self.journal.state.cycle

    def order(self, symbol: str) -> Order:
        return next(order for order in self.cycle.orders.values() if order.symbol == symbol)
