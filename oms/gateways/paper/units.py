"""Exact integers for the book: micro-units of money and shares, microseconds of real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

MICRO = 1_000_000
"""Micro-units in one unit of money or one share."""

LARGEST = 2**63 - 1
"""The largest integer that SQLite holds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micro(value: Decimal | int) -> int:
    """Money or shares as whole micro-units; a seventh decimal place is rounded half up."""
    return int((Decimal(value) * MICRO).to_integral_value(ROUND_HALF_UP))


def from_micro(value: int) -> Decimal:
    """The exact number behind ``value`` micro-units, without trailing zeros."""
    return Decimal(value) / MICRO


def times(quantity: int, price: int) -> int:
    """Quantity times price, all in micro-units; exact for whole shares, else rounded half up."""
    return (2 * quantity * price + MICRO) // (2 * MICRO)


def to_instant(at: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    return (at - _EPOCH) // _MICROSECOND


def from_instant(value: int) -> datetime:
    """The instant, aware UTC."""
    return _EPOCH + value * _MICROSECOND


def span(value: timedelta) -> int:
    """A duration in microseconds."""
    return value // _MICROSECOND
