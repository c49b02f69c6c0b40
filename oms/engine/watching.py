"""The watcher of an engine that nobody watches."""

from __future__ import annotations

from collections.abc import Sequence

from oms.model.event import Event
from oms.model.state import AccountState
from oms.ports import Watcher


class Unwatched(Watcher):
    """Nobody looks."""

    def happened(self, state: AccountState, events: Sequence[Event]) -> None:
        """Nobody is told."""

    def waiting(self, state: AccountState, why: str) -> None:
        """Nobody is told."""
