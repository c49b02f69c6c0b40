"""The stair for choosing: a configuration in; its universe, its screen or the user's own strategy out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from oms.config import Config, LoadedConfig
from oms.engine.choosing import Chooser
from oms.engine.selection import SelectionRules
from oms.errors import UsageError
from oms.inputfile import decode, read_bytes
from oms.model.foreign import printable, shown
from oms.model.symbol import canonical_symbol
from oms.ports import Strategy
from oms.resources import default_universe_text

MOST_BYTES = 2_000_000
"""Of a list of symbols: every share of the world has room in it."""
MOST_PROBLEMS = 20
"""Bad lines that are named one by one."""
GROUP = "oms.strategies"
"""Entry points of this group are strategies by their names."""


def chooser_of(loaded: LoadedConfig) -> Chooser:
    """How this configuration chooses.

    Raises:
        UsageError: the universe cannot be read, or the strategy cannot be found.
    """
    name = loaded.config.selection.strategy or ""
    return Chooser(
        universe_of(loaded),
        selection_rules_of(loaded.config),
        loaded.hash,
        strategy=strategy_of(loaded),
        name=name,
    )


def selection_rules_of(config: Config) -> SelectionRules:
    """What a configuration means to the screen."""
    chosen = config.selection
    return SelectionRules(
        top=chosen.top, min_score=chosen.min_score, sell_below=chosen.sell_below, min_history=chosen.min_history
    )


def strategy_of(loaded: LoadedConfig) -> Strategy | None:
    """The user's own strategy: ``module:function``, looked for beside the configuration too, or an entry point's name.

    None where the configuration names none: then the built-in screen chooses.

    Raises:
        UsageError: there is no such strategy, it cannot be imported, or it cannot be called.
    """
    name = loaded.config.selection.strategy
    if name is None:
        return None
    found = _by_path(name, loaded.base) if ":" in name else _by_entry_point(name)
    if not callable(found):
        raise UsageError(f"selection.strategy: {name} is {shown(found)}; expected a function")
    strategy: Strategy = found
    return strategy


def _by_path(name: str, base: Path) -> Any:
    module, _, attribute = name.partition(":")
    return _loading(name, lambda: getattr(_imported(module, base), attribute))


def _imported(module: str, base: Path) -> Any:
    place = str(base.absolute())
    if place not in sys.path:
        sys.path.append(place)  # last: a file beside the configuration must not stand for an installed package
    return import_module(module)


def _by_entry_point(name: str) -> Any:
    known = entry_points(group=GROUP)
    found = [point for point in known if point.name == name]
    if not found:
        names = ", ".join(sorted({point.name for point in known})) or "there is none"
        raise UsageError(
            f"selection.strategy: no installed package offers {shown(name)} (entry points of {GROUP}: {names}); "
            "expected one of them, or module:function"
        )
    return _loading(name, found[0].load)


def _loading(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # whatever a user's module does when it is imported
        raise UsageError(f"selection.strategy: {name} cannot be loaded: {type(error).__name__}: {error}") from error


def universe_of(loaded: LoadedConfig) -> tuple[str, ...]:
    """The symbols of ``selection.universe``, or the 118 that ship where the default file is not there.

    Raises:
        UsageError: the file cannot be read, or a line of it is no symbol; each bad line is named.
    """
    path = loaded.resolve(loaded.config.selection.universe)
    if loaded.origins.get("selection.universe", "default") == "default" and not path.exists():
        return _symbols(default_universe_text(), path)
    return read_symbols(path, "selection.universe")


def read_symbols(path: Path, key: str) -> tuple[str, ...]:
    """The symbols of the file that ``key`` names.

    Raises:
        UsageError: as above.
    """
    text = decode(read_bytes(path, MOST_BYTES, f"{key}:"), printable(str(path)))
    return _symbols(text, path)


def _symbols(text: str, path: Path) -> tuple[str, ...]:
    symbols: list[str] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        try:
            symbols += [canonical_symbol(word)] if word else []
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise UsageError(
            "\n".join([*problems[:MOST_PROBLEMS], *([f"and {more:,} more such lines"] if more > 0 else [])])
        )
    if not symbols:
        raise UsageError(f"{path}: no symbol in it; expected one a line")
    return tuple(dict.fromkeys(symbols))
