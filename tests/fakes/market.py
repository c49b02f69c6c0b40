"""A market with the prices a test gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from oms.errors import BrokerUnavailable
from oms.model.account import Quote, Session
from oms.ports import Bar, BarSet, Market

FIRST_DAY = date(2010, 3, 1)


class FixedMarket(Market):
    """Each day opens at 14:30 and closes at 21:00 UTC; it is 15:00 of ``day`` until a test says otherwise."""

    name = "fixed"
    skips_nights = True

    def __init__(
        self,
        prices: Mapping[str, Decimal | str],
        day: date = FIRST_DAY,
        *,
        days: int = 100,
        bars: Mapping[str, Sequence[Bar]] | None = None,
    ) -> None:
        self.prices = {symbol: Decimal(price) for symbol, price in prices.items()}
        self.ranges: dict[str, tuple[Decimal, Decimal]] = {}
        self.tick = Decimal("0.01")
        self.lot = 1
        self.is_down = False
        """While True, asking for time or quotes raises BrokerUnavailable."""
        self._days = [day + timedelta(days=n) for n in range(days)]
        self._bars = dict(bars or {})
        self._time = self._at(day, 15, 0)

    @staticmethod
    def _at(day: date, hour: int, minute: int) -> datetime:
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)

    @property
    def day(self) -> date:
        return self._time.date()

    def session(self) -> Session:
        """That of the present day."""
        return self._session(self.day)

    def _session(self, day: date) -> Session:
        return Session(
            day=day, opens=self._at(day, 14, 30), closes=self._at(day, 21, 0), settles=day + timedelta(days=1)
        )

    def knows(self, symbol: str) -> bool:
        return symbol in self.prices

    def set_time(self, hour: int, minute: int = 0) -> None:
        """Move within the day, UTC."""
        self._time = self._at(self.day, hour, minute)

    def close_day(self) -> None:
        """Move to the closing bell."""
        self.set_time(21)

    def next_day(self) -> None:
        """Move to 15:00 of the day after."""
        self._time = self._at(self.day + timedelta(days=1), 15, 0)

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        wanted = open_day or next((day for day in self._days if last_day is None or day > last_day), None)
        if wanted is None or wanted not in self._days:
            return None
        if wanted != self.day:
            self._time = self._at(wanted, 15, 0)
        return self.session()

    def time(self) -> datetime:
        self._need()
        return self._time

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        self._need()
        return {symbol: self._quote(symbol) for symbol in symbols if symbol in self.prices}

    def _quote(self, symbol: str) -> Quote:
        last = self.prices[symbol]
        return Quote(symbol=symbol, bid=last, ask=last, last=last, at=self._time, tick=self.tick, lot=self.lot)

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        return self.ranges.get(symbol)

    def bars(self, symbols: Sequence[str]) -> BarSet:
        known = {
            symbol: [bar for bar in self._bars[symbol] if bar.day < self.day]
            for symbol in symbols
            if symbol in self._bars
        }
        missing = {symbol: "missing" for symbol in symbols if symbol not in known}
        return BarSet(as_of=self.day - timedelta(days=1), bars=known, problems=missing)

    def _need(self) -> None:
        if self.is_down:
            raise BrokerUnavailable("the market is down")
