"""How a question reaches the journal: opened for reading only, answered also where nothing has run yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from oms.errors import UnknownName

if TYPE_CHECKING:  # a command that only prints help shall not pay for the database
    from oms.config import LoadedConfig
    from oms.journal.reader import Reader

Answer = Mapping[str, Any]
Found = TypeVar("Found")

NOTHING_YET = "nothing has run yet; `run` makes the journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where questions are asked: one configuration, and its journal or that of its dry run."""

    loaded: LoadedConfig
    dry_run: bool = False
    patience_s: float | None = None
    """Longest time that reading for one question may take, for whoever answers strangers; None has no end."""

    def now(self) -> datetime:
        """The time of the world."""
        return datetime.now(UTC)

    def ask(self, question: Callable[[Reader], Found], nothing: Found) -> Found:
        """The answer from the journal; ``nothing`` where nothing has run yet.

        Raises:
            DamagedError, StorageError: the journal is damaged, or cannot be read now, or not within ``patience_s``.
        """
        from oms.journal.reader import NoJournal, open_reader
        from oms.places import places

        where = places(self.loaded, dry_run=self.dry_run)
        try:
            with closing(open_reader(where.journal_url, self.patience_s)) as reader:
                return question(reader)
        except NoJournal:
            return nothing

    def ask_for_one(self, question: Callable[[Reader], dict[str, Any]]) -> dict[str, Any]:
        """The answer about one thing by its name.

        Raises:
            UnknownName: there is no such thing, or nothing has run yet, so nothing has a name.
            DamagedError, StorageError: as :meth:`ask`.
        """
        nothing: dict[str, Any] = {}
        answer = self.ask(question, nothing)
        if not answer:
            raise UnknownName(NOTHING_YET)
        return answer
