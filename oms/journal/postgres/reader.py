"""Reading an account's journal on PostgreSQL: read-only transactions, each one consistent picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from oms.errors import DamagedError, UsageError
from oms.journal.postgres import schema
from oms.journal.postgres.address import Address, readers
from oms.journal.postgres.journal import MODE, MOVING, stamps
from oms.journal.postgres.meaning import is_database_error, translate
from oms.journal.reader import NoJournal, Reader
from oms.journal.schema import Found

_PICTURE = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresReader(Reader):
    """One account's journal among those of a database."""

    def __init__(self, address: Address, patience_s: float | None = None, *, unfinished: bool = False) -> None:
        """See :func:`oms.journal.reader.open_reader`; ``unfinished`` is for the move that checks its own work."""
        self._address = address
        self._engine = readers(address, patience_s)
        self._kept = None
        self.path = None
        self.anchors = address.anchors
        self.shared = True
        self.where = address.shown
        self.account = address.account or ""
        with self.asking("opening the journal") as connection:
            found = schema.examine(connection, address)
            if found is Found.EMPTY:
                raise NoJournal(f"there is no journal in {self.where} yet; `run` makes it")
            if found is Found.OLDER:
                raise DamagedError(f"{self.where} is of an older release; `db upgrade` moves it up")
            self.account = self.account or _only_one(connection, self.where)
            kept = stamps(connection, self.account)
        if MOVING in kept and not unfinished:
            raise DamagedError(
                f"{self.where}: the move of the journal of {self.account} is not finished; run `db migrate-to` again"
            )
        if MODE not in kept:
            raise NoJournal(f"there is no journal of {self.account} in {self.where} yet; `run` makes it")
        self.mode = kept[MODE]

    @contextmanager
    def asking(self, doing: str, *, whole: bool = True) -> Iterator[Connection]:
        """See :meth:`oms.journal.reader.Reader.asking`; every fact is in the database, so each question is whole."""
        del whole
        if self._kept is not None:
            yield self._kept
            return
        assert self._engine is not None
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(_PICTURE)
                connection.exec_driver_sql("SELECT set_config('oms.account', %s, true)", (self.account,))
                yield connection
                connection.exec_driver_sql("ROLLBACK")
        except Exception as error:
            if is_database_error(error):
                raise translate(error, self.where, doing) from error
            raise


def _only_one(connection: Connection, where: object) -> str:
    """The account of a database that has one."""
    names = accounts(connection)
    if not names:
        raise NoJournal(f"there is no journal in {where} yet; `run` makes it")
    if len(names) > 1:
        raise UsageError(f"{where} has {len(names)} accounts: {', '.join(names[:5])} …; say which one is meant")
    return names[0]


def accounts(connection: Connection) -> list[str]:
    """Every account that has a journal in this database, by name."""
    marks = connection.execute(
        text("SELECT name FROM meta WHERE name LIKE :marks ORDER BY name"), {"marks": f"{MODE}%"}
    )
    return [str(name).removeprefix(MODE) for name in marks.scalars()]
