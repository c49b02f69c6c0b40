"""From a database address to a connection that may write one account's journal, or a sentence why not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from oms.errors import RefusedError, StorageError
from oms.journal import schema, tables
from oms.journal.connection import (
    driver,
    make_private_file,
    refuse_network_file_system,
    sqlite_file,
    translate,
    tune_writer,
    writer_engine,
)
from oms.ports import Clock

MOVED_TO = "moved_to"
"""Row of ``meta``: the journal goes on elsewhere, and nobody may write here any more."""


@contextmanager
def opened_for_writing(
    url: str, account: str, mode: str, clock: Clock, say: Callable[[str], None], *, moving_to: str | None = None
) -> Iterator[Connection]:
    """The one writing connection to an account's database, made or migrated as needed; no lease is taken yet.

    The block that takes it over keeps it open; where the block fails, it is closed. A journal that was moved elsewhere is
    opened only for the move itself, which names where to. Errors are those of
    :func:`oms.journal.store.open_journal`.
    """
    path = sqlite_file(url)
    where = path or "the journal in memory"
    if path is not None:
        refuse_network_file_system(path)
        make_private_file(path)
        _refuse_unwritable(path)
    engine = writer_engine(url)
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            _prepare(connection, path, clock, say)
            _stamp(connection, account, mode, where, moving_to)
            yield connection
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, DBAPIError) as error:
        engine.dispose()
        raise translate(error, where, "opening the journal") from error
    except BaseException:
        engine.dispose()
        raise


def _refuse_unwritable(path: Path) -> None:
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            raise StorageError(f"{place} cannot be written; the journal needs its file and its folder writable")


def _prepare(connection: Connection, path: Path | None, clock: Clock, say: Callable[[str], None]) -> None:
    raw = driver(connection)
    found = schema.examine(connection, path or "the journal in memory")
    tune_writer(raw, in_memory=path is None)
    if found is schema.Found.EMPTY:
        schema.make(connection, in_memory=path is None)
    elif found is schema.Found.OLDER:
        assert path is not None
        kept = schema.move_up(connection, path, clock.now(), say)
        say(f"{path} was moved up to schema {tables.SCHEMA_REVISION}; the database as it was is {kept}")


def _stamp(connection: Connection, account: str, mode: str, where: object, moving_to: str | None) -> None:
    """Write into a new database whose it is, or check it."""
    raw = driver(connection)
    found = dict(raw.execute("SELECT name, value FROM meta"))
    if not found:
        # Another process may be doing the same at this moment: the first one's word counts.
        raw.execute("BEGIN IMMEDIATE")
        stamps = [("account", account), ("mode", mode)]
        raw.executemany("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", stamps)
        raw.execute("COMMIT")
        found = dict(raw.execute("SELECT name, value FROM meta"))
    for name, wanted in (("account", account), ("mode", mode)):
        if found.get(name) != wanted:
            raise RefusedError(
                f"{where} was made for {name} {found.get(name)!r}, and the configuration says {wanted!r}: "
                "a journal never changes its account or mode; name another file in journal.url"
            )
    if MOVED_TO in found and found[MOVED_TO] != moving_to:
        raise RefusedError(
            f"{where} was moved to {found[MOVED_TO]} by `db migrate-to` and goes on there; name that in journal.url"
        )
