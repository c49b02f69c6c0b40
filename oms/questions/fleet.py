"""How the fleet stands: ``fleet status``."""

from __future__ import annotations

from typing import Any

from oms.errors import RefusedError, UnknownName
from oms.questions.asking import Desk

STATES = ("failing", "overdue", "halted", "paused", "running", "waiting")
"""Of an account, in the order in which a person would look at them."""


def status(desk: Desk) -> dict[str, Any]:
    """Every account of the fleet, every worker, and what holds for all of them; nothing is made or changed.

    Raises:
        WrongDatabase: the journal is a file, and so has no fleet.
        UnknownName: no fleet was ever made in this database.
        DamagedError, StorageError: the database cannot be asked now, or not within the desk's patience.
    """
    from oms.fleet import refuse_file

    refuse_file(desk.loaded)
    from oms.fleet import database, standing  # late: the task queue is a package of its own

    return standing.status(database.database_to_look_at(desk.loaded, desk.patience_s))


def summary(desk: Desk) -> dict[str, Any] | None:
    """How many accounts of the fleet are in which state, and each worker; None where there is no fleet to be seen.

    Raises:
        DamagedError, StorageError: as :func:`status`.
    """
    from oms.journal.access import is_postgres

    if not is_postgres(desk.loaded.config.journal.url):
        return None
    from oms.fleet import database, standing  # late, as above

    try:
        return standing.summary(database.database_to_look_at(desk.loaded, desk.patience_s))
    except (UnknownName, RefusedError):
        return None
