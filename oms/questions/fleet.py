"""How the fleet stands: ``fleet status``."""

from __future__ import annotations

from typing import Any

from oms.questions.asking import Desk


def status(desk: Desk) -> dict[str, Any]:
    """Every account of the fleet, every worker, and what holds for all of them; nothing is made or changed.

    Raises:
        WrongDatabase: the journal is a file, and so has no fleet.
        UnknownName: no fleet was ever made in this database.
        DamagedError, StorageError: the database cannot be asked now, or not within the desk's patience.
    """
    from oms.fleet import database, standing  # late: the task queue is a package of its own

    return standing.status(database.database_to_look_at(desk.loaded, desk.patience_s))
