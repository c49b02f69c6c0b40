"""Orders of earlier cycles that the broker still shows: a fill that comes late belongs to them all the same."""

from __future__ import annotations

from collections.abc import Mapping

from oms.model.order import Order
from oms.model.state import AccountState
from oms.ports import OrdersRead


class OlderOrders:
    """Looks each of them up once, and again only when the broker shows another figure than the one looked up."""

    def __init__(self) -> None:
        self._looked_up: dict[str, Order] = {}

    def among(self, read: OrdersRead, known: Mapping[str, str], state: AccountState) -> dict[str, Order]:
        """The orders of ``read`` that are this journal's and out of memory, by reserved number.

        Args:
            known: reserved number to ``cl_ord_id`` of every order of this journal that ``read`` shows.
        """
        in_memory = {order.order_no for order in state.orders}
        found: dict[str, Order] = {}
        for report in read.orders:
            number = report.order_no
            if number is None or number not in known or number in in_memory:
                continue
            order = self._looked_up.get(number)
            if order is None or order.cum_qty != report.cum_qty:
                order = state.recall(known[number]) if state.recall is not None else None
            if order is not None:
                found[number] = order
        self._looked_up = found  # no more than one reading shows, so that months of orders do not pile up
        return found
