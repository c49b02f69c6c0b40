"""Executions of a prime account's orders, asked for once per new fill and kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from typing import Any

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.wire import MICRO, Item, fees_of, identity, instant, items_of, money, number, quantity, text
from oms.model.order import Fill
from oms.ports import Hands

MOST_PAGES = 50
"""Of the executions of one order; 100 to a page."""


class Executions:
    """What was executed of each order, whole shares only; safe between threads."""

    def __init__(self, read: Callable[..., Any], hands: Hands) -> None:
        self._read = read
        self._hands = hands
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Fill, ...]] = {}

    def refresh(self, items: Sequence[Item]) -> None:
        """Ask for the executions of every order that has more than are known, all at once.

        One that cannot be read now, or has no permit of the rate limit left, is asked for at the next reading.
        """
        behind = [identity(item) for item in items if _shares(self._of(identity(item))) != _filled(item)]
        handles = [self._hands.start(partial(self._learn, order_id)) for order_id in behind]
        for handle in handles:
            while not handle.done():
                self._hands.wait([handle], 1.0)

    def of(self, item: Item) -> tuple[Fill, ...]:
        """The executions of an order as far as they are known, oldest first.

        Fees come with the order, not with its executions, so each carries its part by quantity and the last the rest.
        """
        return _with_fees(self._of(identity(item)), fees_of(item), _filled(item))

    def _of(self, order_id: str) -> tuple[Fill, ...]:
        with self._lock:
            return self._known.get(order_id, ())

    def _learn(self, order_id: str) -> None:
        with contextlib.suppress(BrokerUnavailable):
            fills = self._ask(order_id)
            with self._lock:
                self._known[order_id] = fills

    def _ask(self, order_id: str) -> tuple[Fill, ...]:
        found: dict[str, Fill] = {}
        token: str | None = None
        for _ in range(MOST_PAGES):
            data = self._read("order_transactions", order_id=int(order_id), limit=100, page_token=token, patience=0.0)
            for item in items_of(data, "order_transactions"):
                fill = _fill(item)
                found[fill.exec_id] = fill
            token = data.get("nextPageToken") if isinstance(data, dict) else None
            if not token:
                return tuple(sorted(found.values(), key=lambda fill: (fill.transact_time, fill.exec_id)))
        raise BrokerUnavailable("tiger order_transactions: the pages do not end")


def _fill(item: Item) -> Fill:
    shares = quantity(item, "filledQuantity")
    at = instant(item, "transactionTime", "time")
    if shares is None or shares != shares.to_integral_value() or at is None:
        raise BrokerUnavailable("tiger: an execution without whole shares or without a time")
    return Fill(
        exec_id=text(item, "id", 40) or _nameless(),
        last_qty=int(shares),
        last_px=money(number(item, "filledPrice")),
        fee=Decimal(0),
        transact_time=at,
    )


def _nameless() -> str:
    raise BrokerUnavailable("tiger: an execution without an id")


def _filled(item: Item) -> Decimal:
    return quantity(item, "filledQuantity") or Decimal(0)


def _shares(fills: tuple[Fill, ...]) -> int:
    return sum(fill.last_qty for fill in fills)


def _with_fees(fills: tuple[Fill, ...], fees: Decimal, filled: Decimal) -> tuple[Fill, ...]:
    parts = []
    left = fees
    for index, fill in enumerate(fills):
        share = (fees * fill.last_qty / filled).quantize(MICRO, ROUND_FLOOR) if filled else Decimal(0)
        part = left if index == len(fills) - 1 and _shares(fills) == filled else share
        left -= part
        parts.append(
            Fill(
                exec_id=fill.exec_id,
                last_qty=fill.last_qty,
                last_px=fill.last_px,
                fee=part,
                transact_time=fill.transact_time,
            )
        )
    return tuple(parts)
