"""Orders as Tiger's gateway writes them, read by us from the raw reply.

The SDK's own objects are not used for this, for they are wrong where it matters (measured on 3.8.0): an unknown status
becomes one that counts as active, fractional and cash-amount orders show as filled, and missing figures are infinite.
Here a status is taken by its raw word only, a quantity is ``value · 10^-scale``, and a figure that is missing or not
finite refuses the whole reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from oms.errors import BrokerUnavailable
from oms.model.foreign import printable
from oms.model.order import BrokerOrder, BrokerState, Fill, OrdType, Side

MICRO = Decimal("0.000001")
"""The journal keeps money and shares in millionths."""
MOST_SCALE = 10
"""A larger scale of a quantity is not believed."""
MOST = Decimal(10) ** 12
"""No account, price or number of shares is larger; the journal keeps whole millionths in 64 bits."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", re.ASCII)
_YEAR_3000 = 32_503_680_000_000

Item = Mapping[str, Any]

STATES: Mapping[str | int, BrokerState] = {
    **dict.fromkeys(("Initial", -1, "NEW", "New"), BrokerState.PENDING_NEW),
    **dict.fromkeys(("PendingSubmit", "Submitted", 2, 5, 8, "HELD", "Held"), BrokerState.NEW),
    **dict.fromkeys(("PendingCancel", 3, "PENDING_CANCEL"), BrokerState.PENDING_CANCEL),
    **dict.fromkeys(("Filled", 6, "FILLED"), BrokerState.FILLED),
    **dict.fromkeys(("Cancelled", 4, "CANCELLED"), BrokerState.CANCELED),
    **dict.fromkeys(("Inactive", 7, "REJECTED"), BrokerState.REJECTED),
    **dict.fromkeys(("Invalid", -2, "EXPIRED"), BrokerState.EXPIRED),
}
"""The words and numbers that the SDK itself knows (``common/util/order_utils.py``); any other is UNKNOWN."""


def items_of(data: object, what: str) -> list[Item]:
    """The list in a reply's data.

    Raises:
        BrokerUnavailable: there is none; a missing list is not an empty one.
    """
    items = data.get("items") if isinstance(data, dict) else data
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BrokerUnavailable(f"tiger {what}: a reply without a list")
    return items


def number(item: Item, name: str) -> Decimal:
    """A finite figure, exactly as it was written.

    Raises:
        BrokerUnavailable: it is missing, null, infinite, not a number, or of another type.
    """
    found = optional_number(item, name)
    if found is None:
        raise BrokerUnavailable(f"tiger: {name} is missing")
    return found


def optional_number(item: Item, name: str) -> Decimal | None:
    """As :func:`number`; None where the field is missing or null."""
    value = item.get(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        exact = Decimal(repr(value))
        if exact.is_finite():
            return exact
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise BrokerUnavailable(f"tiger: {name} is {printable(str(value))[:40]}, not a finite number")


def money(value: Decimal) -> Decimal:
    """To the millionth, which is what the journal keeps.

    Raises:
        BrokerUnavailable: nobody has so much.
    """
    if abs(value) > MOST:
        raise BrokerUnavailable(f"tiger: {value:.3E} is beyond any amount that can be kept")
    return value.quantize(MICRO, ROUND_HALF_EVEN).normalize() + 0


def quantity(item: Item, name: str) -> Decimal | None:
    """Shares: the figure times ten to the minus of its own scale; None where there is no figure."""
    value = optional_number(item, name)
    if value is None:
        return None
    scale = optional_number(item, f"{name}Scale") or Decimal(0)
    if scale != scale.to_integral_value() or not 0 <= scale <= MOST_SCALE:
        raise BrokerUnavailable(f"tiger: {name}Scale is {scale}")
    return value.scaleb(-int(scale))


def instant(item: Item, *names: str) -> datetime | None:
    """The first of these fields that holds milliseconds since 1970, aware UTC; None where none does."""
    for name in names:
        value = optional_number(item, name)
        if value is not None and 0 < value < _YEAR_3000:
            return _EPOCH + timedelta(milliseconds=int(value))
    return None


def text(item: Item, name: str, most: int = 300) -> str:
    """A text field on one line; empty where it is missing."""
    value = item.get(name)
    return "" if value is None else printable(str(value))[:most]


def state_of(raw: object) -> BrokerState:
    """What a raw status means, by the exact word or number only."""
    return STATES.get(raw, BrokerState.UNKNOWN) if isinstance(raw, str | int) else BrokerState.UNKNOWN


def identity(item: Item) -> str:
    """The broker's own id of an order, a whole number beyond 2^53."""
    value = item.get("id")
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return value
    raise BrokerUnavailable("tiger: an order without an id")


def reserved_number(item: Item) -> str | None:
    """The number that was reserved for an order, which comes back as ``orderId`` and, as text, as ``externalId``.

    An order made in Tiger's app has the ``orderId`` 0, and an ``externalId`` that only looks like a number.
    """
    value = item.get("orderId")
    if value is None:
        value = item.get("externalId")
    digits = str(value)
    return digits if digits.isascii() and digits.isdigit() and digits.strip("0") else None


def is_us_stock(item: Item) -> bool:
    """Whether an order or position is of a stock in US dollars; other things are none of this program's business."""
    return item.get("secType") in (None, "STK") and item.get("currency") in (None, "USD")


def order_of(item: Item, fills: tuple[Fill, ...] | None = None) -> BrokerOrder:
    """The report of one order.

    Args:
        fills: its executions where they are reported; quantity, value and fees are then those of the executions.

    Raises:
        BrokerUnavailable: a figure it needs is missing or not finite.
    """
    cum_qty = quantity(item, "filledQuantity") or Decimal(0)
    order_qty = quantity(item, "totalQuantity")
    limit = optional_number(item, "limitPrice")
    is_market = item.get("orderType") == "MKT"
    value = money(cum_qty * number(item, "avgFillPrice")) if cum_qty else Decimal(0)
    fees = fees_of(item)
    if fills is not None:
        cum_qty = Decimal(sum(fill.last_qty for fill in fills))
        value = sum((fill.last_qty * fill.last_px for fill in fills), Decimal(0))
        fees = sum((fill.fee for fill in fills), Decimal(0))
    return BrokerOrder(
        order_no=reserved_number(item),
        order_id=identity(item),
        user_mark=text(item, "userMark", 64) or None,
        symbol=text(item, "symbol", 20),
        side=_side(item),
        ord_type=OrdType.MARKET if is_market else OrdType.LIMIT,
        # An order for an amount of cash has no quantity: what it will come to is known when it is filled.
        order_qty=cum_qty if order_qty is None else order_qty,
        price=None if is_market or limit is None else money(limit),
        state=state_of(item.get("status")),
        raw_status=text(item, "status", 40),
        cum_qty=cum_qty,
        notional=value,
        fees=fees,
        fills=fills or (),
        text=text(item, "remark"),
        transact_time=instant(item, "updateTime", "latestTime", "openTime"),
    )


def fees_of(item: Item) -> Decimal:
    """Commission and tax of an order so far; nothing where none is shown yet."""
    return money((optional_number(item, "commission") or Decimal(0)) + (optional_number(item, "gst") or Decimal(0)))


def _side(item: Item) -> Side:
    try:
        return Side(str(item.get("action")).upper())
    except ValueError:
        raise BrokerUnavailable(f"tiger: an order with the action {text(item, 'action', 20)!r}") from None
