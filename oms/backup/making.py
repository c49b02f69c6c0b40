"""Making a backup: gather what the engine's configuration consists of, write it beside, give it its name at the end."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from oms import __version__, crashpoints
from oms.backup import encryption, shared_journal
from oms.backup.archive import file_member, write_archive
from oms.backup.files import create, make_folder, scratch, storing, sweep, sync_folder, unfinished
from oms.backup.manifest import (
    ARCHIVES,
    CONFIG,
    CONFIGS,
    FORMAT,
    JOURNAL,
    MOST_CONFIGS,
    STATE,
    UNIVERSE,
    JournalHead,
    KeptConfig,
    Manifest,
    Member,
    member,
)
from oms.backup.secrecy import known_secrets, refuse_secrets
from oms.choice_wiring import universe_of
from oms.config import MOST_BYTES, LoadedConfig
from oms.engine.standing import standing_text
from oms.errors import DamagedError, OmsError, UsageError
from oms.inputfile import read_bytes
from oms.journal.archives import Archive, missing, registered
from oms.journal.archives import folder_of as archives_of
from oms.journal.connection import driver, reader_engine, translate
from oms.journal.loading import load
from oms.journal.scalars import from_instant
from oms.journal.schema import Found, examine
from oms.journal.statements import Statements, statements
from oms.journal.tables import SCHEMA_REVISION
from oms.places import places

SUFFIX = ".tar.gz"
_REVISION = "SELECT version_num FROM alembic_version"
LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What kind of backup is asked for."""

    reason: str = "manual"
    note: str = ""
    with_journal: bool = False
    with_archives: bool = False
    """The archives of closed years as well, which the journal goes on from."""
    encrypt_to: tuple[str, ...] = ()
    """Public keys that can open the archive; none leaves it plain."""
    tolerant: bool = False
    """Before a restore: a journal that cannot be read is left out and named in ``Made.problems``, not an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A backup that is on the disk."""

    path: Path
    manifest: Manifest
    problems: tuple[str, ...] = ()
    beside: tuple[Path, ...] = ()
    """Archives with the facts of closed years, which the journal in it goes on from and which are not in it."""


@dataclass(slots=True)
class _Gathered:
    texts: dict[str, bytes] = field(default_factory=dict)
    head: JournalHead | None = None
    configs: tuple[KeptConfig, ...] = ()
    problems: list[str] = field(default_factory=list)
    closed_years: list[tuple[Archive, Path]] = field(default_factory=list)
    """The archives that the journal goes on from, and where each lies."""
    schema: str = SCHEMA_REVISION
    """Schema of the journal's database as it is."""


def new_id(prefix: str, account: str, now: datetime) -> str:
    """A name that is not used again: the UTC second, the account, four random characters."""
    tail = "".join(secrets.choice(LETTERS) for _ in range(4))
    return f"{prefix}-{now:%Y%m%dT%H%M%SZ}-{account}-{tail}"


def make(loaded: LoadedConfig, order: Order, env: Mapping[str, str]) -> Made:
    """Make one backup in ``backup.dir``; the engine may run meanwhile.

    Raises:
        RefusedError: what would go into it holds a secret.
        UsageError: a file of the configuration cannot be read.
        DamagedError: the journal cannot be read, and ``order`` is not tolerant.
        StorageError: the disk refuses; nothing is left behind under a name that counts.
    """
    folder = loaded.resolve(loaded.config.backup.dir)
    make_folder(folder)
    sweep([folder])
    crashpoints.point("backup.before_temp")
    copy, temp, sealed = (unfinished(folder, what) for what in ("journal", "archive", "sealed"))
    recipients = encryption.recipients_of(order.encrypt_to) if order.encrypt_to else []
    try:
        gathered = _gather(loaded, order, env, copy)
        manifest = _manifest(loaded, order, gathered, copy)
        years = [path for _, path in gathered.closed_years] if manifest.archives else []
        write_archive(temp, manifest, gathered.texts, copy if manifest.with_journal else None, years)
        final, written = folder / f"{manifest.id}{SUFFIX}", temp
        if recipients:
            encryption.seal(temp, sealed, recipients)
            final, written = final.with_name(f"{final.name}{encryption.SUFFIX}"), sealed
        crashpoints.point("backup.before_rename")
        with storing(f"naming {final}"):
            os.replace(written, final)
        crashpoints.point("backup.before_sync")
        sync_folder(folder)
    finally:
        for leftover in (temp, sealed, copy, copy.with_name(f"{copy.name}-journal")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
    beside = () if manifest.archives else tuple(path for _, path in gathered.closed_years)
    return Made(path=final, manifest=manifest, problems=tuple(gathered.problems), beside=beside)


def _manifest(loaded: LoadedConfig, order: Order, gathered: _Gathered, copy: Path) -> Manifest:
    now = datetime.now(UTC)
    members = [member(name, data) for name, data in gathered.texts.items()]
    if copy.exists():
        members.append(file_member(JOURNAL, copy))
        if order.with_archives:
            years = zip(ARCHIVES, gathered.closed_years, strict=False)
            members += [_closed_year(name, archive, path) for name, (archive, path) in years]
    has_archives = any(each.name in ARCHIVES for each in members)
    return Manifest(
        id=new_id("oms", loaded.config.account, now),
        created_at=now.isoformat(),
        reason=order.reason,
        note=order.note,
        program=__version__,
        schema=gathered.schema,
        account=loaded.config.account,
        mode=loaded.config.mode,
        config_hash=loaded.hash,
        journal=gathered.head,
        configs=gathered.configs,
        members=tuple(members),
        format=FORMAT if has_archives else 1,  # an older release reads what it knows, and says of this that it is newer
    )


def _closed_year(name: str, archive: Archive, path: Path) -> Member:
    """An archive of closed years as a member.

    Raises:
        DamagedError: it is not in its place, or not the file that was archived.
    """
    without = "; `--without-archives` makes the backup without the closed years"
    if not path.is_file():
        raise DamagedError(f"{missing(archive, path)}{without}")
    with storing(f"reading {path}"):
        found = file_member(name, path)
    if (found.size, found.sha256) != (archive.bytes, archive.sha256):
        raise DamagedError(
            f"{path} is not the file that was archived: its bytes have changed. Put back a good copy{without}"
        )
    return found


def _gather(loaded: LoadedConfig, order: Order, env: Mapping[str, str], copy: Path) -> _Gathered:
    """Every member in its order: configuration, universe, standing orders, kept configurations, journal."""
    gathered = _Gathered()
    known = known_secrets(loaded, env)
    if loaded.path is not None:
        gathered.texts[CONFIG] = read_bytes(loaded.path, MOST_BYTES, "the configuration")
        refuse_secrets(loaded.path.name, gathered.texts[CONFIG].decode("utf-8", "replace"), known)
    universe = loaded.resolve(loaded.config.selection.universe)
    if universe.exists():
        universe_of(loaded)  # refuses what is no list of symbols, such as a key file named by mistake
        gathered.texts[UNIVERSE] = read_bytes(universe, 4_000_000, "the universe")
        refuse_secrets(universe.name, gathered.texts[UNIVERSE].decode("utf-8", "replace"), known)
    try:
        _gather_journal(loaded, order, gathered, copy)
    except OmsError as error:
        if not order.tolerant:
            raise
        copy.unlink(missing_ok=True)
        gathered.problems.append(f"the journal is not in this backup: {error}")
    return gathered


def _gather_journal(loaded: LoadedConfig, order: Order, gathered: _Gathered, copy: Path) -> None:
    where = places(loaded)
    if where.file is None:
        _gather_shared(where.journal_url, loaded, order, gathered, copy)
        return
    journal = where.file
    if not journal.exists():
        if order.with_journal:
            raise UsageError(f"there is no journal at {journal} yet; back up without --with-journal")
        return
    source = journal
    if order.with_journal:
        copy_database(journal, copy)
        source = copy  # so that all that is said about the journal is said about the copy
    with readable(source) as (found, revision):
        gathered.schema = revision
        _gather_facts(found, loaded, gathered, journal)


def _gather_shared(url: str, loaded: LoadedConfig, order: Order, gathered: _Gathered, copy: Path) -> None:
    """The same of a journal on PostgreSQL: this account's rows, in a file as every other backup has one."""
    reader = shared_journal.opened(url)
    if reader is None:
        if order.with_journal:
            raise UsageError(f"{loaded.config.account} has no journal yet; back up without --with-journal")
        return
    with closing(reader):
        if order.with_journal:
            shared_journal.copy_out(reader, copy)
            _gather_facts(copy, loaded, gathered, copy)
            return
        with reader.asking("reading the journal", whole=False) as connection:
            raw = statements(connection)
            kept = raw.execute(shared_journal.CONFIGS, (reader.account,)).fetchall()
            _read_journal(connection, kept, loaded, gathered)


@contextmanager
def readable(source: Path) -> Iterator[tuple[Path, str]]:
    """A database that this release can read, and the schema of the one that was given: of an older one, a copy moved up."""
    engine = reader_engine(source)
    try:
        with engine.connect() as connection:
            is_older = examine(connection, source) is Found.OLDER
            revision = str(driver(connection).execute(_REVISION).fetchone()[0]) if is_older else SCHEMA_REVISION
    except (sqlite3.Error, DBAPIError) as error:
        raise translate(error, source, "reading the journal") from error
    finally:
        engine.dispose()
    if not is_older:
        yield source, revision
        return
    from oms.journal.migration import upgrade_file

    with scratch(source.parent) as folder:
        copy = folder / "moved-up.db"
        copy_database(source, copy)
        upgrade_file(copy)
        yield copy, revision


def _gather_facts(source: Path, loaded: LoadedConfig, gathered: _Gathered, journal: Path) -> None:
    engine = reader_engine(source)
    try:
        with engine.connect() as connection:
            raw = driver(connection)
            raw.execute("BEGIN")
            if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
                return  # a start that ended before it made its tables
            rows = raw.execute(
                "SELECT config_hash, canonical, at FROM configs ORDER BY at DESC, config_hash"
            ).fetchall()
            _read_journal(connection, rows, loaded, gathered)
            moved = registered(raw, loaded.config.account)
            gathered.closed_years = [(each, archives_of(journal) / each.file) for each in moved]
    except (sqlite3.Error, DBAPIError) as error:
        raise translate(error, journal, "reading the journal") from error
    finally:
        engine.dispose()


def copy_database(journal: Path, copy: Path) -> None:
    """One consistent state of a database, while its engine runs: a single read transaction, which blocks no writer."""
    with storing(f"writing {copy}"):
        os.close(create(copy))
    engine = reader_engine(journal)
    try:
        with engine.connect() as connection:
            driver(connection).execute("VACUUM INTO ?", (str(copy),))
    except (sqlite3.Error, DBAPIError) as error:
        raise translate(error, journal, "copying the journal") from error
    finally:
        engine.dispose()


def _read_journal(
    connection: Connection, rows: Sequence[tuple[str, str, int]], loaded: LoadedConfig, gathered: _Gathered
) -> None:
    """``rows`` are the kept configurations, the newest first."""
    raw, account = statements(connection), loaded.config.account
    found = load(connection, account)
    gathered.head = head_of(raw, account, found.head.seq, found.head.hash)
    gathered.texts[STATE] = standing_text(found.state).encode()
    kept = [(each, text, from_instant(at).isoformat()) for each, text, at in reversed(rows[:MOST_CONFIGS])]
    gathered.configs = tuple(KeptConfig(hash=each, at=at) for each, _, at in kept)
    if all(each != loaded.hash for each, *_ in kept):
        gathered.configs += (KeptConfig(hash=loaded.hash, at=None),)
    lines = [json.dumps({"hash": each, "at": at, "canonical": text}, sort_keys=True) for each, text, at in kept]
    gathered.texts[CONFIGS] = "".join(f"{line}\n" for line in lines).encode()


def head_of(raw: Statements, account: str, seq: int, link: bytes) -> JournalHead:
    """The end of a chain, as a manifest names it."""
    last = raw.execute("SELECT at FROM events WHERE account = ? AND seq = ?", (account, seq)).fetchone()
    lease = raw.execute("SELECT fence FROM lease WHERE account = ?", (account,)).fetchone()
    return JournalHead(
        seq=seq,
        hash=link.hex(),
        at=None if last is None else from_instant(last[0]).isoformat(),
        fence=0 if lease is None else lease[0],
    )
