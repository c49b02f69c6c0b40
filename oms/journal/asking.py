"""The journal's own questions: built by SQLAlchemy, compiled once, and on SQLite asked of the driver itself.

A start asks a dozen of them, each for a handful of rows; the way through SQLAlchemy takes longer than the answers.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Select
from sqlalchemy.sql import visitors


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as SQLite takes it."""

    sql: str
    names: tuple[str, ...]
    """The names of its values, in the order of their question marks."""
    fixed: Mapping[str, Any]
    """Values that are written into the statement."""
    row: Any
    """The named tuple that a row becomes."""
    readers: tuple[Callable[[Any], Any] | None, ...]
    """How each column's value is read; None where the driver's own is meant."""


class Question:
    """A statement whose values are named when it is asked; how many they are is part of the statement."""

    __slots__ = ("_compiled", "_statement")

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._compiled: _Compiled | None = None

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """Every row of the answer, its columns as attributes."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._statement, values).all())
        compiled = self._compiled or self._compile(connection.dialect)
        raw = connection.connection.driver_connection
        assert raw is not None
        fixed = compiled.fixed
        given = [values[name] if name in values else fixed[name] for name in compiled.names]
        readers, row = compiled.readers, compiled.row
        return [
            row(*[value if read is None else read(value) for read, value in zip(readers, found, strict=True)])
            for found in raw.execute(compiled.sql, given).fetchall()
        ]

    def first(self, connection: Connection, **values: Any) -> Any:
        """The first row; None where there is none."""
        found = self.rows(connection, **values)
        return found[0] if found else None

    def mappings(self, connection: Connection, **values: Any) -> list[Mapping[str, Any]]:
        """Every row, its columns by name."""
        if connection.dialect.name != "sqlite":
            return [dict(row) for row in connection.execute(self._statement, values).mappings()]
        return [row._asdict() for row in self.rows(connection, **values)]

    def _compile(self, dialect: Dialect) -> _Compiled:
        parts = visitors.iterate(self._statement)
        asked = {part.key for part in parts if isinstance(part, BindParameter) and part.required}
        # The compiler wants a value of each; ours come when the question is asked.
        compiled = self._statement.compile(dialect=dialect).construct_expanded_state(dict.fromkeys(asked))
        names = tuple(compiled.positiontup or ())
        fixed = dict(zip(names, compiled.positional_parameters, strict=True))
        columns = list(self._statement.selected_columns)
        readers = tuple(column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
        self._compiled = made = _Compiled(
            sql=compiled.statement,
            names=names,
            fixed={name: value for name, value in fixed.items() if name not in asked},
            # Names of columns only; one that begins with an underscore is none of ours.
            row=namedtuple("Row", [column.key for column in columns]),  # type: ignore[misc]  # noqa: PYI024  # known when it runs
            readers=readers,
        )
        return made
