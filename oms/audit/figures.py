"""What a stretch of cycles adds up to: counts, delays and shares, gathered one cycle after another and merged at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from oms.journal.answers import Answer, money, number
from oms.model.order import ZERO

FOUR_DIGITS = Decimal("0.0001")
MILLISECOND = Decimal("0.001")


@dataclass(slots=True, kw_only=True)
class Figures:
    """The user's metrics of some cycles; two of them added are those of all their cycles."""

    cycles: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    sells: int = 0
    """Sells that were sent."""
    buys: int = 0
    """Buys that were sent."""
    buys_filled: int = 0
    """Those of them that were filled whole."""
    sold: Decimal = ZERO
    bought: Decimal = ZERO
    fees: Decimal = ZERO
    delays: list[timedelta] = field(default_factory=list)
    """From the last fill of a cycle's sells to its first buy on the wire."""
    spendable: Decimal = ZERO
    """What could be spent when the buys were revalidated."""
    spent: Decimal = ZERO
    """Value and fees of what those cycles bought."""
    revalidated: int = 0
    cut_by_rule: Counter[str] = field(default_factory=Counter)
    """Buys that a rule made smaller, those cut to nothing included."""
    blocked_by_rule: Counter[str] = field(default_factory=Counter)
    """Orders of either side that were never sent."""
    rejected: int = 0
    liquidity_errors: int = 0
    duplicates: int = 0

    def add(self, other: Figures) -> None:
        """Take in the figures of other cycles."""
        for name in ("outcomes", "cut_by_rule", "blocked_by_rule"):
            getattr(self, name).update(getattr(other, name))
        self.delays.extend(other.delays)
        for name in (
            *("cycles", "sells", "buys", "buys_filled", "sold", "bought", "fees", "spendable", "spent"),
            *("revalidated", "rejected", "liquidity_errors", "duplicates"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def answer(self) -> Answer:
        """As JSON: shares as fractions, seconds to the millisecond; null where there is nothing to divide."""
        return {
            "cycles": self.cycles,
            "outcomes": _ranked(self.outcomes),
            "buy_success_rate": _share(Decimal(self.buys_filled), Decimal(self.buys)),
            "buys_sent": self.buys,
            "buys_filled": self.buys_filled,
            "sells_sent": self.sells,
            "sell_to_buy_delay_s": {
                "p50": _seconds(percentile(self.delays, 50)),
                "p95": _seconds(percentile(self.delays, 95)),
                "max": _seconds(max(self.delays, default=None)),
            },
            "funds_used_share": _share(self.spent, self.spendable),
            "revalidated": self.revalidated,
            "cut": self.cut_by_rule.total(),
            "cut_by_rule": _ranked(self.cut_by_rule),
            "blocked_by_rule": _ranked(self.blocked_by_rule),
            "rejected": self.rejected,
            "liquidity_errors": self.liquidity_errors,
            "duplicates": self.duplicates,
            "bought": money(self.bought),
            "sold": money(self.sold),
            "fees": money(self.fees),
        }


def percentile(values: Sequence[timedelta], percent: int) -> timedelta | None:
    """The smallest value that at least so many percent do not exceed (nearest rank); None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[max(-(-len(ranked) * percent // 100), 1) - 1]


def _ranked(counter: Counter[str]) -> dict[str, int]:
    """The most frequent first, equals by name."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _share(part: Decimal, whole: Decimal) -> str | None:
    return number((part / whole).quantize(FOUR_DIGITS, rounding=ROUND_HALF_EVEN)) if whole > 0 else None


def _seconds(span: timedelta | None) -> str | None:
    if span is None:
        return None
    return number((Decimal(span // timedelta(microseconds=1)) / 1_000_000).quantize(MILLISECOND))
