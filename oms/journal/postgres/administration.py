"""What an owner does with the database as a whole: which schema it has, and moving it up."""

from __future__ import annotations

from collections.abc import Callable

from oms.errors import DamagedError
from oms.journal.postgres import schema
from oms.journal.postgres.address import parse, readers
from oms.journal.postgres.journal import connected
from oms.journal.postgres.meaning import is_database_error, translate


def current(url: str) -> tuple[str, str, str, str]:
    """Where it is, which schema this program needs, which one it has, and what is wrong with it.

    Raises:
        StorageError, CredentialsError: the server cannot be asked.
    """
    address = parse(url)
    engine = readers(address)
    try:
        with engine.connect() as connection:
            try:
                found = schema.stamped(connection) or "none"
                schema.examine(connection, address)
            except DamagedError as error:
                return address.shown, schema.REVISION, "unusable", str(error)
            return address.shown, schema.REVISION, found, ""
    except Exception as error:
        if is_database_error(error):
            raise translate(error, address.shown, "looking at its schema") from error
        raise
    finally:
        engine.dispose()


def move_up(url: str, say: Callable[[str], None]) -> str:
    """Make or move up the tables, while engines work on; returns the schema they have then.

    Raises:
        DamagedError: the database is of a newer release.
        RefusedError: this user does not own the tables.
    """
    schema.forget()
    connected(parse(url), say).close()
    return schema.REVISION
