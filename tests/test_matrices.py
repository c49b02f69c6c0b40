"""Each thing that can go wrong has a test that makes it go wrong: docs/matrices.md names them, and this reads it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from oms.crashpoints import POINTS

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs" / "matrices.md"
ROWS = re.compile(r"^\| ([A-Z])([0-9]{2})(?:–[A-Z]([0-9]{2}))? \|(.*)\|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
WHOLE = {"B": 40, "P": 47, "F": 14, "I": 11}
"""Rows of each table: those of the broker, of deaths, of what else befalls a process, and of bad input."""


def rows() -> dict[tuple[str, int], str]:
    """Every row by its letter and number; a row may stand for several that follow each other."""
    found: dict[tuple[str, int], str] = {}
    for letter, first, last, text in ROWS.findall(DOCS.read_text("utf-8")):
        for number in range(int(first), int(last or first) + 1):
            assert (letter, number) not in found, f"{letter}{number:02} stands twice"
            found[letter, number] = text
    return found


def names_in(path: Path) -> set[str]:
    """Names of the tests in a file, those of its classes among them."""
    found = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_no_row_is_missing() -> None:
    """Every row of the four tables is there, and none besides."""
    assert set(rows()) == {(letter, number) for letter, last in WHOLE.items() for number in range(1, last + 1)}


def test_each_row_names_a_test_that_exists() -> None:
    """A test that is renamed or taken out leaves no row without one."""
    known: dict[str, set[str]] = {}
    for (letter, number), text in rows().items():
        named = NAMED.findall(text)
        assert named, f"{letter}{number:02} names no test"
        for file, test in named:
            if file not in known:
                known[file] = names_in(TESTS / file)
            assert test in known[file], f"{letter}{number:02}: there is no {file}::{test}"


def test_each_crash_point_stands_in_a_row() -> None:
    """A new boundary is not forgotten in the table of deaths."""
    deaths = " ".join(text for (letter, _), text in rows().items() if letter == "P")
    assert sorted(set(POINTS) - set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", deaths))) == []


def test_nothing_of_the_program_forks() -> None:
    """No connection to a journal can be used by a parent and its child: processes are started afresh, never forked."""
    for path in sorted((TESTS.parent / "oms").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not words & {"fork", "forkpty", "register_at_fork"}, path
        named = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not named & {"fork", "forkserver"}, path
