"""How figures, instants and orders look in an answer: JSON without a float."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from oms.model.order import Order

Answer = dict[str, Any]


def number(value: Decimal | None) -> str | None:
    """An exact figure as text, without digits that say nothing."""
    if value is None:
        return None
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Decimal | None) -> str | None:
    """An amount as text with at least two digits behind the point."""
    text = number(value)
    if text is None:
        return None
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<2}"


def instant(value: datetime | None) -> str | None:
    """An instant in RFC 3339, UTC."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def day(value: date | None) -> str | None:
    """A calendar day in ISO form."""
    return None if value is None else value.isoformat()


def order_answer(order: Order) -> Answer:
    """One order as ``order list`` shows it; its status is derived here, on reading."""
    return {
        "cl_ord_id": order.cl_ord_id,
        "cycle_id": order.cycle_id,
        "sends": order.sends,
        "side": order.side.value,
        "symbol": order.symbol,
        "ord_type": order.ord_type.value,
        "price": money(order.price),
        "order_qty": order.order_qty,
        "cum_qty": order.cum_qty,
        "leaves_qty": order.leaves_qty,
        "avg_px": money(_rounded(order.avg_px)),
        "fees": money(order.fees),
        "ord_status": order.ord_status.value,
        "quarantined": order.quarantined,
        "order_no": order.order_no,
        "order_id": order.order_id,
        "planned_at": instant(order.planned_at),
        "sent_at": instant(order.sent_at),
        "acknowledged_at": instant(order.acknowledged_at),
        "last_fill_at": instant(order.last_fill_at),
        "closed_at": instant(order.closed_at),
        "score": number(order.score),
        "rule": order.rule,
        "text": order.text,
    }


def _rounded(price: Decimal | None) -> Decimal | None:
    return None if price is None else price.quantize(Decimal("0.000001"))
