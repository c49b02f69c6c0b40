"""Runs tests against mutants: each in a process of its own that imports the mutant in place of the module.

As a program: ``python tests/mutants/killing.py [MODULE …]`` prints every survivor, with its line, and the counts.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []

from tests.mutants.mutating import Mutant, mutants  # noqa: E402 - as a program, the path comes first

LONGEST_S = 120
"""Seconds after which a mutant that hangs its tests counts as found."""

TARGETS: dict[str, tuple[str, ...]] = {
    "oms.model.liquidity": ("tests/model/test_liquidity.py",),
    "oms.model.risk": ("tests/model/test_risk.py",),
    "oms.model.order": (
        "tests/model/test_order.py",
        "tests/model/test_state.py",
        "tests/engine/test_reconciliation.py",
    ),
    "oms.model.lifecycle": ("tests/model/test_order.py", "tests/model/test_state.py", "tests/engine/test_doubt.py"),
    "oms.model.cycle": ("tests/model/test_cycle.py", "tests/model/test_state.py"),
    "oms.engine.submission": ("tests/engine/test_submission.py", "tests/engine/test_doubt.py"),
    "oms.engine.doubt": ("tests/engine/test_doubt.py", "tests/engine/test_conductor.py"),
    "oms.engine.reconciliation": ("tests/engine/test_reconciliation.py", "tests/engine/test_late_fills.py"),
    "oms.gateways.tiger.outcomes": ("tests/gateways/test_tiger_parsing.py", "tests/gateways/test_tiger_wire.py"),
    "oms.journal.chain": ("tests/journal/test_chain.py",),
}
"""Where a slip would cost money or truth, and the tests that must see it."""


@dataclass(slots=True)
class Score:
    """What became of one module's mutants."""

    module: str
    made: int = 0
    survivors: list[Mutant] = field(default_factory=list)


class InPlaceOf(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant under the name of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return spec_from_loader(name, self) if name == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.source, f"mutant of {self._mutant.module}", "exec"), module.__dict__)


def survives(mutant: Mutant | None, tests: Sequence[str]) -> bool:
    """Whether all the tests pass although the module is wrong; with None, whether they pass at all."""
    pid = os.fork()
    if pid == 0:
        _be_child(mutant, tests)
    _, state = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(state) == 0


def _be_child(mutant: Mutant | None, tests: Sequence[str]) -> None:
    signal.alarm(LONGEST_S)
    sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the process ends with it
    code = 99
    with contextlib.suppress(BaseException):  # whatever a mutant throws, it was seen
        import pytest

        for name in [name for name in sys.modules if name.partition(".")[0] in ("oms", "tests")]:
            del sys.modules[name]  # what was imported before would hide the mutant
        if mutant is not None:
            sys.meta_path.insert(0, InPlaceOf(mutant))
        options = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
        code = int(pytest.main([*options, *tests]))
    os._exit(code)


def score(module: str, tests: Sequence[str], told: Callable[[Score], None] = lambda _: None, workers: int = 2) -> Score:
    """Let a module's mutants live; ``told`` hears after each how it stands."""
    found = Score(module=module)
    if not survives(None, tests):
        raise AssertionError(f"{module}: its tests fail without any mutant: {' '.join(tests)}")
    all_of_them = list(mutants(module))
    with ThreadPoolExecutor(workers) as pool:
        for mutant, alive in zip(all_of_them, pool.map(lambda each: survives(each, tests), all_of_them), strict=True):
            found.made += 1
            if alive:
                found.survivors.append(mutant)
            told(found)
    return found


def show(found: Score) -> None:
    """How far it is, for a person who waits."""
    if sys.stderr.isatty():
        print(f"\r{found.module} {found.made}", end="", file=sys.stderr)


def main(modules: Sequence[str]) -> None:
    """Print what survives."""
    for module in modules or TARGETS:
        found = score(module, TARGETS[module], show)
        for mutant in found.survivors:
            print(f"{mutant.line}: {mutant.name}")
        print(f"{module}: {found.made} mutants, {len(found.survivors)} survive", flush=True)


if __name__ == "__main__":
    import pytest  # noqa: F401 - imported once, before the children are forked
    import sqlalchemy  # noqa: F401 - as above

    main(sys.argv[1:])
