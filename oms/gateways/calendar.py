"""Trading hours and settlement dates of an exchange, from ``exchange_calendars``; what it does not know is closed.

The package is imported when the first question comes: with pandas it costs about a second. Its calendar is turned once a
week into plain rows for the days around today, so that a question costs microseconds and memory stays flat.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from oms.errors import UsageError
from oms.model.account import Session
from oms.ports import Clock

BACK = timedelta(days=400)
"""How far back a calendar reaches: more than the 253 sessions that a screen looks at."""
AHEAD = timedelta(days=370)
"""How far ahead; within ``bound_max`` of the exchange's holidays, which for Singapore ends with a year."""
REBUILT_AFTER = timedelta(days=7)
"""A calendar older than this is built anew, so that a process that runs for months never comes to its end."""
BUILT_AGAIN_AFTER = timedelta(hours=1)
"""A calendar that could not be built is tried again after this; until then the market counts as closed."""

_WHOLE_DAY = "24/7"
_AMERICAN = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS", "IEXG"})
_OTHERS_SETTLE_AFTER = 2


def settles_after(exchange: str) -> int:
    """Settlement dates between a trade and its settlement.

    One in the United States since 2024-05-28 (SEC release 34-96930); two in Hong Kong, Singapore and Japan (the rules of
    HKEX, SGX and JPX). An exchange that is not known here gets two as well: its money then counts as there too late,
    never too early.
    """
    return 1 if exchange in _AMERICAN or exchange == _WHOLE_DAY else _OTHERS_SETTLE_AFTER


def settles_nothing(exchange: str, day: date) -> bool:
    """Whether ``day``, a session, is no settlement date.

    American shares trade on Columbus Day and on Veterans Day, but banks are closed and nothing settles (FINRA notices
    88-82, 95-77 and 99-83). A Veterans Day on a Sunday is kept by the banks on the Monday after it (Federal Reserve's
    holiday schedule).
    """
    if exchange not in _AMERICAN:
        return False
    is_columbus_day = day.month == 10 and day.weekday() == 0 and 8 <= day.day <= 14
    is_veterans_day = day.month == 11 and (day.day == 11 or (day.day == 12 and day.weekday() == 0))
    return is_columbus_day or is_veterans_day


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hours:
    day: date
    opens: datetime
    closes: datetime
    breaks: tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True)
class _Known:
    """One built calendar."""

    hours: tuple[_Hours, ...]
    """Every session of the range, oldest first."""
    last: date
    """Last day about which it knows whether it is a session."""
    exchange: str
    """Its canonical name: XNYS for NYSE."""
    zone: str
    """Its time zone, such as America/New_York."""
    built_at: datetime
    problem: str
    """Why it could not be built, as a sentence; empty where it was."""

    def is_stale(self, now: datetime) -> bool:
        """Whether it is to be built anew at ``now``; a clock that went back is a reason too."""
        limit = BUILT_AGAIN_AFTER if self.problem else REBUILT_AFTER
        return not timedelta(0) <= now - self.built_at < limit


class ExchangeCalendar:
    """Sessions of one exchange around the clock's present. Every method may be called from any thread.

    ``exchange`` is any name of exchange_calendars, such as XNYS, XHKG or 24/7. A name that it does not know raises
    UsageError at the first question.
    """

    def __init__(self, exchange: str, clock: Clock) -> None:
        self._name = exchange
        self._clock = clock
        self._lock = threading.Lock()
        self._built: _Known | None = None

    @property
    def exchange(self) -> str:
        """The exchange's canonical name."""
        return self._known.exchange

    @property
    def zone(self) -> str:
        """The exchange's time zone, such as America/New_York."""
        return self._known.zone

    def session(self, at: datetime) -> Session | None:
        """The session that is under way at ``at`` (a lunch break included), else the next one.

        None where it lies beyond the calendar's knowledge, or where the day on which its trades settle does;
        :meth:`problem` says so.
        """
        known = self._known
        if not known.hours or at < known.hours[0].opens:
            return None
        position = bisect_right(known.hours, at, key=lambda hours: hours.closes)
        return _session(known, position) if position < len(known.hours) else None

    def session_on(self, day: date) -> Session | None:
        """The session of ``day``; None where it has none, or where the calendar does not know."""
        known = self._known
        position = bisect_left(known.hours, day, key=lambda hours: hours.day)
        is_session = position < len(known.hours) and known.hours[position].day == day
        return _session(known, position) if is_session else None

    def is_open(self, at: datetime) -> bool:
        """Whether the exchange trades at ``at``; False where the calendar does not know."""
        session = self.session(at)
        return session is not None and session.is_open(at)

    def next_open(self, at: datetime) -> datetime | None:
        """The first opening bell after ``at``; the end of a lunch break is none. None where the calendar does not know."""
        hours = self._known.hours
        position = bisect_right(hours, at, key=lambda each: each.opens)
        return hours[position].opens if 0 < position < len(hours) else None

    def settles(self, day: date) -> date | None:
        """Settlement date of a trade made on the session ``day``; None where the calendar does not know."""
        session = self.session_on(day)
        return None if session is None else session.settles

    def completed(self, at: datetime, count: int, grace: timedelta = timedelta(0)) -> list[date]:
        """Days of the last ``count`` sessions that had closed for at least ``grace`` at ``at``, oldest first."""
        hours = self._known.hours
        end = bisect_right(hours, at - grace, key=lambda each: each.closes)
        return [each.day for each in hours[max(0, end - count) : end]]

    def problem(self, at: datetime) -> str | None:
        """Why the calendar cannot tell the session of ``at``, as a sentence for an alert; None where it can."""
        known = self._known
        if known.problem:
            return known.problem
        if self.session(at) is not None:
            return None
        return (
            f"the calendar of {known.exchange} ends with {known.last}, so that the next session, or the settlement of "
            f"its trades, is not known: the market counts as closed; a newer version of exchange_calendars may know more"
        )

    @property
    def _known(self) -> _Known:
        with self._lock:
            now = self._clock.now()
            if self._built is None or self._built.is_stale(now):
                self._built = _build(self._name, now)
            return self._built


def _session(known: _Known, position: int) -> Session | None:
    """The session at ``position``; None where its settlement date lies beyond what is known."""
    hours = known.hours[position]
    due = settles_after(known.exchange)
    dates = [each.day for each in known.hours[position + 1 : position + 1 + 2 * due + 2]]
    dates = [day for day in dates if not settles_nothing(known.exchange, day)]
    if len(dates) < due:
        return None
    return Session(day=hours.day, opens=hours.opens, closes=hours.closes, settles=dates[due - 1], breaks=hours.breaks)


def _build(name: str, now: datetime) -> _Known:
    from exchange_calendars.errors import InvalidCalendarName

    try:
        calendar = _calendar(name, now)
        hours = tuple(_hours(row) for row in calendar.schedule.itertuples())
    except InvalidCalendarName:
        raise UsageError(
            f"market.exchange: found {name!r}; expected a calendar of exchange_calendars, such as XNYS, XHKG or 24/7"
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, a market whose hours are not known is closed
        problem = f"the calendar of {name} cannot be built, so the market counts as closed: {error}"
        return _Known(hours=(), last=now.date(), exchange=name, zone="UTC", built_at=now, problem=problem)
    return _Known(
        hours=hours,
        last=min((now + AHEAD).date(), hours[-1].day) if hours else now.date(),
        exchange=calendar.name,
        zone=str(calendar.tz),
        built_at=now,
        problem="",
    )


def _calendar(name: str, now: datetime) -> Any:
    """The package's own calendar from ``BACK`` before to ``AHEAD`` after ``now``, or to where its holidays end."""
    from exchange_calendars import get_calendar

    start, end = (now - BACK).date().isoformat(), (now + AHEAD).date()
    try:
        return get_calendar(name, start=start, end=end.isoformat())
    except ValueError:  # its holidays are not recorded so far ahead
        last = get_calendar(name).bound_max()
        if last is None or last.date() >= end:
            raise
        return get_calendar(name, start=start, end=last.date().isoformat())


def _hours(row: Any) -> _Hours:
    from pandas import isna

    breaks = None if isna(row.break_start) else (_instant(row.break_start), _instant(row.break_end))
    return _Hours(day=row.Index.date(), opens=_instant(row.open), closes=_instant(row.close), breaks=breaks)


def _instant(stamp: Any) -> datetime:
    instant: datetime = stamp.to_pydatetime()
    return instant.astimezone(UTC)
