"""The one module that touches yfinance: a symbol in, bars or a price or the reason why not out.

What it guards against was measured with yfinance 1.7: errors that are hidden unless asked for, error answers that are
cached for the life of the process, cookie calls that ignore the time-out, NaN in the newest row, cookies kept as pickles in
a folder that several processes share, and a logger and warnings that write to stderr.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit

from oms.gateways.gates import impossible
from oms.gateways.yahoo.pace import Pace, TimeUp
from oms.ports import Bar

T = TypeVar("T")

TIMEOUT_S = 8.0
"""Longest wait for one reply, cookie calls included."""
WHOLE, RECENT = "1y", "1mo"
"""The periods that are asked for. A start and an end would go through yfinance's cache, which keeps error answers."""


class Status(StrEnum):
    """How asking for one symbol ended."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"
    RATE_LIMITED = "rate_limited"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Yahoo gave nothing for one symbol."""

    status: Status
    text: str
    """Why, in words that can follow the symbol's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """Adjusted daily bars of one symbol, oldest first; the newest may be of a day that is not over."""

    bars: tuple[Bar, ...]
    actions: frozenset[date]
    """Days with a dividend or a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastPrice:
    """The price of the newest trade that Yahoo shows."""

    price: Decimal
    at: datetime
    """Aware UTC; Yahoo's own stamp."""


class YahooClient:
    """Asks for one symbol at a time. Every method may be called from any thread, after :meth:`prepare`.

    ``base_url`` stands for Yahoo's hosts where it is given: a test's server, or one cache for many machines. ``zone`` is the
    time zone of the symbols' exchange. With ``currency``, prices that Yahoo states in another one, pence included, are none.
    yfinance keeps one session for the whole process, so there should be one client.
    """

    def __init__(
        self,
        pace: Pace,
        zone: str,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
        currency: str | None = None,
    ) -> None:
        self._currency = currency
        self._pace = pace
        self._zone = zone
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._run = threading.local()
        self._lock = threading.Lock()
        self._yf: Any = None
        self._session: Any = None

    def prepare(self) -> None:
        """Import yfinance (seconds, 120 MB) where that is not done, and forget its cached answers."""
        with self._lock:
            if self._yf is None:
                self._session = _session(self)
                self._yf = _yfinance()
        from yfinance.data import YfData

        YfData.cache_get.cache_clear()

    def daily(self, symbol: str, period: str, until: float) -> Daily | Failure:
        """Daily bars of Yahoo's ``symbol``; no request leaves once ``clock.elapsed()`` has reached ``until``."""

        def ask() -> Daily | Failure:
            frame, stated = self._history(symbol, period, "1d")
            return self._foreign(stated) or _daily(frame)

        return self._asked(until, ask)

    def last_price(self, symbol: str, until: float) -> LastPrice | Failure:
        """The newest one-minute price of Yahoo's ``symbol``."""

        def ask() -> LastPrice | Failure:
            frame, stated = self._history(symbol, "1d", "1m")
            return self._foreign(stated) or _last_price(frame, stated)

        return self._asked(until, ask)

    def _foreign(self, stated: Any) -> Failure | None:
        """Prices in another currency than the market's: nobody here knows a rate to reckon them with."""
        currency = stated.get("currency")
        if self._currency is None or currency is None or currency == self._currency:
            return None
        text = f"Yahoo's prices are in {str(currency)[:10]}, those of this market in {self._currency}"
        return Failure(status=Status.MISSING, text=text)

    def _asked(self, until: float, ask: Callable[[], T | Failure]) -> T | Failure:
        """What ``ask`` answers, or why it cannot."""
        from yfinance.exceptions import YFRateLimitError, YFTickerMissingError

        self._run.until = until
        try:
            return ask()
        except YFRateLimitError:
            return Failure(status=Status.RATE_LIMITED, text="Yahoo refused (429, too many requests)")
        except YFTickerMissingError as error:
            return Failure(status=Status.MISSING, text=f"Yahoo has no prices: {error.rationale}")
        except TimeUp as error:
            return Failure(status=Status.ERROR, text=str(error))
        except Exception as error:  # noqa: BLE001 - yfinance lets through whatever its parsing stumbles over
            return Failure(status=Status.ERROR, text=_sentence(error))

    def _history(self, symbol: str, period: str, interval: str) -> tuple[Any, Any]:
        """The table of prices, and what the answer's header states."""
        self._remember_zone(symbol)
        ticker = self._yf.Ticker(symbol, session=self._session)
        frame = ticker.history(
            period=period, interval=interval, auto_adjust=True, actions=True, timeout=self._timeout_s
        )
        return frame, ticker.get_history_metadata()

    def _remember_zone(self, symbol: str) -> None:
        """Spare the request by which yfinance asks for a symbol's time zone before each first one."""
        from yfinance.cache import get_tz_cache

        with self._lock:
            zones = get_tz_cache()
            if zones.lookup(symbol) is None:
                zones.store(symbol, self._zone)

    def before_request(self, url: str, wanted: float | None) -> tuple[str, float]:
        """Wait for this request's turn; answers where it goes and how long it may take. Raises TimeUp."""
        self._pace.take(getattr(self._run, "until", math.inf))
        return self._redirected(url), min(wanted or self._timeout_s, self._timeout_s)

    def _redirected(self, url: str) -> str:
        parts = urlsplit(url)
        if self._base_url is None or not f".{parts.hostname or ''}".endswith((".yahoo.com", ".yahoo.net")):
            return url
        return self._base_url.rstrip("/") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def stays_put(self) -> bool:
        """Whether answers that lead to another server are not followed."""
        return self._base_url is not None


@cache
def _yfinance() -> Any:
    """The package, imported and tamed once in a process."""
    import yfinance

    yfinance.config.debug.hide_exceptions = False
    _FOLDERS.append(TemporaryDirectory(prefix="oms-yahoo-", ignore_cleanup_errors=True))
    yfinance.set_tz_cache_location(_FOLDERS[0].name)
    # It prints to stderr what the outcome of each symbol says, and turns on the warnings of its own deprecated calls.
    logging.getLogger("yfinance").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="^yfinance")
    return yfinance


_FOLDERS: list[TemporaryDirectory[str]] = []
"""Where yfinance keeps time zones and cookies: a folder of this process alone, which goes with it."""


def _session(client: YahooClient) -> Any:
    """A session of curl_cffi, which looks like a browser, whose every request asks the client first."""
    from curl_cffi import requests

    class Session(requests.Session[Any]):
        def request(self, method: Any, url: str, **how: Any) -> Any:  # type: ignore[override]  # hands on what comes
            url, how["timeout"] = client.before_request(url, how.get("timeout"))
            if client.stays_put:
                how["allow_redirects"] = False
            return super().request(method, url, **how)

    return Session(impersonate="chrome")


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    if isinstance(error, OSError):  # as are all those of curl_cffi
        return f"Yahoo could not be asked ({type(error).__name__}: {text})"
    return f"Yahoo's answer cannot be read ({type(error).__name__}: {text})"


def _daily(frame: Any) -> Daily:
    actions = {
        stamp.date()
        for name in ("Dividends", "Stock Splits")
        for stamp, amount in zip(frame.index, frame[name].tolist(), strict=True)
        if amount
    }
    bars = tuple(bar for bar in _bars(frame) if not impossible(bar))
    return Daily(bars=bars, actions=frozenset(actions))


def _bars(frame: Any) -> Iterator[Bar]:
    """The bar of each row that has all its prices, which the newest one often has not."""
    columns = [frame[name].tolist() for name in ("Open", "High", "Low", "Close", "Volume")]
    for stamp, *prices, volume in zip(frame.index, *columns, strict=True):
        exact = [number for price in prices if (number := _exact(price)) is not None]
        if len(exact) == len(prices):
            shares = int(volume) if math.isfinite(volume) else 0
            yield Bar(day=stamp.date(), open=exact[0], high=exact[1], low=exact[2], close=exact[3], volume=shares)


def _exact(price: float) -> Decimal | None:
    """Four decimals: Yahoo's prices are single-precision numbers, widened. None where there is no finite number."""
    return Decimal(f"{price:.4f}") if math.isfinite(price) else None


def _last_price(frame: Any, stated: Any) -> LastPrice | Failure:
    return _stated(stated) or _newest(frame) or Failure(status=Status.MISSING, text="Yahoo shows no price of today")


def _stated(stated: Any) -> LastPrice | None:
    """The last trade as the answer's header states it."""
    price, at = stated.get("regularMarketPrice"), stated.get("regularMarketTime")
    if price is None or at is None or not (exact := _exact(float(price))):
        return None
    return LastPrice(price=exact, at=_utc(at))


def _newest(frame: Any) -> LastPrice | None:
    """The newest row that has a price, stamped with the beginning of its minute."""
    for stamp, price in zip(reversed(frame.index), reversed(frame["Close"].tolist()), strict=True):
        if (exact := _exact(price)) is not None:
            return LastPrice(price=exact, at=_utc(stamp))
    return None


def _utc(stamp: Any) -> datetime:
    if isinstance(stamp, int | float):
        return datetime.fromtimestamp(stamp, UTC)
    instant: datetime = stamp.to_pydatetime()
    return instant.astimezone(UTC)
