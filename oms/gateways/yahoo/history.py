"""A year of daily bars of many symbols: what the store has is not asked for again, and each failure keeps its reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from oms.errors import StorageError
from oms.gateways.bar_store import BarStore, Kept, same_prices
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.gates import history_problem
from oms.gateways.replay import HISTORY_DAYS
from oms.gateways.yahoo.client import RECENT, WHOLE, Daily, Failure, Status, YahooClient
from oms.gateways.yahoo.crew import MOST_HANGING, Crew
from oms.gateways.yahoo.pace import Breaker
from oms.gateways.yahoo.symbols import to_yahoo
from oms.ports import Bar, BarSet, Clock

DEADLINE_S = 90.0
"""A screen goes on with what is there after this; 118 symbols at three requests a second take 40 s."""
READY_AFTER = timedelta(minutes=20)
"""A session's bar still moves for so long after the close; until then the session before it is the newest."""
RECENT_SESSIONS = 15
"""Bars that end no longer ago than this are continued by the answer for a month, which has 20 sessions at least."""
ASKED_AGAIN_AFTER = timedelta(minutes=10)
"""A symbol for which Yahoo had an answer, if not the one hoped for, is left alone for so long."""
OUTAGE = 8
"""Errors from the beginning of a run on, without one usable answer, after which the rest is not asked."""

Progress = Callable[[int, int], None]
"""Told how many symbols are done, of how many that had to be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """What was got for one symbol."""

    bars: tuple[Bar, ...]
    whole: bool


class YahooHistory:
    """Bars up to a day, from the store and, where that is behind, from Yahoo. May be used from any thread."""

    def __init__(
        self,
        client: YahooClient,
        store: BarStore,
        calendar: ExchangeCalendar,
        clock: Clock,
        *,
        breaker: Breaker,
        crew: Crew,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._client = client
        self._store = store
        self._calendar = calendar
        self._clock = clock
        self._breaker = breaker
        self._crew = crew
        self._deadline_s = deadline_s
        self._turn = threading.Lock()

    def bars(
        self,
        symbols: Sequence[str],
        progress: Progress = lambda _done, _of: None,
        *,
        before: date | None = None,
        deadline_s: float | None = None,
    ) -> BarSet:
        """A year of bars up to the newest completed session (before the day ``before``, where one is given).

        What Yahoo fails to give within the deadline is a problem of its symbol, never an exception.

        Raises:
            StorageError: the store cannot be used.
        """
        sessions = self.sessions(before)
        if not sessions:
            why = self._calendar.problem(self._clock.now()) or "no session is known"
            as_of = (before or self._clock.now().date()) - timedelta(days=1)
            return BarSet(as_of=as_of, bars={}, problems=dict.fromkeys(symbols, f"missing: {why}"), is_live=True)
        with self._turn:
            failures = self._refresh(list(dict.fromkeys(symbols)), sessions, progress, deadline_s or self._deadline_s)
        found: dict[str, Sequence[Bar]] = {}
        problems: dict[str, str] = {}
        for symbol, history in self._store.histories(dict.fromkeys(symbols), sessions[0], sessions[-1]).items():
            if problem := history_problem(history, sessions):
                is_behind = problem.startswith((Status.MISSING, Status.STALE))
                problems[symbol] = failures.get(symbol, problem) if is_behind else problem
            else:
                found[symbol] = history
        return BarSet(as_of=sessions[-1], bars=found, problems=problems, is_live=True)

    def sessions(self, before: date | None = None) -> list[date]:
        """The sessions whose bars are looked at, oldest first."""
        days = self._calendar.completed(self._clock.now(), HISTORY_DAYS + 2, READY_AFTER)
        return [day for day in days if before is None or day < before][-HISTORY_DAYS:]

    def _refresh(
        self, symbols: Sequence[str], sessions: Sequence[date], progress: Progress, deadline_s: float
    ) -> dict[str, str]:
        """Fetch what is behind; answers the reason for each symbol that stays behind."""
        kept = self._store.status()
        behind = [symbol for symbol in symbols if not _reaches(kept.get(symbol), sessions[-1])]
        failures = {symbol: why for symbol in behind if (why := self._too_soon(kept.get(symbol)))}
        asked = [symbol for symbol in behind if symbol not in failures]
        if not asked:
            return failures
        wait, why = self._breaker.wait()
        if wait:
            return failures | dict.fromkeys(asked, _unasked(f"{why}; it is asked again in {wait / 60:.0f} minutes"))
        found, outcomes = self._ask(asked, kept, sessions, progress, deadline_s)
        if len(asked) == len(symbols):
            self._forget_an_outage(outcomes)
        return failures | found

    def _forget_an_outage(self, outcomes: Mapping[str, _Fetched | Failure]) -> None:
        """Where Yahoo knew nothing of anybody, it was Yahoo that had nothing: no symbol is left alone for that."""
        statuses = [outcome.status for outcome in outcomes.values() if isinstance(outcome, Failure)]
        if len(outcomes) > 1 and len(statuses) == len(outcomes) and set(statuses) <= {Status.MISSING, Status.ERROR}:
            for symbol in outcomes:
                self._store.note(symbol, self._clock.now(), Status.ERROR, "Yahoo had no prices of any symbol")

    def _too_soon(self, kept: Kept | None) -> str:
        """Why a symbol is left alone now; empty where it is to be asked for."""
        if kept is None or kept.asked_at is None or kept.status not in (Status.MISSING, Status.STALE):
            return ""
        age = self._clock.now() - kept.asked_at
        return f"{kept.status}: {kept.detail}" if timedelta(0) <= age < ASKED_AGAIN_AFTER else ""

    def _ask(
        self,
        asked: Sequence[str],
        kept: dict[str, Kept],
        sessions: Sequence[date],
        progress: Progress,
        deadline_s: float,
    ) -> tuple[dict[str, str], Mapping[str, _Fetched | Failure]]:
        """The reasons why symbols stay behind, and how asking for each ended that was asked for."""
        until = self._clock.elapsed() + deadline_s
        self._client.prepare()
        jobs = {symbol: partial(self._fetch, symbol, kept.get(symbol), sessions, until) for symbol in asked}
        outcomes: dict[str, _Fetched | Failure] = {}
        why = f"Yahoo did not answer within {deadline_s:g} s"
        if self._crew.hanging >= MOST_HANGING:
            why = f"{self._crew.hanging} earlier calls to Yahoo still hang"
        progress(0, len(asked))
        with closing(self._crew.results(jobs, until)) as results:
            for symbol, outcome in results:
                outcomes[symbol] = outcome
                self._keep(symbol, outcome, sessions[-1])
                progress(len(outcomes), len(asked))
                if stop := self._stop(outcomes):
                    why = stop
                    break
        self._draw_conclusions(outcomes)
        failures = {symbol: _sentence(outcomes.get(symbol), sessions[-1], why) for symbol in asked}
        return {symbol: failure for symbol, failure in failures.items() if failure}, outcomes

    def _fetch(self, symbol: str, kept: Kept | None, sessions: Sequence[date], until: float) -> _Fetched | Failure:
        """The bars that the store lacks, or all of them where the new ones do not continue the old. Runs in a thread."""
        try:
            return self._fetched(symbol, kept, sessions, until)
        except StorageError as error:
            return Failure(status=Status.ERROR, text=str(error))

    def _fetched(self, symbol: str, kept: Kept | None, sessions: Sequence[date], until: float) -> _Fetched | Failure:
        name = to_yahoo(symbol, self._calendar.exchange)
        if kept is not None and kept.last is not None and kept.last in sessions[-RECENT_SESSIONS:]:
            recent = self._client.daily(name, RECENT, until)
            if isinstance(recent, Failure):
                return recent
            if self._continues(symbol, kept.last, recent, sessions):
                return _Fetched(bars=_completed(recent, sessions[-1]), whole=False)
        whole = self._client.daily(name, WHOLE, until)
        return whole if isinstance(whole, Failure) else _Fetched(bars=_completed(whole, sessions[-1]), whole=True)

    def _continues(self, symbol: str, last: date, recent: Daily, sessions: Sequence[date]) -> bool:
        """Whether no split or dividend has changed the prices that are kept since the day ``last``."""
        if any(day > last for day in recent.actions):
            return False
        known = self._store.histories([symbol], sessions[0], last)[symbol]
        return same_prices({bar.day: bar for bar in known}, recent.bars)

    def _keep(self, symbol: str, outcome: _Fetched | Failure, as_of: date) -> None:
        if isinstance(outcome, _Fetched):
            self._store.save(symbol, outcome.bars, whole=outcome.whole)
        status, text = _outcome(outcome, as_of)
        self._store.note(symbol, self._clock.now(), status, text)

    def _stop(self, outcomes: dict[str, _Fetched | Failure]) -> str:
        """Why the rest is not asked; empty while it is."""
        failed = [outcome.status for outcome in outcomes.values() if isinstance(outcome, Failure)]
        if Status.RATE_LIMITED in failed:
            return "not asked, because Yahoo refused another symbol (429, too many requests)"
        if failed.count(Status.ERROR) == len(outcomes) >= OUTAGE:
            return f"not asked, because the first {OUTAGE} symbols brought nothing but errors"
        return ""

    def _draw_conclusions(self, outcomes: dict[str, _Fetched | Failure]) -> None:
        statuses = {outcome.status if isinstance(outcome, Failure) else Status.OK for outcome in outcomes.values()}
        if Status.RATE_LIMITED in statuses:
            self._breaker.refused()
        elif statuses <= {Status.ERROR}:
            self._breaker.failed()
        else:
            self._breaker.answered()


def _reaches(kept: Kept | None, day: date) -> bool:
    return kept is not None and kept.last is not None and kept.last >= day


def _completed(daily: Daily, as_of: date) -> tuple[Bar, ...]:
    """Without the bar of a day that is not over."""
    return tuple(bar for bar in daily.bars if bar.day <= as_of)


def _outcome(outcome: _Fetched | Failure, as_of: date) -> tuple[Status, str]:
    if isinstance(outcome, Failure):
        return outcome.status, outcome.text
    if not outcome.bars:
        return Status.MISSING, "Yahoo's answer holds no believable bar"
    if outcome.bars[-1].day < as_of:
        return Status.STALE, f"Yahoo's newest believable bar is of {outcome.bars[-1].day}, not of {as_of}"
    return Status.OK, ""


def _sentence(outcome: _Fetched | Failure | None, as_of: date, unasked: str) -> str:
    """The problem of a symbol; empty where it has none."""
    if outcome is None:
        return _unasked(unasked)
    status, text = _outcome(outcome, as_of)
    return "" if status is Status.OK else f"{status}: {text}"


def _unasked(why: str) -> str:
    return f"{Status.RATE_LIMITED if '429' in why else Status.ERROR}: {why}"
