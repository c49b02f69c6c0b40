"""Settings from the environment: ``OMS_JOURNAL__URL`` is the key ``journal.url``.

A variable that looks like a setting but is none is an error, because a limit that silently does not hold is worse than
a program that does not start.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from oms.configuration.document import parse_document
from oms.configuration.keys import Path, leaves, nearest, sections
from oms.configuration.problems import Place, Problem
from oms.errors import UsageError
from oms.model.foreign import printable

PREFIX = "OMS_"
RESERVED = {
    "OMS_NO_SETUP": "refuse to install packages",
    "OMS_CRASH_AT": "end the process at a named point, for tests",
    "OMS_DEBUG": "show the traceback of a failure",
}
"""Variables of this program that are no settings; besides these, every name that begins with OMS_TEST_."""
RESERVED_PREFIX = "OMS_TEST_"
_COLLECTIONS = (("risk", "blacklist"), ("notify",), ("broker", "paper", "positions"))


def from_environment(env: Mapping[str, str]) -> tuple[dict[Path, tuple[Any, Place]], list[Problem]]:
    """The settings that the environment gives, each with its variable as its place, and what is wrong with the rest."""
    known = {variable(path): path for path in leaves()}
    values: dict[Path, tuple[Any, Place]] = {}
    problems: list[Problem] = []
    for name in sorted(name for name in env if name.startswith(PREFIX)):
        place = Place(source=f"environment {printable(name)[:100]}")
        if path := known.get(name):
            try:
                values[path] = (_value(path, env[name], place.source), place)
            except UsageError as error:
                problems.append(Problem(place=place, key=".".join(path), sentence=str(error).splitlines()[-1].strip()))
        elif sentence := _unknown(name):
            problems.append(Problem(place=place, key="", sentence=sentence))
    return values, problems


def variable(path: Path) -> str:
    """The environment variable of a key."""
    return PREFIX + "__".join(path).upper()


def _value(path: Path, text: str, source: str) -> Any:
    """Text as it stands, the word null for nothing; lists and mappings as YAML, lists also with commas only."""
    if text == "null":
        return None
    if path not in _COLLECTIONS:
        return text
    if text.startswith(("[", "{")):
        document = parse_document(text, source)
        if document.problems:
            raise UsageError("; ".join(problem.sentence for problem in document.problems))
        return document.root
    return [item.strip() for item in text.split(",")] if text else text


def _unknown(name: str) -> str | None:
    """Why a variable that begins with OMS_ is refused; None where it is not about the configuration."""
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        return None
    path = tuple(part.lower() for part in name.removeprefix(PREFIX).split("__"))
    if path in sections():
        inside = next(leaf for leaf in leaves() if leaf[: len(path)] == path)
        return f"a whole section; expected a variable for one of its keys, such as {variable(inside)}"
    if len(path) == 1:
        single = [variable(leaf) for leaf in leaves() if len(leaf) == 1]
        close = difflib.get_close_matches(name, [*single, *RESERVED], n=1, cutoff=0.85)
        return f"not a setting; did you mean {close[0]}?" if close else None
    meant = nearest(path)
    return (
        f"not a setting; did you mean {variable(meant)}?"
        if meant in leaves() and meant
        else ("not a setting; `config show` lists all keys")
    )
