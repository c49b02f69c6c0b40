"""Executions of a prime account's orders, asked for once per new fill and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.wire import MICRO, Item, fees_of, identity, instant, items_of, money, number, quantity, text
from oms.model.order import Fill

MOST_PAGES = 50
"""Of the executions of one order; 100 to a page."""


class Executions:
    """What was executed of each order, whole shares only; safe between threads."""

    def __init__(self, read: Callable[..., Any]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Fill, ...]] = {}

    def of(self, item: Item) -> tuple[Fill, ...]:
        """The executions of an order, oldest first; they may lag behind what the order itself says.

        Fees come with the order, not with its executions, so each carries its part by quantity and the last the rest.
        """
        order_id = identity(item)
        filled = quantity(item, "filledQuantity") or Decimal(0)
        with self._lock:
            known = self._known.get(order_id, ())
        if _shares(known) != filled:
            known = self._ask(order_id)
            with self._lock:
                self._known[order_id] = known
        return _with_fees(known, fees_of(item), filled)

    def _ask(self, order_id: str) -> tuple[Fill, ...]:
        found: dict[str, Fill] = {}
        token: str | None = None
        for _ in range(MOST_PAGES):
            data = self._read("order_transactions", order_id=int(order_id), limit=100, page_token=token)
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
