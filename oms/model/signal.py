"""What a strategy wishes: the nouns that enter the engine, from our own selection or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from oms.model.order import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One wish to sell or to buy.

    ``quantity`` in whole shares; None leaves it to the sizing rule. ``price`` in the account's currency per share is the
    plan's own limit; None takes the limit from a fresh quote. ``score`` orders the buys, highest first; None keeps the
    file's order. ``line`` is where it stood in its file, from 1; None where it came from no file.
    """

    side: Side
    symbol: str
    quantity: int | None = None
    price: Decimal | None = None
    score: Decimal | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """All wishes of one cycle, in the order in which they were given.

    ``source`` names where they came from; ``digest`` is the SHA-256 of the very bytes, in hex; ``as_of`` is the instant
    they speak of (aware UTC), None where they do not say, and then their age is not checked.
    """

    signals: tuple[Signal, ...]
    source: str
    digest: str
    as_of: datetime | None = None

    def of(self, side: Side) -> tuple[Signal, ...]:
        """The wishes of one side, in their order."""
        return tuple(signal for signal in self.signals if signal.side is side)
