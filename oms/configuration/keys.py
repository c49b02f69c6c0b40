"""The keys that exist, and the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache

from pydantic.fields import FieldInfo

from oms.configuration.schema import Config
from oms.configuration.section import Section

Path = tuple[str, ...]


def _walk(section: type[Section], path: Path) -> Iterator[tuple[Path, FieldInfo, type[Section] | None]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        inner = kind if isinstance(kind, type) and issubclass(kind, Section) else None
        yield (*path, name), field, inner
        if inner:
            yield from _walk(inner, (*path, name))


@cache
def leaves() -> dict[Path, FieldInfo]:
    """Every key that holds a value, in the order of config.yaml."""
    return {path: field for path, field, inner in _walk(Config, ()) if inner is None}


@cache
def sections() -> frozenset[Path]:
    """Every key that holds further keys."""
    return frozenset(path for path, _, inner in _walk(Config, ()) if inner is not None)


def nearest(path: Path) -> Path | None:
    """The known key that an unknown one most resembles.

    First among its neighbours, then a key of the same name elsewhere, then anything alike; None where nothing is alike.
    """
    known = [*leaves(), *sections()]
    neighbours = [key[-1] for key in known if key[:-1] == path[:-1]]
    name = path[-1].lower().replace("-", "_")
    if close := difflib.get_close_matches(name, neighbours, n=1, cutoff=0.7):
        return (*path[:-1], close[0])
    if same := [key for key in known if key[-1] == name]:
        return same[0]
    if close := difflib.get_close_matches(name, neighbours, n=1, cutoff=0.5):
        return (*path[:-1], close[0])
    alike = {".".join(key): key for key in known}
    close = difflib.get_close_matches(".".join(path).lower(), list(alike), n=1, cutoff=0.7)
    return alike[close[0]] if close else None


def neighbours(path: Path) -> list[str]:
    """The names that may stand where an unknown key stands."""
    return [key[-1] for key in [*leaves(), *sections()] if key[:-1] == path[:-1]]
