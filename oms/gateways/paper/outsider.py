"""Somebody else who uses the same account: orders without our numbers, money and shares moved by hand."""

from __future__ import annotations

from decimal import Decimal

from oms.errors import BrokerUnavailable
from oms.gateways.paper.broker import PaperBroker
from oms.gateways.paper.deeds import Asked
from oms.gateways.paper.log import LogKind
from oms.model.order import OrdType, Side


class Outsider(PaperBroker):
    """The account as another program or a person uses it; for tests and simulations.

    It is opened beside the broker under test, on the same file, market and clock.
    """

    def external_order(
        self, symbol: str, side: Side, qty: Decimal | int, price: Decimal | None = None, *, user_mark: str | None = None
    ) -> str:
        """Place an order without a reserved number, a market order where there is no price; answers its ``order_id``.

        Fractions of shares are welcome. Raises as :meth:`PaperBroker.place` does.
        """
        return self._place(
            Asked(
                order_no=None,
                user_mark=user_mark,
                symbol=symbol,
                side=side,
                ord_type=OrdType.MARKET if price is None else OrdType.LIMIT,
                order_qty=Decimal(qty),
                price=price,
            )
        )

    def external_cancel(self, order_id: str) -> None:
        """Cancel any order of the account, ours included."""
        self._cancel(None, order_id)

    def external_cash(self, amount: Decimal, currency: str | None = None) -> None:
        """Pay in, or with a negative amount take out, settled cash; in another currency where one is named."""
        with self._advanced() as now:
            if currency is not None and currency != self._book.currency():
                self._book.add_balance(currency, amount)
                return
            self._book.log(LogKind.CASH_MOVED, now, price=amount, text="by hand")
            self._book.add_cash(amount)

    def external_shares(self, symbol: str, qty: Decimal | int) -> None:
        """Deliver, or with a negative quantity take away, shares: a split, a transfer, a spin-off."""
        with self._advanced() as now:
            held, avg_cost = self._book.position(symbol)
            if held + qty < 0:
                raise BrokerUnavailable(f"{held} shares of {symbol} are held, {-qty} cannot be taken away")
            self._book.log(LogKind.SHARES_MOVED, now, symbol=symbol, qty=Decimal(qty), text="by hand")
            self._book.set_position(symbol, held + qty, avg_cost)
