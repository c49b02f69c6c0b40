"""What the machine gives: a database that is whole and the account's own, room on the disk, a disk that keeps its word."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from oms.config import LoadedConfig
from oms.doctor.checks import Ailing
from oms.errors import DamagedError
from oms.journal.connection import file_system
from oms.journal.loading import read_head
from oms.journal.reader import Reader
from oms.questions.asking import Desk

LEAST_FREE = 500_000_000
"""Bytes that must be free where the journal lies: months of trading."""
SYNCS = 7
"""Times that a small file is brought to the disk."""
SLOWEST_SYNC_S = 0.25
"""A disk that takes longer, at the median, holds every phase of a cycle up by it."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems that are gone with the power."""


def database(desk: Desk) -> Iterator[str]:
    """Whether the journal can be read, is the configuration's own, and ends where its chain says."""
    config = desk.loaded.config
    mode = "dry_run" if desk.dry_run else config.mode

    def look(reader: Reader) -> str:
        if (reader.account, reader.mode) != (config.account, mode):
            raise Ailing(
                f"{reader.where} was made for account {reader.account!r}, mode {reader.mode!r}; "
                f"the configuration says {config.account!r}, {mode!r}",
                "name another file in journal.url: a journal never changes its account or mode",
            )
        with reader.asking("looking at the end of the journal") as connection:
            head = read_head(connection, reader.account)
        return f"{reader.where}: {head.seq:,} entries of {reader.account}, {reader.mode}; its end is whole"

    yield desk.ask(look, "nothing has run yet; `run` makes the journal")


def disk(loaded: LoadedConfig, usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage) -> str:
    """Room where the journal lies."""
    folder = _folder(loaded)
    if folder is None:
        return "the journal is kept by a PostgreSQL server, whose disk is not looked at"
    total, _, free = usage(folder)
    if free < LEAST_FREE:
        raise Ailing(
            f"{_bytes(free)} free of {_bytes(total)} at {folder}; expected at least {_bytes(LEAST_FREE)}",
            "free some space: a full disk stops trading (exit 75)",
        )
    return f"{_bytes(free)} free of {_bytes(total)} at {folder}"


def fsync(loaded: LoadedConfig, kind_of: Callable[[Path], str | None] = file_system) -> str:
    """Whether what is written reaches the disk, and how long that takes."""
    folder = _folder(loaded)
    if folder is None:
        return "the journal is kept by a PostgreSQL server, which syncs by itself"
    kind = kind_of(folder)
    if kind in IN_MEMORY:
        raise Ailing(
            f"{folder} lies in memory ({kind}): a power cut takes the journal with it",
            "name a file on a disk in journal.url",
        )
    times = [_sync(folder) for _ in range(SYNCS)]
    typical, slowest = statistics.median(times), max(times)
    found = f"{typical * 1000:.1f} ms typically, {slowest * 1000:.1f} ms at most, {kind or 'file system not known'}"
    if typical > SLOWEST_SYNC_S:
        raise Ailing(found, "keep the journal on a local disk: each phase of a cycle waits for one sync")
    return found


def _sync(folder: Path) -> float:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-", delete=True) as file:
        file.write(b"x" * 4096)
        file.flush()
        began = time.perf_counter()
        os.fsync(file.fileno())
        return time.perf_counter() - began


def _folder(loaded: LoadedConfig) -> Path | None:
    """Where the journal lies or will lie: the nearest folder that is there already; None on PostgreSQL."""
    file = loaded.journal_file
    if file is None:
        return None
    folder = next(each for each in file.parents if each.exists())
    if not os.access(folder, os.W_OK):
        raise DamagedError(f"{folder} cannot be written")
    return folder


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
