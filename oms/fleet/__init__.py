"""Many accounts on PostgreSQL, traded by any number of workers on a task queue in the same database."""

from __future__ import annotations

from oms.config import LoadedConfig
from oms.errors import WrongDatabase
from oms.journal.access import is_postgres


def refuse_file(loaded: LoadedConfig) -> None:
    """Said before anything is imported that needs the driver, which who trades on a file does not have.

    Raises:
        WrongDatabase: the journal of this configuration is a file.
    """
    if not is_postgres(loaded.config.journal.url):
        raise WrongDatabase(
            "a fleet needs its journals on PostgreSQL: set journal.url to postgresql://user@host/database; "
            "`db migrate-to` moves a journal there"
        )
