"""Every slip of the hand in the rules about money, orders and truth is seen by a test, or could not matter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import swapping
from tests.mutants.killing import equivalents
from tests.mutants.mutating import Mutant, mutants, names, original, path_of
from tests.mutants.targets import TARGETS

PROGRAM = Path(__file__).with_name("killing.py")
CHAIN = "oms.journal.chain"


def scored(module: str, *options: str) -> dict[str, Any]:
    """What the program finds, in an interpreter of its own: this one has imported the modules already."""
    command = [sys.executable, str(PROGRAM), "--json", module, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.nightly
@pytest.mark.timeout(10_800)
@pytest.mark.skipif(sys.platform == "win32", reason="each mutant lives in a fork of a process")
@pytest.mark.parametrize("module", TARGETS)
def test_every_mutant_is_killed_or_explained(module: str) -> None:
    """What survives its tests stands in the list of those that cannot matter."""
    found = scored(module)
    print(f"{module}: {found['made']} mutants, {found['killed']} killed, {found['seconds']:.0f} s")
    assert found["failing"] == []
    assert [f"{line}: {name}" for line, name in found["survivors"] if name not in equivalents()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="each mutant lives in a fork of a process")
def test_each_mutant_of_the_chain_is_killed_or_explained() -> None:
    """The smallest module of them all shows at every change that the bench works."""
    found = scored(CHAIN)
    assert found["killed"] > 20
    assert {name for _, name in found["survivors"]} == {name for name in equivalents() if name.startswith(CHAIN)}


@pytest.mark.skipif(sys.platform == "win32", reason="each mutant lives in a fork of a process")
def test_tests_that_see_nothing_kill_nothing(tmp_path: Path) -> None:
    """Mutants survive a test that touches every line and looks at nothing; only a crash is seen by it."""
    blind = tmp_path / "test_blind.py"
    blind.write_text(
        "from oms.journal import chain\n\n"
        "def test_blind():\n"
        "    row = (1, 1, 'c', 1, None, 'X', 'k', '{}')\n"
        "    chain.walk('a', [(row, chain.link(chain.genesis('a'), 'a', row))])\n"
    )
    found = scored(CHAIN, "--tests", str(blind))
    assert found["failing"] == []
    assert len(found["survivors"]) > found["killed"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="each mutant lives in a fork of a process")
def test_a_test_that_fails_without_a_mutant_is_named(tmp_path: Path) -> None:
    """A failing test would kill everything; nothing is tried before it is mended."""
    torn = tmp_path / "test_torn.py"
    torn.write_text("def test_torn():\n    raise AssertionError\n")
    found = scored(CHAIN, "--tests", str(torn))
    assert [test.rpartition("::")[2] for test in found["failing"]] == ["test_torn"]
    assert (found["killed"], found["survivors"]) == (0, [])


@pytest.mark.parametrize(
    "module", [pytest.param(each, marks=[] if each == CHAIN else pytest.mark.nightly) for each in TARGETS]
)
def test_each_mutant_is_another_program(module: str) -> None:
    """A mutant that says what the module says would survive for ever."""
    itself, made = ast.unparse(ast.parse(path_of(module).read_text("utf-8"))), list(mutants(module))
    assert len(made) > 10
    assert [each.name for each in made if each.source == itself] == []
    assert [each.name for each in made] == list(names(module))


def test_a_mutant_differs_in_one_function_or_must_be_imported() -> None:
    """Most can be put into the living module; what an import makes is told apart from what a call does."""
    chain = original(CHAIN)
    assert swapping.differing(chain, original(CHAIN)) == []
    for each in mutants(CHAIN):
        codes = swapping.differing(chain, each.code)
        is_default = each.text.startswith("def ")
        assert (codes is None) == is_default
        assert codes is None or [code.co_qualname for code in codes] == [each.function]


def test_each_explained_mutant_still_exists() -> None:
    """An explanation goes when what it explains goes."""
    existing = {name for module in TARGETS for name in names(module)}
    assert set(equivalents()) - existing == set()
    assert all(reason.startswith("  ") for reason in equivalents().values())


def test_a_survivor_is_named_by_its_function_and_its_line() -> None:
    """It is found by its name even after lines have moved, and two alike in one function are told apart."""
    found: Mutant = next(iter(mutants(CHAIN)))
    assert found.name.startswith(f"{CHAIN} genesis | return sha256(")
