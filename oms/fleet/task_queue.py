"""The task queue of a fleet: Procrastinate, in a schema of the same database."""

from __future__ import annotations

from typing import Any

import procrastinate
import psycopg
from procrastinate.schema import SchemaManager
from psycopg_pool import AsyncConnectionPool

from oms.errors import UsageError
from oms.fleet.database import Database

TRADING = "fleet"
"""Lane of the accounts that go well."""
SLOW = "fleet_slow"
"""Lane of those that take long or keep failing: they wait for each other, and nobody waits for them."""
HOUSEKEEPING = "fleet_housekeeping"

TRADE = "oms.fleet.trade"


def connector_of(database: Database, connections: int = 4) -> procrastinate.PsycopgConnector:
    """How Procrastinate reaches its tables.

    Its commits do not wait for the disk: who is due stands in the registry, and jobs that a crash takes are queued again.
    """
    return procrastinate.PsycopgConnector(
        conninfo=_conninfo(database),
        kwargs={
            "options": f"-c search_path={schema_of(database)} -c synchronous_commit=off",
            "application_name": "oms fleet",
        },
        min_size=1,
        max_size=connections,
        pool_factory=_pool,
    )


def _pool(**settings: Any) -> AsyncConnectionPool:
    """Each of its questions is one statement: a transaction around it would be two more."""

    async def configured(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.set_autocommit(True)

    return AsyncConnectionPool(configure=configured, **settings)


def schema_of(database: Database) -> str:
    """The schema of its tables, beside that of the journals."""
    return f"{database.address.schema}_queue"


def _conninfo(database: Database) -> str:
    return database.address.server.set(drivername="postgresql").render_as_string(hide_password=False)


def prepare(database: Database) -> None:
    """Make the tables of the queue where they are missing.

    Raises:
        UsageError: this user may not make them.
    """
    schema = schema_of(database)
    with psycopg.connect(_conninfo(database), autocommit=True, options=f"-c search_path={schema}") as raw:
        found = raw.execute("SELECT to_regclass(%s)", (f"{schema}.procrastinate_jobs",)).fetchone()
        if found is not None and found[0] is not None:
            return
        with raw.transaction():
            raw.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"oms.schema/{schema}",))
            found = raw.execute("SELECT to_regclass(%s)", (f"{schema}.procrastinate_jobs",)).fetchone()
            if found is not None and found[0] is not None:
                return
            try:
                raw.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
                raw.execute(SchemaManager.get_schema().encode())
            except psycopg.errors.InsufficientPrivilege as error:
                raise UsageError(
                    f"{database.address.shown}: the tables of the task queue are missing, and this user may not make "
                    "them; run any `fleet` command once as the owner of the database"
                ) from error


def depth(database: Database) -> dict[str, int]:
    """Jobs that wait and that run, for trading only."""
    sql = (
        f"SELECT status::text, count(*) FROM {schema_of(database)}.procrastinate_jobs"  # noqa: S608  # our own name
        " WHERE task_name = ? AND status IN ('todo', 'doing') GROUP BY 1"
    )
    found: dict[str, Any] = dict(database.ask(sql, (TRADE,)))
    return {"waiting": int(found.get("todo", 0)), "running": int(found.get("doing", 0))}
