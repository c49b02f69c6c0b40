"""One seeded world: the engine that trades for real, on a clock, a wire, a disk and a broker that are made of chance.

Nothing of the engine is imitated: Worker, Driver, conductor and submission run as they are. A world is lived by one thread;
a suspended process is a call that has not returned while other processes run inside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from oms import crashpoints
from oms.engine.driver import Driver, Ending, Settings
from oms.engine.worker import Assignment, Worker
from oms.errors import OmsError
from oms.journal.machine import ProcessInfo
from oms.model.detail import Outcome
from oms.model.event import BuysClosed, Event
from oms.model.rules import FundsPolicy
from oms.model.signal import Signals
from oms.model.state import AccountState
from oms.ports import Broker, Journal, Watcher
from oms.sim.beside import Beside
from oms.sim.evidence import fold
from oms.sim.exchange import Exchange
from oms.sim.faults import Fault
from oms.sim.hands import SimHands
from oms.sim.hostile import HostileBroker
from oms.sim.market import FIRST_DAY, SimMarket, session_of
from oms.sim.people import People, SimMailbox
from oms.sim.scenario import SYMBOLS, Scenario, Strike
from oms.sim.sky import Sky, Trace
from oms.sim.store import ACCOUNT, BARRIERS, COMMITS, TRANSACTIONS, RamStore, SqliteStore, Store
from oms.sim.terminal import Terminal
from oms.sim.timeline import MachineClock, NoEnd, Timeline, micros

MOST_AFTER = 8
"""Processes in fair weather in which every open cycle must come to its end."""
PRICES = {symbol: Decimal(20 + 17 * n) for n, symbol in enumerate((*SYMBOLS, "ZZZ"))}
MOST_PATIENCE = 90_000_000
"""Microseconds that a process which waits for a person is left to itself."""
DONE = 0
LEASE_HELD = 6


class Dead(BaseException):
    """A simulated SIGKILL of one process: nothing in the engine may catch it."""


class PowerCut(BaseException):
    """The machine is gone, and every process on it."""


class Stuck(Exception):
    """Liveness is broken: a cycle does not come to its end although the weather is fair."""


class EngineFell(Exception):
    """The engine ended with an exception that is no answer to bad weather: a bug."""


@dataclass(kw_only=True)
class Process:
    """One process of the machine."""

    number: int
    namespace: str
    hands: SimHands
    beside: Beside | None = None
    journal: Journal | None = None
    passages: int = 0
    named: Counter[str] = field(default_factory=Counter)
    """Passages of single crash points that a strike waits for."""
    strikes: list[Strike] = field(default_factory=list)


class World:
    """Lives one scenario; :mod:`.judge` says whether the laws held."""

    def __init__(self, scenario: Scenario, listener: Callable[[str], None] | None = None) -> None:
        self.scenario = scenario
        near_close = Fault.NEAR_CLOSE in scenario.rates
        start = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, 15, 0, tzinfo=UTC)
        self.timeline = Timeline(start)
        self.trace = Trace(self.timeline, listener)
        self.sky = Sky(scenario, self.timeline, self.trace)
        self.tally = self.sky.tally
        self._chance = self.sky.stream("world")
        if near_close:
            before = 10 ** self._chance.uniform(0, 3)
            self.timeline.us = micros(session_of(FIRST_DAY).closes.timestamp() - before)
        self.clock = MachineClock(self.timeline, remember=any(v.kind is Fault.CLOCK_JUMP for v in scenario.visits))
        self.store: Store = self._make_store()
        self.exchange = Exchange(
            self.timeline,
            session_of(FIRST_DAY),
            PRICES,
            scenario.cash,
            scenario.positions,
            proceeds_late=micros(3) if Fault.FUNDS_LATE in scenario.rates else 0,
            repeats_refused=scenario.refuses_repeats,
        )
        self.broker = HostileBroker(self.exchange, self.timeline, self.sky, scenario.refuses_repeats)
        self.market = SimMarket(self.timeline, self.exchange, days=len(scenario.wishes) + 5)
        self.mailbox = SimMailbox(self.clock)
        self.people = People(
            self.sky,
            self.timeline,
            clock=self.clock,
            exchange=self.exchange,
            broker=self.broker,
            mailbox=self.mailbox,
            state=lambda: self._state,
            is_idle=lambda: not self._stack,
        )
        self.terminal = Terminal(self.sky, self.timeline, self.clock, self.broker, self.store)
        self.stood_still: list[str] = []
        """Where the trading waited for what runs beside it."""
        self.done = 0
        """Cycles that came to their end."""
        self.machine = 1
        """Life of the machine: grows with every power cut."""
        self._ids = 0
        self._plays_days = self._chance.random() < 0.7
        """Days follow each other at once, as in a replay; else a loop waits for its next beat."""
        if scenario.tends and self.sky.stream("days").random() < 0.7:
            self._plays_days = False
        self._progress: tuple[tuple[int, str], int] = (0, ""), 0
        """Cycles done and phase, and since when."""
        self._stack: list[Process] = []
        self._waiting_strikes = {strike.process: strike for strike in scenario.strikes}
        self._state: AccountState | None = None
        self.sky.where = self._where

    def _make_store(self) -> Store:
        scenario = self.scenario
        if not scenario.on_sqlite:
            return RamStore(self.sky.stream("disk"))
        return SqliteStore(self.sky.stream("disk"), images=any(s.kind is Fault.POWER_CUT for s in scenario.strikes))

    # The whole life

    def live(self, before_power_cut: Callable[[], None], at_the_end: Callable[[], None]) -> None:
        """Bad weather first, then fair, in which everything must come to its end.

        Both callables look at the records: just before a power cut loses a part of them, and when all is over.

        Raises:
            Stuck: it does not.
            EngineFell: an exception that is no answer to bad weather.
        """
        self._before_power_cut = before_power_cut
        self.people.expect(self.scenario.visits)
        try:
            with self._watched():
                for _ in range(self.scenario.most_processes):
                    if self.done >= len(self.scenario.wishes):
                        break
                    self._arm()
                    self._pause_after(self._process("home"))
                self._clear_up()
                at_the_end()
        except NoEnd as error:
            raise Stuck(f"{error}: {self._where()}") from error
        finally:
            self.store.close()

    def _clear_up(self) -> None:
        """The faults stop; every open cycle must end, and a last process must find everything there is to find."""
        self.sky.calm = True
        self.trace.note("the weather clears")
        self._waiting_strikes.clear()
        self.broker.heal()
        self.timeline.until(self.timeline.us + micros(5))
        began = self.timeline.us
        for _ in range(MOST_AFTER):
            self.people.let_go()
            self._arm(always=True)
            ending = self._process("home", open_new=False)
            if self.timeline.us - began > self._longest() and self.scenario.rules.funds is not FundsPolicy.SETTLED_CASH:
                raise Stuck(f"not at its end after {(self.timeline.us - began) / 1e6:.0f} s of fair weather")
            # A lease that was taken before the clock was set back seems to last for so much longer.
            self.timeline.until(self.timeline.us + micros(30 if ending.exit_code == LEASE_HELD else 5))
            state = fold(self.store.facts(), ACCOUNT)
            self._state = state
            if state.open_cycle is None and ending.exit_code != LEASE_HELD:
                break
            self._next_day_if_it_must(ending)
        else:
            raise Stuck(f"open after {MOST_AFTER} processes in fair weather: {ending.why or ending.exit_code}")
        # Once more: closed orders are read again at the next start.
        self._process("home", open_new=False)

    def _longest(self) -> int:
        """Microseconds of fair weather in which every open cycle must end, clocks that were set back included."""
        rules = self.scenario.rules
        waits = 2 * rules.order_deadline + 2 * rules.settle_deadline + rules.doubt_window + rules.grace
        return micros(waits.total_seconds() + 30 * MOST_AFTER + 300)

    def _next_day_if_it_must(self, ending: Ending) -> None:
        if self.scenario.rules.funds is FundsPolicy.SETTLED_CASH and ending.exit_code == 75:
            self._night()

    def _arm(self, *, always: bool = False) -> None:
        """Real money needs a person's word; before the clouds have gone nobody is in a hurry with it."""
        if self.scenario.live and (always or self._chance.random() < 0.7):
            self.terminal.arm(f"boot-{self.machine}", self.scenario.lease_s)

    def _night(self) -> None:
        self.market.pass_night()
        self.timeline.until(self.timeline.us + micros(7_200))

    def _pause_after(self, ending: Ending) -> None:
        """What passes between one process and the next."""
        chance = self._chance
        if ending.exit_code == DONE and ending.why != "died":
            self.timeline.until(self.timeline.us + micros(chance.choice([30, 600])))
        else:
            self.timeline.until(self.timeline.us + micros(10 ** chance.uniform(-2, 1.3)))
        waits_for_cash = self.scenario.rules.funds is FundsPolicy.SETTLED_CASH and ending.exit_code == 75
        if self.sky.strikes(Fault.NIGHT) or (waits_for_cash and chance.random() < 0.7):
            self._night()

    # One process

    def _process(self, namespace: str, *, open_new: bool = True) -> Ending:
        """Start a process and let it run to its end, whatever that is."""
        self.tally.processes += 1
        number = self.tally.processes
        hands = SimHands(self.timeline, self.sky.stream("hands"), self.broker.slowness)
        process = Process(number=number, namespace=namespace, hands=hands)
        if self.scenario.tends and open_new:
            process.beside = Beside(self.sky, self.timeline, self.broker, self.stood_still.append)
        strike = self._waiting_strikes.pop(number, None)
        if strike is not None:
            process.strikes.append(strike)
        self._stack.append(process)
        self.trace.note(f"process {number} starts in {namespace}")
        try:
            ending = self._run(process, open_new=open_new)
        except Dead as death:
            self.tally.deaths[str(death)] += 1
            ending = Ending(exit_code=-9, why="died")
        except PowerCut:
            if len(self._stack) > 1:
                raise
            self._restart_machine()
            ending = Ending(exit_code=-9, why="died")
        except OmsError as error:
            ending = Ending(exit_code=error.exit_code, why=str(error))
        except (Stuck, NoEnd, EngineFell):
            raise
        except Exception as error:
            raise EngineFell(f"process {number}: {type(error).__name__}: {error}") from error
        finally:
            for each in self._hands_of(process):
                each.close()
            self._stack.pop()
            if process.journal is not None:
                self.store.abandon(process.journal)
        self.trace.note(f"process {number} ends with {ending.exit_code}")
        return ending

    def _run(self, process: Process, *, open_new: bool) -> Ending:
        scenario = self.scenario
        info = ProcessInfo(
            host="sim",
            restart_token=f"boot-{self.machine}",
            pid=5_000_000 + process.number,
            pid_namespace=process.namespace,
            started=str(process.number),
        )
        process.journal = self.store.open(self.clock, info, scenario.lease_s)
        self._state = process.journal.state
        patient = scenario.patient and open_new
        self.market.skips_nights = patient and self._plays_days
        self._progress = (self.done, ""), self.timeline.us
        driver = Driver(
            process.journal,
            self.broker_of(process),
            self.market,
            self.clock,
            process.hands,
            self.mailbox,
            scenario.rules,
            Settings(
                patient=patient,
                max_in_flight=scenario.max_in_flight,
                messages_per_minute=scenario.messages_per_minute,
                lease_s=scenario.lease_s,
            ),
            watcher=Counting(self),
            stopping=lambda: self._signal() if patient else None,
        )
        wanted = open_new and self.done < len(scenario.wishes)
        assignment = Assignment(
            mode="live" if scenario.live else "paper",
            config_hash="sim",
            canonical="{}",
            version="sim",
            loop=patient,
            open_new=wanted,
        )
        beside = process.beside
        worker = Worker(
            driver,
            assignment,
            wishes=self._wishes,
            new_cycle_id=self._new_cycle_id,
            register=None if beside is None else beside.begin(driver, self.clock),
            tend=None if beside is None else beside.tend,
        )
        ending = worker.run()
        process.journal.close()
        return ending

    @staticmethod
    def _hands_of(process: Process) -> list[SimHands]:
        return [process.hands] if process.beside is None else [process.hands, process.beside.hands]

    def _signal(self) -> int | None:
        """A patient process is stopped when its work is done, or when it has waited long in one phase of a cycle."""
        cycle = None if self._state is None else self._state.open_cycle
        here = (self.done, "-" if cycle is None else cycle.phase.value)
        if here != self._progress[0]:
            self._progress = here, self.timeline.us
        waited = self.timeline.us - self._progress[1]
        return 143 if waited > MOST_PATIENCE or self.done >= len(self.scenario.wishes) else None

    def broker_of(self, process: Process) -> Broker:  # noqa: ARG002  # a planted bug may give each its own
        """The door through which a process sees the exchange."""
        return self.broker

    def _wishes(self, driver: Driver) -> Signals:  # noqa: ARG002  # the worker's
        self.broker.new_cycle()
        wishes = self.scenario.wishes[min(self.done, len(self.scenario.wishes) - 1)]
        return Signals(signals=wishes, source="sim", digest="0")

    def _new_cycle_id(self) -> str:
        self._ids += 1
        return f"c-{self._ids:04d}"

    def told(self, state: AccountState, events: Sequence[Event]) -> None:
        """A process journaled these facts."""
        self._state = state
        self.tally.facts += len(events)
        for event in events:
            self.trace.note(f"{state.seq} {event}")
            if isinstance(event, BuysClosed):
                self.done += 1
                self.tally.cycles += 1
                self.tally.outcomes[Outcome(event.outcome).value] += 1

    def _where(self) -> tuple[str, Iterable[str]]:
        state = self._state
        cycle = state.open_cycle if state is not None else None
        if cycle is None:
            return "-", ()
        return cycle.phase.value, [order.ord_status.value for order in cycle.orders.values()]

    # Deaths

    @contextmanager
    def _watched(self) -> Iterator[None]:
        before, crashpoints.strike = crashpoints.strike, self._passing
        try:
            yield
        finally:
            crashpoints.strike = before

    def _passing(self, name: str) -> None:
        """A process passes a crash point."""
        self.tally.points[name] += 1
        self.trace.note(f". {name}")
        if name in BARRIERS:
            self.store.committed(barrier=True)
        elif name == "journal.after_soft_commit":
            self.store.committed(barrier=False)
        if not self._stack:
            return
        process = self._stack[-1]
        process.passages += 1
        for strike in process.strikes:
            if self._has_come(process, strike, name) and self._fits(strike, name):
                process.strikes.remove(strike)
                self._strike(process, strike, name)
                return

    def _has_come(self, process: Process, strike: Strike, name: str) -> bool:
        """Whether the process has come to the passage at which it is to be struck, or beyond."""
        if strike.point is None:
            return process.passages >= strike.passage
        process.named[strike.point] += name == strike.point
        return process.named[strike.point] >= strike.passage

    @staticmethod
    def _fits(strike: Strike, name: str) -> bool:
        """Whether this kind of fault can happen at this point; else it waits for the next one at which it can."""
        if strike.kind in (Fault.STORAGE_ERROR, Fault.STORAGE_ERROR_KEPT):
            return name in COMMITS
        if strike.kind in (Fault.PAUSE, Fault.CONTENDER):
            return name not in TRANSACTIONS
        return True

    def _strike(self, process: Process, strike: Strike, name: str) -> None:
        if process.beside is not None:
            process.beside.disturbed += 1
        self.sky.happened(strike.kind, text=f"{strike.name} at {name}")
        match strike.kind:
            case Fault.KILL:
                raise Dead(name)
            case Fault.KILL_IN_WAIT:
                self.timeline.after(micros(10 ** self._chance.uniform(-3, 1)), lambda: self._kill(process))
            case Fault.POWER_CUT:
                self.tally.deaths[name] += 1
                raise PowerCut(name)
            case Fault.PAUSE:
                self._suspend(process, name)
            case Fault.CONTENDER:
                self._process(f"beside-{process.number}")
            case Fault.STORAGE_ERROR:
                raise self.store.failure()
            case Fault.STORAGE_ERROR_KEPT:
                assert process.journal is not None
                self.store.finish_commit(process.journal)
                raise self.store.failure()
            case _:
                raise AssertionError(f"{strike.kind} is no fault of a process")

    def _kill(self, process: Process) -> None:
        if self._stack and self._stack[-1] is process:
            raise Dead("while waiting")

    def _suspend(self, process: Process, name: str) -> None:
        """The process stands still; others come, find its lease over at last, and trade; then it wakes."""
        for each in self._hands_of(process):
            each.suspend()
        began = self.timeline.us
        for _ in range(self._chance.randint(1, 3)):
            self.timeline.until(self.timeline.us + micros(10 ** self._chance.uniform(-1, 1.5)))
            self._process(f"beside-{process.number}")
        window = self.scenario.refuses_repeats
        if window is not None and self.timeline.us - began > micros(window.total_seconds() / 2):
            # No guard of ours can help a process that is stopped at its last instruction before the wire for longer
            # than the broker remembers numbers: docs/simulation.md names this limit. Here it does not wake.
            raise Dead(name)
        self.trace.note(f"process {process.number} wakes")
        for each in self._hands_of(process):
            each.wake()

    def _restart_machine(self) -> None:
        """The power comes back: only what was on the disk is left, and the restart token is another."""
        self._before_power_cut()
        self.machine += 1
        self.store.cut_power()
        self._state = None


class Counting(Watcher):
    """Tells the world what its engine journals."""

    def __init__(self, world: World) -> None:
        self._world = world

    def happened(self, state: AccountState, events: Sequence[Event]) -> None:
        self._world.told(state, events)

    def waiting(self, state: AccountState, why: str) -> None:
        """Waiting is nothing that happens."""
