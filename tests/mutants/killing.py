"""Runs tests against mutants of the modules in which a slip would cost money or truth.

As a program: ``python tests/mutants/killing.py [MODULE …] [--tests PATH …]`` prints every survivor that is not explained in
``equivalent.txt``, and a line of figures for each module.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []

from tests.mutants.mutating import Mutant, mutants  # noqa: E402 - as a program, the path comes first
from tests.mutants.targets import TARGETS  # noqa: E402 - as above

EQUIVALENT = Path(__file__).with_name("equivalent.txt")
"""Mutants that no test can tell from the module, each with its reason."""
WARM = (
    "pytest",
    "hypothesis",
    "sqlalchemy",
    "alembic.command",
    "pydantic",
    "transitions",
    "structlog",
    "click",
    "rich",
)
"""Foreign packages that are imported once, before anything is forked."""


@dataclass(slots=True)
class Score:
    """What became of one module's mutants."""

    module: str
    made: int = 0
    killed: int = 0
    survivors: list[tuple[int, str]] = field(default_factory=list)
    """Line and name of each."""
    tests: int = 0
    seconds: float = 0.0
    failing: list[str] = field(default_factory=list)
    """Tests that fail without any mutant: as long as there are some, nothing is tried."""
    killers: dict[str, int] = field(default_factory=dict)


class InPlaceOf(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant under the name of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return spec_from_loader(name, self) if name == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._mutant.code, module.__dict__)


def equivalents() -> dict[str, str]:
    """Name of a mutant to the reason why it cannot matter."""
    lines = [line for line in EQUIVALENT.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(zip(lines[::2], lines[1::2], strict=True))


def score(module: str, tests: Sequence[str], told: Callable[[str], None] = lambda _: None, only: str = "") -> Score:
    """Try every mutant of a module that has ``only`` in its name; this process must not have imported it yet."""
    began, found = time.monotonic(), Score(module=module)
    all_of_them = [mutant for mutant in mutants(module) if only in mutant.name]
    found.made = len(all_of_them)
    known: dict[str, Any] = {}
    later: list[int] = []
    for line in _in_a_fork(lambda tell: _try_swapped(all_of_them, tests, tell)):
        if "known" in line:
            known, found.tests = line["known"], len(line["known"])
        elif "failing" in line:
            found.failing = line["failing"]
        elif "later" in line:
            later.append(line["later"])
        else:
            _count(found, all_of_them[line["mutant"]], line["killer"])
            told(f"{module} {found.killed + len(found.survivors)}/{found.made}")
    for number in later if not found.failing else ():
        mutant = all_of_them[number]
        answers = list(_in_a_fork(lambda tell, mutant=mutant: _try_imported(mutant, tests, known, tell)))  # type: ignore[misc]
        _count(found, mutant, answers[-1]["killer"] if answers else "its import")
        told(f"{module} {found.killed + len(found.survivors)}/{found.made}")
    found.survivors.sort()
    if not found.failing and not found.tests:
        found.failing = [f"no test at all in {' '.join(tests)}"]
    if not found.failing:
        assert found.killed + len(found.survivors) == found.made, f"{module}: the bench broke down"
    found.seconds = time.monotonic() - began
    return found


def _count(found: Score, mutant: Mutant, killer: str | None) -> None:
    if killer is None:
        found.survivors.append((mutant.line, mutant.name))
    else:
        found.killed += 1
        found.killers[killer] = found.killers.get(killer, 0) + 1


Tell = Callable[[dict[str, Any]], None]


def _try_swapped(all_of_them: Sequence[Mutant], tests: Sequence[str], tell: Tell) -> None:
    """Those mutants whose code can be put into the living module; the others are named."""
    from tests.mutants.bench import Bench

    def work(bench: Bench) -> None:
        bench.measure()
        if bench.failing:
            tell({"failing": bench.failing})
            return
        for number, mutant in enumerate(all_of_them):
            codes = bench.swappable(mutant)
            if codes is None:
                tell({"later": number})
                continue
            killer = bench.killer(codes, bench.order(mutant))
            if killer is not None:
                bench.known[killer].kills += 1
            tell({"mutant": number, "killer": killer})
        tell({"known": {test: [bool(each.lines), each.worth] for test, each in bench.known.items()}})

    _pytest(tests, Bench(module=all_of_them[0].module, work=work))


def _try_imported(mutant: Mutant, tests: Sequence[str], known: dict[str, Any], tell: Tell) -> None:
    """One mutant imported in the module's place, against every test: any may rest on what an import makes."""
    from tests.mutants.bench import Bench

    sys.meta_path.insert(0, InPlaceOf(mutant))
    order = sorted(known, key=lambda test: (not known[test][0], -known[test][1]))

    def work(bench: Bench) -> None:
        here = {item.nodeid for item in bench.items}
        missing = [test for test in order if test not in here]  # a test made from a list of the module's, say
        tell({"killer": missing[0] if missing else bench.killer((), order)})

    _pytest(tests, Bench(module=mutant.module, work=work))


def _pytest(tests: Sequence[str], bench: object) -> None:
    import hypothesis
    import pytest

    # The same examples every time, and none of them made smaller: that it fails is all we ask.
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutants")
    options = ["-q", "--assert=plain", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "timeout=0"]
    pytest.main([*options, "--rootdir", str(ROOT), *tests], plugins=[bench])


def _in_a_fork(work: Callable[[Tell], None]) -> Iterator[dict[str, Any]]:
    """What a fork of this process tells while it works."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if not os.environ.get("MUTANTS_LOUD"):
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        with contextlib.suppress(BaseException):  # what went wrong shows as an answer that is missing
            work(lambda line: _write(writing, line))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            yield json.loads(line)
    os.waitpid(pid, 0)


def _write(to: int, line: dict[str, Any]) -> None:
    text = json.dumps(line).encode() + b"\n"
    while text:
        text = text[os.write(to, text) :]


def show(text: str) -> None:
    """How far it is, for a person who waits."""
    if sys.stderr.isatty():
        print(f"\r{text} ", end="", file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """Print what survives; 1 where something does that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TARGETS), metavar="MODULE")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="instead of the module's own")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants with this in their name")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each module")
    parser.add_argument("--killers", action="store_true", help="which tests found most")
    asked = parser.parse_args(arguments)
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    known, unexplained = equivalents(), 0
    for module in asked.modules:
        found = score(module, asked.tests or TARGETS[module], show, asked.only)
        new = [(line, name) for line, name in found.survivors if name not in known]
        unexplained += len(new) + len(found.failing)
        if asked.json:
            print(json.dumps(asdict(found)), flush=True)
            continue
        for test in found.failing:
            print(f"{module}: fails without any mutant: {test}")
        for line, name in new:
            print(f"{line}: {name}")
        if asked.killers:
            for test, count in sorted(found.killers.items(), key=lambda each: -each[1]):
                print(f"  {count:4} {test}")
        print(
            f"{module}: {found.made} mutants, {found.killed} killed, {len(found.survivors) - len(new)} explained, "
            f"{len(new)} unexplained; {found.tests} tests, {found.seconds:.0f} s",
            flush=True,
        )
    return 1 if unexplained else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
