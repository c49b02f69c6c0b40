"""The books of shares and money, walked fill by fill in whole millionths: the fold's figures at the speed of integers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from oms.journal.scalars import from_micro, to_micro
from oms.model.order import Side
from oms.model.state import Holding

MILLION = 1_000_000
_BUY = Side.BUY.value


@dataclass(slots=True)
class Book:
    """One symbol: shares, their cost with fees, and the profit of all sales, each in millionths."""

    qty: int = 0
    cost: int = 0
    realised: int = 0

    @classmethod
    def of(cls, holding: Holding) -> Book:
        """The book that says what a holding says."""
        return cls(to_micro(holding.qty), to_micro(holding.cost), to_micro(holding.realised))

    def take(self, side: str, qty: int, px: int, fee: int) -> int:
        """Book one execution; answers what it realised. ``qty`` is in shares, ``px`` and ``fee`` in millionths."""
        if side == _BUY:
            self.qty += qty * MILLION
            self.cost += qty * px + fee
            return 0
        left = self.qty - qty * MILLION
        cost = _share(self.cost * qty * MILLION, self.qty) if left > 0 else self.cost
        self.qty = left
        self.cost -= cost
        realised = qty * px - fee - cost
        self.realised += realised
        return realised

    def adopt(self, qty: Decimal, cost: Decimal) -> None:
        """Take over what an operator adopted from the broker: shares and their cost, and no profit."""
        self.qty, self.cost = to_micro(qty), to_micro(cost)

    def holding(self) -> Holding:
        """The same in exact decimals."""
        return Holding(qty=from_micro(self.qty), cost=from_micro(self.cost), realised=from_micro(self.realised))


def cash_moved(side: str, qty: int, px: int, fee: int) -> int:
    """What an execution did to the cash, in millionths."""
    return -(qty * px + fee) if side == _BUY else qty * px - fee


def _share(numerator: int, denominator: int) -> int:
    """The quotient rounded half to even, as the model rounds the cost of what was sold."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
