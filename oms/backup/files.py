"""Files that only their owner can read, written so that a crash leaves the old one or the new one, never a part."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oms.errors import RefusedError, StorageError, UsageError
from oms.journal.machine import process_started

PREFIX = ".oms-making-"
"""Begins the name of everything unfinished; the number and the start of its process follow."""


@contextmanager
def storing(doing: str) -> Iterator[None]:
    """What the disk says becomes a StorageError (exit 75) that names what was being done."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise StorageError(f"{doing} failed: {place}{error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, with those above it."""
    with storing(f"making the folder {folder}"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def unfinished(folder: Path, what: str) -> Path:
    """A fresh name in ``folder`` for something of this process that is not complete yet; see :func:`sweep`."""
    started = process_started(os.getpid()) or "0"
    mark = "".join(letter for letter in started if letter.isalnum())
    return folder / f"{PREFIX}{os.getpid()}-{mark}-{secrets.token_hex(4)}-{what}"


def sweep(folders: Iterable[Path]) -> None:
    """Remove what processes left unfinished that have ended; what a living one is making stays."""
    for folder in set(folders):
        with suppress(OSError):
            for path in folder.glob(f"{PREFIX}*"):
                if not _is_being_made(path.name):
                    with suppress(OSError):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def scratch(beside: Path) -> Iterator[Path]:
    """A folder for its owner alone that goes away again: in ``beside``, or where that cannot be written, the system's."""
    place = unfinished(beside if os.access(beside, os.W_OK) else Path(tempfile.gettempdir()), "scratch")
    with storing(f"making {place}"):
        place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _is_being_made(name: str) -> bool:
    pid, mark, *_ = [*name.removeprefix(PREFIX).split("-"), "", ""]
    started = process_started(int(pid)) if pid.isdecimal() else None
    return started is not None and "".join(letter for letter in started if letter.isalnum()) == mark


def create(path: Path) -> int:
    """A descriptor of a new file, readable by its owner alone whatever the umask says."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def write_new(path: Path, data: bytes) -> None:
    """Write a new file and bring its content to the disk; its name still needs :func:`sync_folder`."""
    with storing(f"writing {path}"), open(create(path), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Bring a file that something else wrote to the disk."""
    with storing(f"writing {path}"), path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; Windows does that by itself."""
    if os.name != "posix":
        return
    with storing(f"writing the folder {folder}"):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_regular(path: Path, what: str) -> int:
    """A descriptor for reading a regular file; a pipe is not waited for.

    Raises:
        UsageError: there is none, or it cannot be read.
        RefusedError: it is a folder, a pipe or a device.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise UsageError(f"{what} {path} does not exist") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{what} {path} cannot be read: {error}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RefusedError(f"{what} {path} is not a regular file")
    return handle
