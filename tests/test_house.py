"""Checks the habits of the house: short modules that open with a sentence, tests that are sentences, declared packages."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "oms").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

# Packages whose import has another name than the package. pydantic_core is one half of pydantic, pinned by the other, and
# starlette is what fastapi is made of and hands on under its own name.
PACKAGE_OF = {"ruamel": "ruamel-yaml", "pydantic_core": "pydantic", "starlette": "fastapi"}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_module_opens_with_a_sentence_and_fits_in_one_head(path: Path) -> None:
    """Each module says first what it is for, and has at most 500 lines."""
    text = path.read_text("utf-8")
    sentence = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0]
    assert " " in sentence, "the module's docstring must open with a sentence"
    assert len(text.splitlines()) <= 500


@pytest.mark.parametrize("path", TESTS, ids=short)
def test_every_test_says_what_is_true_when_it_passes(path: Path) -> None:
    """Each test has a docstring."""
    functions = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)]
    silent = [each.name for each in functions if each.name.startswith("test_") and not ast.get_docstring(each)]
    assert not silent


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {re.split(r"[\[<>=;~! ]", line)[0].lower().replace(".", "-").replace("_", "-") for line in lines}


def test_every_package_that_is_imported_is_declared() -> None:
    """No import of ours relies on a package that is here only because another one needs it."""
    imported = {
        name.partition(".")[0]
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    foreign = imported - set(sys.stdlib_module_names) - {"oms"}
    assert {PACKAGE_OF.get(name, name.replace("_", "-")) for name in foreign} <= declared()
