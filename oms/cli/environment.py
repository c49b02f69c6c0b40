"""``setup``: says which packages are installed, and whether they are the ones that the lock asks for."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from oms import bootstrap
from oms.cli import options
from oms.errors import DamagedError


@dataclass(frozen=True, slots=True)
class Difference:
    """A package that is not what the lock asks for; ``found`` is empty where it is missing."""

    name: str
    wanted: str
    found: str

    def __str__(self) -> str:
        """Say it in the words of the answer."""
        return f"{self.name} {self.wanted} is wanted, {self.found or 'none'} is installed"


@click.command()
@options.common
@options.as_json
@click.option("--repair", is_flag=True, help="Make .venv anew first (with cli.py, from a Python outside of it).")
def setup(json_: bool, repair: bool) -> None:
    """Set up what the program needs, and say what is there."""
    del repair  # cli.py has done it by the time this runs
    lock = Path(bootstrap.ROOT, bootstrap.LOCK)
    found = differences(pins(lock)) if lock.exists() else []
    if json_:
        rows = [{"name": each.name, "wanted": each.wanted, "found": each.found or None} for each in found]
        options.print_json(
            "oms.setup/1", {"python": platform.python_version(), "prefix": sys.prefix, "differences": rows}
        )
    else:
        click.echo(f"Python {platform.python_version()} in {sys.prefix}")
        for difference in found:
            click.echo(str(difference))
        if lock.exists() and not found:
            click.echo(f"all {len(pins(lock))} packages are the ones in {lock.name}")
    if found and bootstrap.inside_venv():
        raise DamagedError(
            f"{len(found)} packages differ from {lock.name}: python3 cli.py setup --repair makes .venv anew."
        )


def pins(lock: Path) -> dict[str, list[str]]:
    """The versions that a lock admits for each package; an empty one means that some systems do without it."""
    wanted: dict[str, list[str]] = {}
    for line in lock.read_text("utf-8").splitlines():
        name, pinned, rest = line.partition("==")
        if pinned and not name.startswith((" ", "#")):
            version_, _, marker = rest.rstrip("\\ ").partition(";")
            wanted.setdefault(name, []).extend([version_.strip(), ""] if marker else [version_.strip()])
    return wanted


def differences(wanted: dict[str, list[str]]) -> list[Difference]:
    """What is missing here, or is there in another version."""
    checked = ((name, versions, installed(name)) for name, versions in wanted.items())
    return [
        Difference(name, " or ".join(filter(None, versions)), found)
        for name, versions, found in checked
        if found not in versions
    ]


def installed(name: str) -> str:
    """The version of a package that is installed here, empty where it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
