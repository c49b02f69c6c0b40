"""The journal's own questions: built by SQLAlchemy, compiled once for each database, asked of the driver itself.

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
    """A statement as the driver of one database takes it."""

    sql: str
    names: tuple[str, ...]
    """The names of its values, in the order of their question marks; none where the driver takes them by name."""
    asked: frozenset[str]
    """Values that whoever asks must name."""
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
        self._compiled: dict[str, _Compiled] = {}
        """By the name of the database."""

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """Every row of the answer, its columns as attributes.

        Raises:
            KeyError: a value was not named.
        """
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        raw = connection.connection.driver_connection
        assert raw is not None
        named = {**compiled.fixed, **{name: values[name] for name in compiled.asked}}
        given = [named[name] for name in compiled.names] if compiled.names else named
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
        return [row._asdict() for row in self.rows(connection, **values)]

    def _compile(self, dialect: Dialect) -> _Compiled:
        parts = visitors.iterate(self._statement)
        asked = frozenset(part.key for part in parts if isinstance(part, BindParameter) and part.required)
        # The compiler wants a value of each; ours come when the question is asked.
        compiled = self._statement.compile(dialect=dialect).construct_expanded_state(dict.fromkeys(asked))
        columns = list(self._statement.selected_columns)
        self._compiled[dialect.name] = made = _Compiled(
            sql=compiled.statement,
            names=tuple(compiled.positiontup or ()),
            asked=asked,
            fixed={name: value for name, value in compiled.parameters.items() if name not in asked},
            # Names of columns only; one that begins with an underscore is none of ours.
            row=namedtuple("Row", [column.key for column in columns]),  # type: ignore[misc]  # noqa: PYI024  # known when it runs
            readers=tuple(column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns),
        )
        return made
