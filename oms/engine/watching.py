"""What those who watch an engine are told: nobody at all, or nobody twice."""

from __future__ import annotations

from collections.abc import Sequence

from oms.model.event import AttentionRaised, Event
from oms.model.state import AccountState
from oms.ports import Watcher

MOST_TOLD = 1000
"""Things that a person was told and is not told again by the same process."""


class Unwatched(Watcher):
    """Nobody looks."""

    def happened(self, state: AccountState, events: Sequence[Event]) -> None:
        """Nobody is told."""

    def waiting(self, state: AccountState, why: str) -> None:
        """Nobody is told."""


class Told:
    """What a person was told by this process: that is not said at every poll."""

    def __init__(self) -> None:
        self._raised: set[tuple[str, str | None, str | None, str]] = set()

    def is_news(self, event: Event) -> bool:
        """Whether it is worth journaling once more."""
        if not isinstance(event, AttentionRaised):
            return True
        key = (event.rule, event.cl_ord_id, event.symbol, event.text)
        if key in self._raised:
            return False
        if len(self._raised) >= MOST_TOLD:  # an engine that runs for months does not remember for ever
            self._raised.clear()
        self._raised.add(key)
        return True
