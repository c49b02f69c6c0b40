"""What runs beside the trading of a simulated engine that stays up: it compares with the broker, and others follow it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from oms.engine.driver import Driver
from oms.engine.errands import Errands, Following
from oms.engine.reconciling import Reconciling
from oms.engine.register import Register
from oms.model.task import NOTIFICATION
from oms.ports import Clock, Follower
from oms.sim.faults import Fault
from oms.sim.hands import SimHands
from oms.sim.hostile import HostileBroker
from oms.sim.sky import Sky
from oms.sim.timeline import Timeline, micros

COMPARED_EVERY = timedelta(seconds=7)
FOLLOWED_EVERY = timedelta(seconds=3)
NOT_WAITED_FOR = micros(1)
"""A look at all errands may take some ticks of the clock; whoever waits for one of them takes longer."""


class Gossip(Follower):
    """Tells somebody what happens; in bad weather it fails, and it hangs."""

    name = NOTIFICATION
    interval = FOLLOWED_EVERY

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._slow = 0.0

    def step(self) -> str:
        if self._sky.strikes(Fault.FOLLOWER_FAILS):
            raise RuntimeError("nobody\x1b[2J answers\n")
        if self._sky.strikes(Fault.FOLLOWER_HANGS):
            self._slow = self._sky.stream("gossip").choice([90.0, 600.0, 90_000.0])
        return "all is told"

    def slowness(self) -> float:
        """Seconds by which the round that has just run is held back."""
        slow, self._slow = self._slow, 0.0
        return slow

    def close(self) -> None:
        """Nothing is open."""


class Beside:
    """The errands of one process, and whether its trading ever waited for one."""

    def __init__(self, sky: Sky, timeline: Timeline, broker: HostileBroker, report: Callable[[str], None]) -> None:
        self._timeline = timeline
        self._report = report
        self._gossip = Gossip(sky)
        self.hands = SimHands(timeline, sky.stream("errands"), lambda: max(broker.slowness(), self._gossip.slowness()))
        self._errands: Errands | None = None
        self.disturbed = 0
        """How often the process itself was struck, which takes time that no errand took."""

    def begin(self, driver: Driver, clock: Clock) -> Register:
        """Everything is due at once; days that are only played are compared by each cycle itself."""
        register = Register(clock, driver.journal.note_tasks)
        self._errands = Errands(clock, self.hands, register)
        if not driver.market.skips_nights:
            self._errands.add(Reconciling(driver, COMPARED_EVERY))
        self._errands.add(Following(self._gossip))
        return register

    def tend(self) -> None:
        """Look at all of them; that this takes no time is itself a law."""
        assert self._errands is not None
        began, disturbed = self._timeline.us, self.disturbed
        self._errands.tend()
        took = self._timeline.us - began
        if took > NOT_WAITED_FOR and disturbed == self.disturbed:
            self._report(f"the trading stood still for {took / 1e6:.1f} s beside its errands")
