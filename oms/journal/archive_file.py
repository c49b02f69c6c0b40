"""One archive as a file: written from the chain, read back, and given its name only when every byte is on the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex

from oms import crashpoints
from oms.errors import DamagedError, StorageError
from oms.journal import archives, tables
from oms.journal.casting import insert_sql
from oms.journal.chain import Walk, follow
from oms.journal.connection import driver, make_private_file, translate
from oms.journal.reader import Reader
from oms.journal.tables import SCHEMA_REVISION

APPLICATION_ID = 0x6F6D7361
"""SQLite's mark of whose file it is: "omsa"."""
BATCH = 5000
"""Rows written at a time."""
PAGE = 8192
"""Bytes of a page: long facts leave less of it empty than in the usual 4096."""
UNFINISHED = ".partial"

_DIALECT = sqlite.dialect()

_TABLE = (
    "CREATE TABLE events (account TEXT NOT NULL, seq INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, cycle_id TEXT,"
    " version INTEGER, cl_ord_id TEXT, symbol TEXT, kind TEXT NOT NULL, data TEXT NOT NULL, hash BLOB NOT NULL)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The facts of an archive."""

    first_seq: int
    last_seq: int
    previous: bytes
    """Link of the fact before the first."""
    head: bytes
    """Link of the last."""
    since: datetime
    until: datetime
    """When the first and the last of them were journaled."""

    @property
    def years(self) -> str:
        """The years they were journaled in, for a name."""
        first, last = self.since.year, self.until.year
        return str(first) if first == last else f"{first}-{last}"


def same_as(file: Path, part: Part, account: str) -> bool:
    """Whether a file that has the name already is this archive, made by a call that was killed; another is set aside.

    Raises:
        DamagedError: it is something else.
    """
    if not file.exists():
        return False
    walked = through(file, account, part.first_seq, part.previous)
    if walked.bad is not None or (walked.seq, walked.head) != (part.last_seq, part.head):
        raise DamagedError(f"{file} is there and holds other facts than the journal; move it away and try again")
    return True


def make(reader: Reader, part: Part, file: Path, alive: Callable[[], None]) -> None:
    """Write the archive; ``alive`` is called now and then, so that a lease does not run out meanwhile.

    Raises:
        DamagedError: a fact is not what was written: the chain does not lead from one end to the other.
        StorageError: the disk refuses.
    """
    made = file.with_name(f"{file.name}{UNFINISHED}")
    try:
        made.unlink(missing_ok=True)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private_file(made)
        _write(reader, part, made, alive)
        walked = through(made, reader.account, part.first_seq, part.previous)
        if walked.bad is not None or (walked.seq, walked.head) != (part.last_seq, part.head):
            problem = walked.problem or "its end differs"
            raise DamagedError(f"the journal cannot be archived: {problem}; run `journal verify`")
        made.chmod(0o400)
        _to_disk(made)
        crashpoints.point("archive.before_rename")
        made.rename(file)
        _to_disk(file.parent)
    except sqlite3.Error as error:
        raise translate(error, made, "writing the archive") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        made.unlink(missing_ok=True)
    crashpoints.point("archive.after_rename")


def _write(reader: Reader, part: Part, made: Path, alive: Callable[[], None]) -> None:
    with closing(sqlite3.connect(made, isolation_level=None)) as raw:
        # What a kill leaves is thrown away, so nothing needs to survive before the end.
        for pragma in (f"page_size = {PAGE}", "journal_mode = OFF", "synchronous = OFF"):
            raw.execute(f"PRAGMA {pragma}")
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        raw.execute(_TABLE)
        raw.execute("CREATE TABLE about (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
        raw.executemany("INSERT INTO about VALUES (?, ?)", _about(reader, part).items())
        insert = insert_sql(tables.events)
        with reader.asking("reading what is to be archived") as connection:
            rows = _rows(driver(connection), reader.account, part)
            while batch := list(islice(rows, BATCH)):
                raw.execute("BEGIN")
                raw.executemany(insert, batch)
                raw.execute("COMMIT")
                alive()
        crashpoints.point("archive.during_copy")
        for index in sorted(tables.events.indexes, key=lambda index: str(index.name)):
            raw.execute(str(CreateIndex(index).compile(dialect=_DIALECT)))
            alive()


def _rows(raw: sqlite3.Connection, account: str, part: Part) -> Iterator[tuple[Any, ...]]:
    for *row, named in archives.every_row(raw, account, part.first_seq - 1):
        if row[0] > part.last_seq:
            return
        yield (named, *row)


def _about(reader: Reader, part: Part) -> dict[str, str]:
    return {
        "schema": archives.SCHEMA,
        "account": reader.account,
        "mode": reader.mode,
        "database_schema": SCHEMA_REVISION,
        "first_seq": str(part.first_seq),
        "last_seq": str(part.last_seq),
        "previous": part.previous.hex(),
        "head": part.head.hex(),
    }


def through(file: Path, account: str, first_seq: int, previous: bytes) -> Walk:
    """The chain through the file of an archive, from the link before its first fact.

    Raises:
        DamagedError: it is no database.
        StorageError: it cannot be read now.
    """
    try:
        with closing(sqlite3.connect(archives.opening(file), uri=True)) as raw:
            rows = raw.execute(
                "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash, account FROM events ORDER BY seq"
            )
            return follow(account, rows, first_seq - 1, previous)
    except sqlite3.Error as error:
        raise translate(error, file, "reading the archive") from error


def _to_disk(place: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; Windows has no such wait for a folder."""
    if place.is_dir() and os.name == "nt":
        return
    opened = os.open(place, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
