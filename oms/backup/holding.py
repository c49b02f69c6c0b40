"""The lease, held for a restore: no engine runs meanwhile, and the journal may be too damaged to be opened properly."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from oms.errors import StorageError
from oms.gateways.system_clock import SystemClock
from oms.journal.connection import BUSY_S, FULL, translate
from oms.journal.lease import LeaseRow
from oms.journal.machine import this_process

HOLD_S = 600.0
"""Seconds for which the account stays ours without a renewal; a dead holder is taken over at once all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A lease taken under ``fence``. Where the database is too damaged to say who holds it, ``problem`` says so."""

    journal: Path
    account: str
    fence: int | None
    problem: str = ""


def take(journal: Path) -> Hold | None:
    """Take the lease of the journal at this place; None where there is none, or one without tables.

    Raises:
        LeaseHeldError: an engine runs.
        StorageError: the database cannot be written now.
    """
    if not journal.exists():
        return None
    try:
        with closing(_open(journal)) as raw:
            account = _account(raw)
            if account is None:
                return None
            raw.execute("BEGIN IMMEDIATE")
            lease = LeaseRow(account, SystemClock(), HOLD_S, this_process()).take(raw)
            raw.execute("COMMIT")
            return Hold(journal=journal, account=account, fence=lease.fence)
    except sqlite3.Error as error:
        meaning = translate(error, journal, "taking the lease")
        if isinstance(meaning, StorageError):
            raise meaning from error
        return Hold(journal=journal, account="", fence=None, problem=str(meaning))


def give_back(hold: Hold) -> None:
    """End a hold; nothing happens where the lease went on to somebody else, or the journal is gone or damaged."""
    if hold.fence is None or not hold.journal.exists():
        return
    try:
        with closing(_open(hold.journal)) as raw:
            sql = "UPDATE lease SET expires_at = NULL WHERE account = ? AND fence = ?"
            raw.execute(sql, (hold.account, hold.fence))
    except sqlite3.Error as error:
        raise translate(error, hold.journal, "giving the lease back") from error


def _open(journal: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(f"{journal.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_S)
    raw.execute(f"PRAGMA synchronous = {FULL}")
    return raw


def _account(raw: sqlite3.Connection) -> str | None:
    names = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"lease", "heads", "meta"} <= names:
        return None
    row = raw.execute("SELECT value FROM meta WHERE name = 'account'").fetchone()
    return None if row is None else str(row[0])
