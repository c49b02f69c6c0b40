"""The bytes of an input file, read with suspicion: regular files only, of bounded size, whole, as UTF-8 text."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from oms.errors import UsageError
from oms.model.foreign import printable, shown

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_bytes(path: Path, most: int, what: str) -> bytes:
    """The whole content of a regular file of at most ``most`` bytes.

    Raises UsageError, with ``what`` the file is for, where it is missing, unreadable, a folder, a pipe or a device, too
    large, or changes while it is read. A pipe is not waited for.
    """
    name = printable(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise UsageError(f"{what} {name} does not exist") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error) from None
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise UsageError(f"{what} {name} is {_kind(before.st_mode)}; expected a regular file")
        if before.st_size > most:
            raise UsageError(f"{what} {name} has {before.st_size:,} bytes; expected at most {most:,}")
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(most + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise _unreadable(path, what, error) from None
    finally:
        os.close(descriptor)
    if len(data) != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise UsageError(f"{what} {name} changed while it was read; nothing was done, try again when it is written")
    return data


def _unreadable(path: Path, what: str, error: Exception) -> UsageError:
    name = printable(str(path))
    # Windows refuses to open a folder with the same error as a forbidden file.
    if isinstance(error, (IsADirectoryError, PermissionError)) and path.is_dir():
        return UsageError(f"{what} {name} is a folder; expected a regular file")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name is not valid"
    return UsageError(f"{what} {name} cannot be read: {reason}")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "not a file of text"


def others_may_write(path: Path) -> bool:
    """Whether any user of this machine may change the file; always False on Windows, where the mode does not say."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def decode(data: bytes, name: str) -> str:
    """The text of UTF-8 bytes without a byte-order mark and without control characters.

    Raises UsageError with line and column of the first offence, and how to mend it.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in data[:4] and len(data) >= 2):
        raise UsageError(f"{name} is UTF-16 or binary, expected UTF-8 text: save it again with the encoding UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        raise UsageError(f'{name} begins with a byte-order mark: save it again as "UTF-8", not "UTF-8 with BOM"')
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8"))
        raise UsageError(
            f"{name}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8: save it with the encoding UTF-8"
        ) from None
    if match := _UNPRINTABLE.search(text):
        line, column = _position(text[: match.start()])
        raise UsageError(f"{name}:{line}:{column}: control character {shown(match[0])} found; expected plain text")
    return text


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
