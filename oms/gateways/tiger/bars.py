"""Daily bars from Tiger's gateway, read by us from the raw reply and passed through the gates of every source."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from oms.errors import BrokerUnavailable
from oms.gateways.gates import history_problem, impossible
from oms.gateways.tiger.client import RateLimited, TigerClient
from oms.gateways.tiger.wire import Item, items_of, number, text
from oms.ports import Bar

SYMBOLS_AT_ONCE = 50
"""Symbols in one request: Tiger's page on bars allows fifty."""
MOST_BARS = 300
"""Bars of a symbol in one answer: more than the sessions of a year."""
_PRICE = Decimal("0.0001")
_TOO_OFTEN = "rate_limited"


class DailyHistory:
    """A year of daily bars, prices adjusted for splits and dividends up to now; may be used from any thread.

    What was fetched is kept in memory for as long as its last day is the last day that is asked for.
    """

    def __init__(self, client: TigerClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[date, tuple[Bar, ...]]] = {}

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[date], zone: str
    ) -> tuple[dict[str, Sequence[Bar]], dict[str, str]]:
        """The bars of these sessions by symbol, and for each other symbol the reason why it has none.

        Args:
            sessions: oldest first; the last one is the day up to which a history must reach.
            zone: the exchange's time zone, in which a bar's day begins.
        """
        wanted = list(dict.fromkeys(symbols))
        failures: dict[str, str] = {}
        behind = [symbol for symbol in wanted if self._last(symbol) != sessions[-1]]
        for start in range(0, len(behind), SYMBOLS_AT_ONCE):
            group = behind[start : start + SYMBOLS_AT_ONCE]
            problem = self._fetch(group, sessions, ZoneInfo(zone))
            if problem and problem.startswith(_TOO_OFTEN):
                failures.update(dict.fromkeys(behind[start:], problem))  # asking on would make it worse
                break
            if problem:
                failures.update(dict.fromkeys(group, problem))
        found: dict[str, Sequence[Bar]] = {}
        problems: dict[str, str] = {}
        for symbol in wanted:
            bars = self._bars(symbol, sessions)
            if problem := failures.get(symbol) or history_problem(bars, sessions):
                problems[symbol] = problem
            else:
                found[symbol] = bars
        return found, problems

    def _last(self, symbol: str) -> date | None:
        with self._lock:
            return self._kept[symbol][0] if symbol in self._kept else None

    def _bars(self, symbol: str, sessions: Sequence[date]) -> tuple[Bar, ...]:
        with self._lock:
            bars = self._kept.get(symbol, (None, ()))[1]
        known = frozenset(sessions)
        return tuple(bar for bar in bars if bar.day in known)

    def _fetch(self, group: Sequence[str], sessions: Sequence[date], zone: ZoneInfo) -> str | None:
        """Fetch the bars of up to fifty symbols; why that failed, or None."""
        begin, end = _midnight(sessions[0], zone), _midnight(sessions[-1] + timedelta(days=1), zone)
        try:
            data = self._client.read(
                "kline", symbols=list(group), period="day", right="br", limit=MOST_BARS, begin_time=begin, end_time=end
            )
            fetched = {text(item, "symbol", 20): _bars_of(item, zone) for item in items_of(data, "kline")}
        except RateLimited as error:
            return f"{_TOO_OFTEN}: {error}"
        except BrokerUnavailable as error:
            return f"error: {error}"
        with self._lock:
            self._kept.update({symbol: (sessions[-1], fetched.get(symbol, ())) for symbol in group})
        return None


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp() * 1000)


def _bars_of(item: Item, zone: ZoneInfo) -> tuple[Bar, ...]:
    """The believable bars of one symbol, oldest first, one a day; a day that comes twice is not believed at all."""
    found: dict[date, Bar] = {}
    twice: list[date] = []
    for row in items_of(item, "kline"):
        bar = _bar_of(row, zone)
        if bar is None:
            continue
        if bar.day in found and found[bar.day] != bar:
            twice.append(bar.day)
        found[bar.day] = bar
    return tuple(found[day] for day in sorted(found) if day not in twice)


def _bar_of(row: Item, zone: ZoneInfo) -> Bar | None:
    """One bar; None where a figure is missing or cannot be true."""
    try:
        day = datetime.fromtimestamp(int(number(row, "time")) / 1000, UTC).astimezone(zone).date()
        prices = {name: number(row, name).quantize(_PRICE) for name in ("open", "high", "low", "close")}
        bar = Bar(day=day, volume=int(number(row, "volume")), **prices)
    except (BrokerUnavailable, ArithmeticError, ValueError, OSError):
        return None
    return None if impossible(bar) else bar
