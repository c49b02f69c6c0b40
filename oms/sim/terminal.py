"""The terminal at which a person arms real money: as ``live arm`` does, between two processes and never beside one."""

from __future__ import annotations

import random
from contextlib import closing
from datetime import timedelta

from oms.engine.opening import account_opened
from oms.errors import OmsError
from oms.journal.machine import ProcessInfo
from oms.model.arming import LiveArmed
from oms.model.event import Event
from oms.ports import Journal
from oms.sim.faults import Fault
from oms.sim.hostile import HostileBroker
from oms.sim.scenario import LICENCE
from oms.sim.sky import Sky
from oms.sim.store import Store
from oms.sim.timeline import MachineClock, Timeline, micros

PID = 4_000_000
LONG = timedelta(days=60)
TIGHTER = "other-limits"
"""What is armed where a person had other limits before his eyes than the engine runs under."""


class Terminal:
    """A person who gives his word for real money, for long or, by chance, for moments only."""

    def __init__(self, sky: Sky, timeline: Timeline, clock: MachineClock, broker: HostileBroker, store: Store) -> None:
        self._sky = sky
        self._timeline = timeline
        self._clock = clock
        self._broker = broker
        self._store = store
        self._chance: random.Random = sky.stream("terminal")
        self._words = 0

    def arm(self, restart_token: str, lease_s: float) -> None:
        """Journal the word, unless a lease still stands or the broker does not answer: then the next time."""
        self._words += 1
        process = ProcessInfo(
            host="sim",
            restart_token=restart_token,
            pid=PID + self._words,
            pid_namespace="home",
            started=f"terminal-{self._words}",
        )
        try:
            journal = self._store.open(self._clock, process, lease_s)
        except OmsError as refused:
            self._sky.trace.note(f"not armed: {refused}")
            return
        try:
            with closing(journal):
                self._give(journal)
        except OmsError as refused:
            self._sky.trace.note(f"not armed: {refused}")
        finally:
            self._store.abandon(journal)

    def _give(self, journal: Journal) -> None:
        opened: list[Event] = []
        if not journal.state.seq:
            opened = [account_opened("sim", "live", self._broker.funds(), tuple(self._broker.positions()))]
        lasts, limits = LONG, LICENCE
        short = self._sky.drawn(Fault.LICENCE_ENDS)
        if short is not None:
            lasts = timedelta(seconds=round(10 ** self._chance.uniform(-0.5, 1.5), 6))
        elif not self._sky.calm and self._chance.random() < 0.05:
            limits = TIGHTER
        until = self._clock.now() + lasts
        armed = LiveArmed(
            fingerprint="f" * 64,
            shown="…4321",
            until=until,
            limits="{}",
            limits_hash=limits,
            config_hash="sim",
            author="ann",
        )
        journal.append_barrier([*opened, armed])
        self._sky.trace.note(f"armed until {until}")
        if short is not None:
            self._timeline.after(micros(lasts.total_seconds()), lambda: self._ends(short))

    def _ends(self, name: str) -> None:
        if not self._sky.calm:
            self._sky.happened(Fault.LICENCE_ENDS, text=name)
