"""Yahoo on this machine: a server that answers the requests of the real yfinance client as Yahoo does, or as badly.

By default every symbol of its world has a year of bars. A test changes ``answer`` for what shall go wrong, or the bars.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
HANG_S = 20.0
"""A request that hangs does so until the server closes, or for so long."""


@dataclass(frozen=True, slots=True)
class Row:
    """One day of one symbol; None is the null of Yahoo's JSON."""

    day: date
    close: float | None
    volume: int | None = 1_000_000

    @property
    def prices(self) -> dict[str, float | None]:
        close = self.close
        if close is None:
            return dict.fromkeys(("open", "high", "low", "close"))
        return {"open": close, "high": close + 1, "low": close - 0.5, "close": close}


@dataclass
class Share:
    """What Yahoo has of one symbol."""

    rows: list[Row]
    dividends: dict[date, float] = field(default_factory=dict)
    splits: dict[date, int] = field(default_factory=dict)
    last_price: float | None = None
    last_at: datetime | None = None

    def adjusted(self, factor: float, before: date) -> None:
        """What a split or dividend does to all earlier prices."""
        self.rows = [
            replace(row, close=None if row.close is None else row.close * factor) if row.day < before else row
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    path: str
    query: dict[str, str]

    @property
    def symbol(self) -> str:
        """The symbol of a chart; empty for a cookie or a crumb."""
        return self.path.rpartition("/")[2] if "/v8/finance/chart/" in self.path else ""

    @property
    def range(self) -> str:
        return self.query.get("range", "")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; ``cut`` promises more bytes than it sends."""

    status: int = 200
    body: str = ""
    hangs: bool = False
    cut: bool = False


HANGS = Reply(hangs=True)
REFUSED = Reply(429, "Too Many Requests")
BROKEN = Reply(500, "<html>Internal Server Error</html>")
UNKNOWN = Reply(
    404,
    '{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}',
)
EMPTY = Reply(200, '{"chart":{"error":null,"result":null}}')
MALFORMED = Reply(200, '{"chart": {"result": [{"meta": ')
DOWN = Reply(200, "<html>Will be right back</html>")
CUT = Reply(200, '{"chart":', cut=True)

Answer = Callable[[Ask], Reply | None]


class Yahood:
    """The server; use it as a context."""

    def __init__(self, days: Sequence[date], symbols: Iterable[str], now: datetime) -> None:
        self.now = now
        self.shares = {symbol: Share(made_rows(symbol, days)) for symbol in symbols}
        self.answer: Answer = lambda _ask: None
        """What shall be answered instead of the usual; None for the usual."""
        self.currency: str | None = "USD"
        """Of every price it states; None states none."""
        self.asked: list[Ask] = []
        self._released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def charts(self) -> list[tuple[str, str]]:
        """Symbol and range of every chart that was asked for."""
        return [(ask.symbol, ask.range) for ask in self.asked if ask.symbol]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def reply(self, ask: Ask) -> Reply:
        """The answer to one request."""
        self.asked.append(ask)
        if (reply := self.answer(ask)) is not None:
            return reply
        if not ask.symbol:
            return Reply(200, "crumb" if "getcrumb" in ask.path else "<html></html>")
        share = self.shares.get(ask.symbol)
        if share is None:
            return UNKNOWN
        return Reply(200, json.dumps(self._minutes(share) if ask.query["interval"] == "1m" else self._days(share, ask)))

    def _days(self, share: Share, ask: Ask) -> dict[str, Any]:
        reach = {"1d": 1, "5d": 7, "1mo": 31, "1y": 366}[ask.range]
        first = self.now.date() - timedelta(days=reach)
        rows = [row for row in share.rows if row.day >= first]
        stamps = [opening(row.day) for row in rows]
        quote = {name: [row.prices[name] for row in rows] for name in ("open", "high", "low", "close")}
        events = {
            "dividends": {
                str(opening(d)): {"amount": amount, "date": opening(d)}
                for d, amount in share.dividends.items()
                if d >= first
            },
            "splits": {
                str(opening(d)): {"date": opening(d), "numerator": n, "denominator": 1, "splitRatio": f"{n}:1"}
                for d, n in share.splits.items()
                if d >= first
            },
        }
        return self._chart(stamps, quote | {"volume": [row.volume for row in rows]}, events=events)

    def _minutes(self, share: Share) -> dict[str, Any]:
        at = share.last_at or self.now - timedelta(seconds=2)
        price = share.last_price if share.last_price is not None else share.rows[-1].close
        assert price is not None
        stamps = [int(at.timestamp()) // 60 * 60 - 60 * n for n in (2, 1, 0)]
        quote = {name: [price - 1, price - 1, price] for name in ("open", "high", "low", "close")}
        start, end = opening(at.date()), opening(at.date()) + 23_400
        meta = {
            "regularMarketPrice": price,
            "regularMarketTime": int(at.timestamp()),
            "tradingPeriods": [[{"timezone": "EDT", "start": start, "end": end, "gmtoffset": -14_400}]],
        }
        return self._chart(stamps, quote | {"volume": [10, 10, None]}, meta=meta)

    def _chart(
        self,
        stamps: list[int],
        quote: dict[str, Any],
        *,
        meta: dict[str, Any] | None = None,
        events: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        header = {
            "currency": self.currency,
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": "America/New_York",
            "validRanges": ["1d", "5d", "1mo", "1y", "max"],
        }
        result = {
            "meta": header | (meta or {}),
            "timestamp": stamps,
            "indicators": {"quote": [quote]},
            "events": events or {},
        }
        return {"chart": {"error": None, "result": [result]}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        yahood = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                reply = yahood.reply(Ask(parts.path, query))
                if reply.hangs:
                    yahood._released.wait(HANG_S)
                    self.close_connection = True
                    return
                body = reply.body.encode()
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(body) + (500 if reply.cut else 0)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = reply.cut

            do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
                """Say nothing."""

            def handle(self) -> None:
                with suppress(OSError):  # the client gave up, which is its right
                    super().handle()

        return Handler


def made_rows(symbol: str, days: Sequence[date]) -> list[Row]:
    """Prices that differ from symbol to symbol and rise and fall a little from day to day."""
    first = 20.0 + sum(symbol.encode()) % 200
    return [Row(day, round(first + number * 0.05 + number * 7 % 5 * 0.1, 2)) for number, day in enumerate(days)]


def opening(day: date) -> int:
    """Half past nine in New York as epoch seconds."""
    return int(datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC).timestamp())
