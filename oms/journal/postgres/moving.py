"""``db migrate-to``: an account's journal moves from a file to PostgreSQL, chain and all, and goes on there.

Rows are copied as they are, a batch a transaction, and the target's head says how far the move has come: so it goes on where
it stopped. A mark in the target keeps every engine out until the whole is verified; a mark in the source, written before
that one is lifted, keeps every engine from going on with the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from oms.errors import DamagedError, RefusedError, UsageError
from oms.journal import anchors, archives, tables
from oms.journal.account import INSERT_EVENT
from oms.journal.casting import insert_sql
from oms.journal.chain import genesis, walk
from oms.journal.connection import FULL, driver, set_synchronous
from oms.journal.inbox import Inbox
from oms.journal.lease import LeaseRow
from oms.journal.machine import ProcessInfo, this_process
from oms.journal.opening import MOVED_TO, opened_for_writing
from oms.journal.postgres.address import Address, parse
from oms.journal.postgres.ddl import NUMBERED
from oms.journal.postgres.driver import PostgresStatements, over
from oms.journal.postgres.journal import MODE, MOVING, connected, lock_account
from oms.journal.postgres.meaning import is_database_error, translate
from oms.journal.postgres.reader import PostgresReader
from oms.journal.reader import reader_over
from oms.journal.restored import mark_of, read_mark, write_mark
from oms.journal.verify import verify
from oms.ports import Clock

BATCH = 5000
"""Rows copied in one transaction."""
BESIDE = ("text_marks", "tasks", "archived_cycles")
"""Tables of an account that are no shadow of its facts and no lease: they are copied as they are."""

_ROWS = f"SELECT {', '.join(c.name for c in tables.events.columns)} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a move did."""

    account: str
    rows: int
    """Rows that this call copied; less than the journal has where an earlier call had begun."""
    seq: int
    head: str
    messages: int
    """Commands that waited in the mailbox."""


def move(
    file: Path,
    inbox: Path,
    target: str,
    account: str,
    *,
    mode: str,
    clock: Clock,
    process: ProcessInfo | None = None,
    say: Callable[[str], None] = lambda _: None,
    step: Callable[[str], None] = lambda _: None,
) -> Moved:
    """Move the journal of ``file`` and the commands that wait in ``inbox`` to PostgreSQL, or go on with that.

    Raises:
        UsageError: there is no journal, or the target is no address of PostgreSQL.
        RefusedError: the target has another journal of this account, or the file was moved elsewhere.
        LeaseHeldError: an engine works on this account.
        DamagedError: the journal, or what arrived of it, is not what was written.
    """
    if not file.exists():
        raise UsageError(f"there is no journal at {file} yet; `run` makes it")
    given = parse(target)
    address = given.of(account, given.anchors)
    process = process or this_process()
    url = f"sqlite:///{file.as_posix()}"
    with (
        opened_for_writing(url, account, mode, clock, say, moving_to=address.shown) as source,
        _lease(source, account, clock, process) as fence,
    ):
        try:
            with _writer(address) as pg:
                return _move(_Move(source, pg, address, account, mode, fence, file, inbox, say, step))
        except Exception as error:
            if is_database_error(error):
                raise translate(error, address.shown, "moving the journal") from error
            raise


@dataclass(frozen=True, slots=True)
class _Move:
    source: Connection
    pg: PostgresStatements
    address: Address
    account: str
    mode: str
    fence: int
    file: Path
    inbox: Path
    say: Callable[[str], None]
    step: Callable[[str], None]


@contextmanager
def _lease(source: Connection, account: str, clock: Clock, process: ProcessInfo) -> Iterator[int]:
    """Hold the account in the file, so that no engine appends to it meanwhile. A day: nobody renews it."""
    raw = driver(source)
    row = LeaseRow(account, clock, 86_400.0, process)
    set_synchronous(raw, FULL)
    raw.execute("BEGIN IMMEDIATE")
    fence = row.take(raw).fence
    raw.execute("COMMIT")
    try:
        yield fence
    finally:
        row.release(raw, fence)
        source.close()
        source.engine.dispose()


@contextmanager
def _writer(address: Address) -> Iterator[PostgresStatements]:
    connection = connected(address)
    try:
        yield over(connection.connection.driver_connection)
    except BaseException:
        connection.invalidate()
        raise
    finally:
        connection.close()


def _move(now: _Move) -> Moved:
    # Facts of closed years that lie in archives are seen from here on with the others, and move with them.
    archives.attach(driver(now.source), now.account, now.file)
    verdict = verify(reader_over(now.source, now.file))
    if not verdict.ok:
        raise DamagedError(f"{now.file}: {verdict.problem}; {verdict.remedy}")
    _begin(now)
    copied = _copy_facts(now, verdict.seq)
    now.step("copied")
    messages = _finish(now)
    now.step("finished")
    _verify(now, verdict.seq, verdict.head)
    _mark_source(now)
    now.step("marked")
    now.pg.execute("DELETE FROM meta WHERE name = ?", (MOVING + now.account,))
    return Moved(account=now.account, rows=copied, seq=verdict.seq, head=verdict.head, messages=messages)


def _begin(now: _Move) -> None:
    """Mark the target, unless it is marked for this very file; a journal that is already there is never written over."""
    pg, account = now.pg, now.account
    pg.execute("BEGIN")
    lock_account(pg, account)
    kept = pg.execute("SELECT name, value FROM meta WHERE name IN (?, ?)", (MODE + account, MOVING + account))
    marks, mine = dict(kept.fetchall()), str(now.file)
    if marks.get(MOVING + account, mine) != mine:
        other = marks[MOVING + account]
        raise RefusedError(f"{now.address.shown}: the journal of {account} is being moved there from {other}")
    if MODE + account in marks and MOVING + account not in marks:
        raise RefusedError(f"{now.address.shown} has a journal of {account} already; a move never writes over one")
    for name, value in ((MODE + account, now.mode), (MOVING + account, mine)):
        pg.execute("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, value))
    start = genesis(account)
    pg.execute(
        "INSERT INTO heads (account, seq, hash, barrier_seq, barrier_hash) VALUES (?, 0, ?, 0, ?)"
        " ON CONFLICT (account) DO NOTHING",
        (account, start, start),
    )
    pg.execute("COMMIT")


def _copy_facts(now: _Move, last: int) -> int:
    """Every row that is not there yet, each batch checked against its links and committed with the head it ends at."""
    pg, account, raw = now.pg, now.account, driver(now.source)
    seq, head = pg.execute("SELECT seq, hash FROM heads WHERE account = ?", (account,)).fetchone()
    copied = 0
    while rows := raw.execute(_ROWS, (seq, BATCH)).fetchall():
        walked = walk(account, ((row[1:9], row[9]) for row in rows), seq, head)
        if walked.bad is not None:
            raise DamagedError(f"{now.file}: {walked.problem}")
        with pg.together():
            pg.execute("BEGIN")
            pg.execute("SELECT 1 FROM lease WHERE account = ? FOR UPDATE", (account,))
            pg.executemany(INSERT_EVENT, rows)
            moved = (walked.seq, walked.head, walked.seq, walked.head, account, seq)
            pg.execute(
                "UPDATE heads SET seq = ?, hash = ?, barrier_seq = ?, barrier_hash = ? WHERE account = ? AND seq = ?",
                moved,
            )
            pg.execute("COMMIT")
        now.step("batch")
        copied += len(rows)
        seq, head = walked.seq, walked.head
        now.say(f"{seq:,} of {last:,} rows")
    return copied


def _finish(now: _Move) -> int:
    """Everything that is not a fact, in one transaction that may be repeated; how many commands wait."""
    pg, account, raw = now.pg, now.account, driver(now.source)
    pg.execute("BEGIN")
    pg.execute("SELECT 1 FROM lease WHERE account = ? FOR UPDATE", (account,))
    for table in (*tables.SHADOWS, *(tables.metadata.tables[name] for name in BESIDE)):
        names = ", ".join(column.name for column in table.columns)
        # Rows come in the order in which the file has them, which numbers them anew.
        ordered = " ORDER BY rowid" if table.name in NUMBERED else ""
        rows = raw.execute(f"SELECT {names} FROM {table.name}{ordered}").fetchall()  # noqa: S608  # our own names
        pg.execute(f"DELETE FROM {table.name} WHERE account = ?", (account,))  # noqa: S608
        if rows:
            pg.executemany(insert_sql(table), rows)
    for row in raw.execute("SELECT config_hash, canonical, at FROM configs").fetchall():
        pg.execute("INSERT INTO configs (config_hash, canonical, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)
    mark = read_mark(raw)
    if mark is not None:
        # The journal was restored and the broker not asked yet: the first start there does it.
        write_mark(pg, mark, mark_of(account))
    # Fences go on: orders carry those of the file.
    pg.execute("UPDATE lease SET fence = greatest(fence, ?), expires_at = NULL WHERE account = ?", (now.fence, account))
    messages = _copy_mailbox(now)
    pg.execute("COMMIT")
    return messages


def _copy_mailbox(now: _Move) -> int:
    if not now.inbox.exists():
        return 0
    (obeyed,) = driver(now.source).execute("SELECT coalesce(max(inbox_id), 0) FROM accounts").fetchone()
    with closing(Inbox(now.inbox)) as inbox:
        waiting = inbox.unread(obeyed)
    with closing(sqlite3.connect(f"{now.inbox.absolute().as_uri()}?mode=ro", uri=True)) as raw:
        rows: list[tuple[Any, ...]] = raw.execute(
            "SELECT id, at, author, command, arguments, taken_at, answer FROM messages WHERE id > ?", (obeyed,)
        ).fetchall()
    for row in rows:
        now.pg.execute(
            "INSERT INTO inbox (account, id, at, author, command, arguments, taken_at, answer)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, id) DO NOTHING",
            (now.account, *row),
        )
    return len(waiting)


def _verify(now: _Move, seq: int, head: str) -> None:
    """The whole of what arrived, by the very check that `journal verify` makes, before anything may rest on it."""
    target = now.address.anchors
    source = anchors.anchors_file(now.file)
    if target is not None and source.exists():
        known = anchors.last(target, now.account) if target.exists() else None
        target.parent.mkdir(parents=True, exist_ok=True)
        for anchor in anchors.every(source, now.account):
            if known is None or anchor.seq > known.seq:
                anchors.add(target, anchor)
    with closing(PostgresReader(now.address, unfinished=True)) as reader:
        arrived = verify(reader)
    if not arrived.ok or (arrived.seq, arrived.head) != (seq, head):
        raise DamagedError(
            f"{now.address.shown}: what arrived of the journal of {now.account} is not what was sent: "
            f"{arrived.problem or 'it ends elsewhere'}; nothing was switched, the file is as it was"
        )


def _mark_source(now: _Move) -> None:
    """From here on no engine opens the file; the move itself may."""
    raw = driver(now.source)
    raw.execute("BEGIN IMMEDIATE")
    raw.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (MOVED_TO, now.address.shown),
    )
    raw.execute("COMMIT")
