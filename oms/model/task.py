"""The engine's standing work, each piece of it with how it goes: what an operator asks first at 3 a.m."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

TRADING, SELECTION, RECONCILIATION, NOTIFICATION = "trading", "selection", "reconciliation", "notification"
"""The four supervised tasks, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHealth:
    """How one supervised task goes."""

    name: str
    healthy: bool = True
    """Its last run ended well, or it has not run yet."""
    text: str = "not run yet"
    """What its last run did, or why it did nothing, as a sentence."""
    last_run: datetime | None = None
    """When its last run began."""
    next_run: datetime | None = None
    """When it is due again; None where nobody knows, as while it runs or after the engine has stopped."""
    last_error: str = ""
    """The sentence of its newest failure; kept after it has recovered."""
    last_error_at: datetime | None = None
    runs: int = 0
    """Runs of this process, failed ones included."""
    failures: int = 0
    """Failures in a row; zero while it is healthy."""
