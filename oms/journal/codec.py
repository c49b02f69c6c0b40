"""Events to canonical JSON and back: the same fact always has the same bytes, and the bytes give the same fact.

Decimals are plain text with the digits they had, instants are RFC 3339 UTC with microseconds, enums stand by value.
A field is left out only where it holds its default *and* that default is empty (None, False, 0, "" or ()), so a
default that says something is always written and may change later without changing the past. ``cycle_id``,
``cl_ord_id`` and ``symbol`` are columns of their own and not repeated in the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from oms.errors import DamagedError
from oms.model.event import Event
from oms.model.foreign import printable
from oms.model.kinds import KINDS

COLUMNS = ("cycle_id", "cl_ord_id", "symbol")
"""Fields of an event that the journal keeps as columns."""

MAX_TEXT = 8_000_000
"""Characters of one fact's text; a larger one is refused rather than stored."""

Coder = Callable[[Any], Any]
_NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class Encoded:
    """One fact as the journal stores it, without its place in the chain."""

    kind: str
    cycle_id: str | None
    cl_ord_id: str | None
    symbol: str | None
    data: str


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    encode: Coder
    decode: Coder
    default: Any
    """What a missing field means; ``_NOTHING`` where it must be there."""
    omitted: Any
    """The value that is not written; ``_NOTHING`` where every value is."""


@dataclass(frozen=True, slots=True)
class _Plan:
    cls: type[Any]
    data: tuple[_Field, ...]
    names: frozenset[str]
    columns: tuple[_Field, ...]


def encode(event: Event) -> Encoded:
    """The stored form of a fact.

    Raises:
        ValueError: a field holds what the journal cannot keep exactly: a float, NaN, an infinity, a naive instant.
    """
    plan = _plan(type(event))
    try:
        data = _TEXT(_encode_fields(plan, event))
        columns = {f.name: f.encode(getattr(event, f.name)) for f in plan.columns}
    except ValueError as error:
        raise ValueError(f"{event.kind} cannot be journaled: {error}") from error
    if len(data) > MAX_TEXT:
        raise ValueError(f"{event.kind} cannot be journaled: its text has {len(data):,} characters")
    return Encoded(
        kind=event.kind,
        cycle_id=columns.get("cycle_id"),
        cl_ord_id=columns.get("cl_ord_id"),
        symbol=columns.get("symbol"),
        data=data,
    )


def decode(kind: str, data: str, cycle_id: str | None, cl_ord_id: str | None, symbol: str | None) -> Event:
    """The fact that a stored row holds.

    Raises:
        DamagedError: the kind or a field is not known to this release, or the text is not what ``encode`` writes.
    """
    cls = KINDS.get(kind)
    if cls is None:
        raise DamagedError(f"the journal holds a fact of kind {kind!r}: it was written by a newer program")
    plan = _plan(cls)
    columns = {"cycle_id": cycle_id, "cl_ord_id": cl_ord_id, "symbol": symbol}
    try:
        found, end = _JSON(data)
        if data[end:].strip():
            raise ValueError("something follows its text")
        values = _decode_fields(plan, found)
        for f in plan.columns:
            values[f.name] = f.decode(columns[f.name])
        event: Event = cls(**values)
    except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation, RecursionError) as error:
        raise DamagedError(f"the journal holds a {kind} that cannot be read: {printable(str(error))}") from error
    return event


def _encode_fields(plan: _Plan, value: Any) -> dict[str, Any]:
    found = {}
    for f in plan.data:
        item = getattr(value, f.name)
        if item is None and f.omitted is None:
            continue
        coded = f.encode(item)
        # An encoded value is compared, so that a Decimal 0.00 (text "0.00") keeps its digits.
        if f.omitted is _NOTHING or coded != f.omitted or type(coded) is not type(f.omitted):
            found[f.name] = coded
    return found


def _decode_fields(plan: _Plan, found: dict[str, Any]) -> dict[str, Any]:
    values = {}
    known = 0
    for f in plan.data:
        item = found.get(f.name, _NOTHING)
        if item is not _NOTHING:
            values[f.name] = f.decode(item)
            known += 1
        elif f.default is _NOTHING:
            raise ValueError(f"its field {f.name!r} is missing")
        else:
            values[f.name] = f.default
    if known != len(found):
        strange = ", ".join(sorted(set(found) - plan.names))
        raise ValueError(f"this release knows no field {strange}; it was written by a newer program")
    return values


_PLANS: dict[type[Any], _Plan] = {}


def _plan(cls: type[Any]) -> _Plan:
    """How one class is written, worked out once from its type hints."""
    known = _PLANS.get(cls)
    if known is not None:
        return known
    hints = get_type_hints(cls)
    is_event = issubclass(cls, Event)
    data: list[_Field] = []
    columns: list[_Field] = []
    for f in fields(cls):
        coder, decoder = _coders(hints[f.name])
        default = _NOTHING if f.default is MISSING else f.default
        empty = default is not _NOTHING and not default
        omitted = coder(default) if empty else _NOTHING
        planned = _Field(f.name, coder, decoder, default, omitted)
        (columns if is_event and f.name in COLUMNS else data).append(planned)
    made = _PLANS[cls] = _Plan(cls, tuple(data), frozenset(f.name for f in data), tuple(columns))
    return made


def _coders(hint: Any) -> tuple[Coder, Coder]:
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return _optional(*_coders(inner[0]))
    if origin is tuple:
        return _tuple(get_args(hint))
    if origin is not None and issubclass(origin, Mapping):
        return _encode_texts, _decode_texts
    if issubclass(hint, Enum):
        return _enum(hint)
    return _nested(hint)


def _optional(encode_inner: Coder, decode_inner: Coder) -> tuple[Coder, Coder]:
    return (
        lambda value: None if value is None else encode_inner(value),
        lambda value: None if value is None else decode_inner(value),
    )


def _tuple(args: tuple[Any, ...]) -> tuple[Coder, Coder]:
    if len(args) == 2 and args[1] is Ellipsis:
        encode_item, decode_item = _coders(args[0])
        return (
            lambda value: [encode_item(item) for item in value],
            lambda value: tuple([decode_item(item) for item in _listed(value)]),
        )
    coders = [_coders(arg) for arg in args]
    return (
        lambda value: [enc(item) for (enc, _), item in zip(coders, value, strict=True)],
        lambda value: tuple(dec(item) for (_, dec), item in zip(coders, _listed(value), strict=True)),
    )


def _enum(cls: type[Enum]) -> tuple[Coder, Coder]:
    members = {member.value: member for member in cls}

    def encode_member(value: Any) -> Any:
        if type(value) is not cls:
            raise ValueError(f"{value!r} is not a {cls.__name__}")
        return value._value_

    def decode_member(value: Any) -> Enum:
        if value not in members:
            raise ValueError(f"this release knows no {cls.__name__} {value!r}")
        return members[value]

    return encode_member, decode_member


def _nested(cls: type[Any]) -> tuple[Coder, Coder]:
    def encode_value(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            raise ValueError(f"{value!r} is not a {cls.__name__}")
        return _encode_fields(_plan(cls), value)

    return encode_value, lambda value: cls(**_decode_fields(_plan(cls), value))


def _listed(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"{value!r} is not a list")
    return value


def _encode_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")  # noqa: TRY004  # one error for every bad value
    return value


def _encode_integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _encode_truth(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _encode_decimal(value: Any) -> str:
    if type(value) is not Decimal:
        raise ValueError(f"{value!r} is not an exact Decimal")
    if not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return format(value, "f")


def _decode_decimal(value: Any) -> Decimal:
    if type(value) is not str:
        raise ValueError(f"{value!r} is not a decimal number in quotes")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return number


def _encode_instant(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{value!r} is not an instant with a time zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _decode_instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is not UTC:
        raise ValueError(f"{value!r} is not an instant in UTC")
    return instant


def _encode_day(value: Any) -> str:
    if type(value) is not date:
        raise ValueError(f"{value!r} is not a day")
    return value.isoformat()


def _encode_texts(value: Any) -> dict[str, str] | None:
    return {_encode_text(key): _encode_text(item) for key, item in value.items()}


def _decode_texts(value: Any) -> dict[str, str]:
    return {_encode_text(key): _encode_text(item) for key, item in value.items()}


# Pure ASCII, so that no text a broker may send (a lone surrogate, a NUL) can be impossible to store.
_TEXT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode

_JSON = json.JSONDecoder().raw_decode
"""Without the looks at blanks around a text, of which a canonical one has none."""

_SCALARS: dict[Any, tuple[Coder, Coder]] = {
    str: (_encode_text, _encode_text),
    int: (_encode_integer, _encode_integer),
    bool: (_encode_truth, _encode_truth),
    Decimal: (_encode_decimal, _decode_decimal),
    datetime: (_encode_instant, _decode_instant),
    date: (_encode_day, date.fromisoformat),
}
