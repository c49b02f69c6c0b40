"""Weeks in seconds: a worker on a virtual clock through weekends, a holiday, an early close, winter time, and deaths."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from oms import crashpoints
from oms.engine import cadence
from oms.engine.driver import Driver, Settings
from oms.engine.errands import Errands
from oms.engine.reconciling import Reconciling
from oms.engine.register import Register
from oms.engine.worker import Assignment, Worker
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.paper import PaperBroker
from oms.journal import views
from oms.journal.reader import open_reader
from oms.journal.store import open_journal
from oms.model.account import Quote, Session
from oms.model.order import Side
from oms.model.rules import Rules
from oms.model.signal import Signal, Signals
from oms.model.task import RECONCILIATION
from oms.ports import BarSet, Market
from tests.fakes.clock import FakeClock
from tests.fakes.hands import SequentialHands
from tests.fakes.journal import MemoryMailbox

# pandas 3.1 warns of what exchange_calendars 4.13 still calls; nothing of ours calls it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]

INTERVAL = timedelta(minutes=10)
LIMIT = 60
"""Trades a day; a full day has 39 beats, each of which wants two."""
RULES = replace(Rules(), max_trades_per_day=LIMIT, min_order_value=Decimal(1))
DEATHS = (
    *("send.after_intent", "journal.after_barrier", "facts.before_commit", "decide.before_done", "send.after_outcome"),
    *("reserve.after_call", "decide.after_revalidation"),
)
"""Where the process dies, one a day."""


class Died(BaseException):
    """The process ends here."""


class Clock(FakeClock):
    """Every look takes a tenth of a millisecond, so that no two instants are equal."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=100))
        return super().now()


class Today(Market):
    """A market whose time is the clock's and whose hours are New York's; every price is 100."""

    name = "today"
    skips_nights = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calendar = ExchangeCalendar("XNYS", clock)
        self._session: Session | None = None

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        self._session = self._calendar.session(self._clock.now())
        return self._session

    def session(self) -> Session | None:
        return self._session

    def time(self) -> datetime:
        return self._clock.now()

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        px, at = Decimal(100), self._clock.now()
        return {s: Quote(symbol=s, bid=px, ask=px, last=px, at=at, tick=Decimal("0.01"), lot=1) for s in symbols}

    def notice(self) -> str | None:
        return self._calendar.problem(self._clock.now())

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        return None

    def bars(self, symbols: Sequence[str]) -> BarSet:
        raise AssertionError("nobody screens here")


class Account:
    """One account through many processes on one clock."""

    def __init__(self, folder: Path, start: datetime, end: datetime) -> None:
        self.folder = folder
        self.clock = Clock(start)
        self.end = end
        self.market = Today(self.clock)
        self.mailbox = MemoryMailbox()
        self.runs: Counter[str] = Counter()
        self.ids = 0
        self.processes = 0
        self.died: set[date] = set()
        self.handles: list[int] = []
        self.objects: list[int] = []

    @property
    def url(self) -> str:
        return f"sqlite:///{(self.folder / 'oms.db').as_posix()}"

    def _broker(self) -> PaperBroker:
        return PaperBroker(
            self.folder / "paper.db",
            self.market,
            self.clock,
            cash=Decimal(5000),
            positions={"AAA": 5000},
            settle_after=timedelta(seconds=1),
            session=self.market.session,
        )

    def live(self) -> None:
        """Process after process until the end; each death is followed by a start twenty seconds later."""
        while self.clock.now() < self.end:
            with suppress(Died):
                self._process()
            self.clock.advance(timedelta(seconds=20))  # the lease of a dead process runs out

    def _process(self) -> None:
        self.processes += 1
        broker, hands = self._broker(), SequentialHands()
        journal = open_journal(self.url, "week", "paper", self.clock)
        try:
            driver = Driver(
                journal,
                broker,
                self.market,
                self.clock,
                hands,
                self.mailbox,
                RULES,
                Settings(patient=True),
                stopping=lambda: 143 if self.clock.now() >= self.end else None,
            )
            register = Register(self.clock, journal.note_tasks)
            errands = Errands(self.clock, hands, register)
            errands.add(Reconciling(driver, timedelta(hours=1)))
            assignment = Assignment(
                mode="paper", config_hash="c0", canonical="{}", version="test", loop=True, interval=INTERVAL
            )
            worker = Worker(
                driver,
                assignment,
                wishes=self._wishes,
                new_cycle_id=self._new_id,
                register=register,
                tend=errands.tend,
                quiet=self._measure,
            )
            assert worker.run().exit_code == 143
            assert register.task(RECONCILIATION).healthy
            journal.close()
        finally:
            broker.close()
            with suppress(Exception):
                journal._break("the process is gone")  # as a death leaves it: nothing is given back

    def _wishes(self, driver: Driver) -> Signals:
        """Always one share to sell and one to buy."""
        wishes = (
            Signal(side=Side.SELL, symbol="AAA", quantity=1),
            Signal(side=Side.BUY, symbol="BBB", quantity=1),
        )
        return Signals(signals=wishes, source="week", digest="0")

    def _new_id(self) -> str:
        self.ids += 1
        return f"c-{self.ids:05d}"

    def _measure(self) -> None:
        """At the last quiet moment of each trading day: open files, and objects that are alive."""
        session = self.market.session()
        assert session is not None
        if session.closes - self.clock.now() <= INTERVAL:
            gc.collect()
            self.objects.append(len(gc.get_objects()))
            if sys.platform == "linux":
                self.handles.append(len(os.listdir("/proc/self/fd")))

    def strike(self, point: str) -> None:
        """Once a day, in the afternoon, the process dies where it stands, on a Saturday in the middle of a comparison."""
        now = self.clock.now()
        if now.hour >= 16 and now.date() not in self.died and point == DEATHS[len(self.died) % len(DEATHS)]:
            self.died.add(now.date())
            raise Died


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


HOLIDAY = (at("2026-11-25 00:00"), at("2026-12-01 00:00"))
"""Wednesday, Thanksgiving, an early close, a weekend, Monday."""
WINTER = (at("2026-10-29 00:00"), at("2026-11-04 00:00"))
"""Thursday and Friday in summer time, the weekend of the change, Monday and Tuesday in winter time."""
HOURS = {
    "2026-11-25": ("14:30", "21:00"),
    "2026-11-27": ("14:30", "18:00"),
    "2026-11-30": ("14:30", "21:00"),
    "2026-10-29": ("13:30", "20:00"),
    "2026-10-30": ("13:30", "20:00"),
    "2026-11-02": ("14:30", "21:00"),
    "2026-11-03": ("14:30", "21:00"),
}
"""UTC, by New York's own calendar."""


@pytest.fixture(params=[HOLIDAY, WINTER], ids=["holiday", "winter"], scope="module")
def week(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Account:
    account = Account(tmp_path_factory.mktemp("week"), *request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cadence, "GLANCE_S", 10.0)  # nobody sends a signal, so nobody needs to be heard soon
        patch.setattr(crashpoints, "strike", account.strike)
        account.live()
    return account


def test_every_cycle_comes_at_its_time_and_nothing_is_doubled_or_passed(week: Account) -> None:
    """Through days of every kind and a death on each: the beat, the hours, the limits, and both books."""
    reader = open_reader(week.url)
    with reader.asking("looking back") as connection:
        cycles = connection.exec_driver_sql(
            "SELECT cycle_id, opened_at, trading_day, outcome FROM cycles ORDER BY opened_seq"
        ).all()
        orders = connection.exec_driver_sql(
            "SELECT cl_ord_id, side, sent_at, acknowledged_at, cycle_id, order_no FROM orders ORDER BY planned_at"
        ).all()
    tasks = {task["name"]: task for task in views.status(reader, week.end)["tasks"]}
    positions = {p["symbol"]: p["qty"] for p in views.positions(reader)["positions"]}
    reader.close()
    _at_their_times(week, cycles)
    _within_the_limit(cycles, orders)
    _not_in_the_last_minutes(cycles, orders)
    assert all(row.outcome is not None for row in cycles), "a cycle was left open"
    broker = week._broker()
    shown = broker.orders(week.clock.now() - timedelta(days=30)).orders
    there = {position.symbol: str(position.qty) for position in broker.positions() if position.qty}
    broker.close()
    assert max(Counter(order.user_mark for order in shown).values()) == 1, "an order was doubled"
    assert {order.order_no for order in shown} <= {row.order_no for row in orders}
    assert there == positions
    assert tasks[RECONCILIATION]["runs"] > 0


def test_files_and_memory_stay_as_they_were(week: Account) -> None:
    """From the evening of the first day on, the worker holds no file and hardly an object more."""
    assert len(set(week.handles[1:])) <= 1, week.handles
    assert max(week.objects[1:]) < week.objects[0] * 1.02, week.objects


def _instant(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


def _at_their_times(week: Account, cycles: Sequence[object]) -> None:
    """In hours only, on each day of trade from the first minutes on, ten minutes apart but for the death."""
    opened: dict[str, list[datetime]] = defaultdict(list)
    for row in cycles:
        instant = _instant(row.opened_at)  # type: ignore[attr-defined]  # a row of the table
        opened[instant.date().isoformat()].append(instant)
    days = {day: hours for day, hours in HOURS.items() if day in opened}
    assert set(opened) == {day for day in HOURS if _is_in(week, day)}
    for day, (begins, ends) in days.items():
        first, last = at(f"{day} {begins}"), at(f"{day} {ends}")
        beats = (last - first) // INTERVAL
        assert first <= opened[day][0] < first + INTERVAL
        assert opened[day][-1] < last
        assert abs(len(opened[day]) - beats) <= 1, f"{day}: {len(opened[day])} cycles, {beats} beats"
        odd = [(one, two) for one, two in pairwise(opened[day]) if abs((two - one) / INTERVAL - 1) > 0.01]
        assert len(odd) <= 1, f"{day}: the beat was left more often than the process died: {odd}"
    assert {date.fromisoformat(day) for day in days} <= week.died
    assert week.processes == len(week.died) + 1


def _is_in(week: Account, day: str) -> bool:
    start = week.end - timedelta(days=6)
    return start <= at(f"{day} 00:00") < week.end


def _within_the_limit(cycles: Sequence[object], orders: Sequence[object]) -> None:
    """At the limit no further buy is acknowledged; sells go on."""
    day_of = {row.cycle_id: row.trading_day for row in cycles}  # type: ignore[attr-defined]  # a row of the table
    count: Counter[str] = Counter()
    sent = [row for row in orders if row.acknowledged_at is not None]  # type: ignore[attr-defined]  # as above
    for row in sorted(sent, key=lambda row: row.acknowledged_at):  # type: ignore[attr-defined]  # as above
        day = day_of[row.cycle_id]  # type: ignore[attr-defined]  # as above
        count[day] += 1
        assert row.side == "SELL" or count[day] <= LIMIT, f"{day}: trade {count[day]} is a buy"  # type: ignore[attr-defined]
    assert max(count.values()) > LIMIT - 2, "no day came near its limit"


def _not_in_the_last_minutes(cycles: Sequence[object], orders: Sequence[object]) -> None:
    """No buy is sent in the ten minutes before the close, early or not."""
    for row in orders:
        if row.side == "BUY" and row.sent_at is not None:  # type: ignore[attr-defined]  # a row of the table
            sent = _instant(row.sent_at)  # type: ignore[attr-defined]  # as above
            day = sent.date().isoformat()
            assert sent < at(f"{day} {HOURS[day][1]}") - RULES.no_buys_before_close
