"""A whole engine as ``run --loop`` wires it, with its four tasks, on trading days that pass as fast as it works.

``python -m tests.counts.months FOLDER CYCLES`` prints one JSON list: for each of some cycles its number, the pages of memory
that are resident in this process after it, and the files that it holds open.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from oms import app
from oms.bench.noop import NoopBroker
from oms.config import LoadedConfig, load_config
from oms.engine import cadence
from oms.gateways.system_clock import SystemClock
from oms.model.account import Quote, Session
from oms.model.order import Side
from oms.model.signal import Signal
from oms.model.task import RECONCILIATION
from oms.observe.wiring import notifier_of
from oms.ports import Bar, BarSet, Follower, Market, StrategySight

FIRST = date(2001, 1, 1)
PRICE = Decimal(10)
HISTORY = 110
BEAT = timedelta(milliseconds=2)
MEASURED_AFTER = (100, 1_000, 2_000, 5_000, 10_000)
CONFIG = """
broker:
  paper: {positions: {}}
selection: {universe: universe.txt, strategy: "tests.counts.months:choose", interval: 10s}
execution: {grace: 0ms, messages_per_minute: 60000}
backup: {daily: false}
notify: ["env:OMS_TOLD?cycle=silent&summary=off"]
"""


def choose(sight: StrategySight) -> Iterable[Signal]:
    """Sell the one share and buy the other, day after day."""
    held = "AAA" if sight.held.get("AAA") else "BBB"
    yield Signal(side=Side.SELL, symbol=held)
    yield Signal(side=Side.BUY, symbol="BBB" if held == "AAA" else "AAA", score=Decimal(90))


class Days(Market):
    """A market that is always open, whose day ends when its cycle does."""

    name = "days"
    skips_nights = False

    def __init__(self) -> None:
        self.day = FIRST

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        if last_day is not None and open_day is None and self.day <= last_day:
            self.day = last_day + timedelta(days=1)
        return self.session()

    def session(self) -> Session:
        opens = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        return Session(
            day=self.day, opens=opens, closes=opens + timedelta(hours=23), settles=self.day + timedelta(days=1)
        )

    def time(self) -> datetime:
        return self.session().opens + timedelta(hours=1)

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        at = self.time()
        return {s: Quote(symbol=s, bid=PRICE, ask=PRICE, last=PRICE, at=at) for s in symbols}

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        return None

    def bars(self, symbols: Sequence[str]) -> BarSet:
        days = [self.day - timedelta(days=n) for n in range(HISTORY, 0, -1)]
        bars = [Bar(day=day, open=PRICE, high=PRICE, low=PRICE, close=PRICE, volume=1_000_000) for day in days]
        return BarSet(as_of=days[-1], bars=dict.fromkeys(symbols, bars), problems={})


class Life:
    """One process of the engine, until so many cycles are done."""

    def __init__(self, folder: Path, cycles: int) -> None:
        self.measured: list[tuple[int, int, int]] = []
        self._cycles = cycles
        self._engine: app.Engine | None = None
        self._loaded = self._configured(folder)

    @staticmethod
    def _configured(folder: Path) -> LoadedConfig:
        (folder / "universe.txt").write_text("AAA\nBBB\n")
        (folder / "config.yaml").write_text(CONFIG)
        loaded = load_config(folder / "config.yaml", {})
        at_once = loaded.config.worker.model_copy(update={"interval": BEAT, "reconciliation": BEAT})
        return replace(loaded, config=loaded.config.model_copy(update={"worker": at_once}))

    def live(self) -> None:
        followers: list[Follower] = [follower] if (follower := notifier_of(self._loaded)) is not None else []
        market = Days()
        broker = NoopBroker(SystemClock(), market, Decimal(1_000_000_000), {"AAA": 100}, remember=4)
        self._engine = app.Engine(
            self._loaded,
            loop=True,
            market=market,
            quiet=self._between_cycles,
            stopping=self._is_over,
            followers=followers,
            gate=lambda _: broker,
        )
        try:
            ending = self._engine.run()
            assert ending.exit_code == 143, ending
            for task in self._engine._tasks.register._tasks.values():
                assert task.healthy, task
                assert task.runs, task
        finally:
            self._engine.close()

    def _done(self) -> int:
        assert self._engine is not None
        return self._engine._worker.cycles

    def _compared(self) -> int:
        assert self._engine is not None
        return self._engine._tasks.register.task(RECONCILIATION).runs

    def _is_over(self) -> int | None:
        return (
            143
            if self._engine is not None and hasattr(self._engine, "_worker") and self._done() >= self._cycles
            else None
        )

    def _between_cycles(self) -> None:
        """Let broker and journal be compared, for which the next cycle would leave no time, and measure."""
        assert self._engine is not None
        runs, give_up_at = self._compared(), time.monotonic() + 60
        while self._done() % 10 == 0 and self._compared() == runs:
            self._engine.driver.tend()
            time.sleep(0.001)
            assert time.monotonic() < give_up_at, "broker and journal are not compared any more"
        done = self._done()
        if done in MEASURED_AFTER and all(done != measured for measured, _, _ in self.measured):
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.measured.append((done, pages, min(_open_files() for _ in range(50))))


def _open_files() -> int:
    """Files that are open now; whoever tells people opens the journal for a moment now and then."""
    time.sleep(0.002)
    return len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    cadence.GLANCE_S = 0.001
    life = Life(Path(sys.argv[1]), int(sys.argv[2]))
    life.live()
    print(json.dumps(life.measured))
