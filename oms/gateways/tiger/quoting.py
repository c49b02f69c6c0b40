"""Prices of the moment from Tiger's gateway: quotes with the steps of their symbols, and the state of the market."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.client import ReadRefused, TigerClient
from oms.gateways.tiger.figures import CURRENCY, Steps, quotes_of, steps_of
from oms.gateways.tiger.wire import items_of
from oms.model.account import Quote
from oms.ports import Clock

SYMBOLS_AT_ONCE = 50
"""Symbols in one request."""
MARKET_STATE_AGE_S = 30.0
"""The gateway allows ten questions a minute about the market's state, so an answer is kept for a while."""


class Quoting:
    """Asks one account's gateway for prices; may be used from any thread.

    Args:
        say: told once, in a sentence, that quotes are delayed, for no order can be priced from those.
    """

    def __init__(self, client: TigerClient, clock: Clock, say: Callable[[str], None] = lambda _: None) -> None:
        self.are_delayed = False
        """The last quotes were delayed ones, for the account has no permission for real-time quotes."""
        self._client = client
        self._clock = clock
        self._say = say
        self._has_said = False
        self._lock = threading.Lock()
        self._steps: dict[str, Steps] = {}
        self._market_state: tuple[float, str] | None = None

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Quotes in real time, or delayed where the account has no permission; their time says how old they are.

        Raises:
            BrokerUnavailable: a request was not answered.
        """
        wanted = sorted(set(symbols))
        quotes: dict[str, Quote] = {}
        for start in range(0, len(wanted), SYMBOLS_AT_ONCE):
            quotes.update(self._quoted(wanted[start : start + SYMBOLS_AT_ONCE]))
        return {symbol: quotes[symbol] for symbol in wanted if symbol in quotes}

    def refusal(self, symbol: str) -> str | None:
        """Tiger's own words for not giving quotes in real time, asked for with this symbol; None where it gives them.

        Raises:
            BrokerUnavailable: it did not answer.
        """
        try:
            self._client.read("quote_real_time", symbols=[symbol])
        except ReadRefused as refused:
            return str(refused)
        return None

    def _quoted(self, symbols: list[str]) -> dict[str, Quote]:
        steps = self._steps_for(symbols)
        try:
            data = self._client.read("quote_real_time", symbols=symbols)
            self.are_delayed = False
        except ReadRefused as refused:
            data = self._client.read("quote_delay", symbols=symbols)
            self.are_delayed = True
            self._tell(f"no real-time quotes ({refused}): those of 15 minutes ago price no order")
        return quotes_of(items_of(data, "quotes"), steps, delayed=self.are_delayed)

    def _tell(self, text: str) -> None:
        with self._lock:
            before, self._has_said = self._has_said, True
        if not before:
            self._say(f"tiger: {text}")

    def _steps_for(self, symbols: list[str]) -> dict[str, Steps]:
        """Steps of price and lot, asked for once; without an answer the US rule holds, which the broker checks again."""
        with self._lock:
            missing = [symbol for symbol in symbols if symbol not in self._steps]
        if missing:
            try:
                found = steps_of(self._client.read("contracts", symbols=missing, sec_type="STK", currency=CURRENCY))
            except BrokerUnavailable:
                return dict(self._steps)
            with self._lock:
                self._steps.update({symbol: found.get(symbol, Steps(())) for symbol in missing})
        return dict(self._steps)

    def market_state(self) -> str:
        """The broker's word for the state of the US market, such as ``TRADING``; empty where it says none.

        Raises:
            BrokerUnavailable: it did not answer.
        """
        with self._lock:
            kept = self._market_state
        if kept is not None and self._clock.elapsed() - kept[0] < MARKET_STATE_AGE_S:
            return kept[1]
        data = self._client.read("market_state", market="US")
        words = [str(item.get("status", "")) for item in items_of(data, "market_state") if item.get("market") == "US"]
        with self._lock:
            self._market_state = (self._clock.elapsed(), words[0] if words else "")
        return words[0] if words else ""
