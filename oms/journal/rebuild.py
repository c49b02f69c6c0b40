"""Cast the tables anew from the facts, for a journal whose facts are whole and whose tables are not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Table

from oms.errors import DamagedError
from oms.journal import archives, marks, tables
from oms.journal.casting import insert_sql
from oms.journal.connection import FULL, driver, set_synchronous, sqlite_file, translate, tune_scratch, writer_engine
from oms.journal.lease import LeaseRow
from oms.journal.machine import ProcessInfo, this_process
from oms.journal.opening import opened_for_writing
from oms.journal.packed import EMPTY, Packing
from oms.journal.reader import reader_over
from oms.journal.statements import Statements
from oms.journal.verify import fold_afresh, verify
from oms.ports import Clock


def rebuild(
    url: str,
    account: str,
    mode: str,
    clock: Clock,
    *,
    process: ProcessInfo | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Replace every shadow row by what a fresh fold of the facts gives, in one transaction; returns the facts folded.

    Raises:
        DamagedError: the facts themselves are not whole; nothing was changed.
        LeaseHeldError: an engine works on this account.
    """
    if url.startswith("postgres"):
        from oms.journal.postgres.rebuild import rebuild_on_postgres  # its driver is an extra

        return rebuild_on_postgres(url, account, mode, clock, process=process, say=say)
    with opened_for_writing(url, account, mode, clock, say) as connection:
        raw = driver(connection)
        lease = LeaseRow(account, clock, 15.0, process or this_process())
        try:
            set_synchronous(raw, FULL)
            path = sqlite_file(url)
            if path is not None:
                archives.attach(raw, account, path)
            # One transaction from the lease to the new rows: nobody can append in between.
            raw.execute("BEGIN IMMEDIATE")
            fence = lease.take(raw).fence
            verdict = verify(reader_over(connection, sqlite_file(url)), fold=False)
            if not verdict.ok:
                raise DamagedError(f"{url}: {verdict.problem}; {verdict.remedy}")
            with TemporaryDirectory(prefix="oms-rebuild-") as folder:
                scratch = writer_engine(f"sqlite:///{Path(folder) / 'fresh.db'}", create=True)
                try:
                    with scratch.connect() as fresh:
                        tune_scratch(driver(fresh))
                        packing = Packing(raw)
                        folded = fold_afresh(connection, fresh, account).seq
                        for table in tables.SHADOWS:
                            if table.name in EMPTY:
                                _replace_packed(packing, raw, driver(fresh), table)
                            else:
                                replace_rows(raw, driver(fresh), table, account)
                    marks.make_anew(raw, account, folded)
                finally:
                    scratch.dispose()
            lease.release(raw, fence)
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(error, url, "rebuilding the tables") from error
        connection.close()
        connection.engine.dispose()
        return folded


def _replace_packed(packing: Packing, raw: Statements, fresh: Statements, table: Table) -> None:
    raw.execute(EMPTY[table.name])
    write = packing.put_orders if table is tables.orders else packing.add_fills
    write(_rows(fresh, table))


def replace_rows(raw: Statements, fresh: Statements, table: Table, account: str) -> None:
    """Put the rows that a fresh fold gave in place of those that are there; within the caller's transaction."""
    # Table names are our own.
    raw.execute(f"DELETE FROM {table.name} WHERE account = ?", (account,))  # noqa: S608
    raw.executemany(insert_sql(table), _rows(fresh, table))


def _rows(fresh: Statements, table: Table) -> list[Any]:
    """What a fresh fold gave, in the order in which it was cast, which the rebuilt table keeps."""
    names = ", ".join(column.name for column in table.columns)
    order = " ORDER BY rowid" if table.name in tables.PACKED else ""
    return fresh.execute(f"SELECT {names} FROM {table.name}{order}").fetchall()  # noqa: S608  # our own names
