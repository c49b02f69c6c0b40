"""A backup of everything before the journal's database is moved up to a newer schema."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from oms.backup import shelf
from oms.config import LoadedConfig
from oms.places import places

REASON = "migration"


def keeper(loaded: LoadedConfig) -> Callable[[Path], str | None]:
    """How the database of this configuration is kept: with its configuration, as a backup on the shelf."""

    def keep(database: Path) -> str | None:
        if database != places(loaded).file:
            return None
        made = shelf.automatic(loaded, REASON, with_journal=True, env=os.environ)
        return f"in backup {made.manifest.id} (`backups list`)"

    return keep
