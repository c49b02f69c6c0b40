"""What is wrong with a configuration: every finding with its place, what was found, what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from oms.errors import UsageError
from oms.model.foreign import shown

_SECRET = re.compile(r"-----BEGIN|^[A-Za-z0-9+/=_-]{40,}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands: the name of its source, and line and column from 1 where the source has lines."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding. ``key`` is the dotted path, empty where the whole source is meant."""

    place: Place
    key: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.sentence}" if self.key else f"{self.place}: {self.sentence}"


def found(value: object) -> str:
    """A value as a message may repeat it: short, escaped, and never a secret."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str) and _SECRET.search(value):
        return "text that is not repeated here, since it looks like a secret"
    return shown(value)


def refuse(problems: Iterable[Problem]) -> UsageError:
    """The error that lists every problem, in the order of the file."""
    listed = sorted(set(problems), key=lambda p: (p.place.source, p.place.line, p.place.column, p.key, p.sentence))
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    lines = [f"the configuration has {count}; nothing was done"]
    return UsageError("\n".join([*lines, *(f"  {problem}" for problem in listed)]))
