"""``test``: the checks that every change must pass, those that fail fastest first, and the types beside the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import click

from oms import bootstrap
from oms.cli import options
from oms.errors import UsageError

EXAMPLES, A_NIGHT = "OF_A_NIGHT", "100000"
"""The variable that tells the tests of hostile input how many examples to try, and how many that are at night."""

LONGEST_S = 3_600
"""After so long a test of the night hangs, unless its own mark gives it more."""


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
    # The tools keep what they found beside the code anyhow, and some hundred starts would each compile it anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    *quick, types, suite = checks(nightly, pytest_arguments)
    failed = [heading for heading, command in quick if not passes(heading, command, root)]
    beside = Beside(*types, root)
    if pytest_arguments:  # a part is over so soon that the types would come after its closing line
        beside.wait()
    passed = passes(*suite, root)
    sys.exit(1 if failed or not beside.wait() or not passed else 0)


def checks(nightly: bool, pytest_arguments: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Each check's heading and command; pytest comes last, so that its closing line closes the output."""
    python = [sys.executable, "-m"]
    suite = [*python, "pytest", f"--numprocesses={workers()}", "--dist=worksteal"]
    if nightly:
        suite += ["-m", "nightly or not nightly", f"--timeout={LONGEST_S}"]
    return [
        ("ruff check", [*python, "ruff", "check", "--quiet"]),
        ("ruff format --check", [*python, "ruff", "format", "--check", "--quiet"]),
        ("mypy --strict", [*python, "mypy", "--strict"]),
        ("pytest", [*suite, *pytest_arguments]),
    ]


def workers() -> int:
    """Half as many again as there are cores: a good part of the tests wait, for other processes and for the clock."""
    given = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given.isdecimal() else (3 * cores + 1) // 2


class Beside:
    """A check that runs while another one does, and is heard of when it is over: at once, also in the middle of that one."""

    def __init__(self, heading: str, command: list[str], root: Path) -> None:
        self._heading = heading
        self._process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._told = threading.Thread(target=self._tell, daemon=True)
        self._told.start()

    def _tell(self) -> None:
        said, _ = self._process.communicate()
        verdict = f"{self._heading}: failed\n" if self._process.returncode else ""
        click.echo(f"\n── {self._heading} ".ljust(101, "─") + f"\n{said}{verdict}", nl=False)

    def wait(self) -> bool:
        """Whether it passed, once that is known and said."""
        self._told.join()
        return self._process.returncode == 0


def passes(heading: str, command: list[str], root: Path) -> bool:
    """Run one check under its heading, and say at once where it failed."""
    click.echo(f"── {heading} ".ljust(100, "─"))
    code = subprocess.run(command, cwd=root, check=False).returncode
    if code and heading != "pytest":
        click.echo(f"{heading}: failed")
    return code == 0
