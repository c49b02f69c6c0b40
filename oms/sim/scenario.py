"""What one seed means: the weather, the deaths and the wishes, drawn before anything runs, so that parts can be left out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from oms import crashpoints
from oms.model.order import OrdType, Side
from oms.model.rules import DoubtPolicy, FundsPolicy, Rules
from oms.model.signal import Signal
from oms.sim.faults import AT_A_TIME, OF_PROCESSES, Fault

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
MOST_DEATHS = 6
MOST_PROCESSES = 14
"""Of a world of a few cycles, in bad weather; then it clears."""

AIMED = ("send.", "journal.", "reserve.", "paper.", "facts.", "decide.", "cancel.", "funds.")
LATER = (Fault.STIRRED, Fault.DISARM, Fault.LICENCE_ENDS, Fault.FOLLOWER_FAILS, Fault.FOLLOWER_HANGS)
"""Faults that are drawn from a stream of their own: where none of them is, a seed is the world that it was before them."""
LICENCE = "limits-of-the-simulated-account"
"""What is armed in worlds of real money, in place of the hash of its limits."""
POINTS = tuple(name for name in crashpoints.POINTS if name.startswith(AIMED))
"""Points at which strikes are aimed besides those that a count meets by chance."""

PERSISTENT = {Fault.MARK_LOST: 0.15, Fault.NEAR_CLOSE: 0.06, Fault.FUNDS_LATE: 0.35, Fault.LIST_LAG: 0.2}
"""Faults that are true of a whole world or not at all, with their share of the worlds."""
RARE = {
    Fault.SLOW_REPLY: 0.1,
    Fault.READ_SLOW: 0.05,
    Fault.READ_FAILS: 0.2,
    Fault.INCOMPLETE: 0.5,
    Fault.FUNDS_NOT_FINITE: 0.3,
    Fault.NO_QUOTE: 0.5,
    Fault.BAD_NUMBERS: 0.5,
    Fault.NIGHT: 0.3,
    Fault.STIRRED: 0.5,
}
"""By how much the rates of faults are lowered that cost much time, or that would let hardly any cycle begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A fault of one process: which process of the world, at which passage of a crash point."""

    kind: Fault
    process: int
    passage: int
    point: str | None = None
    """The passage is counted at this crash point; None: over all of them."""

    @property
    def name(self) -> str:
        return f"{self.kind}@{self.process}.{self.point or ''}{':' if self.point else ''}{self.passage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A fault at an instant, so many seconds after the world began."""

    kind: Fault
    after: float

    @property
    def name(self) -> str:
        return f"{self.kind}@{self.after:.3f}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything a run follows from."""

    seed: int
    rules: Rules
    rates: Mapping[Fault, float]
    strikes: tuple[Strike, ...]
    visits: tuple[Visit, ...]
    wishes: tuple[tuple[Signal, ...], ...]
    """Of each cycle."""
    cash: Decimal
    positions: Mapping[str, int]
    refuses_repeats: timedelta | None
    patient: bool
    on_sqlite: bool
    messages_per_minute: int = 600
    max_in_flight: int = 24
    lease_s: float = 15.0
    live: bool = False
    """Real money: nothing is sent but by a person's word in the journal."""
    tends: bool = False
    """The engine that stays up compares with the broker between its cycles, and others follow what it does."""
    cycles: int | None = None
    """So many cycles were asked for; None: one to three, by chance."""
    most: int | None = None
    """Occasions at which each fault strikes at most; None: as chance will have it."""
    without: frozenset[str] = frozenset()
    """Names of parts that are left out: a fault, one occurrence (``late#3``), a strike, a visit, a wish (``AAA/1``)."""

    @property
    def most_processes(self) -> int:
        """Processes in bad weather, after which it clears however many wishes are left."""
        return MOST_PROCESSES + 2 * (self.cycles or 0)

    def names(self) -> list[str]:
        """Every part that can be left out, the largest first."""
        wishes = [wish_name(wish, n) for n, cycle in enumerate(self.wishes, 1) for wish in cycle]
        parts = [*self.rates, *(s.name for s in self.strikes), *(v.name for v in self.visits), *wishes]
        return [name for name in dict.fromkeys(map(str, parts)) if name not in self.without]

    def leaving_out(self, names: Iterable[str]) -> Scenario:
        """The same world without these parts; everything else draws the same chances."""
        gone = self.without | set(names)
        return replace(
            self,
            without=gone,
            rates={fault: rate for fault, rate in self.rates.items() if fault not in gone},
            strikes=tuple(s for s in self.strikes if s.name not in gone and s.kind not in gone),
            visits=tuple(v for v in self.visits if v.name not in gone and v.kind not in gone),
            wishes=tuple(
                tuple(wish for wish in cycle if wish_name(wish, n) not in gone)
                for n, cycle in enumerate(self.wishes, 1)
            ),
        )


def wish_name(wish: Signal, cycle: int) -> str:
    """How a wish is called where it is left out."""
    return f"{wish.symbol}/{cycle}"


def draw(seed: int, rules: Rules | None = None, *, on_sqlite: bool = True, cycles: int | None = None) -> Scenario:
    """The scenario of a seed; ``rules`` are a user's own, else they are drawn too.

    With ``cycles`` it is a long life of so many: another world than the short one of the same seed, with as much weather
    a cycle.
    """
    chance = random.Random(f"oms.sim/1:{seed}")
    kinds = [fault for fault in Fault if fault not in LATER and chance.random() < (PERSISTENT.get(fault, 0.3))]
    patient = chance.random() < 0.25
    drawn = _rules(chance, patient=patient)
    window = chance.choice([timedelta(days=7), timedelta(days=7), timedelta(minutes=4), None])
    count = cycles or chance.choice([1, 1, 1, 2, 3])
    positions = {symbol: chance.randint(1, 300) for symbol in chance.sample(SYMBOLS, chance.randint(0, 4))}
    cash = Decimal(chance.choice([0, 500, 5_000, 20_000, 60_000]) + chance.randint(0, 999)) / 1
    wishes = tuple(_wishes(chance, positions) for _ in range(count))
    scenario = Scenario(
        seed=seed,
        rules=rules or drawn,
        rates={fault: _rate(chance, fault) for fault in kinds if fault not in OF_PROCESSES and fault not in AT_A_TIME},
        strikes=_strikes(chance, [fault for fault in kinds if fault in OF_PROCESSES], cycles),
        visits=_visits(chance, [fault for fault in kinds if fault in AT_A_TIME], cycles),
        wishes=wishes,
        cycles=cycles,
        cash=cash,
        positions=positions,
        refuses_repeats=window,
        patient=patient and (rules is None or rules.funds is not FundsPolicy.SETTLED_CASH),
        on_sqlite=on_sqlite,
        messages_per_minute=chance.choice([600, 600, 600, 60]),
        max_in_flight=chance.choice([24, 24, 2]),
    )
    return _with_later(scenario, random.Random(f"oms.sim/1:{seed}:later"))


def _with_later(scenario: Scenario, chance: random.Random) -> Scenario:
    """The same world with the faults of :data:`LATER`: real money in some, work beside the trading in others."""
    live = chance.random() < 0.2
    tends = chance.random() < 0.6 and scenario.patient
    kinds = [fault for fault in LATER if chance.random() < 0.4]
    if not live:
        kinds = [fault for fault in kinds if fault not in (Fault.DISARM, Fault.LICENCE_ENDS)]
    if any(visit.kind is Fault.CLOCK_JUMP for visit in scenario.visits):
        # The end of a licence is an instant on the machine's clock, and the laws judge on the true one.
        kinds = [fault for fault in kinds if fault is not Fault.LICENCE_ENDS]
    if not tends:
        kinds = [fault for fault in kinds if fault not in (Fault.FOLLOWER_FAILS, Fault.FOLLOWER_HANGS)]
    visits = _visits(chance, [fault for fault in kinds if fault in AT_A_TIME])
    if tends and chance.random() < 0.5:
        # Somebody trades by hand while the engine waits for its next cycle: that is what comparing is for.
        visits += (Visit(kind=Fault.STRANGER_TRADE, after=round(10 ** chance.uniform(0.5, 1.7), 3)),)
    return replace(
        scenario,
        live=live,
        tends=tends,
        rules=replace(scenario.rules, licences=(LICENCE,)) if live else scenario.rules,
        rates={**scenario.rates, **{fault: _rate(chance, fault) for fault in kinds if fault not in AT_A_TIME}},
        visits=tuple(sorted((*scenario.visits, *visits), key=lambda visit: (visit.after, visit.kind))),
    )


def _rate(chance: random.Random, fault: Fault) -> float:
    if fault in PERSISTENT:
        return 1.0
    if fault is Fault.LICENCE_ENDS:
        return chance.choice([0.5, 1.0])
    return chance.choice([0.02, 0.1, 0.3, 0.6]) * RARE.get(fault, 1.0)


def _strikes(chance: random.Random, kinds: Sequence[Fault], cycles: int | None) -> tuple[Strike, ...]:
    """Up to six, one a process, early and late ones alike; in a long life up to two a cycle, over all its processes."""
    if not kinds:
        return ()
    count = chance.choice([1, 1, 2, 2, 3, MOST_DEATHS])
    processes: Sequence[int] = range(1, count + 1)
    if cycles is not None:
        processes = sorted(chance.sample(range(1, MOST_PROCESSES + 2 * cycles), max(count * cycles // 3, 1)))
    return tuple(
        Strike(
            kind=chance.choice(list(kinds)),
            process=n,
            passage=int(2 ** (chance.uniform(0, 2) if point else chance.uniform(0, 7))),
            point=point,
        )
        for n in processes
        for point in [chance.choice([None, *POINTS])]
    )


def _visits(chance: random.Random, kinds: Sequence[Fault], cycles: int | None = None) -> tuple[Visit, ...]:
    """Most of them in the first seconds, when cycles are under way; in a long life all along it."""
    found = [
        Visit(kind=kind, after=round((chance.uniform(0, 40) * part if part else 0) + 10 ** chance.uniform(-2, 2), 3))
        for kind in kinds
        for part in range(0, cycles or 1, 2)
        for _ in range(chance.randint(1, 3))
    ]
    return tuple(sorted(found, key=lambda visit: (visit.after, visit.kind)))


def _wishes(chance: random.Random, positions: Mapping[str, int]) -> tuple[Signal, ...]:
    sold = [symbol for symbol in sorted(positions) if chance.random() < 0.7][:3]
    bought = [symbol for symbol in SYMBOLS if symbol not in sold and chance.random() < 0.5][:3]
    if not sold and not bought:
        bought = ["CCC"]
    sells = [
        Signal(
            side=Side.SELL,
            symbol=symbol,
            quantity=chance.choice([None, None, max(positions[symbol] // 2, 1), positions[symbol] + 5]),
            price=Decimal(chance.choice([10_000, 1])) if chance.random() < 0.08 else None,
        )
        for symbol in sold
    ]
    buys = [
        Signal(
            side=Side.BUY,
            symbol=symbol,
            quantity=chance.choice([None, 1, 20, 100, 2_000]),
            score=chance.choice([None, Decimal(chance.randint(1, 99))]),
        )
        for symbol in bought
    ]
    return (*sells, *buys)


def _rules(chance: random.Random, *, patient: bool) -> Rules:
    policies = [FundsPolicy.CASH] * 6 + [FundsPolicy.BUYING_POWER] + ([] if patient else [FundsPolicy.SETTLED_CASH])
    return Rules(
        funds=chance.choice(policies),
        funds_fraction=Decimal(chance.choice(["0.80", "0.80", "0.80", "0.50"])),
        ord_type=OrdType.MARKET if chance.random() < 0.05 else OrdType.LIMIT,
        order_deadline=timedelta(seconds=chance.choice([3, 10, 30])),
        grace=timedelta(seconds=chance.choice([1, 3])),
        poll=timedelta(seconds=chance.choice([0.5, 1, 2])),
        confirm=timedelta(seconds=chance.choice([0, 0, 2])),
        settle_deadline=timedelta(seconds=chance.choice([5, 20])),
        doubt_reads=chance.choice([1, 3]),
        doubt_window=timedelta(seconds=chance.choice([2, 8])),
        doubt_then=chance.choice([DoubtPolicy.RESEND, DoubtPolicy.RESEND, DoubtPolicy.QUARANTINE, DoubtPolicy.HOLD]),
        max_trades_per_day=chance.choice([100, 100, 100, 3]),
        max_rejections=chance.choice([3, 3, 1]),
        blacklist=frozenset(["EEE"] if chance.random() < 0.15 else []),
    )
