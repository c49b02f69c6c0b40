"""The paper twin of a real account: begins with its money and shares, trades at its quotes, and sends it nothing.

It is what a dry run trades on. The real account is only ever asked for its quotes here, through a port that has no way to
place or to cancel anything.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from oms.gateways.paper.broker import PaperBroker
from oms.model.account import Funds, Position, Quote, Session
from oms.ports import BarSet, Clock, Market

QUOTES_AGE_S = 1.0
"""Quotes are good for so many seconds: the twin looks at every call, and the real broker counts what it is asked."""


class RealAccount(Protocol):
    """What a twin may ask of the real account: reads, and nothing that could send an order."""

    name: str

    def funds(self) -> Funds: ...

    def positions(self) -> list[Position]: ...

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]: ...

    def close(self) -> None: ...


class TwinBroker(PaperBroker):
    """A paper broker over a real account; closing it closes that as well. See :class:`PaperBroker`."""

    name = "twin"
    account: RealAccount

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.account.close()

    def differences(self) -> Iterator[str]:
        """How the real account has moved away from the twin since the twin was made, one sentence each.

        Raises:
            BrokerUnavailable: the real account could not be read.
        """
        theirs, ours = _shares(self.account.positions()), _shares(self.positions())
        for symbol in sorted({*theirs, *ours}):
            there, here = theirs.get(symbol, Decimal(0)), ours.get(symbol, Decimal(0))
            if there != here:
                yield f"the real account holds {there} {symbol}, its twin {here}"
        there, here = self.account.funds().cash, self.funds().cash
        if there != here:
            yield f"the real account has {there:.2f} in cash, its twin {here:.2f}"


def _shares(positions: Iterable[Position]) -> dict[str, Decimal]:
    return {position.symbol: position.qty for position in positions}


class MarketOfAccount(Market):
    """A market whose days and history are those of another, and whose quotes are those that the account itself sees."""

    def __init__(self, market: Market, account: RealAccount, clock: Clock) -> None:
        self._market = market
        self._account = account
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._asked: frozenset[str] = frozenset()
        self._quotes: dict[str, Quote] = {}
        self.name = market.name
        self.skips_nights = market.skips_nights

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:
        return self._market.enter(last_day, open_day)

    def session(self) -> Session | None:
        return self._market.session()

    def time(self) -> datetime:
        return self._market.time()

    def knows(self, symbol: str) -> bool:
        return self._market.knows(symbol)

    def notice(self) -> str | None:
        return self._market.notice()

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """The account's quotes, at most a second old; what was asked for a moment ago is asked for along with the rest."""
        wanted = frozenset(symbols)
        with self._lock:
            now = self._clock.elapsed()
            if self._read_at is None or now - self._read_at > QUOTES_AGE_S:
                self._asked, self._quotes, self._read_at = frozenset(), {}, now
            missing = wanted - self._asked
            if missing:
                self._quotes.update(self._account.quotes(sorted(missing)))
                self._asked |= missing
            return {symbol: quote for symbol, quote in self._quotes.items() if symbol in wanted}

    def day_range(self, symbol: str) -> tuple[Decimal, Decimal] | None:  # noqa: ARG002 - the port's signature
        return None  # of the account's own quotes nobody knows how far the day has gone

    def bars(self, symbols: Sequence[str]) -> BarSet:
        return self._market.bars(symbols)
