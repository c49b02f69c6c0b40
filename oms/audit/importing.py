"""An export read back: every file, every row and the whole chain checked, and a journal made of it."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from oms.audit.export import MANIFEST, SCHEMA, File, Manifest
from oms.errors import DamagedError, StorageError, UsageError
from oms.journal.chain import StoredRow, genesis, link
from oms.journal.codec import decode
from oms.journal.connection import FULL, driver, set_synchronous, translate
from oms.journal.opening import opened_for_writing
from oms.journal.packed import Packing
from oms.journal.rebuild import rebuild
from oms.ports import Clock

LARGEST_MANIFEST = 256 * 2**20
LARGEST_LINE = 32 * 2**20
"""Characters of one row; a longer one is no fact of ours."""

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was read."""

    manifest: Manifest
    rows: int
    head: str

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        about = self.manifest
        return {
            "schema": "oms.journal.import/1",
            "account": about.account,
            "mode": about.mode,
            "rows": self.rows,
            "first_seq": about.first_seq,
            "last_seq": about.last_seq,
            "head": self.head,
            "files": len(about.files),
        }


def check(folder: Path) -> Imported:
    """Verify an export without making anything of it.

    Raises:
        UsageError: there is no export, or it is in a form that cannot be read back.
        DamagedError: a file, a row or the chain is not what the manifest says; the first bad one is named.
    """
    about = read_manifest(folder)
    head, counted = "", 0
    for row, stored in _rows(folder, about):
        counted += 1
        head = stored.hex()
        del row
    return Imported(manifest=about, rows=counted, head=head)


def bring_in(folder: Path, database: Path, clock: Clock, say: Callable[[str], None] = lambda _: None) -> Imported:
    """Verify an export and make a new journal of it, its tables cast anew from its facts.

    Raises:
        UsageError: as for :func:`check`; the database is there already; or the export does not begin with the first row.
        DamagedError: as for :func:`check`; nothing is left behind.
    """
    about = read_manifest(folder)
    if database.exists():
        raise UsageError(f"{database} is there already; a journal is never written over")
    if about.first_seq != 1:
        raise UsageError(f"{folder} begins with row {about.first_seq}: only a whole export makes a journal; --check it")
    made = database.with_name(f"{database.name}.partial")
    try:
        _discard(made)
        kept = [(each["config_hash"], each["canonical"], each["at_us"]) for each in about.configs]
        counted, head = make_journal(
            *(made, about.account, about.mode), rows=_rows(folder, about), configs=kept, clock=clock, say=say
        )
        imported = Imported(manifest=about, rows=counted, head=head)
        made.rename(database)
    except OSError as error:
        raise StorageError(f"{database} cannot be made: {error.strerror or error}") from error
    finally:
        _discard(made)
    return imported


def _url(path: Path) -> str:
    return f"sqlite:///{path.absolute().as_posix()}"


def _discard(made: Path) -> None:
    for name in (made.name, f"{made.name}-wal", f"{made.name}-shm"):
        made.with_name(name).unlink(missing_ok=True)


def _fold_log_in(made: Path) -> None:
    """One file holds everything, so that it can be renamed alone."""
    raw = sqlite3.connect(made, isolation_level=None)
    try:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()


def make_journal(
    made: Path,
    account: str,
    mode: str,
    *,
    rows: Iterable[tuple[StoredRow, bytes]],
    configs: Sequence[tuple[str, str, int]],
    clock: Clock,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[int, str]:
    """A journal of these rows, which the caller has checked, with its tables cast anew; how many they were, and its head.

    Raises:
        DamagedError: a row is no fact of this release.
        StorageError: the disk refuses.
    """
    counted, head, last = 0, genesis(account), 0
    with opened_for_writing(_url(made), account, mode, clock, say) as connection:
        raw = driver(connection)
        try:
            set_synchronous(raw, FULL)
            packing = Packing(raw)
            raw.execute("BEGIN IMMEDIATE")
            for row, stored in rows:
                decode(row[6], row[7], row[2], row[4], row[5])
                packing.add_facts([(account, *row, stored)])
                counted, head, last = counted + 1, stored, row[0]
            raw.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", (account, last, head, last, head))
            raw.executemany("INSERT INTO configs (config_hash, canonical, at) VALUES (?, ?, ?)", configs)
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(error, made, "importing facts") from error
        connection.close()
        connection.engine.dispose()
    rebuild(_url(made), account, mode, clock)
    _fold_log_in(made)
    return counted, head.hex()


# Reading


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export, its own fields checked.

    Raises:
        UsageError: there is none.
        DamagedError: it is not one that this program wrote.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise DamagedError(f"{path} is larger than any manifest")
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no export in {folder}: {MANIFEST} is missing") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is no manifest: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise DamagedError(f"{path} is not of {SCHEMA}: it was written by another program or a newer release")
    try:
        files = [File(**each) for each in found.pop("files")]
        about = Manifest(**found, files=files)
        _refuse_strange(about, path)
    except (TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"{path} is no manifest of this release: {error}") from error
    return about


def _refuse_strange(about: Manifest, path: Path) -> None:
    if about.format not in ("jsonl", "csv"):
        raise UsageError(f"an export in {about.format} is for reading elsewhere; jsonl and csv can be brought back")
    for file in about.files:
        # A name with a folder in it could point anywhere.
        if PurePath(file.name).name != file.name or file.name in ("", ".", "..") or "\\" in file.name:
            raise DamagedError(f"{path} names {file.name!r}, which is not a file beside it")
    for each in about.configs:
        if hashlib.sha256(each["canonical"].encode()).hexdigest() != each["config_hash"]:
            raise DamagedError(f"{path}: configuration {each['config_hash'][:12]} is not the one of that hash")


def _rows(folder: Path, about: Manifest) -> Iterator[tuple[StoredRow, bytes]]:
    """Every row of every file in the order of the chain, each checked against the one before."""
    seq = about.first_seq - 1
    previous = _unhex(about.previous, "previous")
    if about.first_seq == 1 and previous != genesis(about.account):
        raise DamagedError(f"the export does not begin where the chain of {about.account!r} begins")
    for file in about.files:
        began = seq
        for number, row, stored in _READERS[about.format](folder / file.name, file):
            if row[0] != seq + 1:
                raise DamagedError(
                    f"{file.name}, line {number}: row {row[0]} follows row {seq}; rows are missing or moved"
                )
            if link(previous, about.account, row) != stored:
                raise DamagedError(f"{file.name}, line {number}: row {row[0]} is not what was written")
            seq, previous = row[0], stored
            yield row, stored
        if seq - began != file.rows:
            raise DamagedError(f"{file.name} holds {seq - began} rows; the manifest says {file.rows}")
    if seq != about.last_seq or previous.hex() != about.head:
        raise DamagedError(
            f"the export ends at row {seq}; the manifest says {about.last_seq}: its tail was cut or changed"
        )


Lines = Iterator[tuple[int, StoredRow, bytes]]


def _lines(path: Path, file: File) -> Iterator[str]:
    """The lines of a file; at its end its hash must be the manifest's."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as opened:
            while line := opened.readline(LARGEST_LINE):
                digest.update(line)
                yield line.decode()
    except FileNotFoundError:
        raise DamagedError(f"{path.name} is missing") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path.name} is not text in UTF-8: {error}") from error
    if digest.hexdigest() != file.sha256:
        raise DamagedError(f"{path.name} is not the file of the manifest: its hash differs")


def _jsonl(path: Path, file: File) -> Lines:
    for number, line in enumerate(_lines(path, file), 1):
        try:
            found = json.loads(line)
            data = _CANONICAL(found["data"])
            names = ("seq", "at_us", "cycle_id", "version", "cl_ord_id", "symbol", "kind")
            row = (*(found[name] for name in names), data)
            yield number, _typed(row), _unhex(found["hash"], "hash")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedError(f"{path.name}, line {number} is no row: {error}") from error


def _csv(path: Path, file: File) -> Lines:
    reader = csv.reader(_lines(path, file), strict=True)
    # The limit is the whole process's: whoever reads another CSV afterwards finds the one that stood before.
    before = csv.field_size_limit(LARGEST_LINE)
    try:
        next(reader, None)
        for cells in reader:
            seq, _, at, cycle_id, version, cl_ord_id, symbol, kind, data, stored = cells
            row = (
                int(seq),
                int(at),
                cycle_id or None,
                int(version) if version else None,
                cl_ord_id or None,
                symbol or None,
                kind,
                data,
            )
            yield reader.line_num, _typed(row), _unhex(stored, "hash")
    except (ValueError, TypeError, csv.Error) as error:
        raise DamagedError(f"{path.name}, line {reader.line_num} is no row: {error}") from error
    finally:
        csv.field_size_limit(before)


_READERS: dict[str, Callable[[Path, File], Lines]] = {"jsonl": _jsonl, "csv": _csv}


def _typed(row: tuple[Any, ...]) -> StoredRow:
    seq, at, cycle_id, version, cl_ord_id, symbol, kind, data = row
    whole = type(seq) is int and type(at) is int and (version is None or type(version) is int)
    texts = all(each is None or type(each) is str for each in (cycle_id, cl_ord_id, symbol)) and type(kind) is str
    if not (whole and texts):
        raise ValueError("a value is of the wrong kind")
    return seq, at, cycle_id, version, cl_ord_id, symbol, kind, data


def _unhex(text: Any, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError) as error:
        raise DamagedError(f"{name} is no hash: {text!r}") from error
