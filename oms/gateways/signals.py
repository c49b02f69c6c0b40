"""A strategy's wishes from a file or from stdin, JSON or CSV, checked to the last row.

Nothing is repaired and nothing is guessed: a file is taken whole or refused whole, and then every bad row is named with
its line and the reason.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

from oms.errors import UsageError
from oms.gateways.json_text import Array, Bare, BrokenJsonError, Object, Value, parse_json
from oms.inputfile import decode, read_bytes
from oms.model.foreign import printable, shown
from oms.model.order import Side
from oms.model.signal import Signal, Signals
from oms.model.symbol import canonical_symbol

MOST_BYTES = 20_000_000
MOST_ROWS = 10_000
"""An exchange day has a hundred trades; a longer list is a mistake."""
MOST_SHARES = 1_000_000
_BOUNDS = {"price": (Decimal("0.0001"), Decimal(1_000_000)), "score": (Decimal(-1_000_000), Decimal(1_000_000))}
AHEAD = timedelta(seconds=60)
"""Clocks of two machines may differ by so much before a file counts as from the future."""

COLUMNS = ("side", "symbol", "quantity", "price", "score")
REQUIRED = ("symbol", "quantity")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,12})?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|z|[+-]\d\d:\d\d)", re.ASCII)

Cell = str | None


def read_signals(source: str | Path, stdin: BinaryIO | None = None) -> Signals:
    """The signals of a file, or of ``stdin`` where ``source`` is ``-``.

    Raises UsageError (exit 2), with every bad row named, where anything at all is wrong.
    """
    if str(source) != "-":
        return parse_signals(read_bytes(Path(source), MOST_BYTES, "the signals file"), str(source))
    if stdin is None:
        raise UsageError("--signals - reads stdin, but stdin is closed")
    data = stdin.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(f"stdin has more than {MOST_BYTES:,} bytes; expected a list of signals")
    return parse_signals(data, "stdin")


def parse_signals(data: bytes, name: str) -> Signals:
    """The signals in the bytes of a file called ``name``.

    JSON is known by its first letter, ``{`` or ``[``, or by the ending .json; all else is CSV. Raises UsageError.
    """
    title = printable(name)
    text = decode(data, title)
    if not text.strip():
        raise UsageError(f'{title} is empty; for a plan with nothing in it write {{"sell": [], "buy": []}}')
    reader = _Reader(title)
    is_json = text.lstrip()[0] in "{[" or name.lower().endswith(".json")
    signals = tuple(reader.json(text) if is_json else reader.csv(text))
    reader.no_symbol_twice(signals)
    if reader.complaints:
        raise _refusal(title, reader.complaints)
    return Signals(signals=signals, source=title, digest=hashlib.sha256(data).hexdigest(), as_of=reader.as_of)


def check_age(signals: Signals, now: datetime, max_age: timedelta) -> None:
    """Refuse signals that say they are older than ``max_age``, or of a time yet to come; silent ones pass.

    ``now`` is aware. Raises UsageError.
    """
    if signals.as_of is None:
        return
    age = now - signals.as_of
    where = f"{printable(signals.source)}: as_of {signals.as_of.isoformat()}"
    if age > max_age:
        raise UsageError(f"{where} is {age.total_seconds():.0f}s old; expected at most {max_age.total_seconds():.0f}s")
    if age < -AHEAD:
        raise UsageError(f"{where} lies {-age.total_seconds():.0f}s in the future; expected a time that has come")


@dataclass(frozen=True, slots=True, order=True)
class _Complaint:
    line: int
    row: str
    reason: str


def _refusal(title: str, complaints: Iterable[_Complaint]) -> UsageError:
    listed = sorted(set(complaints))
    rows = len({(complaint.line, complaint.row) for complaint in listed})
    count = "1 bad row" if rows == 1 else f"{rows} bad rows"
    lines = [f"  {title}:{each.line}: {each.row}{': ' if each.row else ''}{each.reason}" for each in listed]
    return UsageError("\n".join([f"{title} has {count}; nothing was opened", *lines]))


@dataclass(slots=True)
class _Reader:
    """Reads one text and gathers what is wrong with it."""

    title: str
    complaints: list[_Complaint] = field(default_factory=list)
    as_of: datetime | None = None

    def complain(self, line: int, row: str, reason: str) -> None:
        self.complaints.append(_Complaint(line, row, reason))

    def stop(self, line: int, reason: str) -> UsageError:
        return UsageError(f"{self.title}:{line}: {reason}; nothing was opened")

    # JSON

    def json(self, text: str) -> Iterator[Signal]:
        try:
            root = parse_json(text, MOST_ROWS)
        except BrokenJsonError as error:
            raise UsageError(
                f"{self.title}:{error.line}:{error.column}: not valid JSON: {error}; nothing was opened"
            ) from None
        if not isinstance(root, Object) or not {"sell", "buy"} & root.items.keys():
            raise self.stop(1, 'expected one object with "sell" and "buy", each a list of rows')
        self._keys(root, ("sell", "buy", "as_of"), "the file")
        self._as_of(root)
        for name, side in (("sell", Side.SELL), ("buy", Side.BUY)):
            yield from self._rows(root.items.get(name, Array(line=1)), name, side)
        if sum(len(rows.values) for rows in root.items.values() if isinstance(rows, Array)) > MOST_ROWS:
            raise self.stop(1, f"more than {MOST_ROWS:,} rows")

    def _as_of(self, root: Object) -> None:
        value = root.items.get("as_of")
        if value is None:
            return
        if isinstance(value, str) and not isinstance(value, Bare) and _INSTANT.fullmatch(value):
            try:
                self.as_of = datetime.fromisoformat(value.upper())
            except ValueError:
                pass
            else:
                return
        expected = "a date, time and zone in quotes, such as 2025-08-22T14:30:00Z"
        self.complain(root.line, "as_of", f"found {_found(value)}; expected {expected}")

    def _rows(self, rows: Value, name: str, side: Side) -> Iterator[Signal]:
        if not isinstance(rows, Array):
            self.complain(1, name, f"found {_found(rows)}; expected a list of rows, [] for none")
            return
        for index, (line, row) in enumerate(rows.values):
            label = f"{name}[{index}]"
            if not isinstance(row, Object):
                self.complain(line, label, f'found {_found(row)}; expected an object such as {{"symbol": "C", …}}')
                continue
            self._keys(row, COLUMNS[1:], label)
            cells = self._cells(line, label, row)
            if cells is not None and (signal := self._signal(line, label, side, cells)):
                yield signal

    def _cells(self, line: int, label: str, row: Object) -> dict[str, Cell] | None:
        """The texts of a row's values; None, with the complaint made, where one cannot be a cell at all."""
        cells: dict[str, Cell] = {}
        for key, value in row.items.items():
            if isinstance(value, (Object, Array)):
                self.complain(line, label, f"{shown(key)} is {_found(value)}; expected one value")
                return None
            if key == "symbol" and isinstance(value, Bare):
                self.complain(line, label, f"symbol {shown(str(value))} stands without quotes; expected text")
                return None
            cells[key] = value
        return cells

    def _keys(self, given: Object, known: tuple[str, ...], label: str) -> None:
        for key in given.repeated:
            self.complain(given.line, label, f"the key {shown(key)} stands there twice")
        for key in given.items:
            if key not in known:
                self.complain(given.line, label, f"unknown key {shown(key)}{_meant(key, known)}")

    # CSV

    def csv(self, text: str) -> Iterator[Signal]:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] | None = None
        count, begin = 0, 1
        while True:
            begin = rows.line_num + 1
            try:
                cells = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                raise self.stop(begin, f"not valid CSV: {error}; a quotation mark may be missing") from None
            if not cells:
                continue  # a blank line says nothing
            if header is None:
                header = self._header(begin, cells)
                continue
            count += 1
            if count > MOST_ROWS:
                raise self.stop(begin, f"more than {MOST_ROWS:,} rows")
            if signal := self._csv_row(begin, header, cells):
                yield signal
        if count == 0:
            raise self.stop(begin, 'a header without rows; for an empty plan write JSON: {"sell": [], "buy": []}')

    def _header(self, line: int, cells: list[str]) -> list[str]:
        expected = f"expected the header {','.join(COLUMNS)}"
        if len(cells) == 1:
            for mark, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
                if mark in cells[0]:
                    raise self.stop(line, f"the columns are separated by {called}; expected commas")
        if not set(COLUMNS) & set(cells):
            raise self.stop(line, f"found no header; {expected}")
        for cell in cells:
            if cell not in COLUMNS:
                raise self.stop(line, f"unknown column {shown(cell)}{_meant(cell, COLUMNS)}; {expected}")
            if cells.count(cell) > 1:
                raise self.stop(line, f"the column {cell} stands there twice; {expected}")
        if missing := [name for name in ("side", *REQUIRED) if name not in cells]:
            raise self.stop(line, f"the column {missing[0]} is missing; {expected}")
        return cells

    def _csv_row(self, line: int, header: list[str], cells: list[str]) -> Signal | None:
        if len(cells) != len(header):
            self.complain(line, "", f"{len(cells)} fields; expected {len(header)} as in the header")
            return None
        row: dict[str, Cell] = {name: cell or None for name, cell in zip(header, cells, strict=True)}
        formulas = [name for name, cell in row.items() if cell and (cell[0] in "=@+" or cell.startswith("-@"))]
        if formulas:
            self.complain(
                line, "", f"{formulas[0]} {shown(row[formulas[0]])} is a spreadsheet formula; expected its value"
            )
            return None
        side = row.pop("side")
        if side not in ("sell", "buy", "SELL", "BUY"):
            self.complain(line, "", f"side {shown(side or '')}; expected sell or buy")
            return None
        return self._signal(line, side.lower(), Side(side.upper()), row)

    # both

    def _signal(self, line: int, label: str, side: Side, cells: Mapping[str, Cell]) -> Signal | None:
        before = len(self.complaints)
        symbol: str | None = None
        try:
            symbol = canonical_symbol(cells.get("symbol") or "")
            label = f"{label} {symbol}"
        except ValueError as error:
            self.complain(line, label, str(error))
        quantity = self._quantity(line, label, cells.get("quantity"))
        price = self._number(line, label, "price", cells.get("price"))
        score = self._number(line, label, "score", cells.get("score"))
        if len(self.complaints) > before or symbol is None or quantity is None:
            return None
        return Signal(side=side, symbol=symbol, quantity=quantity, price=price, score=score, line=line)

    def _quantity(self, line: int, label: str, cell: Cell) -> int | None:
        if cell is None:
            self.complain(line, label, "quantity is missing; expected whole shares")
        elif not _WHOLE.fullmatch(cell):
            self.complain(
                line, label, f"quantity {shown(str(cell))}; expected whole shares in plain digits, such as 66"
            )
        elif not 1 <= int(cell) <= MOST_SHARES:
            self.complain(line, label, f"quantity {shown(str(cell))}; expected between 1 and {MOST_SHARES:,} shares")
        else:
            return int(cell)
        return None

    def _number(self, line: int, label: str, name: str, cell: Cell) -> Decimal | None:
        least, most = _BOUNDS[name]
        if cell is None:
            return None
        if not _NUMBER.fullmatch(cell) or (cell.startswith("-") and not Decimal(cell)):
            self.complain(line, label, f"{name} {shown(str(cell))}; expected a plain number such as 47.37, or nothing")
        elif not least <= Decimal(cell) <= most:
            self.complain(line, label, f"{name} {shown(str(cell))}; expected between {least:,f} and {most:,f}")
        else:
            return Decimal(cell)
        return None

    def no_symbol_twice(self, signals: Iterable[Signal]) -> None:
        """A symbol has one row: twice on one side hides a sum, on both sides hides a mistake."""
        first: dict[str, Signal] = {}
        for signal in signals:
            earlier = first.setdefault(signal.symbol, signal)
            if earlier is not signal:
                kind = "twice on one side" if earlier.side is signal.side else "on both sides"
                label = f"{signal.side.lower()} {signal.symbol}"
                self.complain(signal.line or 0, label, f"stands {kind}, first in line {earlier.line}; expected once")


def _found(value: Value) -> str:
    if isinstance(value, Object):
        return "an object"
    if isinstance(value, Array):
        return "a list"
    return "null" if value is None else shown(str(value))


def _meant(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name.strip().lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(known)}"
