"""Small wrong versions of one module: each differs from it in one place, as a slip of the hand would."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[2]

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "ROUND_FLOOR": "ROUND_CEILING",
    "ROUND_CEILING": "ROUND_FLOOR",
    "ROUND_DOWN": "ROUND_UP",
    "ROUND_UP": "ROUND_DOWN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One wrong version."""

    module: str
    line: int
    function: str
    """The innermost function or class around the place."""
    text: str
    """The source line, so that two changes alike in one function are told apart."""
    change: str
    """What was there, and what is there now, as source."""
    source: str
    """The whole wrong version, as its tree is written out."""
    code: CodeType
    """The same compiled, with the lines of the module itself."""
    lines: range
    """The lines on which the changed place stands."""

    @property
    def name(self) -> str:
        """How a list of survivors names it: without the number of its line, which moves with every edit."""
        return _named(self.module, self.function, self.text, self.change)


def path_of(module: str) -> Path:
    """Where a module of ours stands."""
    return ROOT / (module.replace(".", "/") + ".py")


def original(module: str) -> CodeType:
    """The module as it is, compiled as its mutants are."""
    return compile(ast.parse(path_of(module).read_text("utf-8")), str(path_of(module)), "exec")


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module of ours, from its top to its end."""
    path = path_of(module)
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    for span, function, line, change in _wrong_versions(text, tree):
        yield Mutant(
            module=module,
            line=span.start,
            function=function,
            text=line,
            change=change,
            source=ast.unparse(tree),
            code=compile(ast.fix_missing_locations(tree), str(path), "exec"),
            lines=span,
        )


def names(module: str) -> Iterator[str]:
    """What they are called, without making the programs, which takes ten times as long."""
    text = path_of(module).read_text("utf-8")
    for _, function, line, change in _wrong_versions(text, ast.parse(text)):
        yield _named(module, function, line, change)


def _named(module: str, function: str, line: str, change: str) -> str:
    return f"{module} {function} | {line} | {change}"


def _wrong_versions(text: str, tree: ast.Module) -> Iterator[tuple[range, str, str, str]]:
    """Each place's lines, what is around it, its text and its change; the tree is wrong there until the next is asked."""
    lines = text.splitlines()
    for place, function in _places(tree):
        span = _lines(place)
        for was, becomes in _changes(place):
            yield span, function, lines[span.start - 1].strip(), f"{was} -> {becomes}"


def _lines(place: ast.AST) -> range:
    """Where a place stands; of a statement with a body, only its head."""
    head = place.test if isinstance(place, ast.If | ast.While) else place
    return range(getattr(place, "lineno", 1), (getattr(head, "end_lineno", None) or 1) + 1)


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Nodes at which something is decided or computed, each with the name of what is around it."""

    def walk(node: ast.AST, around: str) -> Iterator[tuple[ast.AST, str]]:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params", "keywords_doc"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.Raise | ast.Assert):
                    continue
                inner = around
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    inner = f"{around}.{child.name}" if around else child.name
                yield child, inner or "module"
                yield from walk(child, inner)

    yield from walk(tree, "")


Change = tuple[str, str]


def _changes(node: ast.AST) -> Iterator[Change]:
    """Change the tree at one node in each wrong way, one at a time; put back after each."""
    was = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
    for change in _wrong_ways(node):
        kind, kept = node.__class__, copy.copy(node.__dict__)
        change()
        yield _short(was), _missing(kept, node) or _short(ast.unparse(node))
        node.__class__ = kind
        node.__dict__.clear()
        node.__dict__.update(kept)


def _missing(kept: dict[str, Any], node: ast.AST) -> str:
    """The argument that a call has lost; empty where it was changed in another way, or is no call."""
    if not isinstance(node, ast.Call) or "keywords" not in kept or "keywords" not in node.__dict__:
        return ""
    return "".join(f"without {ast.unparse(each)}" for each in kept["keywords"] if each not in node.keywords)


def _short(text: str) -> str:
    first = text.splitlines()[0] if text else "nothing"
    return first if len(first) <= 100 else first[:97] + "..."


def _wrong_ways(node: ast.AST) -> Iterator[Callable[[], None]]:
    put = partial(partial, setattr, node)
    match node:
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                for other in COMPARED[type(op)]:
                    yield put("ops", [*ops[:number], other(), *ops[number + 1 :]])
        case ast.BinOp(op=ast.BitOr(), right=ast.Constant(value=None)):
            return  # a type, not a sum
        case ast.BinOp() | ast.AugAssign() if type(node.op) in COUNTED:
            yield put("op", COUNTED[type(node.op)]())
        case ast.BoolOp():
            yield put("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for number in range(len(node.values)):
                rest = node.values[:number] + node.values[number + 1 :]
                yield put("values", rest) if len(rest) > 1 else partial(_become, node, rest[0])
        case ast.UnaryOp(op=ast.Not()):
            yield partial(
                _become, node, ast.Call(func=ast.Name(id="bool", ctx=ast.Load()), args=[node.operand], keywords=[])
            )
        case ast.IfExp() | ast.If() | ast.While() if not isinstance(node.test, ast.Compare):
            yield put("test", ast.UnaryOp(op=ast.Not(), operand=node.test))
        case ast.Constant() | ast.Name():
            yield from _other_words(node)
        case ast.Return() if node.value is not None and ast.unparse(node.value) not in ("None", "False"):
            yield put("value", ast.Constant(value=None))
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield partial(_become, node, ast.Expr(value=ast.Constant(value=Ellipsis)))
        case ast.Call(func=ast.Name(id="replace"), keywords=keywords):
            for number in range(len(keywords)):
                yield put("keywords", keywords[:number] + keywords[number + 1 :])
        case ast.Assign(targets=[ast.Attribute()]) | ast.AugAssign(target=ast.Attribute()):
            yield partial(_become, node, ast.Expr(value=ast.Constant(value=Ellipsis)))
        case ast.Continue():
            yield partial(_become, node, ast.Break())


def _other_words(node: ast.Constant | ast.Name) -> Iterator[Callable[[], None]]:
    put = partial(partial, setattr, node)
    match node:
        case ast.Constant(value=bool(truth)):
            yield put("value", not truth)
        case ast.Constant(value=int(number)):
            yield put("value", number + 1)
        case ast.Name(id=name) if name in NAMED:
            yield put("id", NAMED[name])


def _become(node: ast.AST, other: ast.AST) -> None:
    """Let a node be another one in place: its parents need not be known."""
    node.__class__ = other.__class__
    node.__dict__.clear()
    node.__dict__.update(other.__dict__)
