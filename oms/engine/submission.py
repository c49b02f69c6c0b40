"""Exactly once: write the intent, act, write the outcome.

SENDING is committed when the permit and a free thread are in hand, just before the first byte leaves; the thread
carries the request and nothing else. Whatever comes back that is not a definite answer is doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from oms import crashpoints
from oms.engine.limiter import Rate
from oms.engine.refusals import blocked, may_be_sent
from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused
from oms.model import risk
from oms.model.account import Quote
from oms.model.event import (
    Event,
    OrderAcknowledged,
    OrderBlocked,
    OrderInDoubt,
    OrderNotSent,
    OrderRejected,
    OrderSending,
)
from oms.model.order import Order, OrderRequest, Side
from oms.model.rules import Rules
from oms.ports import Broker, Clock, Handle, Hands, Journal

CALL_LIMIT_S = 90.0
"""After so many seconds without an answer a request is in doubt, and its thread is left to itself."""


@dataclass(slots=True)
class _Flight:
    """One request under way."""

    order: Order
    handle: Handle[str]
    began: float


class Submission:
    """Sends one round of orders; returns when each of them has an outcome in the journal or was left unsent."""

    def __init__(  # noqa: PLR0917  # the ports of one engine, each of a type of its own
        self,
        journal: Journal,
        broker: Broker,
        hands: Hands,
        clock: Clock,
        rate: Rate,
        rules: Rules,
        *,
        max_in_flight: int,
        lease_s: float,
        operators: Callable[[], None],
        refuses: Callable[[Order], OrderBlocked | None],
        is_stopping: Callable[[], bool],
        quotes: Callable[[Sequence[str]], dict[str, Quote]],
        append: Callable[[Sequence[Event]], None],
        market_time: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._broker = broker
        self._hands = hands
        self._clock = clock
        self._rate = rate
        self._rules = rules
        self._max_in_flight = max_in_flight
        self._lease_s = lease_s
        self._operators = operators
        self._refuses = refuses
        self._is_stopping = is_stopping
        self._quotes = quotes
        self._append = append
        self._market_time = market_time
        self._symbols: tuple[str, ...] = ()
        self.not_sent = False
        """The last round had an order that provably did not leave."""

    def send(self, cl_ord_ids: Sequence[str]) -> None:
        """Place these orders in parallel, each with one request.

        Raises:
            StorageError: the journal failed; whatever was on the wire is settled by the next start.
        """
        self.not_sent = False
        waiting = list(cl_ord_ids)
        self._symbols = tuple(self._order(cl_ord_id).symbol for cl_ord_id in waiting)
        flights: list[_Flight] = []
        while waiting or flights:
            self._operators()
            if not self._may_go_on(waiting) or self.not_sent:
                waiting = []
            wave = self._grant(waiting, len(flights))
            waiting = waiting[len(wave) :]
            flights += self._launch(self._checked(wave))
            flights = self._collect(flights, more=bool(waiting))
            self._journal.renew()

    def _order(self, cl_ord_id: str) -> Order:
        order = self._journal.state.order(cl_ord_id)
        if order is None:
            raise AssertionError(f"{cl_ord_id} is not in the journal")
        return order

    def _may_go_on(self, waiting: Sequence[str]) -> bool:
        """The brake, the lists and signals are looked at between any two orders; what they stop is decided afresh."""
        return not (waiting and self._is_stopping()) and all(
            self._may_be_sent(self._order(cl_ord_id)) for cl_ord_id in waiting
        )

    def _may_be_sent(self, order: Order) -> bool:
        return may_be_sent(self._journal.state, order, self._rules, self._clock.now())

    def _grant(self, waiting: Sequence[str], in_flight: int) -> list[Order]:
        """As many orders as there are free threads and permits for."""
        wave: list[Order] = []
        for cl_ord_id in waiting[: max(self._max_in_flight - in_flight, 0)]:
            if not self._rate.take():
                break
            wave.append(self._order(cl_ord_id))
        return wave

    def _checked(self, wave: Sequence[Order]) -> list[Order]:
        """What may go now: every rule is looked at again, against the clock and a quote of now.

        A first request that is refused is blocked. A repeat stays in doubt, is not sent, and is asked about again.
        """
        if not wave:
            return []
        try:
            refusals = {order.cl_ord_id: self._refuses(order) for order in wave}
            quotes = self._quotes(self._symbols)
        except BrokerUnavailable:
            # Without a quote nothing leaves, and nothing is refused either.
            self.not_sent = True
            return []
        refused: list[OrderBlocked] = []
        going: list[Order] = []
        for order in wave:
            event = refusals[order.cl_ord_id] or self._too_far(order, quotes.get(order.symbol))
            if event is None:
                going.append(order)
            elif order.in_doubt:
                self.not_sent = True
            else:
                refused.append(event)
        if refused:
            self._append(refused)
        return going

    def _too_far(self, order: Order, quote: Quote | None) -> OrderBlocked | None:
        found = risk.collar(order.worst_px, quote, 2 * self._rules.collar)
        if found is None and order.side is Side.BUY:
            # A sell that reduces risk is not kept back because its share trades rarely.
            found = risk.quote_age(quote, self._market_time(), self._rules)
        return None if found is None else blocked(order, found.rule, found.limit, found.value, found.reason)

    def _launch(self, wave: Sequence[Order]) -> list[_Flight]:
        if not wave:
            return []
        crashpoints.point("send.before_intent")
        # Read before the commit: a process that sleeps right after it must notice.
        committed = self._clock.elapsed()
        self._append(
            [
                OrderSending(
                    cycle_id=order.cycle_id,
                    cl_ord_id=order.cl_ord_id,
                    symbol=order.symbol,
                    attempt=order.sends + 1,
                )
                for order in wave
            ]
        )
        crashpoints.point("send.after_intent")
        flights = []
        for order in wave:
            self._operators()
            flights.append(self._start(order, committed))
        return flights

    def _start(self, order: Order, committed: float) -> _Flight:
        """Give the request to a thread, unless an operator stopped it or this process has slept too long."""
        request = order.request()
        may_go = self._may_be_sent(order)

        def call() -> str:
            if not may_go:
                raise NotSent("stopped", "an operator stopped it before the request left")
            return self._place(request, committed)

        return _Flight(order=order, handle=self._hands.start(call), began=committed)

    def _place(self, request: OrderRequest, committed: float) -> str:
        if self._clock.elapsed() - committed > self._lease_s / 2:
            # A holder that slept may have lost its lease; an order it has not sent by now it never sends.
            raise NotSent("slept", "more than half the lease had passed before the request left")
        crashpoints.point("send.before_call")
        order_id = self._broker.place(request)
        crashpoints.point("send.after_call")
        return order_id

    def _collect(self, flights: list[_Flight], *, more: bool) -> list[_Flight]:
        """Journal what has come back; wait for something to come back, or for a permit."""
        if not flights:
            if more:
                self._clock.sleep(min(max(self._rate.wait(), 0.001), self._lease_s / 3))
            return flights
        free = more and len(flights) < self._max_in_flight
        patience = self._lease_s / 3
        self._hands.wait([flight.handle for flight in flights], min(self._rate.wait(), patience) if free else patience)
        done = [f for f in flights if f.handle.done() or self._clock.elapsed() - f.began > CALL_LIMIT_S]
        if done:
            crashpoints.point("send.before_outcome")
            self._append([self._outcome(flight) for flight in done])
            crashpoints.point("send.after_outcome")
        return [flight for flight in flights if flight not in done]

    def _outcome(self, flight: _Flight) -> Event:
        """The one place where an answer becomes a fact; anything that is not proof is doubt."""
        order = self._order(flight.order.cl_ord_id)
        cycle_id, cl_ord_id, symbol = order.cycle_id, order.cl_ord_id, order.symbol
        try:
            if not flight.handle.done():
                raise InDoubt("no_answer", f"no answer in {CALL_LIMIT_S:.0f} s")
            order_id = _order_id(flight.handle.result())
            return OrderAcknowledged(cycle_id=cycle_id, cl_ord_id=cl_ord_id, symbol=symbol, order_id=order_id)
        except NotSent as error:
            self.not_sent = True
            return OrderNotSent(cycle_id=cycle_id, cl_ord_id=cl_ord_id, symbol=symbol, reason=str(error))
        except Refused as error:
            if order.sends == 1 and not order.in_doubt and not error.repeat:
                return OrderRejected(
                    cycle_id=cycle_id, cl_ord_id=cl_ord_id, symbol=symbol, code=error.code, text=error.text
                )
            # The refusal of a re-send closes nothing: the first request may have been accepted.
            return _doubt(order, f"a repeat was refused: {error}", repeat_refused=error.repeat)
        except Exception as error:  # noqa: BLE001  # whatever an adapter raises, the order may exist
            return _doubt(order, f"{type(error).__name__}: {error}")


def _order_id(answer: object) -> str:
    """An acknowledgement carries an id; a reply without one proves nothing."""
    if not isinstance(answer, str) or not answer:
        raise InDoubt("no_id", f"the broker answered {answer!r} instead of an order id")
    return answer


def _doubt(order: Order, reason: str, *, repeat_refused: bool = False) -> OrderInDoubt:
    return OrderInDoubt(
        cycle_id=order.cycle_id,
        cl_ord_id=order.cl_ord_id,
        symbol=order.symbol,
        reason=reason[:300],
        repeat_refused=repeat_refused,
    )
