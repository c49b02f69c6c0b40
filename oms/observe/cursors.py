"""How far each address has been told: a small file that is replaced whole, so that no crash leaves half of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from oms.errors import DamagedError, StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """One address."""

    seq: int
    """Every fact up to this row was told, kept for the summary, or dropped."""
    sending: int | None = None
    """The row whose message is on its way: found at a start, nobody knows whether it arrived."""
    silent: Mapping[str, int] = field(default_factory=dict)
    """Topic to the number of messages that were kept for the next summary."""
    summary: str | None = None
    """UTC day of the last summary."""
    sent_at: str | None = None
    error: str = ""
    """Why the last message could not be sent; empty where it could."""


class Cursors:
    """The file, beside the journal; used by one thread."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            DamagedError: it is no file of ours.
            StorageError: it cannot be read now.
        """
        self._path = path
        self._all: dict[str, Cursor] = {}
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            self._all = {name: Cursor(**values) for name, values in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise DamagedError(
                f"{path} is not what this program wrote; move it away, and notices begin anew"
            ) from error

    def get(self, name: str) -> Cursor | None:
        """The cursor of one address; None where it was never told anything."""
        return self._all.get(name)

    def all(self) -> Mapping[str, Cursor]:
        """Every address that was ever told something."""
        return dict(self._all)

    def put(self, name: str, cursor: Cursor) -> None:
        """Keep a cursor; it is on the disk when this returns.

        Raises:
            StorageError: it could not be kept, so nothing may be sent that rests on it.
        """
        self._all[name] = cursor
        text = json.dumps({key: asdict(value) for key, value in sorted(self._all.items())}, indent=1)
        beside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def arrived(self, name: str, cursor: Cursor, at: datetime) -> Cursor:
        """The message that was on its way is there."""
        told = replace(cursor, seq=max(cursor.seq, cursor.sending or 0), sending=None, sent_at=at.isoformat(), error="")
        self.put(name, told)
        return told
