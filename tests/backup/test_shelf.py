"""The shelf: listed, chosen from, verified, rotated."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from oms.backup import shelf
from oms.backup.making import Order, make
from oms.errors import DamagedError, UsageError
from tests.backup.home import CONFIG, Home
from tests.journal.tampering import put_guard_on, take_guard_off

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_daily(home: Home, day: int) -> bool:
    with time_machine.travel(NOON + timedelta(days=day), tick=False):
        return shelf.daily(home.loaded, env={}) is not None


def test_backups_are_listed_newest_first_with_the_fields_of_the_interface(home: Home) -> None:
    """id, at, note, config_hash, seq and size are there; a damaged file is named and not listed."""
    first, second = home.back_up(note="first"), home.back_up(note="second", with_journal=True)
    listed = [kept.answer() for kept in shelf.every(home.loaded)]
    assert [each["note"] for each in listed] == ["second", "first"]
    assert listed[0]["size"] == second.path.stat().st_size
    assert {"id", "at", "note", "config_hash", "seq", "size"} <= listed[0].keys()
    first.path.write_bytes(b"x" * 100)
    damaged = [kept for kept in shelf.every(home.loaded) if kept.manifest is None]
    assert [kept.id for kept in damaged] == [first.manifest.id]


def test_a_backup_is_found_by_id_file_and_latest(bare: Home) -> None:
    """Each of the three names means the same file; anything else is a wrong command, 2."""
    with pytest.raises(UsageError, match="no backup"):
        shelf.find(bare.loaded, "latest")
    made = bare.back_up()
    assert shelf.find(bare.loaded, made.manifest.id) == made.path
    assert shelf.find(bare.loaded, str(made.path)) == made.path
    assert bare.latest() == made.path
    with pytest.raises(UsageError, match="no backup"):
        shelf.find(bare.loaded, "oms-19990101T000000Z-x-abcd")


def test_the_latest_is_the_latest_that_can_be_believed(bare: Home) -> None:
    """A newer file that is damaged is passed over; where none is good, that is damage, 3."""
    good, bad = bare.back_up(), bare.back_up()
    bad.path.write_bytes(b"")
    assert bare.latest() == good.path
    good.path.write_bytes(b"")
    with pytest.raises(DamagedError):
        bare.latest()


def test_a_backup_whose_journal_was_changed_is_found(home: Home) -> None:
    """Verification walks the chain of the copy inside: here a row was changed before the backup was made."""
    with closing(sqlite3.connect(home.journal)) as raw:
        guard = take_guard_off(raw)
        raw.execute("UPDATE events SET data = data || ' ' WHERE seq = 3")
        put_guard_on(raw, guard)
        raw.commit()
    made = home.back_up(with_journal=True)
    with pytest.raises(DamagedError, match="chain is broken"):
        shelf.verify(made.path)


def test_there_is_one_daily_backup_a_day_and_the_oldest_go(bare: Home) -> None:
    """Asked again on the same day nothing is made; beyond backup.keep (3) the oldest daily ones go, those by hand stay."""
    by_hand = bare.back_up(note="by hand")
    made = [make_daily(bare, day // 2) for day in range(10)]
    assert made == [True, False] * 5
    kept = shelf.every(bare.loaded)
    assert [each.manifest.reason for each in kept if each.manifest].count("daily") == 3
    assert by_hand.path.exists()


def test_daily_backups_can_be_switched_off(bare: Home) -> None:
    """With backup.daily: false none is made."""
    bare.config_file.write_text(CONFIG.replace("keep: 3", "keep: 3, daily: false"))
    assert not make_daily(bare, 0)
    assert not shelf.folder_of(bare.loaded).exists()


def test_prune_keeps_the_newest_of_all(bare: Home) -> None:
    """Asked for by a person, those made by hand go too; damaged files stay for a person to look at."""
    made = [make(bare.loaded, Order(note=str(number)), {}) for number in range(4)]
    made[0].path.write_bytes(b"damaged")
    gone = shelf.prune(bare.loaded, 2, only_automatic=False, really=False)
    assert [kept.path.exists() for kept in gone] == [True]
    shelf.prune(bare.loaded, 2, only_automatic=False)
    assert [each.path.exists() for each in made] == [True, False, True, True]
