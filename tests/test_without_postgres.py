"""A machine with the packages of ``requirements.lock`` alone: what needs no PostgreSQL works, the rest says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITHOUT = "import sys\nfor name in ('psycopg', 'psycopg_pool', 'procrastinate'): sys.modules[name] = None\n"


def ran(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process in which none of the packages for PostgreSQL can be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + program],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_pages_are_served(tmp_path: Path) -> None:
    """The dashboard and every page of it are imported, the fleet's among them."""
    done = ran(tmp_path, "import oms.web.serving, oms.web.application")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["fleet", "status"], ["fleet", "add", "a"], ["fleet", "worker"]])
def test_a_fleet_says_what_it_lacks(tmp_path: Path, words: list[str]) -> None:
    """A sentence and exit code 2, and never that it were a bug."""
    done = ran(tmp_path, f"from oms.cli import main\nmain({words!r})")
    assert done.returncode == 2, done.stderr
    assert "PostgreSQL" in done.stderr
    assert "a bug" not in done.stderr
