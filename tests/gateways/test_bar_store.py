"""The store of bars: exact, shared between processes, and made anew when it is not what it should be."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.errors import StorageError
from oms.gateways.bar_store import BarStore, Kept, same_prices
from oms.ports import Bar

DAY = date(2026, 6, 12)
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def bar(day: date = DAY, close: str = "10.1234", volume: int = 10**12) -> Bar:
    price = Decimal(close)
    return Bar(day=day, open=price, high=price + 1, low=price - 1, close=price, volume=volume)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "var" / "bars.db")


def test_bars_come_back_exactly(store: BarStore) -> None:
    """What is saved comes back to the last of four decimals, oldest first, and only the days that are asked for."""
    days = [DAY - timedelta(days=n) for n in range(5)]
    store.save("BRK.B", [bar(day, "612345.6789") for day in days], whole=False)
    found = store.histories(["BRK.B", "OXY"], days[3], days[1])
    assert found == {"BRK.B": [bar(day, "612345.6789") for day in reversed(days[1:4])], "OXY": []}


def test_a_newer_bar_of_a_day_takes_its_place(store: BarStore) -> None:
    """A day is kept once; saving without ``whole`` leaves the other days alone."""
    store.save("OXY", [bar(DAY - timedelta(days=1)), bar(close="1.0000")], whole=True)
    store.save("OXY", [bar(close="2.0000")], whole=False)
    assert [each.close for each in store.histories(["OXY"], date.min, DAY)["OXY"]] == [Decimal("10.1234"), Decimal(2)]


def test_a_whole_history_replaces_what_was_known(store: BarStore) -> None:
    """Saving a whole history removes the days that it does not have, of that symbol alone."""
    store.save("OXY", [bar(DAY - timedelta(days=1)), bar()], whole=True)
    store.save("GE", [bar()], whole=True)
    store.save("OXY", [bar()], whole=True)
    found = store.histories(["OXY", "GE"], date.min, DAY)
    assert [len(found[symbol]) for symbol in ("OXY", "GE")] == [1, 1]


def test_old_bars_are_removed(store: BarStore) -> None:
    """Bars older than 400 days before the newest go, so that the file does not grow."""
    store.save("OXY", [bar(DAY - timedelta(days=401)), bar(DAY - timedelta(days=400))], whole=False)
    store.save("OXY", [bar()], whole=False)
    assert [each.day for each in store.histories(["OXY"], date.min, DAY)["OXY"]] == [DAY - timedelta(days=400), DAY]


def test_status(store: BarStore) -> None:
    """The status names every symbol that has bars or was asked for, with how that ended."""
    store.save("OXY", [bar(DAY - timedelta(days=1)), bar()], whole=True)
    store.note("OXY", NOON, "ok", "")
    store.note("NOPE", NOON, "missing", "no such thing")
    store.save("AA", [bar()], whole=True)
    assert list(store.status().values()) == [
        Kept(symbol="AA", bars=1, first=DAY, last=DAY, asked_at=None, status="", detail=""),
        Kept(symbol="NOPE", bars=0, first=None, last=None, asked_at=NOON, status="missing", detail="no such thing"),
        Kept(symbol="OXY", bars=2, first=DAY - timedelta(days=1), last=DAY, asked_at=NOON, status="ok", detail=""),
    ]


def test_a_price_with_too_many_decimals_is_refused(store: BarStore) -> None:
    """A price that would lose a digit is a mistake of the program, and nothing of it is kept."""
    with pytest.raises(ValueError, match="more than four decimals"):
        store.save("OXY", [bar(close="1.00001")], whole=True)
    assert store.status() == {}


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_store_is_begun_anew(store: BarStore, content: bytes) -> None:
    """A file that is no database is put aside, and the store works."""
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    store.save("OXY", [bar()], whole=True)
    assert store.histories(["OXY"], DAY, DAY) == {"OXY": [bar()]}
    assert store.path.with_name("bars.db.damaged").read_bytes() == content


def test_a_store_of_another_version_is_begun_anew(store: BarStore) -> None:
    """The tables of another version are not guessed at: the file is put aside."""
    store.save("OXY", [bar()], whole=True)
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert store.status() == {}
    assert store.path.with_name("bars.db.damaged").exists()


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    """A path that cannot be a file is said as a failure of storage."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="the store of bars"):
        BarStore(tmp_path / "file" / "bars.db").status()


def test_the_file_is_its_owner_s(store: BarStore) -> None:
    """The file is readable by its owner alone."""
    store.status()
    assert store.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("kept", "fresh", "same"),
    [
        ("100.0000", "100.0000", True),
        ("100.0000", "100.0049", True),  # the rounding of single precision
        ("100.0000", "99.9500", False),  # a dividend of 0.05 %
        ("100.0000", "50.0000", False),  # a split
        ("0.5000", "0.5001", True),
    ],
)
def test_what_counts_as_the_same_price(kept: str, fresh: str, same: bool) -> None:
    """Prices agree up to rounding; a dividend or a split in between makes them disagree."""
    assert same_prices({DAY: bar(close=kept)}, [bar(close=fresh)]) is same


def test_without_a_common_day_nothing_agrees() -> None:
    """Bars without a day in common do not prove each other."""
    assert not same_prices({DAY: bar()}, [bar(DAY + timedelta(days=1))])
