"""One commit as one statement: the move of the head, the facts and every row of their shadow, in a single exchange.

The server runs it as a transaction of its own, so there is no BEGIN and no COMMIT to wait for. Nothing is written before
``advance`` has locked the row of the lease and found fence, head and hash as they are named: each insert reads its rows
beside the answer of that function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy.dialects import postgresql

from oms.journal import tables
from oms.journal.postgres.exchange import Value, array_of

ADVANCE = "SELECT advance($1::text, $2::bigint, $3::bigint, $4::bytea, $5::bigint, $6::bytea, $7::text)"
"""Account, fence, head and its hash, the new head and its hash, and for a barrier the restart token."""
_NAMED = 7
SOFTENED = "set_config('synchronous_commit', 'off', true)"
"""In a transaction: its commit does not wait for the disk."""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy has it
_INSERT = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \((?:\?(?:, )?)+\)(.*)", re.DOTALL)
_KEYS = {f"ON CONFLICT ({key})": f"ON CONFLICT (account, {key})" for key in ("cycle_id", "cl_ord_id")}
"""Keys that are whole in a file of one account, and here begin with the account."""


def in_its_keys(sql: str) -> str:
    """A statement of a file of one account as it names its keys among many accounts."""
    for of_a_file, here in _KEYS.items():
        sql = sql.replace(of_a_file, here)
    return sql


@lru_cache(maxsize=128)
def whole_insert(sql: str) -> tuple[str, tuple[str, ...], str] | None:
    """Head of an insert of whole rows of ours, its columns' types, and what follows the rows; None for anything else."""
    found = _INSERT.fullmatch(sql)
    table = None if found is None else tables.metadata.tables.get(found[1])
    if found is None or table is None:
        return None
    names = [name.strip() for name in found[2].split(",")]
    types = tuple(table.c[name].type.compile(_DIALECT).split()[0] for name in names)
    return f"INSERT INTO {found[1]} ({found[2]})", types, in_its_keys(found[3])


class Gathered:
    """What one commit writes, gathered as ``oms.journal.statements.Statements`` gets it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._values: list[Value] = []
        self._writes: list[tuple[str, list[Sequence[Any]]]] = []
        self.is_whole = True
        """All of it is inserts of whole rows, so that one statement can hold it."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """A statement that is no insert of rows."""
        self.executemany(sql, [parameters])

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Rows of one table."""
        rows = list(parameters)
        if not rows:
            return
        self._writes.append((sql, rows))
        whole = whole_insert(sql)
        if whole is None:
            self.is_whole = False
            return
        self._parts.append(sql)
        self._values += [array_of(*each) for each in zip(zip(*rows, strict=True), whole[1], strict=True)]

    def statement(self, named: Sequence[Value], *, is_shared: bool = False) -> tuple[str, list[Value]]:
        """The one statement and its values; ``named`` is what ``advance`` is asked.

        ``is_shared``: a barrier whose way to the disk is waited for afterwards, together with others.
        """
        return _statement(tuple(self._parts), SOFTENED if is_shared else "1"), [*named, *self._values]

    def write_to(self, raw: Any) -> None:
        """The same, a statement at a time, within a transaction of the caller."""
        for sql, rows in self._writes:
            raw.executemany(sql, rows)


@lru_cache(maxsize=256)
def _statement(inserts: tuple[str, ...], answer: str) -> str:
    at = _NAMED
    parts = [f"WITH door AS MATERIALIZED ({ADVANCE})"]
    for place, sql in enumerate(inserts):
        whole = whole_insert(sql)
        assert whole is not None
        head, types, rest = whole
        arrays = ", ".join(f"${at + nth}::{kind}[]" for nth, kind in enumerate(types, 1))
        at += len(types)
        rows = f"unnest({arrays}) r{rest}"
        parts.append(f"part_{place} AS ({head} SELECT r.* FROM door, {rows})")  # noqa: S608  # our own names only
    return f"{', '.join(parts)} SELECT {answer} FROM door"  # noqa: S608  # as above
