"""The stair for the supervised tasks: who chooses, who compares, who follows, and who keeps account of how they go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oms.choice_wiring import chooser_of
from oms.config import LoadedConfig
from oms.engine.choosing import choose
from oms.engine.driver import Driver
from oms.engine.errands import MOST_HANGING, Errands, Following
from oms.engine.reconciling import Reconciling
from oms.engine.register import Register
from oms.engine.selecting import Selecting
from oms.gateways.threads import ThreadHands
from oms.model.signal import Signals
from oms.model.task import NOTIFICATION, RECONCILIATION, SELECTION
from oms.ports import Follower

ERRANDS = 2
"""Errands of the engine's own; followers come on top."""


class StandingTasks:
    """The work of one engine besides its trading; close it with the engine."""

    def __init__(
        self,
        loaded: LoadedConfig,
        driver: Driver,
        *,
        loop: bool,
        signals: Callable[[], Signals] | None = None,
        followers: Sequence[Follower] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.register = Register(driver.clock, driver.journal.note_tasks, say=say if loop else lambda _: None)
        self._driver = driver
        self._followers = followers
        # A thread of its own for each run that may be under way, hung ones included: nothing here waits for a free one.
        self._hands = ThreadHands((ERRANDS + len(followers)) * (MOST_HANGING + 1))
        self.errands = Errands(driver.clock, self._hands, self.register)
        self.wishes: Callable[[Driver], Signals]
        """Where the wishes of a cycle come from."""
        self.tend: Callable[[], None] = self.errands.tend if loop else self.register.write
        self._choose(loaded, signals, loop=loop)
        if driver.market.skips_nights:
            self.register.waits(
                RECONCILIATION, "each cycle compares for itself; between played days nothing changes", None
            )
        elif loop:
            self.errands.add(Reconciling(driver, loaded.config.worker.reconciliation))
        if not followers:
            self.register.waits(NOTIFICATION, "nobody is to be told", None)
        for follower in followers if loop else ():
            self.errands.add(Following(follower))

    def _choose(self, loaded: LoadedConfig, signals: Callable[[], Signals] | None, *, loop: bool) -> None:
        if signals is not None:
            self.wishes = lambda _: signals()
            return
        chooser = chooser_of(loaded)
        if loop and not self._driver.market.skips_nights:
            selecting = Selecting(self._driver, chooser, loaded.config.selection.interval)
            self.errands.add(selecting)
            self.wishes = selecting.wishes
            return

        def chosen(driver: Driver) -> Signals:
            """Of a day that is only played, and of a run that trades once: chosen when it is needed."""
            self.register.began(SELECTION)
            try:
                wishes = choose(driver, chooser)
            except Exception as error:
                self.register.went_wrong(SELECTION, str(error) or type(error).__name__)
                raise
            self.register.went_well(SELECTION, f"{len(wishes.signals)} wishes for the next cycle")
            return wishes

        self.wishes = chosen

    def close(self) -> None:
        """Start nothing more; what hangs is left to the end of the process."""
        self._hands.close()
        for follower in self._followers:
            follower.close()
