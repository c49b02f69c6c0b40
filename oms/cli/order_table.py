"""Orders as a table, the same wherever a cycle is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from oms.cli.layout import number, table, time_of_day


def order_table(orders: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Orders, one a line."""
    rows = [
        [
            each["cl_ord_id"],
            each["side"],
            each["symbol"],
            f"{number(each['cum_qty'])}/{number(each['order_qty'])}",
            number(each["price"]),
            number(each["avg_px"]),
            each["ord_status"] + (" quarantined" if each["quarantined"] else ""),
            str(each["sends"]),
            time_of_day(each["sent_at"]),
            time_of_day(each["closed_at"]),
            each["rule"] or each["text"],
        ]
        for each in orders
    ]
    if not rows:
        yield "no orders"
        return
    headings = ["order", "side", "symbol", "filled", "limit", "avg px", "status", "sends", "sent UTC", "closed", "why"]
    yield from table(headings, rows, "lllrrrlrlll")
