"""Is the journal what was written, and do its tables show what its facts add up to?

The chain is walked from its first row, every fact is folded afresh into a scratch database by the very code that
writes the tables, and each row is compared. The first bad row is named, with what to do about it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Table

from oms.errors import DamagedError
from oms.journal import anchors, archives, loading, marks, tables
from oms.journal.answers import Answer
from oms.journal.chain import Walk
from oms.journal.codec import decode
from oms.journal.connection import driver, tune_scratch, writer_engine
from oms.journal.packed import packing
from oms.journal.projection import Shadow
from oms.journal.reader import Reader
from oms.journal.recalling import recall_order
from oms.journal.scalars import from_instant
from oms.journal.statements import Statements, statements, stream
from oms.journal.walking import walk, walk_together
from oms.model.cycle import ImpossibleFact
from oms.model.event import Recorded
from oms.model.state import AccountState

RECENT = 10_000
"""Rows that a quick verification walks."""

BATCH = 2000
"""Facts folded between two writes of their shadow."""

RESTORE = "stop the engine, restore the newest good backup, and let `run` reconcile it with the broker"
REBUILD = "the facts are whole: `journal rebuild` casts the tables anew from them"

ARCHIVE = "put back a good copy of the archive; the database beside it is as it was"

_LINK = "SELECT hash FROM events WHERE account = ? AND seq = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verification found."""

    ok: bool
    rows: int
    """Rows walked."""
    seq: int
    """Last good row of the chain."""
    head: str
    """Its hash, hexadecimal."""
    full: bool
    anchors: int
    """Anchors that the journal was compared with."""
    bad_row: int | None = None
    """First bad row of the chain, where the chain is what is bad."""
    problem: str = ""
    remedy: str = ""
    chain_s: float = 0.0
    fold_s: float = 0.0

    def answer(self) -> Answer:
        """As JSON; seconds are the only figures that are not exact."""
        return {"schema": "oms.journal-verify/1", **asdict(self)}


class _Bad(Exception):
    """Something is not as it should be: the row where there is one, and the remedy."""

    def __init__(self, problem: str, remedy: str, row: int | None = None) -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.row = row


def verify(
    reader: Reader, *, full: bool = True, fold: bool = True, verified: tuple[int, bytes] | None = None, jobs: int = 1
) -> Verdict:
    """Check the whole journal; without ``fold`` only its chain, and not ``full`` only the chain's last rows.

    ``verified`` is a row that was good before, and its hash: with it, and not ``full``, the walk goes on from there.
    Anchors and heads are checked in every case. ``jobs`` processes share the chain of a long journal in a file.

    Raises:
        DamagedError: the database cannot even be read.
        StorageError: it cannot be read now.
    """
    found = _Findings()
    bad: _Bad | None = None
    with reader.asking("verifying the journal") as connection:
        try:
            _check(connection, reader, found, None if full else verified, full=full, fold=fold and full, jobs=jobs)
        except _Bad as error:
            bad = error
    return Verdict(
        ok=bad is None,
        rows=found.seq - found.start,
        seq=found.seq,
        head=found.head.hex(),
        full=full,
        anchors=found.anchors,
        bad_row=None if bad is None else bad.row,
        problem="" if bad is None else str(bad),
        remedy="" if bad is None else bad.remedy,
        chain_s=found.chain_s,
        fold_s=found.fold_s,
    )


@dataclass(slots=True)
class _Findings:
    """How far a verification came."""

    start: int = 0
    seq: int = 0
    head: bytes = b""
    anchors: int = 0
    chain_s: float = 0.0
    fold_s: float = 0.0


def _check(
    connection: Connection,
    reader: Reader,
    found: _Findings,
    verified: tuple[int, bytes] | None,
    *,
    full: bool,
    fold: bool,
    jobs: int,
) -> None:
    started = time.perf_counter()
    _check_archives(connection, reader, full=False)
    if verified is not None:
        _check_verified(connection, reader.account, *verified)
    last = loading.last_seq(connection, reader.account)
    found.start = found.seq = 0 if full else verified[0] if verified else max(last - RECENT, 0)
    walked = _walk(connection, reader, found.start, jobs)
    found.seq, found.head = walked.seq, walked.head
    found.chain_s = time.perf_counter() - started
    if walked.bad is not None:
        raise _Bad(walked.problem, _remedy_for(connection, reader, walked.bad), walked.bad)
    if full:
        _check_archives(connection, reader, full=True)
    _check_head(connection, reader.account, walked)
    found.anchors = _check_anchors(connection, reader)
    if fold:
        started = time.perf_counter()
        _check_tables(connection, reader.account)
        found.fold_s = time.perf_counter() - started


# The chain


def _remedy_for(connection: Connection, reader: Reader, row: int) -> str:
    if reader.path is None or row > archives.moved_up_to(driver(connection), reader.account)[0]:
        return RESTORE
    return ARCHIVE


def _check_archives(connection: Connection, reader: Reader, *, full: bool) -> None:
    if reader.path is None:
        return
    wrong = archives.first_wrong(driver(connection), reader.account, reader.path, full=full)
    if wrong is not None:
        raise _Bad(wrong[0], ARCHIVE, wrong[1])


def _walk(connection: Connection, reader: Reader, start: int, jobs: int) -> Walk:
    account = reader.account
    head = None
    if start:
        row = statements(connection).execute(_LINK, (account, start)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise _Bad(f"row {start} is missing", RESTORE, start)
        head = row[0]
    if reader.path is None or jobs < 2:
        return walk(statements(connection), account, start, head)
    return walk_together(driver(connection), account, start, head, jobs)


def _check_verified(connection: Connection, account: str, seq: int, link: bytes) -> None:
    """The row up to which all was good the last time must still be that row: its link covers all before it."""
    row = statements(connection).execute(_LINK, (account, seq)).fetchone()
    if row is None:
        raise _Bad(f"row {seq}, good at the last verification, is missing: the tail was cut off", RESTORE, seq)
    if row[0] != link:
        raise _Bad(f"row {seq} is not the one that was good at the last verification", RESTORE, seq)


def _check_head(connection: Connection, account: str, walked: Walk) -> None:
    raw = statements(connection)
    head = raw.execute(
        "SELECT seq, hash, barrier_seq, barrier_hash FROM heads WHERE account = ?", (account,)
    ).fetchone()
    if head is None:
        if walked.seq:
            raise _Bad("the table of heads lacks this account", RESTORE)
        return
    seq, link, barrier_seq, barrier_hash = head
    if (seq, link) != (walked.seq, walked.head):
        first = seq if seq == walked.seq else min(seq, walked.seq) + 1
        raise _Bad(
            f"the chain ends at row {walked.seq}, but the head says {seq}: rows were cut or added", RESTORE, first
        )
    covered = raw.execute(_LINK, (account, barrier_seq)).fetchone()
    if barrier_seq and (covered is None or covered[0] != barrier_hash):
        raise _Bad(f"row {barrier_seq}, which a barrier covered, is not the one that is there", RESTORE, barrier_seq)


def _check_anchors(connection: Connection, reader: Reader) -> int:
    if reader.anchors is None:
        return 0
    raw, counted = statements(connection), 0
    for anchor in anchors.every(reader.anchors, reader.account):
        row = raw.execute(_LINK, (reader.account, anchor.seq)).fetchone()
        when = f"{anchor.at:%Y-%m-%d %H:%M:%S} UTC"
        if row is None:
            raise _Bad(f"row {anchor.seq}, anchored at {when}, is missing: the tail was cut off", RESTORE, anchor.seq)
        if row[0].hex() != anchor.hash:
            raise _Bad(f"row {anchor.seq} is not the one that was anchored at {when}", RESTORE, anchor.seq)
        counted += 1
    return counted


# The fold


def _check_tables(connection: Connection, account: str) -> None:
    """Fold every fact into a scratch database and compare each row of each table."""
    with TemporaryDirectory(prefix="oms-verify-") as folder:
        scratch = writer_engine(f"sqlite:///{Path(folder) / 'fresh.db'}", create=True)
        try:
            with scratch.connect() as fresh:
                tune_scratch(driver(fresh))
                fold_afresh(connection, fresh, account)
                for table in tables.SHADOWS:
                    # A journal that an older release began has books from the update on.
                    _compare(table, statements(connection), driver(fresh), account, may_lack=table is tables.books)
        finally:
            scratch.dispose()
    wrong = marks.first_wrong(statements(connection), account)
    if wrong is not None:
        raise _Bad(f"table text_marks, row {account}/{wrong}: it does not cover the texts of its facts", REBUILD)


def fold_afresh(source: Connection, target: Connection, account: str) -> AccountState:
    """Cast the shadow of every fact of ``source`` into the empty database ``target``, in one transaction."""
    raw = driver(target)
    raw.execute("BEGIN")
    tables.create_tables(target)
    raw.execute("INSERT INTO meta (name, value) VALUES ('account', ?)", (account,))
    state = AccountState(account)
    shadow = Shadow(state, packing=packing(raw))

    def recall(cl_ord_id: str) -> Any:
        shadow.write(raw, state)
        return recall_order(target, cl_ord_id, account)

    state.recall = recall
    for number, (fact, version, cycle_id) in enumerate(_facts(source, account), 1):
        try:
            state.apply(fact)
        except ImpossibleFact as error:
            raise _Bad(f"row {fact.seq} does not follow from those before it: {error}", RESTORE, fact.seq) from error
        shadow.note(state, fact, cycle_id)
        cycle = state.cycle
        if cycle is not None and cycle_id == cycle.cycle_id and version != cycle.version:
            problem = f"row {fact.seq} is version {version} of its cycle and should be {cycle.version}"
            raise _Bad(problem, RESTORE, fact.seq)
        if number % BATCH == 0:
            shadow.write(raw, state)
    if state.seq:  # a journal that was only just made casts no shadow yet
        shadow.write(raw, state)
    raw.execute("COMMIT")
    return state


def _facts(source: Connection, account: str) -> Iterator[tuple[Recorded, int | None, str | None]]:
    for seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, *_ in archives.every_row(
        statements(source), account
    ):
        try:
            event = decode(kind, data, cycle_id, cl_ord_id, symbol)
        except DamagedError as error:
            raise _Bad(f"row {seq}: {error}", RESTORE, seq) from error
        yield Recorded(seq=seq, at=from_instant(at), event=event), version, cycle_id


def _compare(table: Table, stored: Statements, fresh: Statements, account: str, *, may_lack: bool = False) -> None:
    """Walk both tables in the order of their keys and stop at the first difference; rows may be lacking at will."""
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    at = [names.index(key) for key in keys]
    # The names are our own, from the table's definition.
    sql = f"SELECT {', '.join(names)} FROM {table.name} WHERE account = ? ORDER BY {', '.join(keys)}"  # noqa: S608
    left, right = stream(stored, sql, (account,)), stream(fresh, sql, (account,))
    while True:
        is_there, should_be = next(left, None), next(right, None)
        while may_lack and should_be is not None and (is_there is None or _key(should_be, at) < _key(is_there, at)):
            should_be = next(right, None)
        if is_there == should_be:
            if is_there is None:
                return
            continue
        raise _Bad(_difference(table.name, names, at, is_there, should_be), REBUILD)


def _difference(
    table: str, names: list[str], key: list[int], is_there: tuple[Any, ...] | None, should_be: tuple[Any, ...] | None
) -> str:
    there = None if is_there is None else _key(is_there, key)
    wanted = None if should_be is None else _key(should_be, key)
    if is_there is not None and should_be is not None and there == wanted:
        differing = [
            f"{name} is {old!r} and should be {new!r}"
            for name, old, new in zip(names, is_there, should_be, strict=True)
            if old != new
        ]
        return f"table {table}, row {_shown(there)}: {'; '.join(differing)}"
    if wanted is None or (there is not None and there < wanted):
        return f"table {table}, row {_shown(there)}: it is there and follows from no fact"
    return f"table {table}, row {_shown(wanted)}: it is missing"


def _key(row: tuple[Any, ...], key: list[int]) -> tuple[Any, ...]:
    return tuple(row[place] for place in key)


def _shown(key: tuple[Any, ...] | None) -> str:
    return "?" if key is None else "/".join(str(part) for part in key)
