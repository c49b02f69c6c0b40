"""Exact values as the database keeps them: money in micro-units, instants in microseconds, days as ISO text.

The same conversions serve the prepared statements of the writer and, as column types, the readers' queries.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLION = 1_000_000
_LARGEST = 2**63 - 1
_DIGITS = 12

WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of up to 64 bits."""
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Ordered by its bytes, in either database."""
HASH = LargeBinary(32).with_variant(LargeBinary(), "sqlite")


def to_micro(amount: Decimal) -> int:
    """Exact micro-units of an amount of money or of shares.

    Raises:
        ValueError: the amount is finer than a millionth, too large, or no number.
    """
    if amount.is_finite() and amount.adjusted() <= _DIGITS:
        numerator, denominator = amount.as_integer_ratio()
        micro, rest = divmod(numerator * _MILLION, denominator)
        if not rest and -_LARGEST <= micro <= _LARGEST:
            return micro
    raise ValueError(f"{amount} is not an exact number of millionths below nine million million")


def from_micro(micro: int) -> Decimal:
    """The amount, with no more digits behind the point than it needs."""
    whole, rest = divmod(micro, _MILLION)
    if not rest:
        return Decimal(whole)
    return Decimal(micro).scaleb(-6).normalize()


def to_instant(instant: datetime) -> int:
    """Microseconds since 1970 UTC of an aware instant."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * _MILLION + since.microseconds


def from_instant(micros: int) -> datetime:
    """The aware UTC instant so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def storable(text: str) -> str:
    """The text, with escapes for what no database can keep: lone surrogates of broken foreign text, and zero bytes."""
    if "\x00" in text:
        text = text.replace("\x00", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


class Micro(TypeDecorator[Decimal]):
    """Money or shares as an exact integer of micro-units; never REAL."""

    impl = WHOLE
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else to_micro(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        del dialect
        return None if value is None else from_micro(value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant as microseconds since 1970."""

    impl = WHOLE
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else to_instant(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else from_instant(value)


class Day(TypeDecorator[date]):
    """A calendar day as ISO text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else value.isoformat()

    def process_result_value(self, value: Any, dialect: Dialect) -> date | None:
        del dialect
        return None if value is None else date.fromisoformat(value)


class Exact(TypeDecorator[Decimal]):
    """A number of any precision, told by others, as plain decimal text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        del dialect
        return None if value is None else Decimal(value)


class Truth(TypeDecorator[bool]):
    """Yes or no as 1 or 0."""

    impl = WHOLE
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        del dialect
        return None if value is None else bool(value)


def raw_converter(kind: TypeEngine[Any]) -> Any:
    """How a value of this column type is written by a prepared statement."""
    return _RAW.get(type(kind))


_RAW: dict[type, Any] = {
    Micro: to_micro,
    Instant: to_instant,
    Day: date.isoformat,
    Exact: lambda value: format(value, "f"),
    Truth: int,
}
