"""``test``: the checks that every change must pass, in the order in which they fail fastest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from oms import bootstrap
from oms.cli import options
from oms.errors import UsageError

EXAMPLES, A_NIGHT = "OF_A_NIGHT", "100000"
"""The variable that tells the tests of hostile input how many examples to try, and how many that are at night."""


@click.command(context_settings={"ignore_unknown_options": True})
@options.common
@click.option("--nightly", is_flag=True, help="Also run the tests that are too long for every change.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(nightly: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Check style and types, then run the whole test suite.

    What follows is handed to pytest: `test tests/unit -k order` runs a part. The checks of style and types run all the same.
    """
    root = Path(bootstrap.ROOT)
    if not (root / "tests").is_dir():
        raise UsageError("there are no tests here: `test` works in a checkout of the project.")
    if nightly:
        os.environ.setdefault(EXAMPLES, A_NIGHT)
    failed = [heading for heading, command in checks(nightly, pytest_arguments) if not passes(heading, command, root)]
    sys.exit(1 if failed else 0)


def checks(nightly: bool, pytest_arguments: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Each check's heading and command; pytest comes last, so that its closing line closes the output."""
    python = [sys.executable, "-m"]
    suite = [*python, "pytest", "--numprocesses=auto", "--dist=worksteal"]
    if nightly:
        suite += ["-m", "nightly or not nightly"]
    return [
        ("ruff check", [*python, "ruff", "check", "--quiet"]),
        ("ruff format --check", [*python, "ruff", "format", "--check", "--quiet"]),
        ("mypy --strict", [*python, "mypy", "--strict"]),
        ("pytest", [*suite, *pytest_arguments]),
    ]


def passes(heading: str, command: list[str], root: Path) -> bool:
    """Run one check under its heading, and say at once where it failed."""
    click.echo(f"── {heading} ".ljust(100, "─"))
    code = subprocess.run(command, cwd=root, check=False).returncode
    if code and heading != "pytest":
        click.echo(f"{heading}: failed")
    return code == 0
