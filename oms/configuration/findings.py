"""What pydantic says about a tree of values, in our words and with our places."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from oms.configuration.document import Document, dotted
from oms.configuration.keys import Path, leaves, nearest, neighbours
from oms.configuration.problems import Place, Problem, found
from oms.configuration.scalars import Percent, has_password, write_duration, write_number, write_percent
from oms.model.foreign import shown

_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def problems_of(error: ValidationError, raw: Any, origins: Mapping[Path, Place], document: Document) -> list[Problem]:
    """One problem for each thing that is wrong."""
    problems: list[Problem] = []
    for entry in error.errors(include_url=False):
        if entry["type"] == "keys_disagree":
            problems += [_quarrel(quarrel, raw, origins) for quarrel in entry["ctx"]["quarrels"]]
        else:
            problems.append(_problem(entry, raw, origins, document))
    return problems


def _problem(entry: ErrorDetails, raw: Any, origins: Mapping[Path, Place], document: Document) -> Problem:
    loc = tuple(part for part in entry["loc"] if part != "[key]")
    place = _place(loc, origins, document)
    if entry["type"] == "extra_forbidden":
        return Problem(place=place, key=dotted(loc), sentence=_unknown(tuple(str(part) for part in loc)))
    value = loc[-1] if "[key]" in entry["loc"] else _value(raw, loc)
    sentence = f"found {_found(loc, value)}; expected {_expected(entry, _field(loc))}"
    return Problem(place=place, key=dotted(loc), sentence=sentence)


def _found(loc: tuple[int | str, ...], value: object) -> str:
    if loc == ("journal", "url") and isinstance(value, str) and has_password(value):
        return "a URL with a password, which is not repeated here"
    return found(value)


def _value(raw: Any, loc: tuple[int | str, ...]) -> Any:
    for part in loc:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return raw
    return raw


def _field(loc: tuple[int | str, ...]) -> FieldInfo | None:
    path = tuple(str(part) for part in loc)
    return next((leaves()[path[:n]] for n in range(len(path), 0, -1) if path[:n] in leaves()), None)


def _place(loc: tuple[int | str, ...], origins: Mapping[Path, Place], document: Document) -> Place:
    """The place of a value, or of the nearest thing around it; flags and environment win over the file."""
    path = tuple(str(part) for part in loc)
    for n in range(len(path), 0, -1):
        origin = origins.get(path[:n])
        if origin is not None and not origin.line:
            return origin
    for n in range(len(loc), -1, -1):
        if (place := document.keys.get(loc[:n]) if n == len(loc) and _field(loc) is None else None) is not None:
            return place
        if (place := document.places.get(loc[:n])) is not None:
            return place
    return Place(source="configuration")


def _unknown(path: Path) -> str:
    meant = nearest(path)
    if meant is None:
        return f"no such key; expected one of {', '.join(neighbours(path))}"
    if meant[:-1] == path[:-1]:
        return f"no such key; did you mean {meant[-1]}?"
    return f"no such key here; did you mean {'.'.join(meant)}?"


def _expected(entry: ErrorDetails, field: FieldInfo | None) -> str:
    context: Mapping[str, Any] = entry.get("ctx", {})
    kind = entry["type"]
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        word, name = _BOUNDS[kind]
        # pydantic words a bound in its own way ("1 second"); the schema has the value itself.
        schema = (getattr(item, name) for item in (field.metadata if field else ()) if hasattr(item, name))
        return f"{word} {_bound(next(schema, context[name]), field)}{_about(field)}"
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "")
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return "letters, digits, dot, dash or underscore, at most 40, beginning with a letter or digit"
    return str(entry["msg"])


def _bound(limit: object, field: FieldInfo | None) -> str:
    if isinstance(limit, timedelta):
        return write_duration(limit)
    number = Decimal(str(limit))
    if field is not None and any(item in field.metadata for item in Percent.__metadata__):  # type: ignore[attr-defined]
        return write_percent(number)
    return write_number(number)


def _about(field: FieldInfo | None) -> str:
    return f" ({field.description})" if field is not None and field.description else ""


def _quarrel(quarrel: tuple[str, str, str], raw: Any, origins: Mapping[Path, Place]) -> Problem:
    """Two keys that disagree: the place is that of the one that was set."""
    key, other, expected = quarrel
    path, other_path = tuple(key.split(".")), tuple(other.split("."))
    place = origins.get(path) or origins.get(other_path) or Place(source="configuration")
    value = _value(raw, path) if path in origins else leaves()[path].default
    shown_value = found(value) if path in origins else f"the default {shown(str(value))[1:-1]}"
    return Problem(place=place, key=key, sentence=f"found {shown_value}; expected {expected}")
