"""Named points at which a test may kill the process; each is a no-op unless armed.

``OMS_CRASH_AT=name`` kills at the first passage of that point, ``name:3`` at the third; several are joined by commas
and fire in turn over the lives of a process. A simulation sets :data:`strike` instead and dies in its own way.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

POINTS: dict[str, str] = {
    "lease.before_commit": "before the lease row is committed",
    "lease.after_commit": "after the lease row is committed, before anything else",
    "journal.before_commit": "rows of a commit are written, the commit is not",
    "journal.after_soft_commit": "after a soft commit",
    "journal.before_barrier": "rows of a barrier are written, the barrier is not",
    "journal.after_barrier": "after a barrier reached the disk",
    "reserve.before_call": "before the broker is asked for order numbers",
    "reserve.after_call": "order numbers obtained, not yet journaled",
    "send.before_intent": "before SENDING is committed",
    "send.after_intent": "SENDING is committed, nothing has left",
    "send.before_call": "in the sending thread, just before the request leaves",
    "send.after_call": "the broker answered, the answer is not yet known to the engine",
    "send.before_outcome": "before the outcome of a send is committed",
    "send.after_outcome": "after the outcome of a send is committed",
    "paper.place.before_accept": "at the paper broker: the request arrived, nothing is stored",
    "paper.place.after_accept": "at the paper broker: accepted and stored, the reply has not left",
    "ask.before_call": "before the broker is asked for its orders",
    "ask.after_call": "the broker's orders were read, nothing is journaled",
    "facts.before_commit": "before facts learnt by asking are committed",
    "facts.after_commit": "after facts learnt by asking are committed",
    "cancel.before_call": "before a cancel leaves",
    "cancel.after_call": "after the broker took a cancel",
    "funds.before_call": "before funds are read",
    "funds.after_call": "after funds are read, before they are journaled",
    "decide.before_open": "the plan is made, the cycle is not open",
    "decide.before_revalidation": "buys are revalidated, nothing is journaled",
    "decide.after_revalidation": "the revalidated buys are journaled",
    "decide.before_done": "every buy is closed, DONE is not journaled",
    "decide.after_done": "DONE is journaled, the world is not told",
    "inbox.before_journal": "an operator's command was read, not yet journaled",
    "inbox.after_journal": "an operator's command is journaled, not yet marked as taken",
    "checkpoint.before": "before the write-ahead log is folded into the database",
    "checkpoint.after": "after the write-ahead log was folded into the database",
    "lease.before_release": "before the lease is given back",
    "backup.before_temp": "before a backup is begun",
    "backup.during_copy": "a backup is half written under a name of its own",
    "backup.before_rename": "a backup is written and on the disk, under no name that counts",
    "backup.before_sync": "a backup has its name, the folder is not on the disk",
    "restore.before_verify": "a restore was asked for, the archive is not read",
    "restore.during_staging": "the journal of an archive is half unpacked",
    "restore.before_decision": "everything to be restored lies beside its place, nothing is decided",
    "restore.after_decision": "the restore is decided, nothing has moved",
    "restore.between_moves": "a file of a restore has moved to its place",
    "restore.before_mailbox": "every file is in its place, halts and blacklist are not posted",
    "restore.before_end": "all is restored, the decision still stands beside it",
    "restore.after_end": "all is restored, the lease is not given back",
    "restore.before_facts": "after a restore the broker was asked, nothing is journaled",
    "restore.before_lift": "what the broker said is journaled, the mark of the restore stands",
    "archive.during_copy": "the facts of closed years are copied, under no name that counts",
    "archive.before_rename": "an archive is written, checked and on the disk, under no name that counts",
    "archive.after_rename": "an archive has its name, nobody looks there",
    "archive.before_register": "the chain says where its facts go, readers do not know it",
    "archive.after_register": "readers take facts from the archive, all of them are still in the database",
    "archive.during_removal": "some of the archived facts have left the database",
    "archive.before_shrink": "the archived facts have left the database, its file is as large as before",
    "config.before_rename": "a configuration is written, under no name that counts",
    "config.before_sync": "a configuration has its name, the folder is not on the disk",
}
"""Every point, with what is true there."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


strike: Callable[[str], None] | None = None
"""Called at every point when set; how a simulation dies or counts passages."""


def _armed() -> tuple[str, int] | None:
    wish = os.environ.get("OMS_CRASH_AT", "")
    if not wish:
        return None
    name, _, count = wish.partition(":")
    if name not in POINTS:
        raise ValueError(f"OMS_CRASH_AT names {name!r}, which is no crash point")
    return name, int(count or 1)


_target = _armed()
_passages = 0


def point(name: str) -> None:
    """Pass the point ``name``: nothing happens unless it is armed."""
    if strike is not None:
        strike(name)
    if _target is not None and _target[0] == name:
        global _passages  # noqa: PLW0603  # one process, one count of passages
        _passages += 1
        if _passages == _target[1]:
            _kill()
