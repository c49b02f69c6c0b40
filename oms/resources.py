"""The files that come with the program: at the top level of a checkout, or in ``oms/_data`` of a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _resource(name: str) -> Path:
    """The place of a file or folder that comes with the program."""
    in_wheel = _PACKAGE / "_data" / name
    return in_wheel if in_wheel.exists() else _PACKAGE.parent / name


def migrations_dir() -> Path:
    """The folder of the database's migrations."""
    return _resource("migrations")


def default_config_text() -> str:
    """The config.yaml that a new project starts from."""
    return _resource("config.yaml").read_text("utf-8")


def default_universe_text() -> str:
    """The symbols to choose from, one a line."""
    return _resource("universe.txt").read_text("utf-8")
