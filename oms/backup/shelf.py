"""The folder of backups: what is there, which one is meant, whether each is whole, and which may go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oms.backup import encryption
from oms.backup.archive import read_archive, read_manifest
from oms.backup.files import scratch, storing, sweep, sync_folder
from oms.backup.making import SUFFIX, Made, Order, make
from oms.backup.manifest import Manifest, is_id
from oms.backup.soundness import check_contents
from oms.config import LoadedConfig, load_config
from oms.errors import DamagedError, OmsError, UsageError

DAILY = "daily"
BY_HAND = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of the shelf; ``manifest`` is None where it cannot be believed, and ``problem`` says why."""

    id: str
    path: Path
    manifest: Manifest | None
    problem: str = ""

    def answer(self) -> dict[str, Any]:
        """As ``backups list --json`` shows it."""
        found = self.manifest
        assert found is not None
        return {
            "id": self.id,
            "at": found.created_at,
            "note": found.note,
            "config_hash": found.config_hash,
            "seq": found.journal.seq if found.journal is not None else None,
            "size": self.path.stat().st_size,
            "reason": found.reason,
            "account": found.account,
            "mode": found.mode,
            "with_journal": found.with_journal,
            "archives": len(found.archives),
            "path": str(self.path),
        }


def folder_of(loaded: LoadedConfig) -> Path:
    """Where the backups of this configuration lie."""
    return loaded.resolve(loaded.config.backup.dir)


def every(loaded: LoadedConfig) -> list[Kept]:
    """Every backup on the shelf, newest first; a file that names itself one and is none comes with its problem."""
    folder = folder_of(loaded)
    files = sorted(folder.glob(f"oms-*{SUFFIX}")) if folder.is_dir() else []
    found = [_kept(path) for path in files if is_id(path.name.removesuffix(SUFFIX))]
    return sorted(found, key=lambda kept: (_when(kept), kept.id), reverse=True)


def encrypted(loaded: LoadedConfig) -> list[Path]:
    """Backups of the shelf that only a key opens; nothing is known about them but their names, and nothing removes them."""
    return sorted(folder_of(loaded).glob(f"oms-*{SUFFIX}{encryption.SUFFIX}"), reverse=True)


def _kept(path: Path) -> Kept:
    name = path.name.removesuffix(SUFFIX)
    try:
        return Kept(id=name, path=path, manifest=read_manifest(path))
    except OmsError as error:
        return Kept(id=name, path=path, manifest=None, problem=str(error))


def _when(kept: Kept) -> datetime:
    return kept.manifest.created if kept.manifest is not None else datetime.min.replace(tzinfo=UTC)


def find(loaded: LoadedConfig, wanted: str) -> Path:
    """The file that ``ID``, ``FILE`` or ``latest`` means.

    Raises:
        UsageError: there is no such backup.
        DamagedError: the newest file of the shelf cannot be believed, so which one is the latest good one is for a
            person to say.
    """
    if wanted == "latest":
        shelf = every(loaded)
        if not shelf:
            raise UsageError(f"there is no backup in {folder_of(loaded)} yet; `backup` makes one")
        good = [kept for kept in shelf if kept.manifest is not None]
        if not good:
            raise DamagedError(f"no backup in {folder_of(loaded)} can be believed; {shelf[0].problem}")
        return good[0].path
    for ending in (SUFFIX, f"{SUFFIX}{encryption.SUFFIX}"):
        if is_id(wanted) and (path := folder_of(loaded) / f"{wanted}{ending}").exists():
            return path
    if Path(wanted).exists():
        return Path(wanted).absolute()
    raise UsageError(f"there is no backup {wanted}, and no such file; see `backups list`")


def verify(path: Path) -> Manifest:
    """Read a backup whole: each checksum, and its journal with its chain.

    Raises:
        DamagedError: it is not whole, or not what it says.
        StorageError: the disk has no room to unpack its journal.
    """
    with scratch(path.parent) as folder:
        contents = read_archive(path, folder / "journal.db")
        check_contents(contents, path)
    return contents.manifest


def prune(loaded: LoadedConfig, keep: int, *, only_automatic: bool, really: bool = True) -> list[Kept]:
    """Remove the oldest backups beyond the newest ``keep``, and what crashes left; returns those removed.

    Files that cannot be believed are kept: to remove them is a person's decision. Backups made by hand go only where
    ``only_automatic`` is false.
    """
    good = [kept for kept in every(loaded) if kept.manifest is not None]
    chosen = [kept for kept in good if not only_automatic or (kept.manifest and kept.manifest.reason != BY_HAND)]
    surplus = chosen[keep:]
    if not really:
        return surplus
    folder = folder_of(loaded)
    sweep([folder])
    for kept in surplus:
        with storing(f"removing {kept.path}"), suppress(FileNotFoundError):
            kept.path.unlink()
    if surplus:
        sync_folder(folder)
    return surplus


def automatic(
    loaded: LoadedConfig,
    reason: str,
    *,
    with_journal: bool = False,
    tolerant: bool = False,
    env: Mapping[str, str] | None = None,
) -> Made:
    """A backup that this program makes by itself: before a migration, restore or rollback, and daily.

    With the daily one, the oldest automatic ones beyond ``backup.keep`` go. Raises as :func:`oms.backup.making.make` raises.
    """
    order = Order(reason=reason, with_journal=with_journal, tolerant=tolerant)
    made = make(loaded, order, os.environ if env is None else env)
    if reason == DAILY:  # never on the way to a restore: the one to be restored might be the oldest
        prune(loaded, loaded.config.backup.keep, only_automatic=True)
    return made


def daily(loaded: LoadedConfig, env: Mapping[str, str] | None = None) -> Made | None:
    """Today's backup, made where ``backup.daily`` asks for it and the shelf has none of this UTC day; cheap to ask often."""
    if not loaded.config.backup.daily:
        return None
    today = f"oms-{datetime.now(UTC):%Y%m%d}T"
    shelf = folder_of(loaded)
    for path in shelf.glob(f"{today}*{SUFFIX}") if shelf.is_dir() else ():
        found = _kept(path).manifest
        if found is not None and found.reason == DAILY and found.account == loaded.config.account:
            return None
    known = os.environ if env is None else env
    # config.yaml may have been edited since the engine read it; the backup is of the file as it is.
    now = load_config(loaded.path, known) if loaded.path is not None else loaded
    return automatic(now, DAILY, env=known)
