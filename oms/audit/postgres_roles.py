"""``db roles``: the roles of a database on PostgreSQL, their rights, and the views for everyone who may look."""

from __future__ import annotations

from typing import Any

from oms.audit.public import VIEWS
from oms.errors import RefusedError
from oms.journal.postgres import roles
from oms.journal.postgres.address import parse
from oms.journal.postgres.driver import over
from oms.journal.postgres.journal import connected
from oms.journal.postgres.meaning import is_database_error, translate


def script(url: str) -> list[str]:
    """The statements, for who wants to read them or run them by hand."""
    views = [(view.name, view.query) for view in VIEWS]
    return list(roles.statements(parse(url).schema, views, {}))


def grant(url: str) -> dict[str, Any]:
    """Make the roles, their rights and the views, all in one transaction; what each role may do then.

    Raises:
        RefusedError: this user may not make roles, or does not own the tables.
    """
    address = parse(url)
    connection = connected(address)
    try:
        pg = over(connection.connection.driver_connection)
        pg.execute("BEGIN")
        for statement in script(url):
            pg.execute(statement)
        pg.execute("COMMIT")
    except Exception as error:
        connection.invalidate()
        if is_database_error(error):
            meaning = translate(error, address.shown, "making the roles")
            raise RefusedError(f"{meaning}; the owner of the tables who may also make roles can") from error
        raise
    finally:
        connection.close()
    rights = [{"table": table, **roles.rights(table)} for table in roles.every_table()]
    return {"schema": "oms.db-roles/1", "database": address.shown, "rights": rights}
