"""Cast one account's tables anew from its facts, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection

from oms.errors import DamagedError
from oms.journal import marks, tables
from oms.journal.connection import driver, tune_scratch, writer_engine
from oms.journal.lease import LeaseRow
from oms.journal.machine import ProcessInfo, this_process
from oms.journal.postgres.address import Address, parse
from oms.journal.postgres.driver import over
from oms.journal.postgres.journal import connected, lock_account, stamp
from oms.journal.postgres.meaning import is_database_error, translate
from oms.journal.reader import Reader
from oms.journal.rebuild import replace_rows
from oms.journal.verify import fold_afresh, verify
from oms.ports import Clock


class ReaderWithin(Reader):
    """Reads over the connection of a transaction that is open, and so sees what it wrote."""

    def __init__(self, connection: Connection, address: Address, account: str, mode: str) -> None:
        """Made where an account's rows are checked before they are committed."""
        self._engine = None
        self._kept = connection
        self._patience_s = None
        self.path = None
        self.anchors = address.anchors
        self.shared = True
        self.where = address.shown
        self.account = account
        self.mode = mode

    @contextmanager
    def asking(self, doing: str, *, whole: bool = True) -> Iterator[Connection]:
        """The kept connection; its errors are the caller's."""
        del doing, whole
        assert self._kept is not None
        yield self._kept


def rebuild_on_postgres(
    url: str,
    account: str,
    mode: str,
    clock: Clock,
    *,
    process: ProcessInfo | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Replace every shadow row of an account by what a fresh fold of its facts gives; returns the facts folded.

    Raises:
        DamagedError: the facts themselves are not whole; nothing was changed.
        LeaseHeldError: an engine works on this account.
    """
    address = parse(url)
    connection = connected(address, say)
    try:
        stamp(connection, address, account, mode)
        pg = over(connection.connection.driver_connection)
        lease = LeaseRow(account, clock, 15.0, process or this_process())
        # One transaction from the lease to the new rows: nobody can append in between.
        pg.execute("BEGIN")
        pg.execute("SET LOCAL statement_timeout = 0")
        lock_account(pg, account)
        fence = lease.take(pg).fence
        verdict = verify(ReaderWithin(connection, address, account, mode), fold=False)
        if not verdict.ok:
            raise DamagedError(f"{address.shown}: {verdict.problem}; {verdict.remedy}")
        with TemporaryDirectory(prefix="oms-rebuild-") as folder:
            scratch = writer_engine(f"sqlite:///{Path(folder) / 'fresh.db'}", create=True)
            try:
                with scratch.connect() as fresh:
                    tune_scratch(driver(fresh))
                    folded = fold_afresh(connection, fresh, account).seq
                    for table in tables.SHADOWS:
                        replace_rows(pg, driver(fresh), table, account)
                marks.make_anew(pg, account, folded)
            finally:
                scratch.dispose()
        lease.release(pg, fence)
        pg.execute("COMMIT")
    except BaseException as error:
        connection.invalidate()
        if isinstance(error, Exception) and is_database_error(error):
            raise translate(error, address.shown, "rebuilding the tables") from error
        raise
    finally:
        connection.close()
    return folded
