"""That a journal was brought back from a backup, and how far it can be believed until the broker was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """The mark that a restore leaves in the database; the first start asks the broker before it sends anything."""

    restore_id: str
    backup_id: str
    horizon: datetime
    """What happened at the broker after this instant the journal cannot know."""
    restored_at: datetime
    head_seq: int
    """Last row of the chain in the backup."""
    superseded_seq: int | None
    """Last row of the chain that was replaced, with ``superseded_hash``; None where none could be read."""
    superseded_hash: str | None
