"""How the supervised tasks go, written by the engine and read by whoever asks: rows beside the chain, as the lease is."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from oms.journal import tables
from oms.journal.casting import Cast, upsert_sql
from oms.journal.statements import Statements
from oms.model.task import TaskHealth

_CAST = Cast(TaskHealth, tables.tasks)
_UPSERT = upsert_sql(tables.tasks)


def write_tasks(raw: Statements, account: str, tasks: Sequence[TaskHealth]) -> None:
    """Put these tasks' rows in place of their earlier ones; within the caller's transaction."""
    raw.executemany(_UPSERT, [_CAST.row(task, account=account) for task in tasks])


def read_tasks(connection: Connection, account: str) -> list[TaskHealth]:
    """Every task that an engine of this account has told of, by name."""
    table = tables.tasks
    rows = connection.execute(select(table).where(table.c.account == account).order_by(table.c.name))
    return [_CAST.value(row) for row in rows.mappings()]
