"""An account's journal on PostgreSQL, where a backup or a restore needs it: read as it is, or copied out into a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from oms.audit.importing import make_journal
from oms.errors import DamagedError
from oms.gateways.system_clock import SystemClock
from oms.journal.chain import StoredRow, genesis, link
from oms.journal.connection import FULL, driver, set_synchronous, writer_engine
from oms.journal.loading import Loaded, load
from oms.journal.reader import NoJournal, Reader, open_reader
from oms.journal.statements import Statements, statements, stream

CONFIGS = (
    "SELECT config_hash, canonical, at FROM configs WHERE config_hash IN"
    " (SELECT config_hash FROM cycles WHERE account = ?) ORDER BY at DESC, config_hash"
)
"""The configurations that this account traded under, of those that all accounts of the database share."""
_ROWS = (
    "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash FROM events WHERE account = ? ORDER BY seq"
)


def opened(url: str) -> Reader | None:
    """The journal, to be read; None where nothing has run yet.

    Raises:
        StorageError, DamagedError, CredentialsError: as for every reader.
    """
    try:
        return open_reader(url)
    except NoJournal:
        return None


def loaded(url: str) -> Loaded | None:
    """State and head of the account; None where nothing has run yet."""
    reader = opened(url)
    if reader is None:
        return None
    with closing(reader), reader.asking("reading the journal", whole=False) as connection:
        return load(connection, reader.account)


def copy_out(reader: Reader, copy: Path) -> None:
    """Make a journal in a file of this account's rows, all of one snapshot of the server, while engines run.

    The rows are read through a cursor in one transaction (REPEATABLE READ, read only), each one checked against the link
    before it; the tables of the file are cast anew from them. Other accounts of the database are not in it.

    Raises:
        DamagedError: a row is not what was written.
        StorageError: the server was lost, or the disk refuses.
    """
    with reader.asking("copying the journal") as connection:
        raw = statements(connection)
        kept = raw.execute(CONFIGS, (reader.account,)).fetchall()
        lease = raw.execute("SELECT fence FROM lease WHERE account = ?", (reader.account,)).fetchone()
        make_journal(*(copy, reader.account, reader.mode), rows=_rows(raw, reader), configs=kept, clock=SystemClock())
    engine = writer_engine(f"sqlite:///{copy.as_posix()}")
    try:
        with engine.connect() as written:
            file: Any = driver(written)
            set_synchronous(file, FULL)
            sql = "UPDATE lease SET fence = ?, expires_at = NULL WHERE account = ?"
            file.execute(sql, (0 if lease is None else lease[0], reader.account))
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            file.execute("PRAGMA journal_mode = DELETE").fetchone()
    finally:
        engine.dispose()
    for ending in ("-wal", "-shm"):
        with suppress(OSError):
            copy.with_name(f"{copy.name}{ending}").unlink(missing_ok=True)


def _rows(raw: Statements, reader: Reader) -> Iterator[tuple[StoredRow, bytes]]:
    before, seq = genesis(reader.account), 0
    for *found, stored in stream(raw, _ROWS, (reader.account,)):
        row: StoredRow = tuple(found)
        if row[0] != seq + 1 or link(before, reader.account, row) != bytes(stored):
            raise DamagedError(f"{reader.where}: row {seq + 1} of {reader.account} is not what was written")
        seq, before = row[0], bytes(stored)
        yield row, before
