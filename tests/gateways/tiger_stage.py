"""The stage that the Tiger adapter's tests play on."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.model.order import Side
from tests.contract.broker_contract import Stage
from tests.fakes.clock import FakeClock
from tests.tigerd.book import PAPER_ACCOUNT
from tests.tigerd.desk import open_desk


class TigerStage(Stage):
    """The account of the contract at a gateway on loopback; ``terms`` change the broker behind it."""

    def __init__(self, folder: Path, *, account: str = PAPER_ACCOUNT, **terms: Any) -> None:
        self.clock = FakeClock()
        self.desk = open_desk(folder, clock=self.clock, account=account)
        self.broker = self.desk.broker
        for name, value in terms.items():
            setattr(self.desk.book.terms, name, value)

    def now(self) -> datetime:
        return self.clock.now()

    def pass_time(self) -> None:
        self.desk.book.answer("order_no", {})
        self.clock.advance(timedelta(seconds=10))
        self.desk.book.answer("order_no", {})
        self.clock.advance(timedelta(seconds=10))

    def quote(self, symbol: str, price: Decimal) -> None:
        self.desk.book.prices[symbol] = price

    def foreign_order(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> str:
        return str(self.desk.book.outsider(symbol, side.value, qty, price))

    def foreign_cancel(self, order_id: str) -> None:
        self.desk.book.answer("cancel_order", {"id": int(order_id)})

    def close_market(self) -> None:
        self.desk.book.terms.is_open = False

    def close(self) -> None:
        self.desk.close()
