"""The mark of a restore in the database: written with the fence, read at every start, lifted when the broker was asked.

A lifted mark stays under another name: it is the tombstone of the chain that was replaced, with its head.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from oms.errors import DamagedError, RefusedError, StorageError
from oms.journal.statements import Statements
from oms.model.restoration import Restoration

_NAME = "restored"
UNFINISHED = ".oms-restore"
"""A file beside config.yaml: the moves of a restore that has been decided. While it is there, nothing may be acted on."""


def refuse_unfinished(base: Path) -> None:
    """Refuse to work between an old configuration and a new one.

    Raises:
        RefusedError: a restore beside this configuration has been decided and is not finished.
    """
    if (base / UNFINISHED).exists():
        raise RefusedError(
            f"a restore in {base} is not finished; every command of `oms` finishes it first, so run one again"
        )


def mark_of(account: str | None) -> str:
    """What the mark is called: in a database of many accounts each has its own."""
    return _NAME if account is None else f"{_NAME}/{account}"


def read_mark(raw: Statements, name: str = _NAME) -> Restoration | None:
    """The restore after which the broker was not asked yet; None almost always."""
    row = raw.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    try:
        fields = json.loads(row[0])
        for each in ("horizon", "restored_at"):
            fields[each] = datetime.fromisoformat(fields[each])
        return Restoration(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"the mark of the last restore cannot be read ({error}); restore the backup again") from None


def write_mark(raw: Statements, mark: Restoration, name: str = _NAME) -> None:
    """Leave the mark, within the caller's transaction; one that is there already keeps the earlier horizon."""
    earlier = read_mark(raw, name)
    horizon = mark.horizon if earlier is None else min(mark.horizon, earlier.horizon)
    fields = {**asdict(mark), "horizon": horizon.isoformat(), "restored_at": mark.restored_at.isoformat()}
    raw.execute("DELETE FROM meta WHERE name = ?", (name,))
    raw.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (name, json.dumps(fields, sort_keys=True)))


def lift_mark(raw: Statements, mark: Restoration, account: str, fence: int, name: str = _NAME) -> None:
    """The broker was asked and its answer is journaled: the mark becomes a tombstone.

    Raises:
        StorageError: the lease is no longer ours, or the database failed.
    """
    sql = "UPDATE meta SET name = ? WHERE name = ? AND EXISTS (SELECT 1 FROM lease WHERE account = ? AND fence = ?)"
    try:
        done = raw.execute(sql, (f"{name}.{mark.restore_id}", name, account, fence))
    except Exception as error:
        raise StorageError(f"the mark of the restore could not be lifted: {error}") from error
    if done.rowcount != 1:
        raise StorageError("the mark of the restore could not be lifted: another process took the lease")
