"""The port Market on Yahoo's prices and an exchange's calendar: a live market, whose day is that of the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial

from oms.errors import BrokerUnavailable
from oms.gateways.bar_store import BarStore
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.yahoo.client import TIMEOUT_S, Failure, LastPrice, Status, YahooClient
from oms.gateways.yahoo.crew import Crew
from oms.gateways.yahoo.history import DEADLINE_S, YahooHistory
from oms.gateways.yahoo.pace import Breaker, Pace
from oms.gateways.yahoo.symbols import to_yahoo
from oms.model.account import Quote, Session
from oms.ports import BarSet, Clock, Market

QUOTES_DEADLINE_S = 20.0
"""Longest wait for the prices of one look."""
QUOTE_KEPT_S = 15.0
"""A price is asked for again after this: a look at the account asks several times a second, and Yahoo is asked thrice."""
NO_QUOTE_KEPT_S = 600.0
"""That a symbol has no price is believed for so long: asking for it costs six requests."""

_CENT, _SUBPENNY = Decimal("0.01"), Decimal("0.0001")


class YahooMarket(Market):
    """Sessions from the calendar by the clock, bars for the screen from Yahoo through the store.

    Its quotes are for the paper broker only, which has no prices of its own: the newest price that Yahoo shows, under
    Yahoo's own time, as bid, ask and last. A real broker's orders are sized from that broker's quotes.

    What Yahoo does not give is a problem of its symbol. Every method may be called from any thread.
    """

    name = "yahoo"
    skips_nights = False

    def __init__(
        self,
        clock: Clock,
        calendar: ExchangeCalendar,
        store: BarStore,
        *,
        base_url: str | None = None,
        currency: str | None = None,
        deadline_s: float = DEADLINE_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._clock = clock
        self._calendar = calendar
        self._breaker = Breaker(clock)
        self._crew = Crew(clock)
        self._runners = Crew(clock)
        self._asking = threading.Lock()
        self._attempts = 0
        self._failure: str | None = None
        self._base_url = base_url
        self._currency = currency
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._store = store
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._history: YahooHistory | None = None
        self._client: YahooClient | None = None
        self._prices: dict[str, tuple[float, Quote | None]] = {}

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:  # noqa: ARG002 - the clock decides
        """The session under way, else the next one; None where the calendar does not know it, as :meth:`notice` says."""
        self._session = self._calendar.session(self._clock.now())
        return self._session

    def session(self) -> Session | None:
        return self._session

    def time(self) -> datetime:
        return self._clock.now()

    def notice(self) -> str | None:
        """Why the market counts as closed where its calendar has come to its end; None while it has not."""
        return self._calendar.problem(self._clock.now())

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:  # noqa: ARG002 - the day is not over
        return None

    def bars(self, symbols: Sequence[str]) -> BarSet:
        """Up to a year of adjusted bars, ending with the newest session before the one that was entered.

        Takes 90 s at most; it is meant for a thread beside the engine's own.

        Raises:
            StorageError: the store of bars cannot be used.
        """
        session = self._session or self._calendar.session(self._clock.now())
        return self.history().bars(symbols, before=None if session is None else session.day)

    def history(self) -> YahooHistory:
        """What fetches and keeps the bars."""
        client = self._asked()
        with self._lock:
            if self._history is None:
                self._history = YahooHistory(
                    client,
                    self._store,
                    self._calendar,
                    self._clock,
                    breaker=self._breaker,
                    crew=self._crew,
                    deadline_s=self._deadline_s,
                )
            return self._history

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """The newest price of each symbol, at most fifteen seconds after Yahoo gave it.

        Raises:
            BrokerUnavailable: Yahoo is left alone for a while, or no symbol that had to be asked for was answered.
        """
        wanted = list(dict.fromkeys(symbols))
        attempt = self._attempts
        with self._asking:  # a look at the account asks several times at once, mostly for the same symbols
            if behind := [symbol for symbol in wanted if self._is_behind(symbol)]:
                if self._attempts != attempt and self._failure is not None:
                    raise BrokerUnavailable(self._failure)  # it failed while this call waited for its turn
                self._attempts += 1
                self._failure = self._ask(behind)
                if self._failure is not None:
                    raise BrokerUnavailable(self._failure)
        with self._lock:
            found = {symbol: self._prices.get(symbol, (0.0, None))[1] for symbol in wanted}
        return {symbol: quote for symbol, quote in found.items() if quote is not None}

    def _is_behind(self, symbol: str) -> bool:
        with self._lock:
            if symbol not in self._prices:
                return True
            at, quote = self._prices[symbol]
        return self._clock.elapsed() - at > (NO_QUOTE_KEPT_S if quote is None else QUOTE_KEPT_S)

    def _ask(self, symbols: Sequence[str]) -> str | None:
        """Fetch the prices of these symbols; why that failed for all of them, or None."""
        wait, why = self._breaker.wait()
        if wait:
            return f"{why}; it is asked again in {wait / 60:.0f} minutes"
        client = self._asked()
        client.prepare()
        until = self._clock.elapsed() + min(QUOTES_DEADLINE_S, self._deadline_s)
        jobs: dict[str, Callable[[], LastPrice | Failure]] = {
            symbol: partial(client.last_price, to_yahoo(symbol, self._calendar.exchange), until) for symbol in symbols
        }
        with self._lock:  # an old price is no answer to a new question
            for symbol in symbols:
                self._prices.pop(symbol, None)
        failure: Failure | None = None
        answered = 0
        with closing(self._runners.results(jobs, until)) as results:
            for symbol, outcome in results:
                if isinstance(outcome, Failure) and outcome.status is not Status.MISSING:
                    failure = outcome
                    if outcome.status is Status.RATE_LIMITED:
                        self._breaker.refused()
                        break
                    continue
                answered += 1
                self._remember(symbol, outcome)
        if answered:
            return None
        return f"no prices: {failure.text if failure else 'Yahoo did not answer in time'}"

    def _remember(self, symbol: str, outcome: LastPrice | Failure) -> None:
        quote = None if isinstance(outcome, Failure) else self._quote(symbol, outcome)
        with self._lock:
            self._prices[symbol] = (self._clock.elapsed(), quote)

    def _quote(self, symbol: str, last: LastPrice) -> Quote | None:
        tick = _CENT if last.price >= 1 else _SUBPENNY
        price = last.price.quantize(tick, ROUND_HALF_EVEN)
        if price <= 0:
            return None
        # Yahoo's clock may run ahead of ours by a little; a price from the future would count as fresh for longer.
        at = min(last.at, self._clock.now())
        return Quote(symbol=symbol, bid=price, ask=price, last=price, at=at, tick=tick)

    def _asked(self) -> YahooClient:
        """The client, made when it is first needed: the calendar that tells it the time zone costs a second."""
        with self._lock:
            if self._client is None:
                self._client = YahooClient(
                    Pace(self._clock),
                    self._calendar.zone,
                    base_url=self._base_url,
                    currency=self._currency,
                    timeout_s=self._timeout_s,
                )
            return self._client
