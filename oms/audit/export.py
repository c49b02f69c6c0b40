"""The journal as plain files that any program reads, with a manifest that says what they must hold.

An export is a folder: ``events….jsonl`` or ``events….csv``, whole or one file a day, and ``manifest.json`` with the hash of
every file and the links of the chain before the first row and after the last. Every row carries its own link, so the files
prove themselves without the database.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from oms import __version__
from oms.errors import DamagedError, StorageError, UsageError
from oms.journal import tables
from oms.journal.answers import instant
from oms.journal.archives import fingerprint
from oms.journal.chain import StoredRow, genesis, link
from oms.journal.reader import Reader
from oms.journal.scalars import from_instant
from oms.journal.statements import statements

SCHEMA = "oms.journal.export/1"
MANIFEST = "manifest.json"
FORMATS = ("jsonl", "csv", "parquet")
COLUMNS = ("seq", "at", "at_us", "cycle_id", "version", "cl_ord_id", "symbol", "kind", "data", "hash")
BATCH = 5000
"""Rows read in one go."""

Row = tuple[StoredRow, bytes]


@dataclass(kw_only=True)
class File:
    """One file of an export."""

    name: str
    sha256: str
    bytes: int
    rows: int
    first_seq: int
    last_seq: int


@dataclass(kw_only=True)
class Manifest:
    """What an export holds."""

    schema: str
    account: str
    mode: str
    format: str
    created_at: str
    version: str
    """Release of the program that wrote it."""
    database_schema: str
    first_seq: int
    last_seq: int
    rows: int
    previous: str
    """Link of the row before the first, hexadecimal."""
    head: str
    """Link of the last row."""
    files: list[File] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)
    """Each configuration that is kept: its hash, its text, and when it was first used, in microseconds."""

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def export(
    reader: Reader,
    folder: Path,
    format_: str = "jsonl",
    *,
    by_day: bool = False,
    since: date | None = None,
    until: date | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write the journal into a new folder; ``since`` and ``until`` (exclusive) are days, UTC.

    The folder appears whole or not at all. The chain is walked on the way: what does not fit it is not exported.

    Raises:
        UsageError: the folder is there already, nothing matches, or Parquet is asked for and duckdb is not installed.
        DamagedError: the journal is not what was written.
        StorageError: a file cannot be written.
    """
    if format_ == "parquet":
        _duckdb()
    if folder.exists():
        raise UsageError(f"{folder} is there already; an export is never written over something else")
    made = folder.with_name(f"{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir(mode=0o700)
        found = _write(reader, made, format_, by_day=by_day, since=since, until=until)
        if format_ == "parquet":
            say("writing Parquet with duckdb")
            _to_parquet(made, found)
        _put(made / MANIFEST, (json.dumps(found.answer(), indent=1, sort_keys=True) + "\n").encode())
        made.rename(folder)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        _discard(made)
    return found


def _discard(made: Path) -> None:
    if made.exists():
        for file in made.iterdir():
            file.unlink()
        made.rmdir()


def _write(
    reader: Reader, folder: Path, format_: str, *, by_day: bool, since: date | None, until: date | None
) -> Manifest:
    first = _first_row(reader, since)
    previous = _link_before(reader, first)
    writer = _Writer(folder, "csv" if format_ == "parquet" else format_, by_day=by_day)
    head = previous
    expected = first
    try:
        for row, stored in rows(reader, first):
            if until is not None and from_instant(row[1]).date() >= until:
                break
            head = _checked(reader, head, row, stored, expected)
            expected += 1
            writer.write(row, stored)
    finally:
        writer.close()
    if not writer.files:
        raise UsageError("no fact lies in that time; nothing was exported")
    return Manifest(
        schema=SCHEMA,
        account=reader.account,
        mode=reader.mode,
        format=format_,
        created_at=instant(datetime.now(UTC)) or "",
        version=__version__,
        database_schema=tables.SCHEMA_REVISION,
        first_seq=first,
        last_seq=expected - 1,
        rows=expected - first,
        previous=previous.hex(),
        head=head.hex(),
        files=writer.files,
        configs=_configs(reader),
    )


def _checked(reader: Reader, previous: bytes, row: StoredRow, stored: bytes, expected: int) -> bytes:
    if row[0] != expected:
        raise DamagedError(f"row {expected} is missing; run `journal verify`")
    if link(previous, reader.account, row) != stored:
        raise DamagedError(f"row {row[0]} is not what was written; run `journal verify`")
    return stored


def rows(reader: Reader, first: int = 1) -> Iterator[Row]:
    """Every stored row from ``first`` on with its link, a batch at a time."""
    sql = (
        "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash FROM events"
        " WHERE account = ? AND seq >= ? ORDER BY seq LIMIT ?"
    )
    while True:
        with reader.asking("exporting the journal") as connection:
            batch = statements(connection).execute(sql, (reader.account, first, BATCH)).fetchall()
        for row in batch:
            yield row[:8], row[8]
        if len(batch) < BATCH:
            return
        first = batch[-1][0] + 1


def _first_row(reader: Reader, since: date | None) -> int:
    if since is None:
        return 1
    start = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()) * 1_000_000
    with reader.asking("looking for the first row") as connection:
        sql = "SELECT min(seq) FROM events WHERE account = ? AND at >= ?"
        found = statements(connection).execute(sql, (reader.account, start)).fetchone()[0]
    if found is None:
        raise UsageError(f"no fact was journaled since {since}")
    first: int = found
    return first


def _link_before(reader: Reader, first: int) -> bytes:
    if first == 1:
        return genesis(reader.account)
    with reader.asking("reading a link") as connection:
        sql = "SELECT hash FROM events WHERE account = ? AND seq = ?"
        row = statements(connection).execute(sql, (reader.account, first - 1)).fetchone()
    if row is None:
        raise DamagedError(f"row {first - 1} is missing; run `journal verify`")
    before: bytes = row[0]
    return before


_CONFIGS = {
    False: "SELECT config_hash, canonical, at FROM configs ORDER BY at, config_hash",
    True: "SELECT config_hash, canonical, at FROM configs WHERE config_hash IN"
    " (SELECT config_hash FROM cycles WHERE account = ?) ORDER BY at, config_hash",
}
"""Every configuration of a file, and those that one of many accounts traded under."""


def _configs(reader: Reader) -> list[dict[str, Any]]:
    with reader.asking("reading the configurations") as connection:
        kept = statements(connection).execute(_CONFIGS[reader.shared], (reader.account,) if reader.shared else ())
        return [{"config_hash": name, "canonical": text, "at_us": at} for name, text, at in kept]


# Files


class _Writer:
    """Puts rows into files, a new one where a new day begins."""

    def __init__(self, folder: Path, format_: str, *, by_day: bool) -> None:
        self.files: list[File] = []
        self._folder = folder
        self._format = format_
        self._by_day = by_day
        self._day: date | None = None
        self._open: BinaryIO | None = None
        self._hash = hashlib.sha256()

    def write(self, row: StoredRow, stored: bytes) -> None:
        # A clock that was set back does not open a day again: files follow one another in the chain.
        day = from_instant(row[1]).date() if self._by_day else None
        if self._open is None or (day is not None and self._day is not None and day > self._day):
            self._begin(day, row[0])
        self._put(_LINES[self._format](row, stored).encode())
        file = self.files[-1]
        file.rows += 1
        file.last_seq = row[0]

    def _begin(self, day: date | None, seq: int) -> None:
        self.close()
        self._day = day
        name = f"events.{self._format}" if day is None else f"events-{day}.{self._format}"
        self._open = _private(self._folder / name)
        self._hash = hashlib.sha256()
        self.files.append(File(name=name, sha256="", bytes=0, rows=0, first_seq=seq, last_seq=seq))
        if self._format == "csv":
            self._put(_csv_line(COLUMNS).encode())

    def _put(self, data: bytes) -> None:
        assert self._open is not None
        self._open.write(data)
        self._hash.update(data)
        self.files[-1].bytes += len(data)

    def close(self) -> None:
        """Bring the file to the disk."""
        if self._open is None:
            return
        self._open.flush()
        os.fsync(self._open.fileno())
        self._open.close()
        self._open = None
        self.files[-1].sha256 = self._hash.hexdigest()


def _jsonl_line(row: StoredRow, stored: bytes) -> str:
    seq, at, cycle_id, version, cl_ord_id, symbol, kind, data = row
    head = {"seq": seq, "at": instant(from_instant(at)), "at_us": at, "cycle_id": cycle_id, "version": version}
    rest = {"cl_ord_id": cl_ord_id, "symbol": symbol, "kind": kind}
    # The details are JSON already, and their very bytes are what the link covers.
    return f'{json.dumps({**head, **rest})[:-1]}, "data": {data}, "hash": "{stored.hex()}"}}\n'


def _csv_row(row: StoredRow, stored: bytes) -> str:
    seq, at, *rest = row
    return _csv_line((seq, instant(from_instant(at)), at, *rest, stored.hex()))


def _csv_line(cells: tuple[Any, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerow(cells)
    return line.getvalue()


_LINES: dict[str, Callable[[StoredRow, bytes], str]] = {"jsonl": _jsonl_line, "csv": _csv_row}


def _private(path: Path) -> BinaryIO:
    """A new file that only its owner can read: it holds what an account owns and does."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600), "wb")


def _put(path: Path, data: bytes) -> None:
    with _private(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


# Parquet


def _duckdb() -> Any:
    try:
        # By its name only: it has no types where it is not installed.
        return import_module("duckdb")
    except ImportError:
        raise UsageError(
            "Parquet is written with duckdb, which is not installed: pip install 'oms[audit]'; jsonl and csv need nothing"
        ) from None


def _to_parquet(folder: Path, found: Manifest) -> None:
    """Turn the CSV files into Parquet, typed, each by itself."""
    types = "{'seq': 'BIGINT', 'at': 'TIMESTAMPTZ', 'at_us': 'BIGINT', 'version': 'BIGINT'}"
    connection = _duckdb().connect()
    try:
        for file in found.files:
            source = folder / file.name
            target = source.with_suffix(".parquet")
            wanted = f"read_csv(?, header=true, all_varchar=false, quote='\"', escape='\"', types={types})"
            connection.execute(
                f"COPY (SELECT * FROM {wanted} ORDER BY seq) TO '{_quoted(target)}' (FORMAT parquet)",  # noqa: S608
                [str(source)],
            )
            source.unlink()
            target.chmod(0o600)
            file.name = target.name
            file.bytes, file.sha256 = fingerprint(target)
    finally:
        connection.close()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
