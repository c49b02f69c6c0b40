"""Daily bars that were fetched, kept in a small SQLite file of their own so that only the newest days are asked for again.

Everything in it can be fetched once more. So a file that is damaged, or of another version, is put aside and begun anew.
Prices are whole hundredths of a cent, as exact as the four decimals that sources are rounded to.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from oms.errors import StorageError
from oms.ports import Bar

KEPT_FOR = timedelta(days=400)
"""Older bars are removed: a screen looks at 253 sessions."""
BUSY_S = 5.0

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS bars (
    symbol TEXT NOT NULL,
    day    TEXT NOT NULL,
    open   INTEGER NOT NULL,
    high   INTEGER NOT NULL,
    low    INTEGER NOT NULL,
    close  INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    PRIMARY KEY (symbol, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fetches (
    symbol     TEXT PRIMARY KEY,
    asked_at   INTEGER NOT NULL,
    status     TEXT NOT NULL,
    detail     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_STATUS = """
SELECT symbol, count(day), min(day), max(day), asked_at, status, detail
FROM (SELECT symbol FROM bars UNION SELECT symbol FROM fetches)
    LEFT JOIN bars USING (symbol) LEFT JOIN fetches USING (symbol)
GROUP BY symbol ORDER BY symbol
"""
_PLACES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is known of one symbol."""

    symbol: str
    bars: int
    first: date | None
    last: date | None
    asked_at: datetime | None
    """When the source last answered for it, or failed to; aware UTC."""
    status: str
    """How that ended: ok, missing, stale, rate_limited, error; empty where it was never asked."""
    detail: str


class BarStore:
    """The bars of one file. Every method opens it for itself, so any thread and several processes may use it.

    Raises StorageError where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def histories(self, symbols: Iterable[str], first: date, last: date) -> dict[str, list[Bar]]:
        """Bars of ``first`` to ``last`` per symbol, oldest first; a symbol without any has an empty list."""
        sql = (
            "SELECT day, open, high, low, close, volume FROM bars WHERE symbol = ? AND day BETWEEN ? AND ? ORDER BY day"
        )
        with self._opened() as connection:
            return {
                symbol: [_bar(row) for row in connection.execute(sql, (symbol, first.isoformat(), last.isoformat()))]
                for symbol in symbols
            }

    def status(self) -> dict[str, Kept]:
        """What is known of every symbol, in order."""
        with self._opened() as connection:
            return {row[0]: _kept(row) for row in connection.execute(_STATUS)}

    def save(self, symbol: str, bars: Sequence[Bar], *, whole: bool) -> None:
        """Keep bars; ``whole`` replaces everything that was known of the symbol. Bars that are too old go."""
        rows = [(symbol, bar.day.isoformat(), *map(_units, _prices(bar)), bar.volume) for bar in bars]
        with self._opened() as connection:
            if whole:
                connection.execute("DELETE FROM bars WHERE symbol = ?", (symbol,))
            connection.executemany("INSERT OR REPLACE INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            if bars:
                oldest = (bars[-1].day - KEPT_FOR).isoformat()
                connection.execute("DELETE FROM bars WHERE symbol = ? AND day < ?", (symbol, oldest))

    def note(self, symbol: str, asked_at: datetime, status: str, detail: str) -> None:
        """Remember how asking for a symbol ended."""
        row = (symbol, int(asked_at.timestamp()), status, detail)
        with self._opened() as connection:
            connection.execute("INSERT OR REPLACE INTO fetches VALUES (?, ?, ?, ?)", row)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the file, which is made where it is missing."""
        try:
            with closing(self._connection()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"the store of bars {self.path} failed: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        for _ in range(2):
            connection = self._connect()
            try:
                if self._prepared(connection):
                    return connection
            except sqlite3.OperationalError:  # locked, full, read-only: nothing is wrong with what is in it
                connection.close()
                raise
            except sqlite3.DatabaseError:
                pass
            connection.close()
            self._put_aside()
        raise StorageError(f"the store of bars {self.path} cannot be begun anew")

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)

    @staticmethod
    def _prepared(connection: sqlite3.Connection) -> bool:
        """Whether the file is ours; an empty one is made so."""
        connection.execute("PRAGMA synchronous = NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == _VERSION:
            return True
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return False
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        return True

    def _put_aside(self) -> None:
        self.path.replace(self.path.with_name(self.path.name + ".damaged"))


def same_prices(kept: Mapping[date, Bar], fresh: Iterable[Bar]) -> bool:
    """Whether ``fresh`` bars agree with those that are kept of the same days, and some day is in both.

    A split or a dividend changes every adjusted price before it, so that a disagreement means: fetch all of them again.
    Volume is not compared: sources correct it for days.
    """
    both = [(kept[bar.day], bar) for bar in fresh if bar.day in kept]
    return bool(both) and all(_same(a.close, b.close) and _same(a.open, b.open) for a, b in both)


def _same(one: Decimal, other: Decimal) -> bool:
    # Half a hundredth of a percent: above what single-precision prices are rounded by, below the smallest dividend.
    return abs(one - other) * 20_000 <= max(one, other) or abs(one - other) <= Decimal("0.0001")


def _prices(bar: Bar) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return bar.open, bar.high, bar.low, bar.close


def _units(price: Decimal) -> int:
    units = price * _PLACES
    if units != int(units):
        raise ValueError(f"{price} has more than four decimals")
    return int(units)


def _bar(row: Sequence[int | str]) -> Bar:
    day, *prices, volume = row
    found = [Decimal(price) / _PLACES for price in prices]
    return Bar(
        day=date.fromisoformat(str(day)),
        open=found[0],
        high=found[1],
        low=found[2],
        close=found[3],
        volume=int(volume),
    )


def _kept(row: Sequence[object]) -> Kept:
    symbol, count, first, last, asked_at, status, detail = row
    return Kept(
        symbol=str(symbol),
        bars=int(str(count)),
        first=date.fromisoformat(str(first)) if first else None,
        last=date.fromisoformat(str(last)) if last else None,
        asked_at=datetime.fromtimestamp(int(str(asked_at)), UTC) if asked_at is not None else None,
        status=str(status or ""),
        detail=str(detail or ""),
    )
