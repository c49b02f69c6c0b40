"""Who may do what in the database: the owner of the tables, the engine that trades, the auditor who only looks.

Roles of PostgreSQL belong to the whole server; they cannot log in themselves, and people and workers are made members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oms.journal import tables
from oms.journal.postgres.ddl import mine, shown

OWNER = "oms_owner"
ENGINE = "oms_engine"
AUDITOR = "oms_auditor"

_ADDED_ONLY = ("events", "configs", "fills", "bound_rules", "restart_token", "archives")
"""Tables in which the engine adds rows and changes none. A rebuild replaces rows of fills, and so needs the owner."""
_ALWAYS_THERE = ("heads", "lease", "accounts", "cycles", "orders", "external_orders", "inbox", "meta", "tasks")
"""Tables whose rows the engine adds and changes, and never takes away."""
_HIDDEN = ("inbox", "restart_token")
"""What an auditor has no need to see."""
_OTHERS = ("inbox", "restart_token", "alembic_version")
_FLEET = ("fleet_accounts", "fleet_workers", "fleet_limits", "fleet_notional", "fleet_rates")
"""An auditor sees how the fleet stands, and not where the accounts' secrets are."""


def rights(table: str) -> dict[str, str]:
    """What each role may do with a table, in SQL's words."""
    if table == "alembic_version":
        return {ENGINE: "SELECT", AUDITOR: "SELECT"}
    if table in _FLEET:
        engine = "SELECT, INSERT, UPDATE, DELETE"
        return {ENGINE: engine} if table == "fleet_accounts" else {ENGINE: engine, AUDITOR: "SELECT"}
    engine = "SELECT, INSERT, UPDATE, DELETE"
    if table in _ADDED_ONLY:
        engine = "SELECT, INSERT"
    elif table in _ALWAYS_THERE:
        engine = "SELECT, INSERT, UPDATE"
    return {ENGINE: engine} if table in _HIDDEN else {ENGINE: engine, AUDITOR: "SELECT"}


def every_table(extra: Sequence[str] = ()) -> list[str]:
    """The journal's tables, with those of others in the same schema."""
    return sorted({*tables.metadata.tables, *_OTHERS, *_FLEET, *extra})


def statements(schema: str, views: Sequence[tuple[str, str]], granted: dict[str, dict[str, str]]) -> Iterator[str]:
    """Make the roles where they are missing, give each its rights, and make the views, as often as one likes.

    ``granted`` has further tables with the rights on them.
    """
    for role in (OWNER, ENGINE, AUDITOR):
        yield (
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; "
            "WHEN unique_violation THEN NULL; END $$"
        )
    yield f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {ENGINE}, {AUDITOR}"
    yield f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {OWNER}"
    for table in every_table():
        yield from _grant(schema, table, rights(table))
    yield f"GRANT USAGE ON SCHEMA {mine(schema)} TO {ENGINE}, {AUDITOR}"
    for table in shown():
        yield f"GRANT SELECT ON {mine(schema)}.{table} TO {ENGINE}, {AUDITOR}"
    for table, given in granted.items():
        yield from _grant(schema, table, given)
    for name, query in views:
        yield f"DROP VIEW IF EXISTS {schema}.{name}"
        yield f"CREATE VIEW {schema}.{name} AS {query}"
        yield f"GRANT SELECT ON {schema}.{name} TO {AUDITOR}, {ENGINE}"


def _grant(schema: str, table: str, given: dict[str, str]) -> Iterator[str]:
    yield f"REVOKE ALL ON {schema}.{table} FROM PUBLIC, {ENGINE}, {AUDITOR}"
    for role, verbs in given.items():
        yield f"GRANT {verbs} ON {schema}.{table} TO {role}"
