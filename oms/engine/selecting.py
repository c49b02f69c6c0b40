"""The selection as a task of its own: it looks at the market beside the trading, which never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from oms.engine.choosing import Chooser, Chosen, holdings, keep
from oms.engine.driver import Driver
from oms.engine.errands import Errand
from oms.engine.reads import FETCH_LIMIT_S
from oms.errors import MarketStale
from oms.model.event import AttentionRaised
from oms.model.signal import Signals
from oms.model.task import SELECTION

USABLE_INTERVALS = 3
"""A choice that could not be confirmed for so many intervals is not acted on any more."""


class NotYetSelected(MarketStale):
    """No choice has been made for this trading day yet; the selection is at it."""


class Selecting(Errand):
    """Chooses every ``interval`` and at each new trading day; the trading takes the newest choice as its own."""

    name = SELECTION
    limit = timedelta(seconds=FETCH_LIMIT_S)

    def __init__(self, driver: Driver, chooser: Chooser, interval: timedelta) -> None:
        self.interval = interval
        self._driver = driver
        self._chooser = chooser
        self._chosen: Chosen | None = None
        self._confirmed = 0.0
        """When the choice was made, on the clock that cannot jump."""
        self._why = "it has not ended yet"
        self._told = ""
        """Why prices were not good enough, as it was journaled last."""

    # As an errand

    def is_wanted(self) -> bool:
        """Nothing is chosen for the trading day, and it is known what the account holds."""
        session = self._driver.seen.session
        is_chosen = self._chosen is not None and session is not None and self._chosen.day == session.day
        return session is not None and self._driver.state.seq > 0 and not is_chosen

    def begin(self) -> Callable[[], Chosen] | str:
        driver = self._driver
        if not driver.state.seq:
            return "it waits for the first look at what the account holds"
        if driver.seen.session is None and not driver.enter_session(None):
            raise MarketStale(driver.market.notice() or "no trading day is known")
        session = driver.seen.session
        assert session is not None
        return partial(self._chooser.find, driver.market, session.day, holdings(driver.state))

    def take(self, answer: Chosen) -> str:
        self._chosen, self._confirmed, self._told = answer, self._driver.clock.elapsed(), ""
        keep(self._driver, self._chooser, answer)
        if answer.screen is None:
            return f"{len(answer.own)} wishes for {answer.day}, from bars to {answer.as_of}"
        scored = sum(score.score is not None for score in answer.screen.scores)
        return f"{scored} of {len(answer.screen.scores)} symbols scored for {answer.day}, from bars to {answer.as_of}"

    def failed(self, error: Exception) -> None:
        self._why = str(error)
        if isinstance(error, MarketStale) and self._told != self._why:
            self._told = self._why
            self._driver.append([AttentionRaised(rule="market_stale", text=self._why)])

    # For the trading

    def wishes(self, driver: Driver) -> Signals:
        """The wishes of the newest choice, for the account as it is now.

        Raises:
            NotYetSelected: there is none for this trading day.
            MarketStale: it has not been confirmed for too long.
        """
        chosen, session = self._chosen, driver.seen.session
        if chosen is None or session is None or chosen.day != session.day:
            raise NotYetSelected(f"nothing is chosen for this trading day: {self._why}")
        age = timedelta(seconds=driver.clock.elapsed() - self._confirmed)
        if age > USABLE_INTERVALS * self.interval:
            raise MarketStale(
                f"the last selection was {age.total_seconds() / 3600:.1f} h ago, and since then: {self._why}"
            )
        return self._chooser.wishes(chosen, driver.state, driver.rules, driver.now())
