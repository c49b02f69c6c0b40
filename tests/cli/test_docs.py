"""Checks that the documentation of the command line is what the program itself says."""

from __future__ import annotations

from pathlib import Path

from oms.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_reference_is_up_to_date() -> None:
    """docs/cli.md is what ``python -m oms.cli.reference`` prints: run that again after a change of a command."""
    assert PAGE.read_text("utf-8") == reference()


def test_the_reference_names_every_command() -> None:
    """Each command of the list has its section."""
    from oms import cli

    page = reference()
    missing = [name for name in cli.COMMANDS if f"## oms {name}" not in page]
    assert not missing
