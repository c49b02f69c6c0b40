"""The limits an account trades under, as plain exact values: what the configuration means to the rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from oms.model.order import OrdType


class FundsPolicy(StrEnum):
    """Which money may be spent (``settlement.funds``)."""

    CASH = "cash"
    BUYING_POWER = "buying_power"
    SETTLED_CASH = "settled_cash"


class DoubtPolicy(StrEnum):
    """What happens to an order that no complete read shows (``in_doubt.then``)."""

    RESEND = "resend"
    QUARANTINE = "quarantine"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Every limit of one account; amounts in account currency, shares of one as fractions."""

    funds: FundsPolicy = FundsPolicy.CASH
    funds_fraction: Decimal = Decimal("0.80")
    max_position_value: Decimal = Decimal(10000)
    min_order_value: Decimal = Decimal(100)
    ord_type: OrdType = OrdType.LIMIT
    collar: Decimal = Decimal("0.005")
    """Distance of a limit from the quote it was made from, as a fraction."""
    fee_allowance: Decimal = Decimal("0.001")
    """Fees set aside for a buy, as a fraction of its value."""
    order_deadline: timedelta = timedelta(seconds=120)
    grace: timedelta = timedelta(seconds=1)
    """Time after which a cancelled order is read once more: a fill may still have won."""
    poll: timedelta = timedelta(seconds=1)
    confirm: timedelta = timedelta(0)
    settle_deadline: timedelta = timedelta(seconds=60)
    doubt_reads: int = 3
    doubt_window: timedelta = timedelta(seconds=30)
    doubt_then: DoubtPolicy = DoubtPolicy.RESEND
    doubt_margin: timedelta = timedelta(seconds=60)
    """Safety distance to the end of the window in which the broker refuses repeats."""
    max_sends: int = 3
    """Requests for one order under its one number, the first included."""
    max_trades_per_day: int = 100
    max_order_value: Decimal = Decimal(10000)
    max_order_quantity: int = 10000
    max_rejections: int = 3
    """Orders the broker may reject in a cycle before its remaining buys are blocked."""
    daily_loss_limit: Decimal | None = None
    min_price: Decimal | None = None
    """Shares cheaper than this are not bought."""
    allow_unsettled_sales: bool = False
    """Shares bought with unsettled proceeds may be sold before those settle: a margin account's right."""
    blacklist: frozenset[str] = frozenset()
    max_quote_age: timedelta = timedelta(seconds=60)
    """Of quotes, in market time."""
    max_funds_age: timedelta = timedelta(seconds=10)
    """Of a funds reading that decides, in real time."""
    no_buys_before_close: timedelta = timedelta(minutes=10)
    licences: tuple[str, ...] = ()
    """Hashes of the armed limits that these rules keep within; needed only where real money is at stake."""

    @property
    def keeps_faith(self) -> bool:
        """Whether shares that unsettled money bought are kept back: in a cash account, which does not borrow."""
        return self.funds is not FundsPolicy.BUYING_POWER and not self.allow_unsettled_sales
