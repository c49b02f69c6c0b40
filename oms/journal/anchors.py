"""Heads of the chain kept outside the database: what shows that a journal's tail was cut off.

A chain proves that no row in it was changed; only a copy of its end kept elsewhere proves that there was no more.
Anchored are heads that a barrier has covered, so that no power cut can make an anchor run ahead of the journal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from oms.errors import DamagedError, StorageError

_TAIL = 4096
"""Bytes at the end of the file that surely hold its last line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The end of one account's chain at one instant."""

    account: str
    seq: int
    hash: str
    """Hexadecimal."""
    at: datetime


def anchors_file(database: Path) -> Path:
    """Where the anchors of a database lie: beside it."""
    return database.with_name(f"{database.name}.anchors")


def add(path: Path, anchor: Anchor) -> None:
    """Append one line and bring it to the disk.

    Raises:
        StorageError: the file cannot be written.
    """
    line = json.dumps(
        {"account": anchor.account, "at": anchor.at.isoformat(), "hash": anchor.hash, "seq": anchor.seq},
        sort_keys=True,
    )
    try:
        is_new = not path.exists()
        if is_new:  # beside a journal on a server there may be no folder yet
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            # A line that a crash cut short is ended first, so that it cannot swallow this one.
            size = os.fstat(handle).st_size
            torn = size > 0 and _last_byte(handle, size) != b"\n"
            os.write(handle, f"{chr(10) if torn else ''}{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        if is_new:
            _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def last(path: Path, account: str) -> Anchor | None:
    """The newest anchor of an account, from the end of the file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    found = [anchor for line in lines if (anchor := _parsed(line)) is not None and anchor.account == account]
    return max(found, key=lambda anchor: anchor.seq, default=None)


def every(path: Path, account: str) -> Iterator[Anchor]:
    """Every anchor of an account, oldest first.

    Raises:
        DamagedError: a line other than one that a crash cut short is not an anchor.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines, 1):
        anchor = _parsed(line)
        if anchor is None and line.strip().endswith(b"}"):
            raise DamagedError(f"{path}, line {number}: this is no anchor; the file was changed by hand")
        if anchor is not None and anchor.account == account:
            yield anchor


def _parsed(line: bytes) -> Anchor | None:
    try:
        found = json.loads(line)
        return Anchor(
            account=str(found["account"]),
            seq=int(found["seq"]),
            hash=str(found["hash"]),
            at=datetime.fromisoformat(found["at"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _last_byte(handle: int, size: int) -> bytes:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
