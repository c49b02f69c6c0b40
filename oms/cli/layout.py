"""How figures, times and tables look to a person; JSON never passes through here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms import amounts

CENT = Decimal("0.01")
NOTHING = "-"
"""Stands in a table where there is no value."""


def money(amount: Decimal | str | None) -> str:
    """An amount of the account's currency: $1,234.50."""
    if amount is None:
        return NOTHING
    amount = Decimal(amount)
    if not amount.is_finite():
        return str(amount)
    return amounts.amount(amount)


def number(value: Decimal | str | int | None) -> str:
    """A quantity or a price with thousands separators and no trailing zeros after the cents."""
    if value is None:
        return NOTHING
    value = Decimal(value)
    if not value.is_finite():
        return str(value)
    whole, _, rest = f"{value:,f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest.ljust(2, '0')}" if rest else whole


def share(fraction: Decimal) -> str:
    """A fraction as percent: 80%."""
    percent = (fraction * 100).normalize()
    return f"{percent:f}%"


def span(time: timedelta | float) -> str:
    """A stretch of time in the unit that reads best."""
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def moment(at: datetime | str | None) -> str:
    """An instant to the second, as UTC."""
    if at is None:
        return NOTHING
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def time_of_day(at: datetime | str | None) -> str:
    """Hours, minutes and seconds of an instant, as UTC; the heading says that."""
    if at is None:
        return NOTHING
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return at.astimezone(UTC).strftime("%H:%M:%S")


def count(number_: int, noun: str) -> str:
    """A number with its noun: 1 order, 2 orders, no orders, 3 processes."""
    many = "es" if noun.endswith("s") else "s"
    return f"{number_ or 'no'} {noun}{'' if number_ == 1 else many}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Aligned lines; ``right`` holds one letter per column, ``r`` where figures stand to the right."""
    lines = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    sides = right.ljust(len(headings), "l")
    return ["  ".join(_cell(*part) for part in zip(line, widths, sides, strict=True)).rstrip() for line in lines]


def _cell(text: str, width: int, side: str) -> str:
    return text.rjust(width) if side == "r" else text.ljust(width)


def fact_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Facts of the journal, one a line."""
    for event in events:
        subject = event["cl_ord_id"] or event["cycle_id"] or ""
        data = json.dumps(event["data"], ensure_ascii=False)
        said = data if len(data) <= 120 else f"{data[:119]}…"
        yield f"{event['seq']:>6}  {moment(event['at'])}  {event['kind']:<22} {subject:<26} {said}"
