"""Where the broker and the journal do not agree: what kind of difference it is, what explains it, what a person may do."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class DifferenceKind(StrEnum):
    """What a difference most likely is; only what the broker's own reports show counts as explained."""

    LATE_FILL = "late_fill"
    """An order of ours has traded more than the journal can book, because the broker's figures do not add up yet."""
    FOREIGN_ORDER = "foreign_order"
    """An order that this program did not make is open in the account."""
    MANUAL_TRADE = "manual_trade"
    """Fills of foreign orders account for exactly the shares that differ."""
    CORPORATE_ACTION = "corporate_action"
    """The shares changed by the ratio of a split, or under another symbol, and no order explains it."""
    MISSING_ORDER = "missing_order"
    """An order that the journal holds for open is in no complete reading of the broker's orders."""
    MISSING = "missing"
    """The broker holds fewer shares than the journal, and nothing seen explains it."""
    SURPLUS = "surplus"
    """The broker holds more shares than the journal, and nothing seen explains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which broker and journal do not agree. It changes no figure of ours by itself."""

    kind: DifferenceKind
    symbol: str
    broker: Decimal
    """Shares at the broker: of the position, or executed of the order."""
    journal: Decimal
    """The same by the journal."""
    text: str
    """What was seen, as a sentence."""
    proposal: str
    """What a person may do, with the command for it; empty where waiting is all there is to do."""
    order: str | None = None
    """The order it is about: our ``cl_ord_id``, or the broker's ``order_id`` of a foreign one."""
    cost: Decimal | None = None
    """What the shares at the broker did cost in all, as far as can be told; None where it is not about a position."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same difference at the next look."""
        return (self.kind.value, self.symbol, self.order or "", f"{self.broker:f}/{self.journal:f}")
