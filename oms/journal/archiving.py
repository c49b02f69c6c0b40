"""Moving the facts of closed years into an archive, so that a process killed at any instant leaves every fact in its place.

First the archive is made whole and checked under a name that counts for nothing, then it gets its name, then one transaction
registers it: from there on readers take its facts from it. Only then do they leave the database, a batch at a time. What a
kill leaves half done, the next call finishes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from oms import crashpoints
from oms.errors import DamagedError, UsageError
from oms.journal import archives, marks
from oms.journal.archive_file import Part, make, same_as
from oms.journal.archives import Archive, folder_of
from oms.journal.chain import genesis
from oms.journal.connection import driver, sqlite_file
from oms.journal.keeping import kept_facts, sees_the_same
from oms.journal.reader import Reader, open_reader
from oms.journal.scalars import from_instant, to_instant
from oms.journal.store import SqliteJournal, open_journal
from oms.model.event import CommandAnswered
from oms.ports import Clock

BATCH = 20_000
"""Facts that leave the database in one transaction."""

_REGISTER = (
    "INSERT INTO archives (account, first_seq, last_seq, previous, head, file, bytes, sha256, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_VERSIONS = (
    "INSERT INTO archived_cycles (account, cycle_id, version)"
    " SELECT account, cycle_id, max(version) FROM main.events"
    " WHERE seq <= ? AND cycle_id IS NOT NULL GROUP BY account, cycle_id"
    " ON CONFLICT (account, cycle_id) DO UPDATE SET version = max(version, excluded.version)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was done."""

    archive: Archive | None
    """The new archive; None where no fact was left to move."""
    freed: int
    """Facts that left the database."""
    bytes: int
    """Size of the database now."""


def part_to_move(reader: Reader, before: datetime) -> Part | None:
    """The facts journaled before an instant that can leave: whole cycles, never the last one; None where there are none."""
    with reader.asking("looking for closed years") as connection:
        raw, account = driver(connection), reader.account
        done, link = archives.moved_up_to(raw, account)
        last = _last_to_move(raw, account, to_instant(before), done)
        if last is None:
            return None
        chain = archives.registered(raw, account)
        if len(chain) >= archives.MOST_FILES:  # the new one takes all of them in
            done, link = 0, None
        sql = "SELECT at, hash FROM events WHERE seq = ?"
        (since, _), (until, head) = (raw.execute(sql, (seq,)).fetchone() for seq in (done + 1, last))
    return Part(
        first_seq=done + 1,
        last_seq=last,
        previous=genesis(account) if link is None else link,
        head=head,
        since=from_instant(since),
        until=from_instant(until),
    )


def _last_to_move(raw: sqlite3.Connection, account: str, start: int, done: int) -> int | None:
    newest = raw.execute("SELECT max(opened_seq) FROM cycles WHERE account = ?", (account,)).fetchone()[0]
    if newest is None:
        return None
    # A clock that was set back may have written an early time late: what counts is the first fact of the new time.
    later = raw.execute("SELECT min(seq) FROM main.events WHERE at >= ? AND seq > ?", (start, done)).fetchone()[0]
    last: int = min(newest, newest if later is None else later) - 1
    # A cycle that was under way at the turn of the year stays whole.
    sql = (
        "SELECT min(opened_seq) FROM cycles WHERE account = ? AND opened_seq <= ? AND opened_seq > ?"
        " AND (closed_at IS NULL OR closed_at >= ?)"
    )
    across = raw.execute(sql, (account, last, done, start)).fetchone()[0]
    if across is not None:
        last = across - 1
    return last if last > done else None


def archive(
    url: str,
    account: str,
    mode: str,
    clock: Clock,
    before: datetime,
    *,
    author: str,
    say: Callable[[str], None] = lambda _: None,
) -> Moved:
    """Move every fact journaled before an instant into an archive, and finish what an earlier call left half done.

    Raises:
        UsageError: the journal is not a file.
        LeaseHeldError: an engine works on this account.
        DamagedError: the facts are not what was written; nothing was moved.
        StorageError: the disk refuses.
    """
    path = sqlite_file(url)
    if path is None:
        raise UsageError("only a journal in a file can be archived")
    if not path.exists():
        raise UsageError(f"there is no journal at {path} yet; `run` makes it")
    journal = open_journal(url, account, mode, clock, say=say)
    try:
        made = None
        with closing(open_reader(url)) as reader:
            part = part_to_move(reader, before)
            if part is not None:
                made = _file(reader, journal, part, clock.now(), say)
        if made is not None:
            _register(journal, made, author)
        _remove_taken_in(journal, path)
        freed = _let_go(journal, say)
        if freed:
            _shrink(journal, say)
    finally:
        journal.close()
    return Moved(archive=made, freed=freed, bytes=path.stat().st_size)


def _file(reader: Reader, journal: SqliteJournal, part: Part, now: datetime, say: Callable[[str], None]) -> Archive:
    assert reader.path is not None
    file = folder_of(reader.path) / f"{reader.path.stem}-{part.years}-facts-{part.first_seq}-{part.last_seq}.db"
    say(f"writing the facts {part.first_seq:,} to {part.last_seq:,} ({part.years}) to {file}")
    if not same_as(file, part, reader.account):
        make(reader, part, file, journal.renew)
    size, sha256 = archives.fingerprint(file)
    return Archive(
        account=reader.account,
        first_seq=part.first_seq,
        last_seq=part.last_seq,
        previous=part.previous,
        head=part.head,
        file=file.name,
        bytes=size,
        sha256=sha256,
        at=now,
    )


def _register(journal: SqliteJournal, made: Archive, author: str) -> None:
    """Say in the chain where its facts go, then, in one transaction, let readers look there."""
    raw, account = driver(journal.connection), made.account
    kept = kept_facts(raw, account)
    if not sees_the_same(journal.connection, account, made.last_seq, kept):
        raise DamagedError(
            f"without the {made.facts} this release would not start as it does with them; nothing was moved. "
            "Please report this"
        )
    fact = CommandAnswered(
        command="archive",
        accepted=True,
        answer=f"{made.facts} go to {made.file}, sha256 {made.sha256}, head {made.head.hex()}",
        author=author,
    )
    journal.append_barrier([fact])
    crashpoints.point("archive.before_register")
    with journal.beside_the_chain("registering the archive"):
        row = (made.account, made.first_seq, made.last_seq, made.previous, made.head, made.file, made.bytes)
        raw.execute(_REGISTER, (*row, made.sha256, to_instant(made.at)))
        raw.execute(_VERSIONS, (made.last_seq,))
        while (marks.next_block(raw, account) + 1) * marks.BLOCK <= made.last_seq:
            marks.keep_next(raw, account)
        if marks.next_block(raw, account) * marks.BLOCK < made.last_seq:
            marks.keep_unknown(raw, account)
    crashpoints.point("archive.after_register")


def _remove_taken_in(journal: SqliteJournal, path: Path) -> None:
    """Remove the files of earlier archives whose facts a later one holds as well."""
    raw, account = driver(journal.connection), journal.state.account
    needed = {found.file for found in archives.registered(raw, account)}
    for (name,) in raw.execute("SELECT file FROM archives WHERE account = ?", (account,)).fetchall():
        if name not in needed:
            (folder_of(path) / name).unlink(missing_ok=True)


def _let_go(journal: SqliteJournal, say: Callable[[str], None]) -> int:
    """Delete what lies in an archive from the database, but for the few facts that a start reads."""
    raw, account = driver(journal.connection), journal.state.account
    last, _ = archives.moved_up_to(raw, account)
    kept = kept_facts(raw, account)
    some = ", ".join(str(seq) for seq in sorted(kept))
    # Numbers of our own. The guard of the table lets nothing else go than what is registered.
    first = raw.execute(
        f"SELECT min(seq) FROM main.facts WHERE seq <= ? AND seq NOT IN ({some})",  # noqa: S608
        (last,),
    ).fetchone()[0]
    if first is None:
        return 0
    say("taking them out of the database")
    freed = 0
    for start in range(first, last + 1, BATCH):
        with journal.beside_the_chain("taking archived facts out of the database"):
            done = raw.execute(
                f"DELETE FROM main.facts WHERE seq BETWEEN ? AND ? AND seq NOT IN ({some})",  # noqa: S608
                (start, min(start + BATCH - 1, last)),
            )
        freed += done.rowcount
        crashpoints.point("archive.during_removal")
        journal.renew()
        journal.tidy()
    return freed


def _shrink(journal: SqliteJournal, say: Callable[[str], None]) -> None:
    """Give the room back to the disk; where that fails, new facts will use it."""
    raw = driver(journal.connection)
    crashpoints.point("archive.before_shrink")
    try:
        raw.execute("VACUUM")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        say(f"the room was not given back to the disk ({error}); new facts will use it")


def listed(reader: Reader) -> list[Archive]:
    """The archives of a journal, oldest first, whether or not each is in its place."""
    with reader.asking("reading the archives", whole=False) as connection:
        return archives.registered(driver(connection), reader.account)
