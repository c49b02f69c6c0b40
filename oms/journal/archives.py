"""The facts of closed years in files of their own: which there are, and how a reading connection sees them with the rest.

An archive is an SQLite database that is never written again. ``archives`` names it with its hash, the link before its first
fact and the link of its last, so the chain goes through it without a gap. A reader attaches what is registered and lays a
view named ``events`` over all parts: every question sees every fact and need not know where it lies. The engine needs none.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from oms.errors import DamagedError
from oms.journal.scalars import from_instant
from oms.journal.statements import Statements, stream

COLUMNS = "account, seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash"
"""Columns of ``events``, in the order of the table."""
MOST_FILES = 8
"""Archives that are read together; SQLite attaches ten. The next one takes all of them in."""
SCHEMA = "oms.archive/1"

_REGISTERED = (
    "SELECT first_seq, last_seq, previous, head, file, bytes, sha256, at FROM archives WHERE account = ?"
    " ORDER BY last_seq DESC, first_seq"
)
_HAS_TABLE = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'archives'"
_ROWS = "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash, account FROM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One file with the facts ``first_seq`` to ``last_seq``."""

    account: str
    first_seq: int
    last_seq: int
    previous: bytes
    """Link of the fact before its first."""
    head: bytes
    """Link of its last fact."""
    file: str
    """Name within the folder of archives."""
    bytes: int
    sha256: str
    at: datetime
    """When its facts were moved."""

    @property
    def facts(self) -> str:
        """The facts it holds, for a sentence."""
        return f"facts {self.first_seq:,} to {self.last_seq:,}"


def folder_of(database: Path) -> Path:
    """Where the archives of a journal lie: beside it, under its name."""
    return database.with_name(f"{database.stem}.archive")


def registered(raw: sqlite3.Connection, account: str) -> list[Archive]:
    """The archives that together hold every fact that was moved, oldest first.

    Where a later archive took in earlier ones, these are no part of the answer.
    """
    if raw.execute(_HAS_TABLE).fetchone() is None:  # a journal of an older release, inside a backup
        return []
    chosen: list[Archive] = []
    for first, last, previous, head, file, size, sha256, at in raw.execute(_REGISTERED, (account,)):
        if chosen and last != chosen[-1].first_seq - 1:
            continue
        chosen.append(
            Archive(
                account=account,
                first_seq=first,
                last_seq=last,
                previous=previous,
                head=head,
                file=file,
                bytes=size,
                sha256=sha256,
                at=from_instant(at),
            )
        )
    return chosen[::-1]


def moved_up_to(raw: sqlite3.Connection, account: str) -> tuple[int, bytes | None]:
    """The last fact that lies in an archive, and its link; 0 and None where every fact is in the database."""
    chain = registered(raw, account)
    return (chain[-1].last_seq, chain[-1].head) if chain else (0, None)


def attach(raw: sqlite3.Connection, account: str, database: Path) -> list[Archive]:
    """Let this connection see every fact: attach each archive and lay the view ``events`` over all parts.

    Raises:
        DamagedError: an archive is not in its place.
    """
    chain = registered(raw, account)
    if not chain:
        return []
    parts = []
    for number, archive in enumerate(chain, 1):
        file = folder_of(database) / archive.file
        if not file.is_file():
            raise missing(archive, file)
        raw.execute(f"ATTACH DATABASE ? AS archive{number}", (opening(file),))
        parts.append(f"SELECT {COLUMNS} FROM archive{number}.events")  # noqa: S608  # names of our own
    # Copies of a few archived facts stay for the engine; the plus keeps SQLite from entering the table by this condition.
    parts.append(f"SELECT {COLUMNS} FROM main.events WHERE +seq > {chain[-1].last_seq}")  # noqa: S608
    raw.execute(f"CREATE TEMP VIEW events AS {' UNION ALL '.join(parts)}")
    return chain


def is_plain_name(file: str) -> bool:
    """Whether the name of an archive stays within its folder, on every system."""
    parts = (*PurePosixPath(file).parts, *PureWindowsPath(file).parts)
    return parts == (file, file) and file not in {"", ".", ".."} and file.isprintable() and ":" not in file


def opening(file: Path) -> str:
    """The URI that opens an archive for reading; it never changes, so nothing is locked."""
    return f"{file.as_uri()}?mode=ro&immutable=1"


def missing(archive: Archive, file: Path) -> DamagedError:
    """What to say where an archive is not in its place."""
    return DamagedError(
        f"the {archive.facts} were archived on {archive.at:%Y-%m-%d} in {file}, which is not there: put it back. "
        "Trading, `status`, `positions` and `funds` do not need it"
    )


def every_row(raw: Statements, account: str, after: int = 0, last: int = 2**62) -> Iterator[Any]:
    """Each stored row after a place, up to ``last``: from the archives that are attached, then from the database itself.

    Its parts: seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash, account.
    """
    if not isinstance(raw, sqlite3.Connection):
        sql = f"{_ROWS} events WHERE account = ? AND seq > ? AND seq <= ? ORDER BY seq"
        yield from stream(raw, sql, (account, after, last))
        return
    yield from archived_rows(raw, account, after, last)
    places = (max(after, archived_up_to(raw, account)), last)
    yield from raw.execute(f"{_ROWS} main.events WHERE seq > ? AND seq <= ? ORDER BY seq", places)


def archived_rows(raw: sqlite3.Connection, account: str, after: int = 0, last: int = 2**62) -> Iterator[Any]:
    """The part of :func:`every_row` that lies in archives which are attached."""
    if not archived_up_to(raw, account):
        return
    for number, archive in enumerate(registered(raw, account), 1):
        if archive.last_seq > after and archive.first_seq <= last:
            # The file is one account's: a row that names another is somebody's work, and must be met.
            sql = f"{_ROWS} archive{number}.events WHERE seq > ? AND seq <= ? ORDER BY seq"
            yield from raw.execute(sql, (after, last))


def archived_up_to(raw: sqlite3.Connection, account: str) -> int:
    """The last fact that lies in an archive which is attached; 0 where none is."""
    attached = raw.execute("SELECT 1 FROM pragma_database_list WHERE name = 'archive1'").fetchone()
    return moved_up_to(raw, account)[0] if attached else 0


def fingerprint(file: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file, read a megabyte at a time.

    Raises:
        OSError: it cannot be read.
    """
    counted, found = 0, hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(2**20):
            found.update(chunk)
            counted += len(chunk)
    return counted, found.hexdigest()


def first_wrong(raw: sqlite3.Connection, account: str, database: Path, *, full: bool) -> tuple[str, int] | None:
    """What is wrong with the attached archives, and the fact it is about; None where nothing is.

    Quick: sizes and the links at both ends. ``full``: each byte of each file, the copies that stayed in the database, and
    the versions at which cycles may go on. The chain itself is walked by the verification.
    """
    chain = registered(raw, account)
    for number, archive in enumerate(chain, 1):
        file = folder_of(database) / archive.file
        problem = _problem(raw, f"archive{number}", archive, file, full=full)
        if problem is not None:
            return problem
    if not full or not chain:
        return None
    version = raw.execute(_WRONG_VERSION, {"account": account, "last": chain[-1].last_seq}).fetchone()
    if version is not None:
        return f"table archived_cycles, row {version[0]}: it does not say version {version[1]}", version[2]
    return None


_WRONG_VERSION = (
    "SELECT moved.cycle_id, max(moved.version), max(moved.seq) FROM temp.events AS moved"
    " LEFT JOIN archived_cycles AS kept ON kept.account = :account AND kept.cycle_id = moved.cycle_id"
    " WHERE moved.seq <= :last AND moved.cycle_id IS NOT NULL"
    " GROUP BY moved.cycle_id HAVING max(kept.version) IS NOT max(moved.version) LIMIT 1"
)


def _problem(raw: sqlite3.Connection, name: str, archive: Archive, file: Path, *, full: bool) -> tuple[str, int] | None:
    if file.stat().st_size != archive.bytes:
        return f"{file} has {file.stat().st_size:,} bytes and should have {archive.bytes:,}", archive.first_seq
    with closing(raw.execute(f"SELECT hash FROM {name}.events WHERE seq = ?", (archive.last_seq,))) as found:  # noqa: S608
        row = found.fetchone()
    if row is None or row[0] != archive.head:
        return f"{file} does not end with row {archive.last_seq} as it was archived", archive.last_seq
    if not full:
        return None
    if fingerprint(file)[1] != archive.sha256:
        return f"{file} is not the file that was archived: its bytes have changed", archive.first_seq
    copy = raw.execute(_CHANGED_COPY.format(name), (archive.last_seq,)).fetchone()
    return None if copy is None else (f"row {copy[0]} in the database is not the one in {file}", copy[0])


_CHANGED_COPY = (
    "SELECT kept.seq FROM main.events AS kept JOIN {0}.events AS moved ON moved.seq = kept.seq WHERE kept.seq <= ?"
    " AND (kept.hash, kept.data, kept.kind, kept.at, kept.cycle_id, kept.version, kept.cl_ord_id, kept.symbol) IS NOT"
    " (moved.hash, moved.data, moved.kind, moved.at, moved.cycle_id, moved.version, moved.cl_ord_id, moved.symbol)"
    " ORDER BY kept.seq LIMIT 1"
)
"""A copy that stayed in the database for the engine and is not what lies in the archive."""
