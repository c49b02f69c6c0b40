"""Orders of earlier cycles that the broker still shows: a fill that comes late belongs to them all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oms.model.order import Order
from oms.ports import Journal, OrdersRead


class OlderOrders:
    """Looks each of them up once, and again only when the broker shows another figure than the one looked up."""

    def __init__(self) -> None:
        self._looked_up: dict[str, Order] = {}

    def keep(self, orders: Iterable[Order]) -> None:
        """Orders that are about to leave memory: the broker goes on showing them for a while."""
        self._looked_up.update({order.order_no: order for order in orders if order.order_no is not None})

    def among(self, read: OrdersRead, known: Mapping[str, str], journal: Journal) -> dict[str, Order]:
        """The orders of ``read`` that are the journal's and out of memory, by reserved number.

        Args:
            known: reserved number to ``cl_ord_id`` of every order of the journal that ``read`` shows.
        """
        in_memory = {order.order_no for order in journal.state.orders}
        filled = {
            report.order_no: report.cum_qty
            for report in read.orders
            if report.order_no is not None and report.order_no in known and report.order_no not in in_memory
        }
        kept = {no: order for no, qty in filled.items() if (order := self._looked_up.get(no)) and order.cum_qty == qty}
        missing = {known[no]: no for no in filled if no not in kept}
        recalled = journal.recalled(missing) if missing else {}
        # No more than one reading shows, so that months of orders do not pile up.
        self._looked_up = {**kept, **{missing[key]: order for key, order in recalled.items()}}
        return dict(self._looked_up)
