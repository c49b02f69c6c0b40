"""Waiting for what was asked outside: the lease is renewed meanwhile, and neither silence nor a signal is waited out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from oms.errors import BrokerUnavailable
from oms.model.changing import replace
from oms.model.state import AccountState
from oms.ports import Broker, Clock, Handle, Hands, Journal, OrdersRead

READ_LIMIT_S = 60.0
"""After so many seconds without an answer a read has failed."""
FETCH_LIMIT_S = 120.0
"""The same for a read of many symbols' history; a source that knows a shorter deadline keeps to its own."""
GIVEN_UP_S = 2.0
"""So long a signal to stop leaves a read to come back; a request to place is always waited for, elsewhere."""
LOOK_BACK = timedelta(minutes=10)
"""Orders are asked for from so long before the oldest one of interest: clocks differ."""
LOOK_BACK_FOREIGN = timedelta(days=8)
"""While a foreign order was last seen open, a whole look goes so far back: over a week with holidays."""
NOTICED_S = 1.0
"""Longest wait for a reply without a look at signals."""


class Reads:
    """The reads of one process: threads carry them, and this waits."""

    def __init__(
        self,
        hands: Hands,
        clock: Clock,
        journal: Journal,
        *,
        whom: str,
        lease_s: float,
        stopping: Callable[[], int | None],
    ) -> None:
        self._hands = hands
        self._clock = clock
        self._journal = journal
        self._whom = whom
        self._lease_s = lease_s
        self._stopping = stopping

    def wait(self, handles: Sequence[Handle[Any]], limit_s: float = READ_LIMIT_S) -> None:
        """Wait until all are done; the first one that failed raises.

        Raises:
            BrokerUnavailable: there was no answer in time, or the process was asked to stop before one came.
        """
        began = self._clock.elapsed()
        asked_to_stop: float | None = None
        while not all(handle.done() for handle in handles):
            now = self._clock.elapsed()
            if now - began > limit_s:
                raise BrokerUnavailable(f"{self._whom} did not answer a read in {limit_s:.0f} s")
            if self._stopping() is not None:
                asked_to_stop = now if asked_to_stop is None else asked_to_stop
                if now - asked_to_stop >= GIVEN_UP_S:
                    raise BrokerUnavailable("asked to stop while a read was under way; the read was given up")
            waiting = [handle for handle in handles if not handle.done()]
            self._hands.wait(waiting, min(self._lease_s / 3, NOTICED_S))
            self._journal.renew()
        for handle in handles:
            handle.result()


def orders_read(broker: Broker, since: datetime, unresolved: Sequence[str], live: Sequence[str] = ()) -> OrdersRead:
    """By number, then every page, then by number what no page showed: a clock that was wrong asks for too few."""
    single = [report for number in unresolved if (report := broker.order(number)) is not None]
    read = broker.orders(since)
    listed = {report.order_no for report in read.orders if report.order_no is not None}
    missed = [number for number in live if number not in listed]
    single += [report for number in missed if (report := broker.order(number)) is not None]
    return replace(read, orders=(*read.orders, *(r for r in single if r.order_no not in listed)))


def since_own(state: AccountState, now: datetime) -> datetime:
    """From before the oldest order that may still say something new."""
    instants = [order.first_sent_at or order.planned_at for order in state.parked.values()]
    if state.cycle is not None:
        instants.append(state.cycle.opened_at)
    known = [instant for instant in instants if instant is not None]
    return min([*known, now]) - LOOK_BACK


def since_foreign(state: AccountState, now: datetime) -> datetime:
    """From so far back that a foreign order which was last seen open is seen to have ended."""
    return now - (LOOK_BACK_FOREIGN if any(order.open for order in state.external.values()) else LOOK_BACK)
