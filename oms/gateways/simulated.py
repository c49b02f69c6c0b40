"""A market that never was: a seed makes its prices, the same ones on every machine.

Shares move with the market, with their sector and by themselves. Calm and stormy times alternate, each quarter has its
trend, results open a gap, a flash crash comes about twice a year, and now and then a share does not trade for a day. There
are no splits: nobody would book them at the paper broker (the replayed year has real ones).

Every number is an integer until it becomes a price, and chance comes in whole bits from generators seeded by name: no
logarithm, whose last digit differs between machines, and no order of evaluation takes part. A symbol's prices depend on
the seed and its name only, so a longer list of symbols changes none of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from random import Random

from oms.gateways.daily_bars import SymbolBars
from oms.gateways.replay import HISTORY_DAYS, DayByDay
from oms.ports import Bar

FIRST_DAY = date(2000, 1, 3)
"""The first day of the history, a Monday long ago: nobody shall take these prices for today's. Every weekday trades."""
SECTORS = 11

# Moves are in millionths of a price, prices in hundredths of a cent. The figures are chosen to look like large American
# shares (a market that moves by 0.7 % on a calm day and by 1.8 % in a storm); none of them is measured.
_ONE = 1_000_000
_UNIT = 10_000
_CALM, _STORMY = 7_000, 18_000
_STORM_BEGINS, _STORM_ENDS = 50, 15
_CRASH = 120
_SECTOR_MOVE = 4_000
_QUARTER = 63
_RESULTS_MOVE = 40_000
_NO_TRADE = 600
_MOST_OVERNIGHT, _MOST_INTRADAY = 200_000, 150_000  # together below the 40 % that the data gate does not believe
_LEAST_PRICE = 2 * _UNIT


class SimulatedMarket(DayByDay):
    """The port ``Market`` on made-up prices: ``days`` trading days after a year of history.

    ``symbols`` is asked when the first question comes. Settlement, hours and quotes are those of the replay.
    """

    name = "simulated"

    def __init__(self, seed: int, days: int, symbols: Callable[[], Iterable[str]]) -> None:
        super().__init__(lambda: MadeBars(seed, HISTORY_DAYS + days, symbols()), lambda _: HISTORY_DAYS)


@dataclass(frozen=True, slots=True)
class _Weather:
    """What one day brings to every share; moves in millionths."""

    overnight: int
    intraday: int
    sectors: tuple[int, ...]
    crash: bool


@dataclass(frozen=True, slots=True)
class _Share:
    """What a share is like for ever."""

    first_price: int
    beta: int
    own_move: int
    sector: int
    turnover: int
    """Dollars on an ordinary day."""
    results_on: int
    """Day of each quarter on which its results open a gap."""


class MadeBars:
    """The bars of every symbol; each is made when it is asked for. May be used from any thread."""

    def __init__(self, seed: int, days: int, symbols: Iterable[str]) -> None:
        self.days: tuple[date, ...] = _weekdays(days)
        self._seed = seed
        self._symbols = frozenset(symbols)
        self._made: dict[str, SymbolBars] = {}
        self._lock = threading.Lock()

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._symbols

    def of(self, symbol: str) -> SymbolBars:
        """The bars of ``symbol``; empty where it is none of this market."""
        if symbol not in self._symbols:
            return SymbolBars()
        with self._lock:
            if symbol not in self._made:
                bars = tuple(self._make(symbol))
                self._made[symbol] = SymbolBars(days=tuple(bar.day for bar in bars), bars=bars)
            return self._made[symbol]

    @cached_property
    def _weather(self) -> Sequence[_Weather]:
        chance = self._chance("market")
        found = []
        stormy = False
        for _ in self.days:
            stormy = chance.randrange(_STORM_ENDS) > 0 if stormy else chance.randrange(_STORM_BEGINS) == 0
            size = _STORMY if stormy else _CALM
            overnight, intraday = _bell(chance, size // 2), _bell(chance, size * 6 // 7) + 300
            sectors = tuple(_bell(chance, _SECTOR_MOVE) for _ in range(SECTORS))
            found.append(_Weather(overnight, intraday, sectors, crash=chance.randrange(_CRASH) == 0))
        return found

    def _chance(self, name: str) -> Random:
        return Random(f"{self._seed}/{name}")

    def _make(self, symbol: str) -> list[Bar]:
        chance = self._chance(f"symbol/{symbol}")
        share = _born(chance)
        bars: list[Bar] = []
        price, trend = share.first_price, 0
        for number, (day, weather) in enumerate(zip(self.days, self._weather, strict=True)):
            if number % _QUARTER == 0:
                trend = _bell(chance, 1_000)
            results = _bell(chance, _RESULTS_MOVE) if number % _QUARTER == share.results_on else 0
            overnight = _move(share, weather.overnight, _bell(chance, share.own_move // 2) + results)
            intraday = _move(
                share, weather.intraday + weather.sectors[share.sector], trend + _bell(chance, share.own_move)
            )
            opens = _moved(price, _within(overnight, _MOST_OVERNIGHT))
            price = _moved(opens, _within(intraday, _MOST_INTRADAY))
            bar = _bar(chance, share, day, opens, price, crash=weather.crash)
            # The first day trades, so that a share has a price from the beginning.
            if chance.randrange(_NO_TRADE) or not bars:
                bars.append(bar)
        return bars


def _weekdays(count: int) -> tuple[date, ...]:
    weeks, rest = divmod(count, 5)
    every = (FIRST_DAY + timedelta(days=7 * week + day) for week in range(weeks + 1) for day in range(5))
    return tuple(day for day, _ in zip(every, range(5 * weeks + rest), strict=False))


def _bell(chance: Random, size: int) -> int:
    """A number around zero whose standard deviation is ``size``: four dice of 16 bits are close enough to a bell."""
    bits = chance.getrandbits(64)
    dice = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (dice - 2 * 0xFFFF) * size // 37_837


def _born(chance: Random) -> _Share:
    wealth = chance.randrange(1, 20)
    return _Share(
        first_price=(15 + wealth * wealth + chance.randrange(10)) * _UNIT + chance.randrange(_UNIT),
        beta=chance.randrange(500_000, 1_600_000),
        own_move=chance.randrange(7_000, 20_000),
        sector=chance.randrange(SECTORS),
        turnover=chance.randrange(40, 800) * 1_000_000,
        results_on=chance.randrange(_QUARTER),
    )


def _move(share: _Share, common: int, own: int) -> int:
    return common * share.beta // _ONE + own


def _within(move: int, most: int) -> int:
    return max(-most, min(move, most))


def _moved(price: int, move: int) -> int:
    return max(price * (_ONE + move) // _ONE, _LEAST_PRICE)


def _bar(chance: Random, share: _Share, day: date, opens: int, closes: int, *, crash: bool) -> Bar:
    high = _moved(max(opens, closes), abs(_bell(chance, share.own_move // 3)))
    low = _moved(min(opens, closes), -abs(_bell(chance, share.own_move // 3)))
    depth = chance.randrange(40_000, 350_000)
    if crash:  # for minutes; the close knows nothing of it
        low = min(low, _moved(opens, -depth))
    # A share that moved much was traded much; a dollar figure turned into shares at the day's price.
    much = _ONE + 20 * abs(closes - opens) * _ONE // opens + (2 * _ONE if crash else 0)
    traded = share.turnover * much // _ONE * chance.randrange(600, 1_600) // 1_000
    return Bar(
        day=day,
        open=_dollars(opens),
        high=_dollars(high),
        low=_dollars(low),
        close=_dollars(closes),
        volume=traded * _UNIT // closes,
    )


def _dollars(price: int) -> Decimal:
    """Whole cents; rounding each price down keeps low, open, close and high in their order."""
    return Decimal(price // (_UNIT // 100)).scaleb(-2)
