"""Whether what an archive holds can be lived with: a configuration that loads, a journal whose chain is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from oms.backup.archive import Contents
from oms.backup.manifest import STATE, UNIVERSE, Manifest
from oms.engine.standing import restored_orders
from oms.errors import DamagedError, UsageError
from oms.inputfile import decode
from oms.journal import schema
from oms.journal.archive_file import through
from oms.journal.archives import Archive, is_plain_name, moved_up_to, registered
from oms.journal.chain import StoredRow, genesis, walk
from oms.journal.connection import driver, reader_engine, translate
from oms.journal.loading import load
from oms.journal.migration import revisions, upgrade_file
from oms.journal.tables import SCHEMA_REVISION
from oms.model.state import AccountState
from oms.model.symbol import canonical_symbol

_ROWS = "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash FROM events WHERE seq > ? ORDER BY seq"


def check_contents(contents: Contents, where: Path) -> None:
    """Refuse what this release could not go on with.

    Raises:
        DamagedError: made by a newer release, or a member is not what it should be, or the journal is not whole.
    """
    manifest = contents.manifest
    if manifest.schema != SCHEMA_REVISION and manifest.schema not in revisions():
        raise DamagedError(
            f"{where} was made by a newer release (schema {manifest.schema}; this one knows up to {SCHEMA_REVISION}): "
            "install that release, or choose an older backup"
        )
    if STATE in contents.texts:
        restored_orders(AccountState(manifest.account), _text(contents.texts[STATE], STATE, where))
    if UNIVERSE in contents.texts:
        _check_universe(contents.texts[UNIVERSE], where)
    if contents.journal is not None:
        check_journal(contents.journal, manifest, where, contents.archives)


def _check_universe(data: bytes, where: Path) -> None:
    for number, line in enumerate(_text(data, UNIVERSE, where).splitlines(), 1):
        word = line.partition("#")[0].strip()
        try:
            if word:
                canonical_symbol(word)
        except ValueError as error:
            raise DamagedError(f"{where}, universe.txt, line {number}: {error}") from None


def _text(data: bytes, name: str, where: Path) -> str:
    try:
        return decode(data, f"{where}, {name}")
    except UsageError as error:
        raise DamagedError(str(error)) from None


def check_journal(path: Path, manifest: Manifest, where: Path, years: Sequence[Path] = ()) -> None:
    """The database of an archive: sound pages, the account it should have, the chain from its first row to its head.

    ``years`` are the archives of closed years, where the backup holds them: the chain leads through each of them.

    One of an older release is moved up: what was unpacked is a copy, and the archive keeps it as it was.

    Raises:
        DamagedError: one of these is not so.
    """
    if _found(path, where) is schema.Found.OLDER:
        upgrade_file(path)
    engine = reader_engine(path)
    try:
        with engine.connect() as connection:
            raw = driver(connection)
            if (found := raw.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise DamagedError(f"{where} holds a damaged journal: {found}")
            about = dict(raw.execute("SELECT name, value FROM meta WHERE name IN ('account', 'mode')"))
            _refuse_contradiction(str(about.get("account")), manifest.account, "account")
            _refuse_contradiction(str(about.get("mode")), manifest.mode, "mode")
            # Where the archives are no part of the backup, the chain of the rest begins at their end.
            moved, link = moved_up_to(raw, manifest.account)
            _check_closed_years(registered(raw, manifest.account), years, manifest, where)
            walked = walk(manifest.account, _rows(raw, moved), moved, link)
            if walked.bad is not None:
                raise DamagedError(f"{where} holds a journal whose chain is broken: {walked.problem}")
            head = manifest.journal
            if head is None or (walked.seq, walked.head.hex()) != (head.seq, head.hash):
                raise DamagedError(
                    f"{where} holds a journal that ends at row {walked.seq}, not where its manifest says"
                )
            load(connection, manifest.account)
    except (sqlite3.Error, DBAPIError) as error:
        raise translate(error, where, "reading the journal of the backup") from error
    finally:
        engine.dispose()


def _check_closed_years(known: Sequence[Archive], years: Sequence[Path], manifest: Manifest, where: Path) -> None:
    """The archives that a journal names: names that stay in their folder, and, where they came along, the very files.

    Raises:
        DamagedError: one of them is not so.
    """
    for each in known:
        if not is_plain_name(each.file):
            raise DamagedError(
                f"{where} tries to write outside of its place: its journal names an archive {each.file!r}"
            )
    if len({each.file for each in known}) != len(known):
        raise DamagedError(f"{where} holds a journal that names one archive twice")
    if not years:
        return
    if len(known) != len(years):
        raise DamagedError(
            f"{where} holds {len(years)} archives of closed years, and its journal goes on from {len(known)}"
        )
    seq, head = 0, genesis(manifest.account)
    for archive, member, file in zip(known, manifest.archives, years, strict=True):
        if (member.size, member.sha256) != (archive.bytes, archive.sha256):
            raise DamagedError(f"{where} holds another {archive.file} than its journal goes on from")
        if (archive.first_seq - 1, archive.previous) != (seq, head):
            raise DamagedError(f"{where} holds archives that do not follow from one another: see {archive.file}")
        walked = through(file, archive.account, archive.first_seq, archive.previous)
        if walked.bad is not None or (walked.seq, walked.head) != (archive.last_seq, archive.head):
            problem = walked.problem or f"it ends at row {walked.seq}"
            raise DamagedError(f"{where} holds {archive.file}, whose chain is broken: {problem}")
        seq, head = walked.seq, walked.head


def _found(path: Path, where: Path) -> schema.Found:
    engine = reader_engine(path)
    try:
        with engine.connect() as connection:
            found = schema.examine(connection, where)
    except (sqlite3.Error, DBAPIError) as error:
        raise translate(error, where, "reading the journal of the backup") from error
    finally:
        engine.dispose()
    if found is schema.Found.EMPTY:
        raise DamagedError(f"{where} holds a journal without tables")
    return found


def _refuse_contradiction(found: str, wanted: str, what: str) -> None:
    """Two names of an account or mode that must agree.

    Raises:
        DamagedError: they do not.
    """
    if found != wanted:
        raise DamagedError(f"the backup contradicts itself: its {what} is {wanted}, its journal's is {found}")


def _rows(raw: sqlite3.Connection, after: int) -> Iterator[tuple[StoredRow, bytes]]:
    for *row, link in raw.execute(_ROWS, (after,)):
        yield tuple(row), link
