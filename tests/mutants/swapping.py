"""Puts a mutant in the place of a module that is imported already: the code of each function that differs is exchanged.

What a module makes while it is imported (constants, defaults, classes) cannot be exchanged afterwards; such a mutant needs
an interpreter that has not imported the module yet.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType

Place = tuple[str, int]
"""Qualified name of a function, and its first line."""


def differing(one: CodeType, other: CodeType) -> list[CodeType] | None:
    """The outermost functions of ``other`` that are not as in ``one``; None where importing it would already differ."""
    return list(_differing(one, other)) if _same_outside(one, other) else None


def _differing(one: CodeType, other: CodeType) -> Iterator[CodeType]:
    for mine, theirs in zip(_inner(one), _inner(other), strict=True):
        if mine.co_flags & inspect.CO_OPTIMIZED:
            if not _same(mine, theirs):
                yield theirs
        else:
            yield from _differing(mine, theirs)


def _same_outside(one: CodeType, other: CodeType) -> bool:
    """Whether two modules, or two classes, are the same but for what is inside their functions."""
    mine, theirs = _inner(one), _inner(other)
    return (
        _own(one) == _own(other)
        and len(mine) == len(theirs)
        and all(a.co_flags & inspect.CO_OPTIMIZED or _same_outside(a, b) for a, b in zip(mine, theirs, strict=True))
    )


def _same(one: CodeType, other: CodeType) -> bool:
    mine, theirs = _inner(one), _inner(other)
    return (
        _own(one) == _own(other)
        and len(mine) == len(theirs)
        and all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
    )


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    """What a piece of code does itself; 1, 1.0 and True are different constants."""
    constants = [(type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType)]
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_qualname
    return code.co_code, constants, names, code.co_flags, code.co_exceptiontable


def living(path: str) -> dict[Place, list[FunctionType]]:
    """Every function that was made from a file and is in memory now."""
    found: dict[Place, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == path:
            found.setdefault(_place(each.__code__), []).append(each)
    return found


def _place(code: CodeType) -> Place:
    return code.co_qualname, code.co_firstlineno


def can_swap(functions: Mapping[Place, list[FunctionType]], codes: Sequence[CodeType]) -> bool:
    """Whether each code has exactly one function to go to."""
    return all(
        len(found := functions.get(_place(code), [])) == 1 and found[0].__code__.co_freevars == code.co_freevars
        for code in codes
    )


def swap(functions: Mapping[Place, list[FunctionType]], codes: Sequence[CodeType]) -> None:
    """Give each code to its function."""
    for code in codes:
        (function,) = functions[_place(code)]
        function.__code__ = code
