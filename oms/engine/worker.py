"""The worker: finish what is open, then select, plan and trade; once, or beat after beat until it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from oms.engine.cadence import Cadence
from oms.engine.driver import Driver, Ending
from oms.engine.forecast import is_news, may_buy
from oms.engine.opening import look_and_plan, open_account, open_cycle
from oms.engine.refusals import unarmed
from oms.engine.register import Register
from oms.engine.restored import Unproved
from oms.engine.selecting import NotYetSelected
from oms.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    BrokerUnavailable,
    FenceLostError,
    MarketStale,
    OmsError,
    RefusedError,
    StorageError,
    TryAgainError,
)
from oms.model.arming import AccountBound
from oms.model.event import AttentionRaised
from oms.model.plan import Plan
from oms.model.rules import Rules
from oms.model.signal import Signals
from oms.model.task import TRADING

NO_FAILURE = (EXIT_DONE, EXIT_INTERRUPTED, EXIT_TERMINATED)
"""Exit codes after which nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What one process was told to do."""

    mode: str
    config_hash: str
    canonical: str
    """The whole effective configuration, without secrets."""
    version: str
    loop: bool
    interval: timedelta = timedelta(seconds=30)
    """Between the beginnings of two cycles, where market time is the world's."""
    open_new: bool = True
    """False for ``resume``: finish what is open, start nothing new."""
    bound: AccountBound | None = None
    """The account at the broker, where the broker is outside of this machine."""


class Worker:
    """Walks one account through its cycles."""

    def __init__(
        self,
        driver: Driver,
        assignment: Assignment,
        *,
        wishes: Callable[[Driver], Signals],
        new_cycle_id: Callable[[], str],
        rules_under: Callable[[str], Rules | None] = lambda _: None,
        unproved: Unproved | None = None,
        quiet: Callable[[], None] = lambda: None,
        register: Register | None = None,
        tend: Callable[[], None] | None = None,
    ) -> None:
        self._register = register or Register(driver.clock)
        driver.tend = tend or self._register.write
        self._driver = driver
        self._assignment = assignment
        self._wishes = wishes
        self._new_cycle_id = new_cycle_id
        self._rules_under = rules_under
        self._unproved = unproved
        self._cadence = Cadence(driver, assignment.interval)
        self._quiet = quiet
        """Called between two cycles, when nothing of ours is on its way."""
        self._noticed = ""
        """Why the market's calendar knew no next session, as it was journaled last."""
        self._skipped: date | None = None
        """Last day on which there was nothing to do and so no cycle."""
        self.cycles = 0
        """Cycles that this process brought to their end."""

    def run(self) -> Ending:
        """Until the work is done, or until the reason why it cannot go on now.

        Raises:
            StorageError, FenceLostError: end the process; the next start decides from disk.
            BrokerUnavailable: account or prices could not be read for a new cycle.
        """
        try:
            ending = self._run()
        except (StorageError, FenceLostError):
            raise  # the journal can take in nothing more, this neither
        except OmsError as error:
            signal = self._driver.stop_signal()
            if signal is None or not isinstance(error, BrokerUnavailable):
                self._register.went_wrong(TRADING, str(error))
                self._register.ended()
                raise
            ending = Ending(exit_code=signal, why=f"stopped: {error}")
        if ending.exit_code in NO_FAILURE:
            self._register.waits(TRADING, ending.why or self._register.task(TRADING).text, None)
        else:
            self._register.went_wrong(TRADING, ending.why)
        self._register.ended()
        return ending

    def _run(self) -> Ending:
        ending = self._resume()
        while ending.exit_code == EXIT_DONE and self._assignment.open_new:
            going_on = self._cycle()
            if isinstance(going_on, Ending):
                ending = going_on
                break
            if not self._assignment.loop:
                break
            self._driver.journal.tidy()
            self._quiet()
            signal = self._cadence.wait_for_the_next()
            if signal is not None:
                ending = Ending(exit_code=signal, why="stopped between two cycles")
                break
        return self._last_word(ending)

    def _last_day(self) -> date | None:
        """The day behind us: that of the last cycle, or a later one that had nothing to do."""
        days = [day for day in (self._driver.state.trading_day, self._skipped) if day is not None]
        return max(days, default=None)

    def _resume(self) -> Ending:
        if self._driver.state.seq:  # the first fact of a new journal says what the account held; commands come after it
            self._driver.operators()
        if self._unproved is not None:
            self._driver.enter_session(self._last_day())
            self._driver.prove(self._unproved)
            self._unproved = None
        if self._driver.state.cycle is None:
            return Ending(exit_code=EXIT_DONE)
        self._driver.enter_session(self._last_day())
        cycle = self._driver.state.open_cycle
        if cycle is None:
            return self._driver.run()
        current = self._driver.rules
        self._driver.rules = self._rules_under(cycle.opened.config_hash) or current
        ending = self._driver.run()
        self._driver.rules = current
        self.cycles += self._driver.state.open_cycle is None
        return ending

    def _cycle(self) -> Ending | None:
        """One new cycle from its signals to DONE; None where the next may follow."""
        self._register.began(TRADING)
        self._driver.tend()  # what runs beside the trading begins before its first look, which may take long
        try:
            ending = self._new_cycle()
        except NotYetSelected as waiting:
            self._register.waits(TRADING, str(waiting), self._cadence.next_beat())
            return None
        except (BrokerUnavailable, MarketStale) as error:
            # Before its cycle is open nothing is lost: an engine that stays up tries again, one that runs once says so.
            if not self._assignment.loop or self._driver.stop_signal() is not None:
                raise
            self._register.went_wrong(TRADING, str(error), self._cadence.next_beat(troubled=True))
            signal = self._cadence.wait_after_trouble(str(error))
            return None if signal is None else Ending(exit_code=signal, why="stopped between two cycles")
        return ending

    def _new_cycle(self) -> Ending | None:
        driver = self._driver
        if not driver.enter_session(self._last_day()):
            return self._no_session()
        signal = driver.stop_signal()
        if signal is not None:
            return Ending(exit_code=signal, why="stopped between two cycles")
        if not self._is_open():
            return self._closed()
        open_account(driver, mode=self._assignment.mode, bound=self._assignment.bound)
        driver.operators()  # what was ordered before the first fact of a new journal counts for its first plan
        why = unarmed(driver.state, driver.rules, driver.now())
        if why:
            return Ending(exit_code=RefusedError.exit_code, why=f"{why}; no cycle was opened")
        signals = self._wishes(driver)
        cycle_id = self._new_cycle_id()
        plan, funds = look_and_plan(driver, signals, cycle_id)
        if self._assignment.loop and (idle := self._idle(plan, signals)):
            assert driver.seen.session is not None
            self._skipped = driver.seen.session.day
            self._went_well(idle)
            return None
        driver.journal.keep_config(self._assignment.config_hash, self._assignment.canonical)
        open_cycle(
            driver,
            plan,
            funds,
            cycle_id=cycle_id,
            config_hash=self._assignment.config_hash,
            version=self._assignment.version,
        )
        ending = driver.run()
        self.cycles += driver.state.open_cycle is None
        if ending.exit_code != EXIT_DONE:
            return ending
        cycle = driver.state.cycle
        outcome = cycle.outcome.value if cycle is not None and cycle.outcome is not None else "ended"
        self._went_well(f"{cycle_id} {outcome.replace('_', ' ')}")
        return None

    def _idle(self, plan: Plan, signals: Signals) -> str:
        """Why an engine that stays up opens no cycle for this plan; empty where it opens one."""
        if plan.is_empty:
            return "nothing to sell and nothing to buy"
        live = not self._driver.market.skips_nights
        driver = self._driver
        driver.look_at_the_clock()
        sells = [sell for sell in plan.sells if sell.rule is None or is_news(driver.state, driver.seen, sell)]
        if live and not sells and not may_buy(driver.state, signals, driver.seen, driver.rules):
            # Else each beat would journal a cycle of orders that its own rules drop.
            wished = len(plan.sells) + len(plan.buys)
            return f"{wished} orders are wished for, and no rule lets one through now; `plan` says why"
        return ""

    def _went_well(self, text: str) -> None:
        self._register.went_well(TRADING, text, self._cadence.next_beat() if self._assignment.loop else None)

    def _is_open(self) -> bool:
        session = self._driver.seen.session
        return session is not None and session.is_open(self._driver.market.time())

    def _closed(self) -> Ending | None:
        """Outside the exchange's hours no cycle begins: an engine that stays up goes on waiting."""
        if self._assignment.loop and self._driver.market.skips_nights:
            # Days that are only played do not open by waiting for the clock, so the beat alone would not wait at all.
            self._register.waits(TRADING, "the market is closed", self._cadence.next_beat(troubled=True))
            signal = self._cadence.wait_after_trouble("the market is closed")
            return None if signal is None else Ending(exit_code=signal, why="stopped between two cycles")
        session = self._driver.seen.session
        opens = f"{session.opens:%Y-%m-%d %H:%M} UTC" if session is not None else "not known"
        if self._assignment.loop:
            self._register.went_well(TRADING, f"the market is closed, next session {opens}", self._cadence.next_beat())
            return None
        return Ending(
            exit_code=TryAgainError.exit_code, why=f"the market is closed (next session {opens}); no cycle was opened"
        )

    def _no_session(self) -> Ending | None:
        """The data have ended, or no next session is known: then the market counts as closed, and a person hears of it."""
        driver = self._driver
        notice = driver.market.notice()
        if notice is None:
            return Ending(exit_code=EXIT_DONE, why="no trading day is left in the data")
        if driver.state.seq and notice != self._noticed:  # a new journal begins with what the account held
            driver.append([AttentionRaised(rule="calendar_unknown", text=notice)])
        self._noticed = notice
        if not self._assignment.loop:
            return Ending(exit_code=TryAgainError.exit_code, why=notice)
        self._register.went_wrong(TRADING, notice, self._cadence.next_beat(troubled=True))
        signal = self._cadence.wait_after_trouble(notice)
        return None if signal is None else Ending(exit_code=signal, why="stopped between two cycles")

    def _last_word(self, ending: Ending) -> Ending:
        """A process that ends well with an order in quarantine says so with its exit code."""
        unresolved = self._driver.state.unresolved
        if ending.exit_code != EXIT_DONE or not unresolved:
            return ending
        keys = ", ".join(order.cl_ord_id for order in unresolved)
        return Ending(exit_code=7, why=f"in quarantine, a person must look: {keys}; see `order list --unresolved`")
