"""Values inside facts: the closed words and the small records that events carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from oms.model.account import Funds, Position, Quote
from oms.model.order import ZERO, OrdType, Side


class Outcome(StrEnum):
    """How a cycle ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    NOTHING_TO_DO = "nothing_to_do"
    ABORTED = "aborted"


class HaltScope(StrEnum):
    """What a halt stops: buys, or every order."""

    BUYS = "buys"
    ALL = "all"


class SettledBy(StrEnum):
    """Why the wait for the money ended."""

    COVERED = "covered"
    DEADLINE = "deadline"
    NO_SELLS = "no_sells"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One wish of the plan, fixed when the cycle opens."""

    cl_ord_id: str
    side: Side
    index: int
    symbol: str
    quantity: int
    ord_type: OrdType
    limit: Decimal | None
    """The plan's own limit; None for a market order."""
    worst_px: Decimal
    """Price at which the wish is counted against funds and caps."""
    score: Decimal | None = None
    rule: str | None = None
    """Name of the rule that refused this wish when the plan was made."""
    reason: str = ""
    """Why it is wished for, or why it was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What revalidation made of one planned buy."""

    cl_ord_id: str
    symbol: str
    original: int
    quantity: int
    """Shares to buy now, never above ``original``."""
    limit: Decimal | None
    worst_px: Decimal
    rule: str
    """Name of the binding rule; ``original`` where nothing was cut."""
    reason: str
    """The rule and its numbers in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevalidationInputs:
    """Everything the revalidation rule reads besides the plan and the configuration."""

    funds: Funds
    spendable: Decimal
    """The lowest reading taken since the last sell closed."""
    reserved: Decimal
    """Cost ceiling of every unclosed buy of any cycle, and of foreign ones."""
    quotes: tuple[Quote, ...]
    market_time: datetime
    held: tuple[Position, ...]
    committed: tuple[tuple[str, Decimal], ...]
    """Value of open and unresolved buys by symbol, this account's and foreign ones."""
    barred: tuple[tuple[str, str], ...]
    """Symbol to the rule that bars it: blacklist, symbol_frozen."""
    trades_today: int
    loss_today: Decimal
    """Loss realised on this trading day, positive; zero for a profit."""
    blocked_by: str | None = None
    """Name of a rule that blocks every buy, e.g. ``unresolved_sell``."""
    day: date | None = None
    """Trading day on which the buys are sent; it differs from the cycle's only where that waited for settled cash."""
    settles: date | None = None
    """Settlement date of what is bought on that day."""
    in_transit: Decimal = ZERO
    """Sale proceeds that had not settled then, by the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One symbol of a screen."""

    symbol: str
    score: Decimal | None
    """0 to 100, one decimal; None for an excluded symbol."""
    rank: int | None
    excluded_by: str | None = None
    lookback: int | None = None
    """Bars behind the long factors, where history is short."""
    close: Decimal | None = None
    factors: tuple[Decimal, ...] = ()
    """The components of the score, in the order of ``oms.engine.factors.NAMES``; empty where it was not scored."""
