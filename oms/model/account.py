"""What was last seen of an account: funds, positions, quotes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Money that the account holds in a currency that it does not trade in."""

    currency: str
    cash: Decimal
    settled_cash: Decimal | None = None
    """None where the broker does not say how much of it has settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """One reading of the account's money, in the account's currency.

    ``spendable`` is the policy's figure (``settlement.funds``), worked out by :func:`oms.model.liquidity.spendable`.
    """

    currency: str
    cash: Decimal
    """Cash balance, sale proceeds included from the moment of the fill as the broker shows it."""
    settled_cash: Decimal
    """Cash that is not in transit."""
    available: Decimal
    """The broker's available-for-trade figure."""
    locked: Decimal
    """Frozen for the account's own open orders."""
    buying_power: Decimal
    """What the broker would let the account buy, margin included."""
    at: datetime
    """Instant before the reading was asked for, aware UTC: what it shows is at least this fresh."""
    raw: Mapping[str, str] | None = None
    """The broker's own fields as text, for the journal."""
    others: tuple[Balance, ...] = ()
    """What the account holds in other currencies, by currency, each figure finite; never spent, and no rate is ever made up
    to count it in the account's own. A currency that is not named was not told of."""

    @property
    def in_transit(self) -> Decimal:
        """Sale proceeds that have not settled."""
        return self.cash - self.settled_cash


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Shares held of one symbol."""

    symbol: str
    qty: Decimal
    """Shares held; other programs may hold fractions."""
    sellable: Decimal
    """Shares not already promised to an open sell."""
    avg_cost: Decimal
    """Average cost per share, account currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price of one symbol at one instant of market time."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    at: datetime
    """Market time, aware UTC."""
    tick: Decimal = Decimal("0.01")
    """Smallest step of a limit price."""
    lot: int = 1
    """Smallest step of a quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trading day of the exchange, as the market source knows it."""

    day: date
    opens: datetime
    """Aware UTC."""
    closes: datetime
    """Aware UTC; early closes included."""
    settles: date
    """Settlement date of a trade made on this day."""
    breaks: tuple[datetime, datetime] | None = None
    """Start and end of the lunch break, aware UTC; the end trades again. None where the exchange has none."""

    def is_open(self, market_time: datetime) -> bool:
        """Whether the exchange trades at this instant: within the session and not in its lunch break."""
        if self.breaks is not None and self.breaks[0] <= market_time < self.breaks[1]:
            return False
        return self.opens <= market_time < self.closes
