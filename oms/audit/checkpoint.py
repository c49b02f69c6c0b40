"""How far the journal was good at the last verification, so that the next one can go on from there.

The place is kept in a small file beside the database, as the anchors are. Its link covers every row before it; what a walk
from there on does not see is a row before it that was changed without its link: ``journal verify --full`` sees that too.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from oms.errors import DamagedError, StorageError
from oms.journal import anchors
from oms.journal.anchors import Anchor
from oms.journal.answers import Answer, instant
from oms.journal.loading import read_head
from oms.journal.reader import Reader
from oms.journal.statements import statements
from oms.journal.verify import Verdict, verify

_LINK = "SELECT hash FROM events WHERE account = ? AND seq = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A row that was good, with its link."""

    account: str
    seq: int
    hash: str
    """Hexadecimal."""
    at: str
    """When it was verified, RFC 3339 UTC."""


def checkpoint_file(database: Path) -> Path:
    """Where it is kept."""
    return database.with_name(f"{database.name}.verified")


def read(path: Path, account: str) -> Checkpoint | None:
    """What was verified last; None where nothing was, or where the file tells nothing."""
    try:
        found = json.loads(path.read_bytes())
        checkpoint = Checkpoint(
            account=str(found["account"]), seq=int(found["seq"]), hash=str(found["hash"]), at=str(found["at"])
        )
        bytes.fromhex(checkpoint.hash)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return checkpoint if checkpoint.account == account and checkpoint.seq > 0 else None


def keep(path: Path, checkpoint: Checkpoint) -> bool:
    """Replace the file as a whole; False where it cannot be written, which costs only time at the next verification."""
    text = json.dumps(
        {"account": checkpoint.account, "at": checkpoint.at, "hash": checkpoint.hash, "seq": checkpoint.seq}
    )
    made = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(made, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        made.replace(path)
    except OSError:
        with suppress(OSError):  # on a file system that can only be read, even this fails
            made.unlink(missing_ok=True)
        return False
    return True


def verify_on(reader: Reader, now: datetime, *, full: bool, jobs: int = 1) -> Verdict:
    """Verify from the last good row on, or ``full`` from the start, and remember how far it was good.

    Without a last good row, the whole is verified; ``jobs`` processes share the work over a long journal.
    """
    place = reader.path or reader.anchors
    file = None if place is None else checkpoint_file(place)
    known = None if file is None or full else read(file, reader.account)
    verified = None if known is None else (known.seq, bytes.fromhex(known.hash))
    verdict = verify(reader, full=known is None, verified=verified, jobs=jobs)
    if verdict.ok and verdict.seq and file is not None:
        keep(file, Checkpoint(account=reader.account, seq=verdict.seq, hash=verdict.head, at=instant(now) or ""))
    return verdict


def anchor(reader: Reader, now: datetime, to: Path | None = None) -> Answer:
    """Write down the newest head that a barrier has covered, beside the database or in ``to``, and check all that are there.

    Raises:
        DamagedError: an anchor does not fit the journal: the tail was cut, or the journal rewritten.
        UsageError, StorageError: there is no file to write to.
    """
    file = to or reader.anchors
    if file is None:
        raise StorageError("a journal in memory has no place for anchors; name a file")
    with reader.asking("reading the head") as connection:
        head = read_head(connection, reader.account)
    checked = check_anchors(reader, file)
    newest = anchors.last(file, reader.account)
    added = bool(head.barrier_seq) and (newest is None or newest.seq < head.barrier_seq)
    if added:
        made = Anchor(account=reader.account, seq=head.barrier_seq, hash=head.barrier_hash.hex(), at=now)
        anchors.add(file, made)
    return {
        "schema": "oms.journal.anchor/1",
        "file": str(file),
        "seq": head.barrier_seq,
        "hash": head.barrier_hash.hex() if head.barrier_seq else None,
        "added": added,
        "checked": checked,
    }


def check_anchors(reader: Reader, file: Path) -> int:
    """How many anchors of a file the journal fits.

    Raises:
        DamagedError: one that it does not fit, with its row.
    """
    counted = 0
    with reader.asking("checking the anchors") as connection:
        for found in anchors.every(file, reader.account):
            row = statements(connection).execute(_LINK, (reader.account, found.seq)).fetchone()
            if row is None:
                raise DamagedError(
                    f"row {found.seq}, anchored at {instant(found.at)}, is missing: the tail was cut off"
                )
            if row[0].hex() != found.hash:
                raise DamagedError(f"row {found.seq} is not the one that was anchored at {instant(found.at)}")
            counted += 1
    return counted
