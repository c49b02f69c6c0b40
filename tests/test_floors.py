"""Draws the house from the code's own imports, and compares it with the architecture: arrows point down, without circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

GROUND = {"oms", "errors", "crashpoints"}
PEOPLE = {"amounts"}
"""What only the rooms import that write for people."""
SOCKETS = GROUND | {"model", "ports", "inputfile"}
STAIR = SOCKETS | {"resources", "config", "configuration", "places", "journal", "engine", "gateways"}
BELOW_ROOF = STAIR | {
    *(
        "app",
        "choice_wiring",
        "licence",
        "lookout",
        "operator_desk",
        "paper_wiring",
        "probing",
        "service",
        "standing_tasks",
        "tiger_wiring",
    ),
}

# Who may import whom, besides itself. A new room fails the test until it is given its floor here.
MAY_IMPORT = {
    "oms": set(),
    "errors": set(),
    "crashpoints": {"oms", "errors"},
    "resources": {"oms"},
    "amounts": {"oms"},
    "bootstrap": {"cli"},  # late, when all is set up
    "model": GROUND,
    "ports": GROUND | {"model"},
    "inputfile": GROUND | {"model"},
    "journal": SOCKETS | {"resources"},
    "engine": SOCKETS,
    "gateways": SOCKETS,
    "configuration": GROUND | {"model", "resources", "inputfile"},
    "config": GROUND | {"model", "resources", "inputfile", "configuration"},
    "places": GROUND | {"config"},
    "app": STAIR | {"choice_wiring", "licence", "paper_wiring", "standing_tasks", "tiger_wiring"},
    "arming": STAIR | {"licence", "tiger_wiring"},
    "licence": STAIR,
    "paper_wiring": STAIR,
    "tiger_wiring": STAIR | {"licence"},
    "choice_wiring": STAIR,
    "lookout": STAIR | {"app"},
    "standing_tasks": STAIR | {"choice_wiring"},
    "service": SOCKETS | {"config", "places"},
    "examples": SOCKETS,
    "operator_desk": STAIR,
    "doctor": BELOW_ROOF | {"questions"},
    "probing": STAIR | {"choice_wiring", "licence", "operator_desk", "tiger_wiring"},
    "sim": BELOW_ROOF,
    "fleet": BELOW_ROOF,
    "backup": BELOW_ROOF | {"audit"},
    "audit": BELOW_ROOF - {"engine"} | PEOPLE,
    "questions": BELOW_ROOF - {"engine"} | {"audit", "backup", "fleet"},
    "bench": BELOW_ROOF | {"audit", "questions", "sim", "web"},
    "observe": BELOW_ROOF - {"engine"} | {"questions"},
    "web": BELOW_ROOF - {"engine"} | PEOPLE | {"doctor", "observe", "backup", "audit", "questions", "fleet"},
    "cli": BELOW_ROOF - {"engine"}
    | PEOPLE
    | {"audit", "questions", "sim", "fleet", "backup", "bench", "observe", "web", "doctor", "bootstrap"}
    | {"arming"},  # real money is armed at the terminal, and from nowhere else
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "oms").rglob("*.py"))}


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def imports(module: str, nodes: Iterator[ast.AST]) -> set[str]:
    """The modules of ours that these statements import; ``from oms import errors`` imports ``oms.errors``."""
    named: set[str] = set()
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            named |= {
                f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source for alias in node.names
            }
    return {name for name in named if name in MODULES} - {module}


def test_real_money_is_armed_from_the_terminal_only() -> None:
    """One module imports what arms, and it asks a person; neither the web nor a worker of a fleet can."""
    armers = {module for module in MODULES if "oms.arming" in imports(module, ast.walk(tree(module)))}
    assert armers == {"oms.cli.live"}


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_module_level(child)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    """Every import of a module, even a late one, points to its own room or to a lower floor."""
    own = room(module)
    assert own in MAY_IMPORT, f"the room {own!r} is new: give it its floor in this file"
    upwards = {name for name in imports(module, ast.walk(tree(module))) if room(name) not in MAY_IMPORT[own] | {own}}
    assert not upwards, f"{module} may not import {sorted(upwards)}"


def test_no_circle_of_imports_exists() -> None:
    """The modules can be put in an order in which each imports only earlier ones."""
    graph = {module: imports(module, at_module_level(tree(module))) for module in MODULES}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
    assert set(order) == set(MODULES)


# ---- the ground is pure ----------------------------------------------------------------------------------------------

DECIDING = {
    *(
        "comparing",
        "conductor",
        "doubt",
        "money",
        "operators",
        "orders",
        "patience",
        "reconciliation",
        "refusals",
        "revalidation",
        "round",
    ),
    "settling",
}
"""Rooms of the engine that decide and do nothing."""
PURE = [m for m in MODULES if room(m) == "model" or m.removeprefix("oms.engine.") in DECIDING]
NO_CLOCK_NO_CHANCE_NO_THREADS = {
    *("time", "random", "uuid", "os", "secrets", "threading", "multiprocessing", "concurrent", "asyncio", "queue"),
    *("socket", "subprocess", "sqlite3", "sqlalchemy", "pandas", "numpy", "logging", "structlog", "pathlib", "io"),
}
CLOCK_READINGS = {"now", "utcnow", "today"}
SET_MAKERS = {"set", "frozenset"}


def is_set(node: ast.AST | None, names: set[str]) -> bool:
    """Whether an expression, or an annotation, plainly is a set."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=called)):
            return called in SET_MAKERS
        case ast.Subscript(value=ast.Name(id=annotated)):
            return annotated in SET_MAKERS
        case ast.Name(id=name):
            return name in names
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return is_set(left, names) or is_set(right, names)
    return False


def names_of_sets(code: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(code):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_set(value, set()):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if is_set(annotation, set()):
                names.add(name)
            case ast.arg(arg=name, annotation=annotation) if is_set(annotation, set()):
                names.add(name)
    return names


def impurities(code: ast.Module) -> Iterator[str]:
    sets = names_of_sets(code)
    for node in ast.walk(code):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    if alias.name.partition(".")[0] in NO_CLOCK_NO_CHANCE_NO_THREADS:
                        yield f"line {line} imports {alias.name}"
            case ast.ImportFrom(module=str(source), level=0) if (
                source.partition(".")[0] in NO_CLOCK_NO_CHANCE_NO_THREADS
            ):
                yield f"line {line} imports from {source}"
            case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCK_READINGS:
                yield f"line {line} reads a clock: .{called}()"
            case ast.Constant(value=float(number)):
                yield f"line {line} has the float {number}"
            case ast.Call(func=ast.Name(id="float")):
                yield f"line {line} makes a float"
            case ast.For(iter=over) | ast.comprehension(iter=over) if is_set(over, sets):
                yield f"line {getattr(over, 'lineno', line)} iterates over a set, in no order"
            case ast.Call(func=ast.Name(id="list" | "tuple" | "enumerate" | "iter" | "next"), args=[over, *_]) if (
                is_set(over, sets)
            ):
                yield f"line {line} puts a set in no order"


@pytest.mark.parametrize("module", PURE)
def test_the_ground_knows_no_clock_no_chance_no_thread_and_no_float(module: str) -> None:
    """A module of the model, and the rooms that decide, can only answer the same to the same question."""
    assert list(impurities(tree(module))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from os import urandom",
        "x = datetime.now(UTC)",
        "fee = 0.1",
        "fee = float(x)",
        "for x in {1, 2}: pass",
        "y = [x for x in set(z)]",
        "def f(open: frozenset[str]): return list(open)",
        "open = {1}\nfor x in open | closed: pass",
    ],
)
def test_the_rule_of_purity_sees_each_offence(line: str) -> None:
    """The check above fails on a module that holds one of these lines."""
    assert list(impurities(ast.parse(line)))


def test_the_rule_of_purity_lets_sets_be_asked_and_sorted() -> None:
    """Membership in a set, and a sorted set, have no hidden order."""
    assert not list(impurities(ast.parse("s = {1}\nok = 1 in s\nfor x in sorted(s): pass")))
