"""The same cycle in other products: programs for an interpreter of their own, which import nothing of ours."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def dbos_cycle_file() -> Path:
    """The program for DBOS."""
    return FOLDER / "dbos_cycle.py"


def eventsourcing_cycle_file() -> Path:
    """The program for the eventsourcing library."""
    return FOLDER / "eventsourcing_cycle.py"
