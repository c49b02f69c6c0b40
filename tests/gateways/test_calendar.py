"""Trading hours and settlement dates against the dates that were looked up by hand for 2026 and 2027."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from oms.errors import UsageError
from oms.gateways import calendar as room
from oms.gateways.calendar import ExchangeCalendar
from oms.model.account import Session
from tests.fakes.clock import FakeClock

# pandas 3.1 warns of what exchange_calendars 4.13 still calls; nothing of ours calls it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def calendar(exchange: str, now: str = "2026-06-15 12:00") -> ExchangeCalendar:
    return ExchangeCalendar(exchange, FakeClock(at(now)))


@pytest.fixture(scope="module")
def new_york() -> ExchangeCalendar:
    return calendar("XNYS")


@pytest.fixture(scope="module")
def hong_kong() -> ExchangeCalendar:
    return calendar("XHKG")


@pytest.fixture(scope="module")
def singapore() -> ExchangeCalendar:
    return calendar("XSES")


@pytest.mark.parametrize(
    ("traded", "settled"),
    [
        ("2026-10-08", "2026-10-09"),
        ("2026-10-09", "2026-10-13"),  # Columbus Day is a session on which nothing settles
        ("2026-10-12", "2026-10-13"),
        ("2026-11-09", "2026-11-10"),
        ("2026-11-10", "2026-11-12"),  # and so is Veterans Day
        ("2026-11-11", "2026-11-12"),
        ("2026-11-25", "2026-11-27"),  # the short session after Thanksgiving counts
        ("2026-11-27", "2026-11-30"),
        ("2026-12-24", "2026-12-28"),
        ("2026-07-02", "2026-07-06"),
        ("2026-12-31", "2027-01-04"),
    ],
)
@pytest.mark.parametrize("exchange", ["XNYS", "XNAS"])
def test_american_trades_settle_on_the_next_bank_day(exchange: str, traded: str, settled: str) -> None:
    """A trade in New York settles on the next session that is no bank holiday."""
    assert calendar(exchange).settles(date.fromisoformat(traded)) == date.fromisoformat(settled)


@pytest.mark.parametrize(
    ("traded", "settled"),
    [("2026-02-13", "2026-02-20"), ("2026-06-15", "2026-06-17"), ("2026-06-18", "2026-06-23")],
)
def test_hong_kong_settles_after_two_sessions(hong_kong: ExchangeCalendar, traded: str, settled: str) -> None:
    """A trade in Hong Kong settles two sessions later, over the lunar new year and over a holiday as well."""
    assert hong_kong.settles(date.fromisoformat(traded)) == date.fromisoformat(settled)


@pytest.mark.parametrize(("traded", "settled"), [("2026-06-15", "2026-06-17"), ("2026-02-13", "2026-02-19")])
def test_singapore_settles_after_two_sessions(singapore: ExchangeCalendar, traded: str, settled: str) -> None:
    """A trade in Singapore settles two sessions later, over the lunar new year as well."""
    assert singapore.settles(date.fromisoformat(traded)) == date.fromisoformat(settled)


def test_veterans_day_on_a_sunday_is_kept_on_monday() -> None:
    """On Monday 2029-11-12 banks are closed: nothing settles although shares trade."""
    assert calendar("XNYS", "2029-10-01 12:00").settles(date(2029, 11, 9)) == date(2029, 11, 13)


def test_bank_holidays_are_american() -> None:
    """Columbus Day stops no settlement in Hong Kong, and the second Monday of September none anywhere."""
    assert not room.settles_nothing("XHKG", date(2026, 10, 12))
    assert not room.settles_nothing("XNYS", date(2026, 9, 14))
    assert not room.settles_nothing("XNYS", date(2026, 11, 12))  # a Thursday


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-06-15 13:29:59", False),
        ("2026-06-15 13:30:00", True),
        ("2026-06-15 19:59:59", True),
        ("2026-06-15 20:00:00", False),
        ("2026-11-26 15:00", False),  # Thanksgiving
        ("2026-11-27 17:59", True),  # the half day after it
        ("2026-11-27 18:00", False),
        ("2026-12-24 17:59", True),  # Christmas Eve
        ("2026-12-24 18:00", False),
        ("2026-12-25 15:00", False),
        ("2026-06-13 15:00", False),  # a Saturday
        ("2026-10-12 15:00", True),  # Columbus Day trades
        ("2026-11-11 15:00", True),
        ("2026-03-06 13:45", False),  # winter time: 08:45 in New York
        ("2026-03-09 13:45", True),  # the Monday after the clocks went forward: 09:45
        ("2026-10-30 13:45", True),
        ("2026-11-02 13:45", False),  # the Monday after they went back: 08:45
    ],
)
def test_hours_of_new_york(new_york: ExchangeCalendar, instant: str, is_open: bool) -> None:
    """New York is open in its hours, which daylight saving moves, and not on holidays nor after an early close."""
    assert new_york.is_open(at(instant)) is is_open


def test_next_open_after_the_half_day(new_york: ExchangeCalendar) -> None:
    """After Friday's early close the next bell rings on Monday 2026-11-30."""
    assert new_york.next_open(at("2026-11-27 18:00")) == at("2026-11-30 14:30")


@pytest.mark.parametrize(
    ("friday", "monday"),
    [("2026-03-06 21:00", "2026-03-09 13:30"), ("2026-10-30 20:00", "2026-11-02 14:30")],
)
def test_weekends_on_which_the_clocks_change(new_york: ExchangeCalendar, friday: str, monday: str) -> None:
    """Over the weekend of a clock change the session closes and opens by the clock of New York."""
    session = new_york.session_on(at(friday).date())
    assert session is not None
    assert session.closes == at(friday)
    assert new_york.next_open(at(friday)) == at(monday)


def test_session_now_and_next(new_york: ExchangeCalendar) -> None:
    """Before the close the session is today's, from the closing bell on it is the next one."""
    assert new_york.session(at("2026-11-27 17:59")) == Session(
        day=date(2026, 11, 27),
        opens=at("2026-11-27 14:30"),
        closes=at("2026-11-27 18:00"),
        settles=date(2026, 11, 30),
    )
    after = new_york.session(at("2026-11-27 18:00"))
    assert after is not None
    assert after.day == date(2026, 11, 30)


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-06-15 03:59", True),
        ("2026-06-15 04:00", False),  # noon
        ("2026-06-15 04:59", False),
        ("2026-06-15 05:00", True),
        ("2026-02-16 03:59", True),  # the half day before the lunar new year
        ("2026-02-16 05:00", False),
        ("2026-02-17 03:00", False),
    ],
)
def test_lunch_break_and_half_day_in_hong_kong(hong_kong: ExchangeCalendar, instant: str, is_open: bool) -> None:
    """Hong Kong is closed over lunch, and from noon on the day before the lunar new year."""
    assert hong_kong.is_open(at(instant)) is is_open


def test_over_lunch_the_session_is_still_today_s(hong_kong: ExchangeCalendar) -> None:
    """A lunch break ends no session, and the next bell is that of the next day."""
    session = hong_kong.session(at("2026-06-15 04:30"))
    assert session is not None
    assert session.day == date(2026, 6, 15)
    assert session.breaks == (at("2026-06-15 04:00"), at("2026-06-15 05:00"))
    assert hong_kong.next_open(at("2026-06-15 04:30")) == at("2026-06-16 01:30")


def test_an_exchange_that_never_closes() -> None:
    """24/7 is open on Sunday night, its session ends at midnight UTC, and the next one begins then."""
    always = calendar("24/7")
    assert always.is_open(at("2026-06-14 23:59"))
    session = always.session(at("2026-06-14 23:59"))
    assert session is not None
    assert (session.day, session.closes, session.settles) == (
        date(2026, 6, 14),
        at("2026-06-15 00:00"),
        date(2026, 6, 15),
    )
    assert always.next_open(at("2026-06-14 23:59")) == at("2026-06-15 00:00")


def test_beyond_its_knowledge_a_market_is_closed() -> None:
    """Singapore's holidays are recorded to 2026: from the last trades whose settlement is known on, it is closed."""
    known, unknown = (calendar("XSES", now) for now in ("2026-12-15 03:00", "2026-12-31 03:00"))
    assert known.problem(at("2026-12-15 03:00")) is None
    assert known.is_open(at("2026-12-15 03:00"))
    assert not unknown.is_open(at("2026-12-31 03:00"))
    assert unknown.session(at("2026-12-31 03:00")) is None
    assert unknown.session_on(date(2026, 12, 31)) is None
    assert unknown.settles(date(2026, 12, 31)) is None
    sentence = unknown.problem(at("2026-12-31 03:00"))
    assert sentence is not None
    assert "the calendar of XSES ends with 2026-12-31" in sentence
    assert "counts as closed" in sentence


def test_years_beyond_its_knowledge() -> None:
    """In 2030 nothing at all is known of Singapore, and that is said instead of guessed."""
    late = calendar("XSES", "2030-03-01 03:00")
    assert not late.is_open(at("2030-03-01 03:00"))
    assert late.next_open(at("2030-03-01 03:00")) is None
    assert late.completed(at("2030-03-01 03:00"), 5) == []
    assert "cannot be built, so the market counts as closed" in (late.problem(at("2030-03-01 03:00")) or "")


def test_before_its_range_nothing_is_known(new_york: ExchangeCalendar) -> None:
    """A day long before the range has no session."""
    assert new_york.session(at("2020-01-02 15:00")) is None
    assert new_york.next_open(at("2020-01-02 15:00")) is None
    assert new_york.session_on(date(2020, 1, 2)) is None


def test_unknown_exchange() -> None:
    """An exchange that the package does not have is a mistake of the configuration."""
    with pytest.raises(UsageError, match=r"market\.exchange: found 'NOPE'; expected a calendar"):
        calendar("NOPE").is_open(at("2026-06-15 15:00"))


def test_an_alias_has_the_rules_of_its_exchange() -> None:
    """NYSE is XNYS, with its settlement dates."""
    alias = calendar("NYSE")
    assert (alias.exchange, alias.zone) == ("XNYS", "America/New_York")
    assert alias.settles(date(2026, 10, 9)) == date(2026, 10, 13)


def test_completed_sessions(new_york: ExchangeCalendar) -> None:
    """The completed sessions end with the last one whose close lies as far back as is asked."""
    thanksgiving = at("2026-11-27 18:10")
    assert new_york.completed(thanksgiving, 3) == [date(2026, 11, 24), date(2026, 11, 25), date(2026, 11, 27)]
    assert new_york.completed(thanksgiving, 1, timedelta(minutes=20)) == [date(2026, 11, 25)]
    assert len(new_york.completed(at("2026-06-15 12:00"), 253)) == 253


def test_a_calendar_is_rebuilt_weekly_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """One calendar serves a week; a process that runs for two years always knows the next session."""
    built: list[datetime] = []
    build = room._build

    def counted(name: str, now: datetime) -> Any:
        built.append(now)
        return build(name, now)

    monkeypatch.setattr(room, "_build", counted)
    clock = FakeClock(at("2026-06-15 15:00"))
    always = ExchangeCalendar("24/7", clock)
    for _ in range(24 * 6):
        assert always.is_open(clock.now())
        clock.advance(timedelta(hours=1))
    assert len(built) == 1
    for _ in range(100):
        clock.advance(timedelta(days=7))
        assert always.is_open(clock.now())
    assert len(built) == 101


def test_a_calendar_that_cannot_be_built_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the package fails the market is closed; an hour later it is asked again."""

    def fails(name: str, now: datetime) -> Any:
        raise OSError("no such luck")

    clock = FakeClock(at("2026-06-15 15:00"))
    new_york = ExchangeCalendar("XNYS", clock)
    with monkeypatch.context() as patch:
        patch.setattr(room, "_calendar", fails)
        assert not new_york.is_open(clock.now())
    assert "no such luck" in (new_york.problem(clock.now()) or "")
    assert not new_york.is_open(clock.now())
    clock.advance(timedelta(hours=1))
    assert new_york.is_open(clock.now())
    assert new_york.problem(clock.now()) is None


def test_the_module_costs_no_pandas() -> None:
    """Importing the calendar, and making one, imports neither pandas nor exchange_calendars."""
    ask = (
        "import sys; from oms.gateways.calendar import ExchangeCalendar\n"
        "from oms.gateways.system_clock import SystemClock\nExchangeCalendar('XNYS', SystemClock())\n"
        "sys.exit(bool({'pandas', 'exchange_calendars'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", ask], check=True)


def test_a_session_is_closed_over_lunch() -> None:
    """A session with a lunch break trades up to its start and again from its end on."""
    session = Session(
        day=date(2026, 6, 15),
        opens=at("2026-06-15 01:30"),
        closes=at("2026-06-15 08:00"),
        settles=date(2026, 6, 17),
        breaks=(at("2026-06-15 04:00"), at("2026-06-15 05:00")),
    )
    times = ("01:29", "01:30", "03:59", "04:00", "04:59", "05:00", "08:00")
    found = [session.is_open(at(f"2026-06-15 {time}")) for time in times]
    assert found == [False, True, True, False, False, True, False]
