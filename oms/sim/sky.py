"""The weather of one world: whether a fault strikes now, what it struck, and the trace of everything that happened."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from oms.sim.faults import Fault
from oms.sim.scenario import Scenario
from oms.sim.timeline import Timeline, instant

Corner = tuple[str, str, str]
"""Phase of the cycle, fault, status of an order; ``-`` where there is none."""


@dataclass(kw_only=True)
class Tally:
    """What happened, counted."""

    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    corners: Counter[Corner] = field(default_factory=Counter)
    cycles: int = 0
    processes: int = 0
    facts: int = 0

    def add(self, other: Tally) -> None:
        """Count another world's too."""
        for name in ("faults", "points", "deaths", "outcomes", "corners"):
            getattr(self, name).update(getattr(other, name))
        self.cycles += other.cycles
        self.processes += other.processes
        self.facts += other.facts


class Trace:
    """Everything that happened in order, as one hash; the lines themselves only where somebody reads them."""

    def __init__(self, timeline: Timeline, listener: Callable[[str], None] | None = None) -> None:
        self._timeline = timeline
        self._listener = listener
        self._hash = blake2b(digest_size=16)

    def note(self, text: str) -> None:
        """One more thing happened."""
        self._hash.update(f"{self._timeline.us} {text}\n".encode())
        if self._listener is not None:
            self._listener(f"{instant(self._timeline.us):%Y-%m-%d %H:%M:%S.%f}  {text}")

    def digest(self) -> str:
        return self._hash.hexdigest()


class Sky:
    """Draws the weather: each fault from a stream of its own, so that leaving one out changes no other."""

    def __init__(self, scenario: Scenario, timeline: Timeline, trace: Trace) -> None:
        self.trace = trace
        self.tally = Tally()
        self.calm = False
        """The faults have stopped: what is still open must come to its end now."""
        self.where: Callable[[], tuple[str, Iterable[str]]] = lambda: ("-", ())
        """Phase of the open cycle, and statuses of its orders."""
        self._scenario = scenario
        self._timeline = timeline
        self._streams: dict[str, random.Random] = {}
        self._occasions: Counter[Fault] = Counter()
        self._struck: list[str] = []

    def stream(self, name: str) -> random.Random:
        """The chance of one part of the world."""
        if name not in self._streams:
            self._streams[name] = random.Random(f"oms.sim/1:{self._scenario.seed}:{name}")
        return self._streams[name]

    def strikes(self, fault: Fault, status: str | None = None) -> bool:
        """Whether this fault happens at this occasion; ``status`` is that of the order it would happen to."""
        name = self.drawn(fault)
        if name is not None:
            self.happened(fault, status, name)
        return name is not None

    def drawn(self, fault: Fault) -> str | None:
        """The name of this occasion where the fault is to happen because of it, now or later; None where it is not."""
        rate = self._scenario.rates.get(fault)
        if rate is None or self.calm:
            return None
        self._occasions[fault] += 1
        name = f"{fault}#{self._occasions[fault]}"
        if self.stream(fault).random() >= rate or name in self._scenario.without:
            return None
        if self._scenario.most is not None and self.tally.faults[fault] >= self._scenario.most:
            return None
        self._struck.append(name)
        return name

    def happened(self, fault: Fault, status: str | None = None, text: str = "") -> None:
        """Count a fault where it happened."""
        self.tally.faults[fault] += 1
        phase, statuses = self.where()
        for each in {status} if status is not None else {*statuses} or {"-"}:
            self.tally.corners[phase, str(fault), each] += 1
        self.trace.note(f"! {text or fault}")

    def is_so(self, fault: Fault) -> bool:
        """Whether a fault that is true of a whole world is true of this one."""
        return not self.calm and fault in self._scenario.rates

    @property
    def struck(self) -> list[str]:
        """Single occurrences so far, by the names under which each can be left out."""
        return list(self._struck)
