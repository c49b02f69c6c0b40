"""What every adapter of the port Market must do; a test class inherits this and says which market it is about."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from oms.ports import Market


class MarketContract:
    """The fixture ``market`` has a session to trade, in which ``known`` symbols trade and have a history."""

    known: tuple[str, ...]
    unknown = "ZZZZZ"

    @pytest.fixture
    def market(self) -> Market:
        raise NotImplementedError

    def test_session_is_entered(self, market: Market) -> None:
        """A session has aware UTC hours on its own day and settles after it."""
        session = market.enter(None, None)
        assert session is not None
        assert session.opens < session.closes
        assert session.opens.utcoffset() == session.closes.utcoffset() == timedelta(0)
        assert session.settles > session.day

    def test_time_is_aware_utc(self, market: Market) -> None:
        """Market time is aware UTC."""
        market.enter(None, None)
        assert market.time().utcoffset() == timedelta(0)

    def test_quotes_are_sane(self, market: Market) -> None:
        """Each known symbol has a quote with positive prices on its tick, bid not above ask, not from the future."""
        market.enter(None, None)
        quotes = market.quotes(self.known)
        assert sorted(quotes) == sorted(self.known)
        for symbol, quote in quotes.items():
            assert quote.symbol == symbol
            assert Decimal(0) < quote.bid <= quote.ask
            assert quote.last > 0
            assert [price % quote.tick for price in (quote.bid, quote.ask, quote.last)] == [0, 0, 0]
            assert quote.lot >= 1
            assert quote.at <= market.time()

    def test_unknown_symbol_has_no_quote(self, market: Market) -> None:
        """An unknown symbol is absent from the quotes and has no range, and the others are answered all the same."""
        market.enter(None, None)
        assert list(market.quotes([self.unknown, self.known[0]])) == [self.known[0]]
        assert market.day_range(self.unknown) is None

    def test_quote_lies_inside_the_day(self, market: Market) -> None:
        """Where the day's range is known, the quote lies inside it."""
        market.enter(None, None)
        for symbol, quote in market.quotes(self.known).items():
            if day := market.day_range(symbol):
                assert day[0] <= quote.bid <= quote.ask <= day[1]

    def test_every_symbol_has_bars_or_a_problem(self, market: Market) -> None:
        """Each symbol that was asked for has bars up to the day before the session, or a reason why it has none."""
        session = market.enter(None, None)
        assert session is not None
        answer = market.bars([*self.known, self.unknown])
        assert answer.as_of < session.day
        assert sorted([*answer.bars, *answer.problems]) == sorted([*self.known, self.unknown])
        assert self.unknown in answer.problems

    def test_bars_are_believable(self, market: Market) -> None:
        """Bars are oldest first, one a day, end with as_of, and could have happened."""
        market.enter(None, None)
        answer = market.bars(self.known)
        for bars in answer.bars.values():
            days = [bar.day for bar in bars]
            assert days == sorted(set(days))
            assert days[-1] == answer.as_of
            assert all(0 < bar.low <= bar.high and bar.close > 0 and bar.volume >= 0 for bar in bars)
