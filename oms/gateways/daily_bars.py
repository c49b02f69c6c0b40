"""Daily bars of many symbols: indexed once, parsed and checked symbol by symbol when asked for."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from oms.errors import UsageError
from oms.gateways.bar_tables import SP500_2010, Table, read_tables
from oms.gateways.gates import VOLUME_BOUND, impossible
from oms.model.foreign import shown
from oms.model.symbol import canonical_symbol
from oms.ports import Bar

_SP500_VOLUME_UNIT = 100  # that file counts volume in round lots
_PLACES = Decimal("0.0001")
_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One row that is not believed."""

    symbol: str
    day: date | None
    """None where the date itself cannot be read."""
    place: str
    """File and line."""
    reason: str

    def __str__(self) -> str:
        what = f"{self.symbol} {self.day}" if self.day else self.symbol
        return f"{self.place}: {what}: {self.reason}; the row is left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolBars:
    """The believable bars of one symbol, oldest first, and the rows that were left out."""

    days: tuple[date, ...] = ()
    bars: tuple[Bar, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def between(self, first: date, last: date) -> tuple[Bar, ...]:
        """The bars of ``first`` to ``last``, both included."""
        return self.bars[bisect_left(self.days, first) : bisect_right(self.days, last)]

    def on(self, day: date) -> Bar | None:
        """The bar of one day; None where it is missing or not believed."""
        at = bisect_left(self.days, day)
        return self.bars[at] if at < len(self.days) and self.days[at] == day else None

    def before(self, day: date) -> Bar | None:
        """The newest bar older than ``day``."""
        at = bisect_left(self.days, day)
        return self.bars[at - 1] if at else None


class DailyBars:
    """All bars of a source. Building it reads every file once; a symbol's bad rows are found when it is asked for.

    A date is written 2010-03-02 or 20100302. Prices are rounded half-even to four decimals. Raises UsageError where a
    file as a whole is no such table.
    """

    def __init__(self, data: str | Path) -> None:
        self._unit = _SP500_VOLUME_UNIT if data == SP500_2010 else 1
        self._parsed: dict[str, SymbolBars] = {}
        self._dates: dict[str, date | None] = {}
        self._rows: dict[str, list[tuple[Table, list[int]]]] = {}
        for table in read_tables(data):
            self._index(table)
        self.days: tuple[date, ...] = tuple(sorted({day for day in self._dates.values() if day}))
        """Every trading day of the source, oldest first."""
        if len(self.days) < 2:
            raise UsageError(f"{data}: a replay needs at least two trading days; found {len(self.days)}")

    @property
    def symbols(self) -> list[str]:
        """Every symbol that has a row, sorted."""
        return sorted(self._rows)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._rows

    def of(self, symbol: str) -> SymbolBars:
        """The bars of ``symbol``; empty where the source does not have it."""
        if symbol not in self._parsed:
            self._parsed[symbol] = self._parse(symbol)
        return self._parsed[symbol]

    def _index(self, table: Table) -> None:
        dates, numbers = table.index()
        for text in dates.difference(self._dates):
            self._dates[text] = _read_date(text)
        for text, lines in numbers.items():
            try:
                symbol = canonical_symbol(text.strip())
            except ValueError as exc:
                raise UsageError(f"{table.path}:{lines[0]}: {exc}") from exc
            self._rows.setdefault(symbol, []).append((table, lines))

    def _parse(self, symbol: str) -> SymbolBars:
        found: dict[date, Bar] = {}
        left_out: list[LeftOut] = []
        contradicted: set[date] = set()
        for table, numbers in self._rows.get(symbol, ()):
            for number in numbers:
                day = None
                try:
                    cells = _cells(table, number)
                    day = self._day(cells[0])
                    bar = _read_bar(day, cells, self._unit)
                    if found.setdefault(day, bar) != bar:
                        contradicted.add(day)
                        raise ValueError("another row of that day says otherwise, so neither is believed")
                except ValueError as exc:
                    place = f"{table.path.name}:{number}"
                    left_out.append(LeftOut(symbol=symbol, day=day, place=place, reason=str(exc)))
        days = tuple(sorted(found.keys() - contradicted))
        return SymbolBars(days=days, bars=tuple(found[day] for day in days), left_out=tuple(left_out))

    def _day(self, text: str) -> date:
        if (day := self._dates[text]) is None:
            raise ValueError(f"{shown(text)} is not a date such as 2010-03-02")
        return day


def _cells(table: Table, number: int) -> Sequence[str]:
    """The cells of one line in the order of ``BAR_COLUMNS``."""
    line = table.line(number)
    cells = line.split(",")
    if len(cells) <= table.width:
        raise ValueError(f"{shown(line)} has too few columns")
    picked = table.pick(cells)
    # Decimal() would read 1_000 and the digits of every script; a table of prices means something else by them.
    if "_" in (together := "".join(picked)) or not together.isascii():
        raise ValueError(f"{shown(line)} holds characters that stand in no number")
    return picked


def _read_bar(day: date, cells: Sequence[str], unit: int) -> Bar:
    bar = Bar(
        day=day,
        open=_read_price("open", cells[1]),
        high=_read_price("high", cells[2]),
        low=_read_price("low", cells[3]),
        close=_read_price("close", cells[4]),
        volume=_read_volume(cells[5]) * unit,
    )
    if reason := impossible(bar):
        raise ValueError(reason)
    return bar


def _read_date(text: str) -> date | None:
    if match := _DATE.fullmatch(text.strip()):
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            return None
    return None


def _read_price(name: str, text: str) -> Decimal:
    # Infinity, and what has no room for four decimals, cannot be quantised; NaN can, and equals nothing.
    try:
        price = Decimal(text).quantize(_PLACES)
    except InvalidOperation:
        raise ValueError(_no_number(name, text)) from None
    if price.is_nan():
        raise ValueError(_no_number(name, text))
    return price


def _read_volume(text: str) -> int:
    try:
        volume = Decimal(text)
        # The bound stands before int(), which would write out every digit of 1e999999.
        if -VOLUME_BOUND < volume < VOLUME_BOUND:
            return int(volume)
    except InvalidOperation:
        pass
    raise ValueError(_no_number("volume", text))


def _no_number(name: str, text: str) -> str:
    return f"{name} {shown(text)} is not a number that can stand here" if text.strip() else f"{name} is empty"
