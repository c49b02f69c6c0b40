"""An account's ledgers, one for each currency: money of one is never counted, spent or awaited in another.

An account trades in one currency, that of its exchange. In that one the ledger follows every execution. Money in other
currencies is the broker's word: what it holds and what of it has settled. It is kept so that a change is seen, and so that
nobody takes it for money that could pay for a share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from oms.model.account import Balance, Funds
from oms.model.changing import replace
from oms.model.settlement import Ledger, ledger_of_balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgers:
    """The ledgers of one account."""

    own: Ledger
    """In the currency that the account trades in."""
    others: tuple[Ledger, ...] = ()
    """By currency."""

    def __iter__(self) -> Iterator[Ledger]:
        """Its own first."""
        yield self.own
        yield from self.others

    def of(self, currency: str) -> Ledger | None:
        """The ledger of a currency; None where the account never held any of it."""
        return next((ledger for ledger in self if ledger.currency == currency), None)

    def with_own(self, ledger: Ledger) -> Ledgers:
        """The same after something happened in the currency that is traded in."""
        return replace(self, own=ledger)

    def opened(self, day: date, funds: Funds, cash: Decimal) -> Ledgers:
        """The ledgers on the morning of a trading day; see :meth:`Ledger.opened`.

        A currency that the reading does not name stays as it was: nothing was said about it.
        """
        told = {balance.currency: balance for balance in funds.others if balance.currency != self.own.currency}
        known = {ledger.currency: ledger for ledger in self.others}
        held = {currency for currency, balance in told.items() if balance.cash}
        others = [
            ledger_of_balance(told[currency]) if currency in told else known[currency]
            for currency in sorted({*held, *known})
        ]
        return Ledgers(own=self.own.opened(day, funds, cash), others=tuple(others))


def ledgers_of_start(currency: str, cash: Decimal, others: tuple[Balance, ...]) -> Ledgers:
    """The ledgers of a journal that begins: what is there counts as settled, as far as the broker does not say otherwise."""
    held = (each for each in others if each.currency != currency and each.cash)
    beside = sorted(held, key=lambda each: each.currency)
    return Ledgers(
        own=Ledger(currency=currency, settled=cash), others=tuple(ledger_of_balance(each) for each in beside)
    )
