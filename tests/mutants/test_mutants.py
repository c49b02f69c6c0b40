"""Every slip of the hand in the rules about money, orders and truth is seen by a test, or could not matter."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.mutants.killing import TARGETS, score, survives
from tests.mutants.mutating import Mutant, mutants

EQUIVALENT = Path(__file__).with_name("equivalent.txt")
"""Mutants that no test can tell from the module, each with its reason."""


def equivalents() -> dict[str, str]:
    """Name of a mutant to the reason why it cannot matter."""
    lines = [line for line in EQUIVALENT.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(zip(lines[::2], lines[1::2], strict=True))


@pytest.mark.nightly
@pytest.mark.timeout(10_800)
@pytest.mark.skipif(sys.platform == "win32", reason="each mutant lives in a fork of this process")
@pytest.mark.parametrize("module", TARGETS)
def test_every_mutant_is_killed_or_explained(module: str) -> None:
    """What survives its tests stands in the list of those that cannot matter."""
    found = score(module, TARGETS[module])
    print(f"{module}: {found.made} mutants, {len(found.survivors)} survive")
    assert [f"{each.line}: {each.name}" for each in found.survivors if each.name not in equivalents()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="each mutant lives in a fork of this process")
def test_a_mutant_is_killed_and_the_module_itself_is_not() -> None:
    """The tests of the chain pass on the chain and fail on one that hashes something else."""
    module, tests = "oms.journal.chain", TARGETS["oms.journal.chain"]
    wrong = next(each for each in mutants(module) if each.function == "link")
    assert survives(None, tests)
    assert not survives(wrong, tests)


def test_each_mutant_is_another_program() -> None:
    """A mutant that says what the module says would survive for ever."""
    for module in TARGETS:
        made = list(mutants(module))
        original = ast.unparse(ast.parse((Path(__file__).parents[2] / f"{module.replace('.', '/')}.py").read_text()))
        assert len(made) > 20
        assert original not in {each.source for each in made}


def test_each_explained_mutant_still_exists() -> None:
    """An explanation goes when what it explains goes."""
    existing = {each.name for module in TARGETS for each in mutants(module)}
    assert set(equivalents()) - existing == set()
    assert all(reason.startswith("  ") for reason in equivalents().values())


def test_a_function_is_named_by_what_is_around_it() -> None:
    """A survivor is found by its name even after lines have moved."""
    found: Mutant = next(iter(mutants("oms.journal.chain")))
    assert found.name.startswith("oms.journal.chain.genesis: ")
