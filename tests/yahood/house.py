"""What the tests of Yahoo share: the days, the clocks, and a market against the loopback server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from oms.gateways.bar_store import BarStore
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.yahoo import YahooMarket
from tests.fakes.clock import FakeClock
from tests.yahood.server import Yahood

MONDAY_NOON = datetime(2026, 6, 15, 16, 0, tzinfo=UTC)
AS_OF = date(2026, 6, 12)
SYMBOLS = ("AAPL", "BRK.B", "C", "GE", "ORCL", "OXY")

# yfinance 1.7 and exchange_calendars 4.13 call what pandas 3.1 deprecates, and yfinance's database connections of threads
# that ended are closed by the collector of garbage.
TOLERATED = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
]


class RealSeconds(FakeClock):
    """The date of the fake clock with seconds that really pass, for calls that hang."""

    def elapsed(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(seconds, 0.0))


def days_to(last: datetime, count: int = 253) -> list[date]:
    """The sessions of New York up to the present one."""
    clock = FakeClock(last)
    calendar = ExchangeCalendar("XNYS", clock)
    session = calendar.session(last)
    assert session is not None
    return [*calendar.completed(last, count), session.day]


def forget_yahoo() -> None:
    """Put yfinance back to the state of a new process; its cookie and crumb are of the last test's server."""
    from yfinance.data import YfData

    data: Any = YfData()
    data._cookie, data._crumb, data._cookie_strategy = None, None, "basic"
    YfData.cache_get.cache_clear()


@contextmanager
def yahoo(symbols: Sequence[str], days: Sequence[date]) -> Iterator[Yahood]:
    """A fresh server for Yahoo's spelling of these symbols."""
    forget_yahoo()
    with Yahood(days, [symbol.replace(".", "-") for symbol in symbols], MONDAY_NOON) as server:
        yield server


def market_at(server: Yahood, folder: Path, clock: FakeClock, **how: Any) -> YahooMarket:
    """A market that asks this server, with a store in ``folder``."""
    calendar = ExchangeCalendar("XNYS", clock)
    return YahooMarket(clock, calendar, BarStore(folder / "bars.db"), base_url=server.url, **how)
