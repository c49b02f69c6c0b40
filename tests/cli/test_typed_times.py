"""Every place where a time is typed: an instant, in UTC or with its offset, so that no summer time can double or skip it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms.arming import expiry
from oms.errors import UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.signals import read_signals
from oms.questions import words
from tests.cli.conftest import Oms
from tests.fakes.clock import FakeClock

# In New York the clocks go from 02:00 to 03:00 on 2026-03-08, and from 02:00 back to 01:00 on 2026-11-01.
NAMED = (
    "2026-03-08T02:30:00 America/New_York",
    "2026-03-08T02:30:00[America/New_York]",
    "2026-03-08T02:30:00-05:00[America/New_York]",
    "2026-11-01T01:30:00 EST",
    "2026-11-01 01:30 EDT",
    "02:30",
    "2026-03-08T24:30:00Z",
    "2026-02-30T12:00:00Z",
    "2026-03-08T02:30:00+25:00",
)
"""Times that name a zone by a name, or no time at all; by such a name one hour of a year is there twice, and one never."""
FIRST, SECOND = "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"
"""The doubled half past one, told apart by its offset."""


@pytest.mark.parametrize("typed", NAMED)
@pytest.mark.parametrize(
    "command",
    [
        ("journal", "query", "--since"),
        ("journal", "query", "--until"),
        ("cycle", "list", "--since"),
        ("report", "--since"),
        ("positions", "--at"),
        ("funds", "--at"),
    ],
)
def test_a_zone_by_name_is_refused_with_what_is_expected(
    tiny: Path, oms: Oms, command: tuple[str, ...], typed: str
) -> None:
    """Exit code 2, the option and the time are named, and nothing is made."""
    done = oms(*command, typed)
    assert done.code == 2, done.out
    assert command[-1] in done.err
    assert "2026-11-20T14:30:00Z" in done.err
    assert "Traceback" not in done.err
    assert not (tiny / "var").exists()


@pytest.mark.parametrize("typed", NAMED)
def test_a_listing_ends_at_an_instant(tiny: Path, oms: Oms, typed: str) -> None:
    """`blacklist add --until` too."""
    done = oms("blacklist", "add", "AAA", "--reason", "told", "--until", typed)
    assert done.code == 2
    assert "--until" in done.err


@pytest.mark.parametrize("typed", NAMED)
def test_a_licence_ends_at_an_instant(typed: str) -> None:
    """`live arm --until` too; without a zone it is refused even where a question would take UTC."""
    clock = FakeClock()
    with pytest.raises(UsageError, match="--until"):
        expiry(typed, ExchangeCalendar("XNYS", clock), clock.now())
    with pytest.raises(UsageError, match="names no time zone"):
        expiry("2026-03-08T02:30:00", ExchangeCalendar("XNYS", clock), clock.now())


@pytest.mark.parametrize("typed", [*NAMED, "2026-03-08T02:30:00"])
def test_signals_are_of_an_instant(tmp_path: Path, typed: str) -> None:
    """The `as_of` of a file of wishes as well, and there an offset is asked for."""
    file = tmp_path / "wishes.json"
    file.write_text(json.dumps({"as_of": typed, "sell": [], "buy": []}), "utf-8")
    with pytest.raises(UsageError, match="as_of"):
        read_signals(str(file), None)


def test_the_doubled_hour_is_two_instants() -> None:
    """An hour lies between them, whatever the machine's own zone is."""
    first, second = words.instant(FIRST, "--at"), words.instant(SECOND, "--at")
    assert second - first == timedelta(hours=1)
    assert first == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Pacific/Apia"])
def test_a_time_without_a_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """In the hour that its own clocks skip, and in the one that they double."""
    import time

    monkeypatch.setenv("TZ", zone)
    if hasattr(time, "tzset"):
        time.tzset()
    try:
        for typed in ("2026-03-08T02:30:00", "2026-11-01T01:30:00", "2026-03-29T01:30:00"):
            assert words.instant(typed, "--at") == datetime.fromisoformat(typed).replace(tzinfo=UTC)
    finally:
        monkeypatch.delenv("TZ")
        if hasattr(time, "tzset"):
            time.tzset()


def test_midnight_of_today_is_that_of_utc() -> None:
    """`today` begins and `yesterday` has 24 hours, on every day of the year."""
    today, yesterday = words.instant("today", "--since"), words.instant("yesterday", "--since")
    assert (today.hour, today.minute, today.utcoffset()) == (0, 0, timedelta(0))
    assert today - yesterday == timedelta(days=1)
