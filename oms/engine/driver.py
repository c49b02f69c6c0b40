"""The one loop that performs: journal the facts, do the one thing that was decided, learn from it, decide again.

Starting and resuming are this same loop. Threads carry bytes; only this thread decides and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from oms import crashpoints
from oms.engine import days, passages
from oms.engine.conductor import decide
from oms.engine.limiter import MessageRate, Rate
from oms.engine.older import OlderOrders
from oms.engine.operators import carry_out
from oms.engine.orders import (
    Ask,
    Cancel,
    Command,
    Finished,
    Look,
    NextDay,
    ReadFunds,
    Reserve,
    Seen,
    Send,
    Stop,
    Wait,
)
from oms.engine.reads import FETCH_LIMIT_S, LOOK_BACK, READ_LIMIT_S, Reads, orders_read, since_foreign, since_own
from oms.engine.refusals import Tallies, refusal
from oms.engine.restored import Unproved, facts_after_restore
from oms.engine.submission import Submission
from oms.engine.watching import Told, Unwatched
from oms.errors import EXIT_DONE, BrokerUnavailable, NotSent, SendError
from oms.model.account import Quote
from oms.model.changing import replace
from oms.model.event import (
    BuysClosed,
    CycleResumed,
    Event,
    OrderBlocked,
    OrderFilled,
    OrderReserved,
    SellsClosed,
)
from oms.model.order import Order, OrderPhase
from oms.model.rules import Rules
from oms.model.state import AccountState
from oms.ports import Broker, Clock, Handle, Hands, Journal, Mailbox, Market, OrdersRead, Watcher

T = TypeVar("T")

GLANCE_S, GLANCES = 0.2, 5
"""Seconds of one glance of a wait, and how many of them pass without a new decision."""
STEPS_WITHOUT_TIME = 10_000
"""Decisions in a row that neither wait nor call outside; more is a bug, and stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the loop itself behaves."""

    patient: bool = False
    """Wait for a person instead of ending."""
    max_in_flight: int = 24
    messages_per_minute: int = 600
    lease_s: float = 15.0
    rate: Rate | None = None
    """A message rate that is shared with others; None for one of this engine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why the loop ended."""

    exit_code: int
    why: str = ""


class Driver:
    """Runs the open cycle of one account to its end, or to the reason why it cannot end now."""

    def __init__(  # noqa: PLR0917  # the ports of one engine, each of a type of its own
        self,
        journal: Journal,
        broker: Broker,
        market: Market,
        clock: Clock,
        hands: Hands,
        mailbox: Mailbox,
        rules: Rules,
        settings: Settings,
        *,
        watcher: Watcher | None = None,
        stopping: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.journal = journal
        self.broker = broker
        self.market = market
        self.clock = clock
        self.settings = settings
        self.rules = rules
        self._hands = hands
        self._mailbox = mailbox
        self._watcher = watcher or Unwatched()
        self._stopping = stopping
        self.tend: Callable[[], None] = lambda: None
        """Called at every step and every glance of a wait, for work beside the trading; it must not wait."""
        self._reads = Reads(hands, clock, journal, whom=broker.name, lease_s=settings.lease_s, stopping=stopping)
        self._last_now: datetime | None = None
        self._older = OlderOrders()
        self._tallies = Tallies()
        self._told = Told()
        own = MessageRate(clock, settings.messages_per_minute, settings.max_in_flight)
        self._rate: Rate = settings.rate or own
        now = self.now()
        self.seen = Seen(
            now=now,
            market_time=now,
            session=None,
            fence=journal.lease.fence,
            restart_token=journal.lease.restart_token,
            host=journal.lease.host,
            pid=journal.lease.pid,
            capabilities=broker.capabilities,
            patient=settings.patient,
            started_at=now,
        )

    @property
    def state(self) -> AccountState:
        return self.journal.state

    def now(self) -> datetime:
        """Real time, never the same instant twice in a row, so that two readings can be told apart."""
        now = self.clock.now()
        if now == self._last_now:
            now += timedelta(microseconds=1)
        self._last_now = now
        return now

    # The loop ────────────────────────────────────────────────────────────────────────────────────────────────────

    def enter_session(self, last_day: date | None) -> bool:
        """Let the market enter the day to trade; False when there is none."""
        self.seen = days.entered(self.market, self.state, self.seen, last_day)
        return self.seen.session is not None

    def stop_signal(self) -> int | None:
        """Exit code of the signal that asks this process to stop; None while it may go on."""
        return self._stopping()

    def append_opening(self, events: Sequence[Event]) -> None:
        """Journal a new cycle with its whole plan."""
        self.seen = replace(self.seen, paused=False)
        self._older.keep(self.state.orders)
        crashpoints.point("decide.before_open")
        self.append(events)

    def run(self) -> Ending:
        """Walk until no cycle is open, or until something outside or a person is needed.

        Raises:
            StorageError: the journal failed; end the process, the next start decides from disk.
        """
        idle_steps = 0
        while True:
            signal = self._stopping()
            if signal is not None:
                return Ending(exit_code=signal, why="stopped; the next run goes on where this one ended")
            if not idle_steps:  # else the last step took no time: who wrote meanwhile is heard before the next send
                self.operators()
            self.tend()
            self.journal.renew()
            self.look_at_the_clock()
            decision = decide(self.state, self.seen, self.rules)
            self._journal_decided(decision.events)
            if isinstance(decision.then, Stop):
                return Ending(exit_code=decision.then.exit_code, why=decision.then.why)
            if isinstance(decision.then, Finished):
                return Ending(exit_code=EXIT_DONE)
            idle_steps = 0 if decision.then is not None else idle_steps + 1
            if idle_steps > STEPS_WITHOUT_TIME:
                raise AssertionError("the conductor decides without end: " + repr(decision)[:500])
            if decision.then is not None:
                self._perform(decision.then)

    def look_at_the_clock(self) -> None:
        """What is seen from here on is seen now."""
        self.seen = days.looked(self.now(), self.market, self.state, self.seen, self.rules)

    def _journal_decided(self, events: Sequence[Event]) -> None:
        """Facts of a decision; a reading of the broker is used up once its facts are on record."""
        read = self.seen.read
        fresh = [event for event in events if self._told.is_news(event)]
        if read is not None:
            crashpoints.point("facts.before_commit")
        if fresh:
            passages.before(fresh)
            self.append(fresh)
            passages.after(fresh)
        if read is not None:
            crashpoints.point("facts.after_commit")
            asked_at = read.asked_at if read.complete else self.seen.asked_at
            self.seen = replace(self.seen, read=None, known={}, older={}, asked_at=asked_at)

    def append(self, events: Sequence[Event]) -> None:
        """Journal facts: intents, a resumption and, where the world is told, the end of a cycle reach the disk first."""
        told = not self.settings.patient
        durable = any(
            isinstance(event, OrderReserved | CycleResumed) or (told and isinstance(event, BuysClosed))
            for event in events
        )
        if durable:
            self.journal.append_barrier(events)
        else:
            self.journal.append(events)
        if any(isinstance(event, OrderFilled | SellsClosed) for event in events):
            # Whatever was read of the money is older than this fact.
            self.seen = replace(self.seen, funds=None)
        self._watcher.happened(self.state, events)

    def operators(self) -> None:
        """Read the mailbox; called before every send and at every poll."""
        for message in self._mailbox.unread(self.state.inbox_id):
            events, answer = carry_out(self.state, message, fence=self.seen.fence)
            crashpoints.point("inbox.before_journal")
            self.append(events)
            crashpoints.point("inbox.after_journal")
            self._mailbox.taken(message.inbox_id, answer)

    def reading(self) -> Callable[[], OrdersRead]:
        """A reading of the broker's orders for a thread to make, as far back as a cycle's own looks go."""
        asked_at, call = self.now(), self._orders_call(since_foreign(self.state, self.seen.now))
        return lambda: replace(call(), asked_at=asked_at)

    def book(self, read: OrdersRead) -> Sequence[Event]:
        """Between two cycles: journal what a reading of the broker's orders adds, as a cycle's own readings are."""
        self._saw_orders(read, self.seen.troubled_since)
        self.look_at_the_clock()
        decision = decide(self.state, self.seen, self.rules)
        self._journal_decided(decision.events)
        return decision.events

    def prove(self, unproved: Unproved) -> None:
        """After a restore, before anything is sent: journal what the broker did that the journal cannot know.

        Raises:
            BrokerUnavailable: the broker did not show everything; nothing was concluded, the next start asks again.
        """
        since = min(since_own(self.state, self.seen.now), unproved.mark.horizon - LOOK_BACK)
        unresolved = [order.order_no for order in self.state.unresolved if order.order_no is not None]
        asked_at = self.now()
        read = replace(self._call(lambda: orders_read(self.broker, since, unresolved)), asked_at=asked_at)
        numbers = {report.order_no for report in read.orders if report.order_no is not None}
        known = self.journal.known_numbers(numbers)
        older = self._older.among(read, known, self.journal)
        executions = self.seen.capabilities.reports_executions
        events = facts_after_restore(self.state, read, unproved.mark, executions=executions, known=known, older=older)
        crashpoints.point("restore.before_facts")
        self.journal.append_barrier(events)
        self._watcher.happened(self.state, events)
        crashpoints.point("restore.before_lift")
        unproved.lift()

    # Performing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _perform(self, command: Command) -> None:
        try:
            self._do(command)
        except BrokerUnavailable as error:
            self._in_trouble(str(error))

    def _do(self, command: Command) -> None:
        match command:
            case Wait():
                self._wait(command)
            case Reserve():
                self._reserve(command)
            case Send():
                self._send(command)
            case Cancel():
                self._cancel(command)
            case Ask():
                self.ask()
            case ReadFunds():
                self._read_funds()
            case NextDay():
                self.seen = days.next_day(self.market, self.seen)
            case Look():
                self.look(command.symbols)
            case _:
                raise AssertionError(f"nothing to perform: {command}")

    def _in_trouble(self, why: str, since: datetime | None = None) -> None:
        since = since or self.seen.troubled_since or self.seen.now
        self.seen = replace(self.seen, troubled_since=since, trouble=why, retry_at=self.clock.now() + self.rules.poll)

    def _out_of_trouble(self) -> None:
        if self.seen.troubled_since is not None:
            self.seen = replace(self.seen, troubled_since=None, trouble="", retry_at=None)

    def _wait(self, command: Wait) -> None:
        """Wait in glances, so that an operator's command and a signal are seen within a fifth of a second.

        What comes with time alone, as a deadline does, is seen by the next decision, within a second.
        """
        if self.state.halt is not None:
            self.seen = replace(self.seen, paused=True)
        self._watcher.waiting(self.state, command.why)
        seen, seq = self.seen, self.state.seq
        for _ in range(GLANCES):
            left = (command.until - self.clock.now()).total_seconds()
            self.clock.sleep(min(max(left, 0.001), GLANCE_S))
            if self.broker.stirred():
                self.seen = replace(self.seen, stirred=True)
            if left <= GLANCE_S or self.seen is not seen or self._stopping() is not None:
                return
            self.operators()
            self.tend()
            self.journal.renew()
            if self.state.seq != seq:
                return

    def _begin_reading(self) -> datetime:
        """The instant before a reading of the broker; what stirs from now on asks for the next one."""
        self.seen = replace(self.seen, stirred=False)
        return self.now()

    def pass_time(self, seconds: float, why: str) -> None:
        """Sleep a moment between two cycles, still hearing operators and holding the lease."""
        self.operators()
        self.tend()
        self.journal.renew()
        self._watcher.waiting(self.state, why)
        self.clock.sleep(seconds)

    def _call(self, call: Callable[[], T]) -> T:
        """Run one read in a thread, renewing the lease while it lasts."""
        handle = self._hands.start(call)
        self._await([handle])
        return handle.result()

    def fetch(self, call: Callable[[], T]) -> T:
        """Run one long read of the market, such as a year of bars, in a thread, renewing the lease while it lasts."""
        handle = self._hands.start(call)
        self._await([handle], FETCH_LIMIT_S)
        return handle.result()

    def _await(self, handles: Sequence[Handle[Any]], limit_s: float = READ_LIMIT_S) -> None:
        """Wait until all reads are done; the first one that failed raises."""
        self._reads.wait(handles, limit_s)
        self._out_of_trouble()

    def _reserve(self, command: Reserve) -> None:
        if not self.broker.capabilities.reserves_numbers:
            numbers = list(command.cl_ord_ids)
        else:
            crashpoints.point("reserve.before_call")
            numbers = self._call(lambda: self.broker.reserve(len(command.cl_ord_ids)))
            crashpoints.point("reserve.after_call")
        if not len(numbers) == len(set(numbers)) == len(command.cl_ord_ids) or not all(numbers):
            raise BrokerUnavailable(f"{self.broker.name} handed out unusable order numbers: {numbers!r:.200}")
        if self.journal.known_numbers(numbers):
            raise BrokerUnavailable(f"{self.broker.name} handed out an order number that was used before")
        fresh = dict(zip(command.cl_ord_ids, numbers, strict=True))
        orders = {} if self.state.open_cycle is None else self.state.open_cycle.orders
        waiting = {key: no for key, no in self.seen.numbers.items() if key in orders and orders[key].order_no is None}
        self.seen = replace(self.seen, numbers={**waiting, **fresh})

    def _send(self, command: Send) -> None:
        submission = Submission(
            self.journal,
            self.broker,
            self._hands,
            self.clock,
            self._rate,
            self.rules,
            max_in_flight=self.settings.max_in_flight,
            lease_s=self.settings.lease_s,
            operators=self.operators,
            refuses=self._refuses,
            is_stopping=lambda: self._stopping() is not None,
            quotes=self._quotes_for_sending,
            append=self.append,
            market_time=self.market.time,
        )
        submission.send(command.cl_ord_ids)
        self.seen = replace(self.seen, asked_at=None)  # what became of the orders is asked for at once
        if submission.not_sent:
            self._in_trouble("an order could not leave this machine")

    def _refuses(self, order: Order) -> OrderBlocked | None:
        """The rule that has come to bear on an order since it was decided to send it."""
        self.look_at_the_clock()
        state, rules, cycle = self.state, self.rules, self.state.open_cycle
        assert cycle is not None
        return refusal(state, cycle, order, self.seen, rules, self._tallies.of(state, cycle, rules))

    def _quotes_for_sending(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Quotes no older than a second, read again where they are."""
        at = self.seen.quotes_at
        fresh = at is not None and self.clock.now() - at <= timedelta(seconds=1)
        if not fresh or not all(symbol in self.seen.quotes for symbol in symbols):
            asked_at = self.now()
            quotes = self._call(lambda: self.broker.quotes(symbols))
            self.seen = replace(self.seen, quotes=quotes, quotes_at=asked_at)
        return dict(self.seen.quotes)

    def _cancel(self, command: Cancel) -> None:
        orders = [order for key in command.cl_ord_ids if (order := self.state.order(key)) is not None]
        crashpoints.point("cancel.before_call")
        handles = [
            self._hands.start(partial(self._ask_cancel, order.order_no or "", order.order_id)) for order in orders
        ]
        self._await(handles)
        crashpoints.point("cancel.after_call")
        self.seen = replace(self.seen, asked_at=None)

    def _ask_cancel(self, order_no: str, order_id: str | None) -> None:
        """A cancel that fails is asked for again by the next decisions; what counts is what the broker reports."""
        try:
            self.broker.cancel(order_no, order_id)
        except NotSent as error:
            raise BrokerUnavailable(str(error)) from error
        except SendError:
            pass

    def _read_funds(self) -> None:
        asked_at = self._begin_reading()
        crashpoints.point("funds.before_call")
        funds = self._call(self.broker.funds)
        crashpoints.point("funds.after_call")
        self.seen = replace(self.seen, funds=replace(funds, at=asked_at))

    def ask(self) -> None:
        """Read the broker's orders.

        Raises:
            BrokerUnavailable: the read failed.
        """
        asked_at, troubled_since = self._begin_reading(), self.seen.troubled_since
        crashpoints.point("ask.before_call")
        read = self._call(self._orders_call())
        crashpoints.point("ask.after_call")
        self._saw_orders(replace(read, asked_at=asked_at), troubled_since)

    def look(self, symbols: Sequence[str]) -> None:
        """Read orders, positions, funds and the quotes of these symbols, all at once.

        Raises:
            BrokerUnavailable: one of the reads failed.
        """
        asked_at, troubled_since = self._begin_reading(), self.seen.troubled_since
        crashpoints.point("ask.before_call")
        orders = self._hands.start(self._orders_call(since_foreign(self.state, self.seen.now)))
        positions = self._hands.start(self.broker.positions)
        funds = self._hands.start(self.broker.funds)
        quotes = self._hands.start(lambda: self.broker.quotes(symbols) if symbols else {})
        self._await([orders, positions, funds, quotes])
        crashpoints.point("ask.after_call")
        self.seen = replace(
            self.seen,
            positions={position.symbol: position for position in positions.result()},
            positions_at=asked_at,
            funds=replace(funds.result(), at=asked_at),
        )
        if symbols:
            self.seen = replace(self.seen, quotes=quotes.result(), quotes_at=asked_at)
        self._saw_orders(replace(orders.result(), asked_at=asked_at), troubled_since)

    def _orders_call(self, at_latest: datetime | None = None) -> Callable[[], OrdersRead]:
        since = min(since_own(self.state, self.seen.now), at_latest or self.seen.now)
        unresolved = [order.order_no for order in self.state.unresolved if order.order_no is not None]
        live = [order.order_no for order in self.state.orders if order.phase is OrderPhase.LIVE]
        return lambda: orders_read(self.broker, since, unresolved, [number for number in live if number is not None])

    def _saw_orders(self, read: OrdersRead, troubled_since: datetime | None) -> None:
        # Looked up now: a cycle that opens before the facts are drawn sends its orders out of memory.
        numbers = {report.order_no for report in read.orders if report.order_no is not None}
        known = self.journal.known_numbers(numbers)
        self.seen = replace(self.seen, read=read, known=known, older=self._older.among(read, known, self.journal))
        if not read.complete:
            # What it showed counts, what it did not show is not known: that is no answer yet.
            self._in_trouble(f"{self.broker.name} did not show all its orders", troubled_since)
