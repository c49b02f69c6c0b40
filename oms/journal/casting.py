"""Values of the model as rows of a table, and rows as values: one plan per pair, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from sqlalchemy import RowMapping, Table, bindparam, delete, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from oms.journal.scalars import raw_converter, storable

T = TypeVar("T")

_DIALECT = sqlite.dialect(paramstyle="qmark")


class Cast(Generic[T]):
    """How values of one frozen class stand in one table, next to columns that the value itself does not have."""

    def __init__(
        self, cls: type[T], table: Table, rename: Mapping[str, str] | None = None, omit: Sequence[str] = ()
    ) -> None:
        hints = get_type_hints(cls)
        rename = rename or {}
        self._cls = cls
        self._enums: dict[str, type[StrEnum]] = {}
        self._columns: dict[str, str] = {}
        named = {}
        for field in fields(cls):  # type: ignore[arg-type]  # only dataclasses are cast
            if field.name in omit:
                continue
            column = rename.get(field.name, field.name)
            enum = _enum_of(hints[field.name])
            if enum is not None:
                self._enums[field.name] = enum
            self._columns[field.name] = column
            named[column] = (field.name, _writer(table, column, enum))
        # In the table's own order; None marks a column that is given beside the value.
        plan = [named.get(column.name) for column in table.columns]
        self._beside = [(at, column.name) for at, column in enumerate(table.columns) if column.name not in named]
        self._get = attrgetter(*[planned[0] for planned in plan if planned is not None])
        self._converters = [planned[1] for planned in plan if planned is not None]

    def row(self, value: T, **beside: Any) -> tuple[Any, ...]:
        """The columns of ``value`` in the table's order, ``beside`` filling those that it does not have.

        Raises:
            ValueError: an amount cannot be kept exactly.
        """
        row = [
            item if item is None or convert is None else convert(item)
            for item, convert in zip(self._get(value), self._converters, strict=True)
        ]
        for at, name in self._beside:
            row.insert(at, beside[name])
        return tuple(row)

    def value(self, row: Mapping[str, Any] | RowMapping) -> T:
        """The value that a row, read through the table's column types, stands for."""
        found = {name: row[column] for name, column in self._columns.items()}
        for name, enum in self._enums.items():
            if found[name] is not None:
                found[name] = enum(found[name])
        return self._cls(**found)


def _enum_of(hint: Any) -> type[StrEnum] | None:
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, StrEnum):
            return candidate
    return None


def _writer(table: Table, column: str, enum: type[StrEnum] | None) -> Callable[[Any], Any] | None:
    if enum is not None:
        # An enum of text is text already; this strips the enum, which the driver would look at twice.
        return str.__str__
    kind = table.c[column].type
    converter: Callable[[Any], Any] | None = raw_converter(kind)
    if converter is None and kind.python_type is str:
        return storable
    return converter


def insert_sql(table: Table) -> str:
    """Insert of one whole row, its values in the table's order."""
    return str(insert(table).compile(dialect=_DIALECT))


def upsert_sql(table: Table) -> str:
    """Insert of one whole row, or its replacement where the primary key is there already.

    Columns marked ``fixed`` never change and are left alone, which spares the indices they are in.
    """
    keys = [column.name for column in table.primary_key.columns]
    statement = sqlite_insert(table)
    rest = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys and not c.info.get("fixed")}
    return str(statement.on_conflict_do_update(index_elements=keys, set_=rest).compile(dialect=_DIALECT))


def delete_sql(table: Table) -> str:
    """Deletion of one row by its primary key, in the key's order."""
    keys = [column == bindparam(column.name) for column in table.primary_key.columns]
    return str(delete(table).where(*keys).compile(dialect=_DIALECT))
