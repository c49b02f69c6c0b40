"""Archives of closed years that come back with a backup: which are there already, which come, and which lie in the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oms.backup.deciding import Move
from oms.backup.files import storing, sync_file, sync_folder
from oms.journal.archives import Archive, fingerprint, folder_of, registered


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedYear:
    """One archive that the journal of a backup goes on from."""

    archive: Archive
    place: Path
    """Where it belongs."""
    staged: Path | None
    """Where it was unpacked; None where the backup does not hold it."""
    there: bool
    """The very file is in its place."""

    @property
    def comes(self) -> bool:
        """The restore puts it into its place."""
        return self.staged is not None and not self.there

    @property
    def in_the_way(self) -> bool:
        """Another file of this name has to be set aside."""
        return self.comes and self.place.exists()

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        first, last = self.archive.first_seq, self.archive.last_seq
        found = "there" if self.there else "comes" if self.comes else "missing"
        return {"file": str(self.place), "first_seq": first, "last_seq": last, "bytes": self.archive.bytes, "is": found}


def closed_years(unpacked: Path, staged: tuple[Path, ...], journal: Path, account: str) -> tuple[ClosedYear, ...]:
    """What an unpacked journal goes on from, once it stands at ``journal``, oldest first."""
    with closing(sqlite3.connect(f"{unpacked.as_uri()}?mode=ro", uri=True)) as raw:
        known = registered(raw, account)
    files: tuple[Path | None, ...] = staged or (None,) * len(known)
    return tuple(_found(each, folder_of(journal) / each.file, file) for each, file in zip(known, files, strict=True))


def _found(archive: Archive, place: Path, staged: Path | None) -> ClosedYear:
    is_there = False
    if place.is_file():
        with storing(f"reading {place}"):
            is_there = place.stat().st_size == archive.bytes and fingerprint(place) == (archive.bytes, archive.sha256)
    return ClosedYear(archive=archive, place=place, staged=staged, there=is_there)


def aside_of(year: ClosedYear, restore_id: str) -> Path:
    """Where a file goes that lies in the way."""
    return year.place.with_name(f"{year.place.name}.before-{restore_id}")


def moves_of(years: tuple[ClosedYear, ...], restore_id: str) -> Iterator[Move]:
    """Put each archive that comes into its place; nothing but the restored journal ever asks for it there."""
    for year in years:
        if not year.comes:
            continue
        assert year.staged is not None
        sync_file(year.staged)
        year.staged.chmod(0o400)
        sync_folder(year.staged.parent)
        if year.place.exists():
            yield Move(source=str(year.place), target=str(aside_of(year, restore_id)), guard=str(year.staged))
        yield Move(source=str(year.staged), target=str(year.place))
