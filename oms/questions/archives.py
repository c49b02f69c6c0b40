"""The archives of closed years: ``journal archives``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms.errors import WrongDatabase
from oms.questions.asking import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from oms.journal.archives import Archive


def archives(desk: Desk) -> dict[str, Any]:
    """Every archive of the journal, oldest first, and whether it is in its place.

    Raises:
        WrongDatabase: the journal is no file, and so has no archives.
        DamagedError, StorageError: the journal is damaged, or cannot be read now.
    """
    from oms.journal import archiving
    from oms.journal.archives import folder_of
    from oms.places import places

    folder = folder_of(file_of(places(desk.loaded, dry_run=desk.dry_run).file))
    nothing: list[Archive] = []
    found = desk.ask(archiving.listed, nothing)
    return {"schema": "oms.journal.archives/1", "archives": [told(each, folder) for each in found]}


def file_of(path: Path | None) -> Path:
    """The file of a journal. Raises WrongDatabase where it is none."""
    if path is None:
        raise WrongDatabase("only a journal in a file can be archived")
    return path


def told(found: Archive, folder: Path) -> dict[str, Any]:
    """One archive."""
    file = folder / found.file
    return {
        "path": str(file),
        "there": file.is_file(),
        "first_seq": found.first_seq,
        "last_seq": found.last_seq,
        "previous": found.previous.hex(),
        "head": found.head.hex(),
        "bytes": found.bytes,
        "sha256": found.sha256,
        "at": found.at.isoformat().replace("+00:00", "Z"),
    }
