"""How this program opens an SQLite file: where it may lie, how it is tuned, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from oms.errors import DamagedError, OmsError, RefusedError, StorageError, UsageError
from oms.model.cycle import ImpossibleFact

BUSY_S = 5.0
"""Seconds to wait for a lock before the write is given up."""

PAGES_KIB = 500
"""KiB of pages that a connection keeps of a file. SQLite's own 2,000 fill up over a thousand cycles, in each thread that
reads; the system keeps the file's pages as well, and no question of ``bench journal`` takes longer for it.
"""

STEPS_BETWEEN_LOOKS = 10_000
"""Steps of SQLite between two looks at the clock of :func:`give_up_after`: about a millisecond."""

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "smbfuse",
        "9p",
        "afs",
        "ceph",
        "davfs",
        "fuse.sshfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.davfs2",
        "fuse.glusterfs",
        "glusterfs",
        "lustre",
        "ncpfs",
        "beegfs",
    }
)
"""Where file locks and shared memory do not hold between machines, and SQLite loses data."""


def sqlite_file(url: str) -> Path | None:
    """The file that an ``sqlite://`` address names; None for a database in memory.

    Raises:
        UsageError: the address is not one of SQLite.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(f"{url!r} is no database address; expected something like sqlite:///var/oms.db") from error
    if parsed.get_backend_name() != "sqlite":
        raise UsageError(f"a {parsed.get_backend_name()} database cannot be opened as an SQLite file")
    name = parsed.database or ""
    if name in ("", ":memory:") or (name.startswith("file:") and parsed.query.get("mode") == "memory"):
        return None
    if name.startswith("file:"):
        raise UsageError(f"{url!r}: name the file itself, as in sqlite:///var/oms.db")
    return Path(name).absolute()


def address_of(path: Path) -> str:
    """The ``sqlite://`` address of a file, whatever letters its name has."""
    return URL.create("sqlite", database=path.as_posix()).render_as_string()


def writer_engine(url: str, *, create: bool = False) -> Engine:
    """An engine that holds exactly one connection, with transactions begun by hand only."""
    path = sqlite_file(url)
    if path is None:
        return create_engine(url, poolclass=StaticPool, connect_args={"isolation_level": None, "timeout": BUSY_S})
    return create_engine("sqlite://", poolclass=StaticPool, creator=_opener(path, "rwc" if create else "rw"))


@lru_cache(maxsize=16)
def reader_engine(path: Path) -> Engine:
    """An engine whose connections can only read, each one opened for one question.

    The engine itself is kept: it remembers how statements are compiled, which costs more than running them.
    """
    return create_engine("sqlite://", poolclass=NullPool, creator=_opener(path, "ro"))


def _opener(path: Path, mode: str) -> Callable[[], sqlite3.Connection]:
    # as_uri quotes what a path may hold (blanks, %, ?, #); the mode keeps SQLite from making a file by mistake.
    uri = f"{path.as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=mode != "ro"
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA cache_size = -{PAGES_KIB}")
        return connection

    return connect


def driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection below SQLAlchemy's."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def give_up_after(raw: sqlite3.Connection, seconds: float) -> None:
    """Let no statement of this connection go on for longer than so many seconds from now."""
    until = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)


def tune_writer(raw: sqlite3.Connection, *, in_memory: bool) -> None:
    """Set what every promise of durability rests on, and read back what could have been refused."""
    if sys.platform == "darwin":
        raw.execute("PRAGMA fullfsync = ON")
        raw.execute("PRAGMA checkpoint_fullfsync = ON")
    raw.execute("PRAGMA recursive_triggers = ON")
    raw.execute("PRAGMA foreign_keys = ON")
    mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal" and not in_memory:
        raise RefusedError(f"the file system does not let SQLite keep a write-ahead log (it stays at {mode!r})")
    # The log is folded in by tidy() at a quiet moment, never in the middle of a cycle.
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    raw.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
    set_synchronous(raw, FULL)


def tune_scratch(raw: sqlite3.Connection) -> None:
    """For a database that is thrown away: nothing needs to survive."""
    raw.execute("PRAGMA journal_mode = OFF")
    raw.execute("PRAGMA synchronous = OFF")


NORMAL, FULL = 1, 2
"""Values of ``PRAGMA synchronous``."""


def set_synchronous(raw: sqlite3.Connection, level: int) -> None:
    """Choose whether a commit waits for the disk, and make sure that SQLite took it. Outside transactions only."""
    if raw.in_transaction:
        raise StorageError("a transaction is still open where none may be")
    raw.execute(f"PRAGMA synchronous = {level}")
    found = raw.execute("PRAGMA synchronous").fetchone()[0]
    if found != level:
        raise StorageError(f"SQLite keeps synchronous={found} although {level} was asked for; nothing may rest on it")


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner can read, and its folder where that is missing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror or error}") from error


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """SQLite's locks do not hold across a network.

    Raises:
        RefusedError: the file lies, or would lie, on a network file system. Only Linux tells.
    """
    kind = file_system(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise RefusedError(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold: "
            "keep the journal on a local disk, or use PostgreSQL"
        )


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The type of the file system below ``path``; None where the system does not tell."""
    try:
        lines = mounts.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    best, kind = "", None
    for line in lines:
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind


def translate(error: Exception, where: object, doing: str) -> Exception:
    """What a database error means for the person who reads it, and how the program ends."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _sqlite_meaning(cause, where, doing)
    return StorageError(f"{where}: {doing} failed: {error}")


def _sqlite_meaning(error: sqlite3.Error, where: object, doing: str) -> Exception:
    code: Any = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ImpossibleFact(f"{where}: the database refuses this while {doing}: {error}")
    kind, sentence = _MEANINGS.get(primary, (StorageError, "the database failed"))
    if primary is None and "decode to UTF-8" in str(error):  # the driver's own words, which have no number
        kind, sentence = _MEANINGS[sqlite3.SQLITE_CORRUPT]
    return kind(f"{where}: {sentence} ({doing}: {error})")


_MEANINGS: dict[Any, tuple[type[OmsError], str]] = {
    sqlite3.SQLITE_BUSY: (StorageError, f"another process has locked the database for more than {BUSY_S:.0f} s"),
    sqlite3.SQLITE_LOCKED: (StorageError, "another connection of this process has locked the database"),
    sqlite3.SQLITE_FULL: (StorageError, "the disk is full; nothing was written, free some space and run again"),
    sqlite3.SQLITE_READONLY: (StorageError, "the file or its folder cannot be written; check their permissions"),
    sqlite3.SQLITE_IOERR: (
        StorageError,
        "the disk reported an error; whether it was written is decided by the next start",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StorageError,
        "the file cannot be opened; check that its folder exists and can be written",
    ),
    sqlite3.SQLITE_PERM: (StorageError, "the file may not be opened; check its permissions"),
    sqlite3.SQLITE_NOMEM: (StorageError, "there is not enough memory"),
    sqlite3.SQLITE_INTERRUPT: (StorageError, "the question took too long; ask for less"),
    sqlite3.SQLITE_CORRUPT: (
        DamagedError,
        "the database is damaged; run `journal verify`, then restore the newest backup",
    ),
    sqlite3.SQLITE_NOTADB: (DamagedError, "this is not a database of this program, or it is damaged or encrypted"),
}
