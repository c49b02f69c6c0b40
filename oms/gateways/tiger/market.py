"""The port Market on Tiger's prices: quotes and daily bars of US stocks, on the exchange's days as Tiger has them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from oms.errors import BrokerUnavailable, CredentialsError, UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.replay import HISTORY_DAYS
from oms.gateways.tiger.bars import DailyHistory
from oms.gateways.tiger.client import TigerClient
from oms.gateways.tiger.quoting import MARKET_STATE_AGE_S, Quoting
from oms.model.account import Quote, Session
from oms.model.foreign import printable
from oms.ports import BarSet, Clock, Market

AMERICAN = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS", "IEXG"})
"""Exchanges whose stocks these are."""
DELAY = timedelta(minutes=15)
"""Age of quotes that need no permission."""
READY_AFTER = timedelta(minutes=20)
"""A session's bar still moves for so long after the close; until then the session before it is the newest."""
QUOTE_KEPT_S = 3.0
"""A paper broker asks for its orders' prices several times a second; the gateway allows two questions a second."""

TRADING = "TRADING"
NOT_YET = frozenset({"NOT_YET_OPEN", "PRE_HOUR_TRADING", "MIDDLE_CLOSE"})
NO_MORE = frozenset({"POST_HOUR_TRADING", "CLOSING", "EARLY_CLOSED", "MARKET_CLOSED"})
"""What ``trading_status`` may be (the SDK's ``get_market_status``); another word is not guessed at."""


class TigerMarket(Market):
    """A live market: sessions by the exchange's calendar, as far as Tiger agrees that it trades now.

    Every method may be called from any thread. The client is shared with the broker of the same account, for Tiger
    counts its calls by developer id.
    """

    name = "tiger"
    skips_nights = False

    def __init__(self, client: TigerClient, clock: Clock, calendar: ExchangeCalendar) -> None:
        self.client = client
        self.quoting = Quoting(client, clock)
        self._clock = clock
        self._calendar = calendar
        self._history = DailyHistory(client)
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._kept: dict[str, tuple[float, Quote | None]] = {}

    def require(self, symbol: str, max_age: timedelta) -> None:
        """Refuse at the start what could price no order.

        Raises:
            UsageError: the exchange is not American.
            CredentialsError: the login was refused, or the account may not have quotes in real time and delayed ones
                are too old.
            BrokerUnavailable: Tiger did not answer.
        """
        if self._calendar.exchange not in AMERICAN:
            raise UsageError(
                f"market.exchange: found {self._calendar.exchange}; expected XNYS, for market.source: tiger has US stocks"
            )
        self.client.login()
        refusal = self.quoting.refusal(symbol)
        if refusal is not None and max_age < DELAY:
            raise CredentialsError(
                f"Tiger gives this developer id no real-time quotes of US stocks ({refusal}); its delayed ones are "
                f"{DELAY.seconds // 60} minutes old, and market.max_quote_age is {max_age.total_seconds():g} s, so every "
                "order would be blocked. Get the permission for US quotes in Tiger's app, and leave it to this machine "
                "(one device holds it at a time); or set market.source: yahoo"
            )

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:  # noqa: ARG002 - the clock decides
        """The session under way, else the next one; one that Tiger says does not trade now is shown as closed.

        Raises:
            BrokerUnavailable: Tiger did not say whether the market trades, or in a word that is not known.
        """
        session = self._calendar.session(self._clock.now())
        if session is not None and session.is_open(self._clock.now()):
            session = self._as_tiger_has_it(session, is_followed=open_day is not None)
        self._session = session
        return session

    def _as_tiger_has_it(self, session: Session, *, is_followed: bool) -> Session | None:
        """The session that the calendar has open now; ``is_followed`` while a cycle of it may still be open."""
        state, now = self.quoting.market_state(), self._clock.now()
        if state == TRADING:
            return session
        if state in NOT_YET:
            return replace(session, opens=now + timedelta(seconds=MARKET_STATE_AGE_S), breaks=None)
        if state not in NO_MORE:
            raise BrokerUnavailable(
                f"Tiger calls the US market {printable(state)[:40]!r}, which nobody here understands"
            )
        # A cycle of today ends by the rules of the close; without one the next session is what there is to wait for.
        return replace(session, closes=now) if is_followed else self._calendar.session(session.closes)

    def session(self) -> Session | None:
        return self._session

    def time(self) -> datetime:
        return self._clock.now()

    def notice(self) -> str | None:
        """Why the market counts as closed where its calendar has come to its end; None while it has not."""
        return self._calendar.problem(self._clock.now())

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:  # noqa: ARG002 - the day is not over
        return None

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Quotes of a few seconds ago at most; a symbol that Tiger does not know is absent.

        Raises:
            BrokerUnavailable: Tiger did not answer.
        """
        wanted = list(dict.fromkeys(symbols))
        with self._lock:
            now = self._clock.elapsed()
            behind = [s for s in wanted if s not in self._kept or now - self._kept[s][0] > QUOTE_KEPT_S]
            if behind:
                fresh = self.quoting.quotes(behind)
                self._kept.update({symbol: (now, fresh.get(symbol)) for symbol in behind})
            found = {symbol: self._kept[symbol][1] for symbol in wanted}
        return {symbol: self._not_ahead(quote) for symbol, quote in found.items() if quote is not None}

    def _not_ahead(self, quote: Quote) -> Quote:
        """Tiger's clock may run ahead of ours by a little; a price from the future would count as fresh for longer."""
        return replace(quote, at=min(quote.at, self._clock.now()))

    def bars(self, symbols: Sequence[str]) -> BarSet:
        """Up to a year of adjusted bars, ending with the newest session before the one that was entered."""
        now = self._clock.now()
        session = self._session or self._calendar.session(now)
        days = self._calendar.completed(now, HISTORY_DAYS + 2, READY_AFTER)
        sessions = [day for day in days if session is None or day < session.day][-HISTORY_DAYS:]
        if not sessions:
            why = self._calendar.problem(now) or "no session is known"
            problems = dict.fromkeys(symbols, f"missing: {why}")
            return BarSet(as_of=now.date() - timedelta(days=1), bars={}, problems=problems, is_live=True)
        bars, problems = self._history.bars(symbols, sessions, self._calendar.zone)
        return BarSet(as_of=sessions[-1], bars=bars, problems=problems, is_live=True)
