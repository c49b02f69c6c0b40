"""A market of daily bars, one day after the other: the quote of a day is its open, the history ends the day before."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from oms.gateways.bar_tables import SP500_2010
from oms.gateways.daily_bars import DailyBars, LeftOut, SymbolBars
from oms.gateways.gates import history_problem, unexplained_move
from oms.model.account import Quote, Session
from oms.ports import Bar, BarSet, Market

LEAD_DAYS = 125
"""Trading days of history before the first day that is traded: half a year, or half of the data where it has less.

Of the 245 days of ``sp500-2010`` that leaves 123, from 2010-02-25 on."""
HISTORY_DAYS = 253
"""Trading days of history that ``bars`` answers at most: a year, and the close before it."""

_EXCHANGE_TIME = ZoneInfo("America/New_York")
_OPENS, _CLOSES = time(9, 30), time(16, 0)
_FRIDAY = 4
_CENT, _SUBPENNY = Decimal("0.01"), Decimal("0.0001")


class BarTable(Protocol):
    """Every daily bar of a market."""

    @property
    def days(self) -> tuple[date, ...]:
        """Its trading days, oldest first; two at least."""
        ...

    def of(self, symbol: str) -> SymbolBars:
        """The bars of one symbol; empty for a symbol that the table does not have."""
        ...

    def __contains__(self, symbol: str) -> bool: ...


class DayByDay(Market):
    """The port ``Market`` over a table of daily bars, which ``load`` makes when the first question comes.

    ``lead`` answers for the number of its days how many of them are history only, one at least; the others can be traded.
    Every method may be called from any thread, but the day changes only in :meth:`enter`.

    Market time is the open of the day that was entered and stands still while it is traded. Every day is taken to be a
    whole one in New York, 09:30 to 16:00: daily bars do not tell early closes.
    """

    skips_nights = True

    def __init__(self, load: Callable[[], BarTable], lead: Callable[[int], int]) -> None:
        self._load = load
        self._lead = lead
        self._lock = threading.Lock()
        self._loaded: BarTable | None = None
        self._session: Session | None = None

    @property
    def days(self) -> tuple[date, ...]:
        """The days that can be traded, oldest first; the days before them are history only."""
        every = self._daily.days
        return every[self._lead(len(every)) :]

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        """The session of ``open_day``, else of the first day after ``last_day``, else of the first day to trade.

        A day that the data does not have stands for the next one that it has. At the end of the data the answer is
        None and market time stays at the last day, so that what is held can still be valued.
        """
        if open_day is not None:
            wanted = self._daily.days[bisect_left(self._daily.days, open_day) :]
        else:
            wanted = self.days if last_day is None else self.days[bisect_right(self.days, last_day) :]
        self._session = self._session_of((wanted or self.days)[0 if wanted else -1])
        return self._session if wanted else None

    def session(self) -> Session | None:
        """The session that was entered last."""
        return self._session

    def time(self) -> datetime:
        """The open of the day that was entered, aware UTC."""
        return self._now.opens

    def knows(self, symbol: str) -> bool:
        """Whether the data have a row of this symbol, on whatever day."""
        return symbol in self._daily

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """The day's open as bid, ask and last of each symbol.

        No quote has a symbol without a believable bar on that day, nor one that opens more than 40 % away from its last
        close: that is a split or a spin-off that the data does not adjust for. Looking at the day's low and high to
        judge its open tells the reader nothing of them.
        """
        found = ((symbol, self._believed(symbol)) for symbol in symbols)
        return {symbol: self._quote(symbol, bar) for symbol, bar in found if bar}

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        """Low and high of the current day, rounded outward to the tick so that the quote always lies inside."""
        if (bar := self._believed(symbol)) is None:
            return None
        tick = _tick(bar.open)
        low, high = min(bar.low, bar.open), max(bar.high, bar.open)
        return low.quantize(tick, ROUND_FLOOR), high.quantize(tick, ROUND_CEILING)

    def bars(self, symbols: Sequence[str]) -> BarSet:
        """Up to a year of history, ending with the trading day before the current one."""
        days = self._daily.days
        end = bisect_left(days, self._now.day)
        sessions = days[max(0, end - HISTORY_DAYS) : end]
        found: dict[str, Sequence[Bar]] = {}
        problems: dict[str, str] = {}
        as_of = sessions[-1] if sessions else self._now.day - timedelta(days=1)
        for symbol in dict.fromkeys(symbols):
            history = self._daily.of(symbol).between(sessions[0], sessions[-1]) if sessions else ()
            if problem := _problem(history, sessions):
                problems[symbol] = problem
            else:
                found[symbol] = history
        return BarSet(as_of=as_of, bars=found, problems=problems)

    def left_out(self, symbols: Iterable[str]) -> list[LeftOut]:
        """Every row of these symbols up to the current day that is not believed, or whose date cannot be read."""
        rows = (row for symbol in symbols for row in self._daily.of(symbol).left_out)
        return [row for row in rows if row.day is None or row.day <= self._now.day]

    @property
    def _daily(self) -> BarTable:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    @property
    def _now(self) -> Session:
        if self._session is None:
            raise RuntimeError("no trading day was entered: call enter() first")
        return self._session

    def _believed(self, symbol: str) -> Bar | None:
        history = self._daily.of(symbol)
        bar, before = history.on(self._now.day), history.before(self._now.day)
        if bar is None or (before is not None and unexplained_move(before.close, bar.open)):
            return None
        return bar

    def _quote(self, symbol: str, bar: Bar) -> Quote:
        tick = _tick(bar.open)
        price = bar.open.quantize(tick, ROUND_HALF_EVEN)
        return Quote(symbol=symbol, bid=price, ask=price, last=price, at=self._now.opens, tick=tick)

    def _session_of(self, day: date) -> Session:
        return Session(day=day, opens=_instant(day, _OPENS), closes=_instant(day, _CLOSES), settles=self._settles(day))

    def _settles(self, day: date) -> date:
        # Trades of 2010 settled after three days. The rule replayed here is today's, one day, so that what is learnt
        # from a replay holds for the account that trades tomorrow.
        days = self._daily.days
        at = bisect_right(days, day)
        if at < len(days):
            return days[at]
        return day + timedelta(days=1 if day.weekday() < _FRIDAY else 7 - day.weekday())


class ReplayMarket(DayByDay):
    """A real market of the past.

    ``data`` is ``sp500-2010``, a CSV file or a folder of CSV files. Nothing is read before the first question; that one
    raises UsageError where the data cannot be read.
    """

    name = "replay"

    def __init__(self, data: str | Path) -> None:
        super().__init__(lambda: _bars(data), lambda days: max(1, min(LEAD_DAYS, days // 2)))


def _bars(data: str | Path) -> DailyBars:
    """The table of a source. The packaged year never changes: all accounts of a process read it once."""
    return _packaged() if data == SP500_2010 else DailyBars(data)


@cache
def _packaged() -> DailyBars:
    return DailyBars(SP500_2010)


def _problem(history: Sequence[Bar], sessions: Sequence[date]) -> str | None:
    return history_problem(history, sessions) if sessions else "missing: no trading day lies before this one"


def _instant(day: date, at: time) -> datetime:
    return datetime.combine(day, at, _EXCHANGE_TIME).astimezone(UTC)


def _tick(price: Decimal) -> Decimal:
    return _CENT if price >= 1 else _SUBPENNY
