"""The market of a simulated world: a session every day, on the exchange's own clock, which nobody can set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from oms.model.account import Quote, Session
from oms.ports import BarSet, Market
from oms.sim.exchange import Exchange
from oms.sim.timeline import Timeline, instant

FIRST_DAY = date(2026, 3, 2)
OPENS, CLOSES = time(14, 30), time(21, 0)


def session_of(day: date) -> Session:
    """The trading day ``day``; a sale settles on the next one."""
    return Session(
        day=day,
        opens=datetime.combine(day, OPENS, UTC),
        closes=datetime.combine(day, CLOSES, UTC),
        settles=day + timedelta(days=1),
    )


class SimMarket(Market):
    """Live: it answers the session of its own clock. A process that loops is taken to the next day at once."""

    name = "sim"

    def __init__(self, timeline: Timeline, exchange: Exchange, days: int) -> None:
        self._timeline = timeline
        self._exchange = exchange
        self._last_day = FIRST_DAY + timedelta(days=days)
        self.skips_nights = False

    def today(self) -> Session:
        """The session of the present day, which may be over."""
        return session_of(instant(self._timeline.us).date())

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        is_behind = last_day == self.today().day or instant(self._timeline.us) >= self.today().closes
        if self.skips_nights and open_day is None and is_behind:
            self.pass_night()
        if self.today().day > self._last_day:
            return None
        self._exchange.enter(self.today())
        return self.today()

    def pass_night(self) -> None:
        """Let time pass to half past the opening of the next day."""
        opening = session_of(self.today().day + timedelta(days=1)).opens + timedelta(minutes=30)
        self._timeline.until(round(opening.timestamp()) * 1_000_000)
        self._exchange.enter(self.today())

    def session(self) -> Session | None:
        return self._exchange.session

    def time(self) -> datetime:
        return self._timeline.now()

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        return {symbol: self._exchange.quote(symbol) for symbol in symbols if symbol in self._exchange.prices}

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:  # noqa: ARG002  # the port's
        return None

    def bars(self, symbols: Sequence[str]) -> BarSet:
        return BarSet(as_of=self.today().day, bars={}, problems=dict.fromkeys(symbols, "no history"))
