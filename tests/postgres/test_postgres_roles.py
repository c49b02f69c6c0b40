"""Who may do what in the database: every role, every verb, every table."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from oms.audit.postgres_roles import grant
from oms.audit.public import VIEWS
from oms.journal import tables
from oms.journal.postgres import roles
from oms.journal.postgres.address import parse
from oms.journal.postgres.journal import open_postgres
from tests.fakes.clock import FakeClock
from tests.journal.facts import full_story
from tests.postgres.server import Server

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")


@pytest.fixture(scope="module")
def guarded(server: Server) -> Iterator[str]:
    """A database with its roles, and a user who is a member of each."""
    database = server.new_database()
    grant(server.url(database))
    for user, role in (("worker_1", roles.ENGINE), ("auditor_1", roles.AUDITOR)):
        server.execute(f"CREATE USER {user} IN ROLE {role}")
    yield database
    server.drop(database)
    server.execute("DROP USER worker_1, auditor_1")


def allowed(role: str, table: str) -> set[str]:
    """What the page of rights says."""
    return set(roles.rights(table).get(role, "").split(", ")) - {""}


@pytest.mark.parametrize("role", [roles.ENGINE, roles.AUDITOR])
def test_each_role_may_do_what_the_table_says_and_nothing_else(server: Server, guarded: str, role: str) -> None:
    """Asked of the server itself, verb by verb; every table of the schema is in the list."""
    with server.connect(guarded) as raw:
        rows = raw.execute(
            "SELECT c.relname, v, has_table_privilege(%s, c.oid, v) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace, unnest(%s::text[]) v"
            " WHERE n.nspname = 'oms' AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
            (role, list(VERBS)),
        ).fetchall()
        found: dict[str, set[str]] = {}
        for table, verb, may in rows:
            found.setdefault(table, set()).update({verb} if may else ())
        parts = raw.execute(
            "SELECT bool_or(has_table_privilege(%s, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'))"
            " FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'",
            (role,),
        ).fetchone()
    assert found == {table: allowed(role, table) for table in roles.every_table()}
    assert parts == (False,), "a partition is reached through its table only"


def test_what_makes_the_journal_append_only_holds_for_the_engine() -> None:
    """The engine can add facts and configurations, and has no right to change or remove one."""
    for table in ("events", "configs"):
        assert allowed(roles.ENGINE, table) == {"SELECT", "INSERT"}
    assert set(roles.every_table()) >= set(tables.metadata.tables)


def test_an_engine_trades_with_its_few_rights(server: Server, guarded: str) -> None:
    """A whole story, from the lease to its return, as a user who is only a member of oms_engine."""
    url = server.base.set(database=guarded, username="worker_1", password=None).render_as_string(hide_password=False)
    journal = open_postgres(parse(url), "alpha", "paper", FakeClock(), 15.0)
    full_story(journal)
    journal.keep_config("h", "{}")
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE oms.events SET data = ''",
        "ALTER TABLE oms.events DISABLE TRIGGER ALL",
        "DROP TRIGGER events_no_change ON oms.events",
        "DROP TABLE oms.fills",
        "CREATE TABLE oms.mine (a int)",
        "CREATE OR REPLACE FUNCTION oms.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "ALTER TABLE oms.events DETACH PARTITION oms.events_03",
        "SET session_replication_role = replica",
        "TRUNCATE oms.configs",
    ],
)
@pytest.mark.parametrize("user", ["worker_1", "auditor_1"])
def test_nobody_but_the_owner_touches_the_guard(server: Server, guarded: str, user: str, statement: str) -> None:
    """Neither the engine nor the auditor can take off what makes facts append-only."""
    url = server.base.set(database=guarded, username=user, password=None).render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as raw, pytest.raises(psycopg.errors.InsufficientPrivilege):
        raw.execute(statement.encode())


def test_an_auditor_sees_the_views_and_no_mailbox(server: Server, guarded: str) -> None:
    """Every view of docs/sql.md is there by its name; operators' unanswered commands are not."""
    url = server.base.set(database=guarded, username="auditor_1", password=None).render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as raw:
        for view in VIEWS:
            raw.execute(f"SELECT * FROM oms.{view.name} LIMIT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw.execute("SELECT * FROM oms.inbox")
