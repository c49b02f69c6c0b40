"""The ledger of settled and unsettled money, and of the shares that unsettled money bought.

A sale's proceeds are spendable at once and settled days later (T+1 in the US since 2024-05-28, T+2 in Hong Kong and
Singapore). Whoever buys with them in a cash account and sells those shares before they have settled commits a good-faith
violation; whoever pays for shares with nothing but their own sale is free-riding (Regulation T, 12 CFR 220.8). This
ledger knows which shares those are. Shares leave first in, first out, as brokers count them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from oms.model.account import Balance, Funds

ZERO = Decimal(0)
CENT = Decimal("0.01")
"""Brokers round to it: less is no difference."""
GOOD_FAITH = "good_faith"
"""Rule that keeps back shares bought with proceeds that have not settled."""
FREE_RIDING = "free_riding"
"""Rule that keeps back shares which no money that the ledger knows of has paid for, until their own settlement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Shares bought in one execution."""

    qty: int
    frees: date | None = None
    """Settlement date of the last money that paid for them; None where settled money paid for all of them."""
    unfunded: bool = False
    """No money known here paid for a part of them: ``frees`` is no earlier than their own settlement."""

    def is_free(self, day: date) -> bool:
        """Whether all that paid for these shares has settled by the morning of ``day``."""
        return self.frees is None or self.frees <= day


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """One symbol of which unsettled money bought shares: its lots from the first such one on, oldest first."""

    symbol: str
    lots: tuple[Lot, ...]
    held: Decimal = ZERO
    """Shares of the symbol, these included, when the day was opened: what journal and broker both knew of."""

    @property
    def qty(self) -> int:
        return sum(lot.qty for lot in self.lots)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """Shares of one symbol that may not be sold yet."""

    symbol: str
    free: int
    """Shares that stand before them and may be sold."""
    qty: int
    """Shares that may not, those behind them included."""
    until: date
    """Day on which the first of them may be sold."""
    rule: str
    """``good_faith`` or ``free_riding``."""

    def reason(self, wanted: int, free: int) -> str:
        """Why ``wanted`` shares may not be sold when ``free`` may, as a sentence."""
        paid = "money that is not there yet" if self.rule == FREE_RIDING else "proceeds that have not settled"
        return (
            f"{wanted} {self.symbol} to sell, {free} may be: the next were bought with {paid}; "
            f"they may be sold from {self.until} on"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One account's money in its currency by the day on which it settles, and the shares that wait for that day.

    ``settled`` and the amounts in ``unsettled`` add up to the cash of the last opening reading and what was filled since.
    """

    currency: str
    settled: Decimal = ZERO
    unsettled: tuple[tuple[date, Decimal], ...] = ()
    """Proceeds by their settlement date, the earliest first, less what buys have taken of them."""
    tagged: tuple[Tagged, ...] = ()
    """By symbol."""
    outside: Decimal = ZERO
    """What the broker's cash had beyond the trades in the journal: deposits, dividends, fees, other programs' trades."""
    withheld: Decimal = ZERO
    """What the broker did not call settled although its settlement date had come."""
    pledged: date | None = None
    """Buys that are sent together and ask for more than has settled wait together until this day: which of them trades
    first, and is paid for with settled money, nobody here can know."""

    # What it says

    @property
    def cash(self) -> Decimal:
        """All of the money, settled or not."""
        return self.settled + self.withheld + sum((amount for _, amount in self.unsettled), ZERO)

    def in_transit(self, day: date) -> Decimal:
        """Proceeds that have not settled by the morning of ``day``."""
        return sum((amount for settles, amount in self.unsettled if settles > day), ZERO)

    def settled_on(self, day: date) -> Decimal:
        """Money that has settled by the morning of ``day``."""
        return self.settled + sum((amount for settles, amount in self.unsettled if settles <= day), ZERO)

    def held_back(self, symbol: str, held: Decimal, day: date) -> HeldBack | None:
        """The shares of a symbol that may not be sold on ``day``, of ``held`` in all; None where all of them may."""
        tagged = next((each for each in self.tagged if each.symbol == symbol), None)
        if tagged is None:
            return None
        whole = max(int(held), 0)
        free = max(whole - tagged.qty, 0)
        lots = _trimmed(tagged.lots, max(tagged.qty - whole, 0))
        for at, lot in enumerate(lots):
            if not lot.is_free(day):
                assert lot.frees is not None
                rule = FREE_RIDING if lot.unfunded else GOOD_FAITH
                behind = sum(each.qty for each in lots[at:])
                return HeldBack(symbol=symbol, free=free, qty=behind, until=lot.frees, rule=rule)
            free += lot.qty
        return None

    def counting(self, held: Mapping[str, Decimal]) -> Ledger:
        """The same with the shares held of each tagged symbol, so that what it keeps back can be reckoned again."""
        counted = (replace(each, held=held.get(each.symbol, ZERO)) for each in self.tagged)
        return replace(self, tagged=tuple(counted))

    # How it changes

    def opened(self, day: date, funds: Funds, cash: Decimal) -> Ledger:
        """The ledger on the morning of a trading day, brought to agree with a reading made while nothing was under way.

        What the broker's cash has less than the journal's (``cash``) is gone at once. What it has more (a deposit, a
        dividend) is settled money from the second opening on that shows it: one reading may be wrong. Never more is
        settled than the broker says.
        """
        left = tuple((settles, amount) for settles, amount in self.unsettled if settles > day)
        in_transit = sum((amount for _, amount in left), ZERO)
        due = min(funds.cash, cash + self.outside) - in_transit
        settled, left = _levelled(min(due, funds.settled_cash), left)
        outside = funds.cash - cash
        return replace(
            self,
            settled=settled,
            unsettled=left,
            tagged=tuple(_waiting(self.tagged, day)),
            outside=outside if abs(outside - self.outside) > CENT else self.outside,
            withheld=max(due - funds.settled_cash, ZERO),
            pledged=None,
        )

    def promised(self, cost: Decimal, settles: date) -> Ledger:
        """With buys decided that may cost so much together."""
        after, left = _levelled(self.settled - cost, self.unsettled)
        last = _last_taken(self.unsettled, left)
        return replace(self, pledged=max(last or settles, settles) if after < 0 else last)

    def sold(self, proceeds: Decimal, settles: date) -> Ledger:
        """After a sale: ``proceeds`` are net of fees. Which lots it took follows from the shares that are left."""
        amounts = dict(self.unsettled)
        amounts[settles] = amounts.get(settles, ZERO) + proceeds
        settled, left = _levelled(self.settled, tuple(sorted(amounts.items())))
        return replace(self, settled=settled, unsettled=left)

    def bought(self, symbol: str, qty: int, cost: Decimal, settles: date) -> Ledger:
        """After a buy: settled money pays first, then the proceeds that settle soonest, and what is missing is owed."""
        after, left = _levelled(self.settled - cost, self.unsettled)
        lot = Lot(qty=qty, frees=max(filter(None, (_last_taken(self.unsettled, left), self.pledged)), default=None))
        if after < 0:
            # Money that the broker has and does not call settled yet is not missing; it is as good as in transit.
            lot = Lot(qty=qty, frees=max(lot.frees or settles, settles), unfunded=-after > self.withheld)
        return replace(self, settled=after, unsettled=left, tagged=_with_lot(self.tagged, symbol, lot))


def ledger_of_reading(funds: Funds, settles: date) -> Ledger:
    """The ledger of a journal that kept none: what the broker calls settled is, the rest settles with today's trades."""
    settled = min(funds.cash, funds.settled_cash)
    rest = funds.cash - settled
    return Ledger(currency=funds.currency, settled=settled, unsettled=((settles, rest),) if rest > 0 else ())


def ledger_of_balance(balance: Balance) -> Ledger:
    """The ledger of a currency in which nothing is traded: the broker's word, and what it does not call settled is not."""
    settled = min(balance.cash, balance.settled_cash or ZERO)
    return Ledger(currency=balance.currency, settled=settled, outside=balance.cash, withheld=balance.cash - settled)


def _levelled(
    settled: Decimal, unsettled: tuple[tuple[date, Decimal], ...]
) -> tuple[Decimal, tuple[tuple[date, Decimal], ...]]:
    """What is owed taken from the proceeds that settle soonest, so that nothing is owed while anything is to come."""
    left: list[tuple[date, Decimal]] = []
    for day, amount in unsettled:
        part = min(amount, max(-settled, ZERO))
        settled += part
        if amount != part:
            left.append((day, amount - part))
    return settled, tuple(left)


def _last_taken(before: tuple[tuple[date, Decimal], ...], after: tuple[tuple[date, Decimal], ...]) -> date | None:
    """The latest settlement date of which something was taken."""
    left = dict(after)
    return max((day for day, amount in before if left.get(day, ZERO) != amount), default=None)


def _with_lot(tagged: tuple[Tagged, ...], symbol: str, lot: Lot) -> tuple[Tagged, ...]:
    """A lot put behind those of its symbol; one that is free matters only behind one that is not."""
    lots = next((each.lots for each in tagged if each.symbol == symbol), ())
    if not lots and lot.frees is None:
        return tagged
    others = [each for each in tagged if each.symbol != symbol]
    mine = next((each for each in tagged if each.symbol == symbol), Tagged(symbol=symbol, lots=()))
    both = (*lots[:-1], *_joined(lots[-1], lot)) if lots else (lot,)
    return tuple(sorted([*others, replace(mine, lots=both)], key=lambda each: each.symbol))


def _joined(last: Lot, lot: Lot) -> tuple[Lot, ...]:
    """Two executions that wait for the same day are one lot."""
    if (last.frees, last.unfunded) == (lot.frees, lot.unfunded):
        return (replace(last, qty=last.qty + lot.qty),)
    return last, lot


def _trimmed(lots: tuple[Lot, ...], gone: int) -> tuple[Lot, ...]:
    """What is left of lots when so many shares have gone: the oldest went first."""
    kept: list[Lot] = []
    for lot in lots:
        taken = min(lot.qty, gone)
        gone -= taken
        if lot.qty > taken:
            kept.append(replace(lot, qty=lot.qty - taken))
    return tuple(kept)


def _waiting(tagged: tuple[Tagged, ...], day: date) -> Iterator[Tagged]:
    """The lots from the first on that is not free on ``day``."""
    for each in tagged:
        first = next((at for at, lot in enumerate(each.lots) if not lot.is_free(day)), None)
        if first is not None:
            yield replace(each, lots=each.lots[first:])
