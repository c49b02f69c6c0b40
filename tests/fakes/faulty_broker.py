"""A broker in bad weather: any broker, with faults that a test writes down beforehand."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from enum import Enum

from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused
from oms.model.account import Funds, Position, Quote
from oms.model.order import BrokerOrder, OrderRequest
from oms.ports import Broker, OrdersRead


class PlaceFault(Enum):
    """What becomes of one request to place or to cancel."""

    NONE = "it goes through"
    REPLY_LOST = "accepted, the reply is lost"
    REQUEST_LOST = "lost on the way, which the sender cannot know"
    NOT_SENT = "provably nothing left"
    REFUSED = "the broker says no"
    LATE = "lost to the sender, accepted when the test delivers it"


class FaultyBroker(Broker):
    """Passes everything on to ``inner`` but what a fault was scripted for; faults are used up one a call, in order."""

    def __init__(self, inner: Broker) -> None:
        self.inner = inner
        self.name = inner.name
        self.capabilities = inner.capabilities
        self.calls: Counter[str] = Counter()
        """Calls by method, failed ones included."""
        self.placed: list[OrderRequest] = []
        """Every request to place, in order of arrival here."""
        self._lock = threading.Lock()
        self._place_faults: deque[PlaceFault] = deque()
        self._cancel_faults: deque[PlaceFault] = deque()
        self._failures: Counter[str] = Counter()
        self._late: list[OrderRequest] = []
        self._hidden: Counter[str] = Counter()
        self._stirrings = 0

    # The script.

    def next_places(self, *faults: PlaceFault) -> None:
        """The next requests to place meet these, one each."""
        self._place_faults.extend(faults)

    def next_cancels(self, *faults: PlaceFault) -> None:
        """The next requests to cancel meet these, one each; LATE is REQUEST_LOST."""
        self._cancel_faults.extend(faults)

    def fail(self, method: str, times: int = 1) -> None:
        """The next ``times`` calls of a read or of ``reserve`` raise BrokerUnavailable."""
        self._failures[method] += times

    def hide(self, order_no: str, reads: int) -> None:
        """The next ``reads`` readings, of the list or of the one order, do not show it."""
        self._hidden[order_no] += reads

    def deliver_late(self) -> None:
        """Let the requests that were LATE arrive now; what the broker answers is lost."""
        late, self._late = self._late, []
        for order in late:
            try:
                self.inner.place(order)
            except Refused:
                continue

    # The port.

    def reserve(self, count: int) -> list[str]:
        self._ask("reserve")
        return self.inner.reserve(count)

    def place(self, order: OrderRequest) -> str:
        with self._lock:
            self.calls["place"] += 1
            self.placed.append(order)
            fault = self._place_faults.popleft() if self._place_faults else PlaceFault.NONE
            if fault is PlaceFault.LATE:
                self._late.append(order)
        _before_arrival(fault)
        answer = self.inner.place(order)
        if fault is PlaceFault.REPLY_LOST:
            raise InDoubt("timeout", "the reply was lost")
        return answer

    def cancel(self, order_no: str, order_id: str | None) -> None:
        with self._lock:
            self.calls["cancel"] += 1
            fault = self._cancel_faults.popleft() if self._cancel_faults else PlaceFault.NONE
        _before_arrival(fault)
        self.inner.cancel(order_no, order_id)
        if fault is PlaceFault.REPLY_LOST:
            raise InDoubt("timeout", "the reply was lost")

    def orders(self, since: datetime) -> OrdersRead:
        self._ask("orders")
        read = self.inner.orders(since)
        return replace(read, orders=tuple(order for order in read.orders if not self._hides(order.order_no)))

    def order(self, order_no: str) -> BrokerOrder | None:
        self._ask("order")
        return None if self._hides(order_no) else self.inner.order(order_no)

    def funds(self) -> Funds:
        self._ask("funds")
        return self.inner.funds()

    def positions(self) -> list[Position]:
        self._ask("positions")
        return self.inner.positions()

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        self._ask("quotes")
        return self.inner.quotes(symbols)

    def stirred(self) -> bool:
        """True once for each time the test says that something happened."""
        if not self._stirrings:
            return False
        self._stirrings -= 1
        return True

    def stir(self) -> None:
        """The broker says by itself that something changed, whether or not it did."""
        self._stirrings += 1

    def close(self) -> None:
        self.inner.close()

    def _ask(self, method: str) -> None:
        with self._lock:
            self.calls[method] += 1
            if not self._failures[method]:
                return
            self._failures[method] -= 1
        raise BrokerUnavailable(f"{method} failed")

    def _hides(self, order_no: str | None) -> bool:
        with self._lock:
            if order_no is None or not self._hidden[order_no]:
                return False
            self._hidden[order_no] -= 1
            return True


def _before_arrival(fault: PlaceFault) -> None:
    """End the call where the request does not reach the broker in time."""
    match fault:
        case PlaceFault.NOT_SENT:
            raise NotSent("connection_refused", "nothing left this machine")
        case PlaceFault.REFUSED:
            raise Refused("scripted", "the broker says no")
        case PlaceFault.REQUEST_LOST | PlaceFault.LATE:
            raise InDoubt("timeout", "no reply")
        case PlaceFault.NONE | PlaceFault.REPLY_LOST:
            return
