"""What a restore would change, before it changes anything: by key, by symbol, and in entries of the journal."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from oms import crashpoints
from oms.backup import shared_journal
from oms.backup.archive import Contents, read_archive
from oms.backup.closed_years import ClosedYear, closed_years
from oms.backup.files import make_folder, scratch, unfinished, write_new
from oms.backup.manifest import CONFIG, STATE, UNIVERSE, Manifest
from oms.backup.soundness import check_contents
from oms.choice_wiring import universe_of
from oms.config import LoadedConfig, load_config
from oms.configuration.loosening import Change, changes
from oms.engine.standing import restored_orders, sentences, standing_text
from oms.errors import DamagedError, OmsError, RefusedError, UsageError
from oms.journal import archives
from oms.journal.connection import driver, reader_engine
from oms.journal.loading import load
from oms.model.state import AccountState
from oms.places import Places, places
from oms.resources import default_config_text

ON_A_SERVER = (
    "the journal of {account} is on PostgreSQL, where no fact is ever replaced: nothing was changed. `--only-config` brings "
    "back everything but the journal. To have the journal as well, restore it into a file in an empty folder "
    "(`OMS_JOURNAL__URL=sqlite:///var/oms.db oms restore {archive} --yes`), and move that into a database that has no "
    "journal of {account} (`oms db migrate-to URL`): it is verified on both ways"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What of the present journal the restored one does not hold."""

    entries: int
    fills: int
    orders: int
    cycles: int
    since_seq: int
    """Last row that both have; 0 where they are different chains."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """A restore that was checked and not yet decided."""

    contents: Contents
    config_path: Path
    """config.yaml as it was named; it may be a link."""
    present: LoadedConfig | None
    """The configuration that is there now; None where there is none or it cannot be read."""
    restored: LoadedConfig
    """The configuration of the backup, as it would be effective here."""
    where: Places
    state: AccountState | None = None
    """The present journal's state; None where there is none, or it cannot be read."""
    head: tuple[int, str] | None = None
    """End of the present chain: row and hash."""
    config: list[Change] = field(default_factory=list)
    universe: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    """Symbols that come, symbols that go."""
    standing: list[tuple[str, bool]] = field(default_factory=list)
    lost: Lost | None = None
    closed_years: tuple[ClosedYear, ...] = ()
    """Archives that the journal of the backup goes on from."""
    notes: list[str] = field(default_factory=list)
    only_config: bool = False
    """The backup's journal, if it has one, stays in it."""

    @property
    def with_journal(self) -> bool:
        """The journal is replaced, too."""
        return self.manifest.with_journal and not self.only_config

    @property
    def manifest(self) -> Manifest:
        """Of the backup."""
        return self.contents.manifest

    @property
    def target(self) -> Path:
        """The file that is replaced."""
        return Path(os.path.realpath(self.config_path))

    @property
    def base(self) -> Path:
        """The folder from which the configuration's paths count."""
        return self.config_path.parent

    @property
    def universe_file(self) -> Path:
        """Where the universe goes."""
        return self.restored.resolve(self.restored.config.selection.universe)

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        found, lost = self.manifest, self.lost
        return {
            "backup": found.id,
            "at": found.created_at,
            "account": found.account,
            "mode": found.mode,
            "with_journal": self.with_journal,
            "config": [change.answer() for change in self.config],
            "universe": {"added": self.universe[0], "removed": self.universe[1]},
            "standing": [{"text": text, "loosened": loosened} for text, loosened in self.standing],
            "lost": None
            if lost is None
            else {
                "entries": lost.entries,
                "fills": lost.fills,
                "orders": lost.orders,
                "cycles": lost.cycles,
                "since_seq": lost.since_seq,
            },
            "archives": [year.answer() for year in self.closed_years],
            "notes": self.notes,
        }


def make_plan(
    archive: Path,
    config_file: Path | None,
    env: Mapping[str, str],
    *,
    other_account: bool,
    folder: Path | None = None,
    only_config: bool = False,
) -> Plan:
    """Read an archive whole and compare it with what is here; its journal is unpacked, everything else only read.

    ``folder`` is where the journal is unpacked; without it, beside the journal that it would replace. Archives of closed
    years are unpacked where they will lie, if there is such a folder. The caller calls :func:`remove_unpacked`.

    Raises:
        DamagedError: the archive is damaged or does not fit this release.
        RefusedError: it is of another account or mode, or names places outside of the configuration's folder.
        UsageError: the environment contradicts it.
    """
    crashpoints.point("restore.before_verify")
    texts = read_archive(archive)
    path = (config_file if config_file is not None else Path("config.yaml")).absolute()
    present, problem = _present(path, env)
    restored = _restored(texts, path, env)
    where = places(restored)
    plan = Plan(
        contents=texts, config_path=path, present=present, restored=restored, where=where, only_config=only_config
    )
    if problem:
        plan.notes.append(f"the present configuration cannot be read, so nothing is compared with it: {problem}")
    if plan.with_journal and where.file is None:
        raise RefusedError(ON_A_SERVER.format(account=texts.manifest.account, archive=archive))
    _refuse_outside(plan)
    _read_present(plan)
    _refuse_other_owner(plan, other_account=other_account)
    if plan.with_journal:
        if folder is None:
            make_folder(where.journal.parent)
        unpacked, years = unfinished(folder or where.journal.parent, "journal"), archives.folder_of(where.journal)
        try:
            plan.contents = read_archive(archive, unpacked, years if folder is None and years.is_dir() else None)
            _check(plan, archive, texts.manifest)
            staged = plan.contents.archives
            plan.closed_years = closed_years(unpacked, staged, where.journal, texts.manifest.account)
        except BaseException:
            remove_unpacked(unpacked, where.journal)
            raise
    else:
        _check(plan, archive, texts.manifest)
    return plan


def remove_unpacked(unpacked: Path, journal: Path) -> None:
    """Remove what was unpacked under this name, the archives of closed years too."""
    for folder in (unpacked.parent, archives.folder_of(journal)):
        for leftover in folder.glob(f"{unpacked.name}*"):
            with suppress(OSError):
                leftover.unlink()


def _check(plan: Plan, archive: Path, manifest: Manifest) -> None:
    if plan.manifest != manifest:
        raise DamagedError(f"{archive} changed while it was read")
    check_contents(plan.contents, archive)
    _compare(plan)


def _present(path: Path, env: Mapping[str, str]) -> tuple[LoadedConfig | None, str]:
    if not path.exists():
        return None, ""
    try:
        return load_config(path, env), ""
    except UsageError as error:
        return None, str(error)


def _restored(contents: Contents, path: Path, env: Mapping[str, str]) -> LoadedConfig:
    """The backup's configuration as it would be effective here; without one in it, the defaults of its account."""
    manifest = contents.manifest
    text = contents.texts.get(CONFIG, f"account: {manifest.account}\nmode: {manifest.mode}\n".encode())
    with scratch(Path(tempfile.gettempdir())) as folder:
        staged = folder / "config.yaml"
        write_new(staged, text)
        try:
            loaded = load_config(staged, env)
        except UsageError as error:
            told = str(error).replace(str(staged), "config.yaml of the backup")
            raise DamagedError(f"the configuration in backup {manifest.id} does not fit this release: {told}") from None
    if (loaded.config.account, loaded.config.mode) != (manifest.account, manifest.mode):
        raise UsageError(
            f"the backup is of account {manifest.account}, mode {manifest.mode}, and the environment here makes it "
            f"{loaded.config.account}, {loaded.config.mode}: unset OMS_ACCOUNT and OMS_MODE"
        )
    return replace(loaded, path=path, base=path.parent)


def _refuse_outside(plan: Plan) -> None:
    """An archive may not choose files of the machine: what it writes lies with the configuration, or is written today."""
    today = set()
    if plan.present is not None:
        today = {plan.present.resolve(plan.present.config.selection.universe), places(plan.present).file}
    base = Path(os.path.realpath(plan.base))
    for key, place in (("selection.universe", plan.universe_file), ("journal.url", plan.where.file)):
        if place is None:
            continue
        inside = Path(os.path.realpath(place)).is_relative_to(base)
        if not inside and place not in today:
            raise RefusedError(
                f"{key} of the backup names {place}, outside of {base}: put the backup's config.yaml in its place by "
                "hand first, if that is meant"
            )


def _refuse_other_owner(plan: Plan, *, other_account: bool) -> None:
    here = _owner(plan)
    there = (plan.manifest.account, plan.manifest.mode)
    if here is None or here == there:
        return
    sentence = f"the backup is of account {there[0]}, mode {there[1]}; here is account {here[0]}, mode {here[1]}"
    if not other_account:
        raise RefusedError(f"{sentence}: nothing was changed; --other-account restores it all the same")
    plan.notes.append(sentence)


def _owner(plan: Plan) -> tuple[str, str] | None:
    """Account and mode that live here; None on a machine where nothing was set up."""
    where = places(plan.present) if plan.present is not None else plan.where
    journal = where.file
    if journal is None:
        reader = shared_journal.opened(where.journal_url)
        if reader is not None:
            with closing(reader):
                return reader.account, reader.mode
    elif journal.exists():
        try:
            engine = reader_engine(journal)
            with engine.connect() as connection:
                about = dict(driver(connection).execute("SELECT name, value FROM meta").fetchall())
            return str(about["account"]), str(about["mode"])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it: a damaged journal tells nothing
            plan.notes.append(f"the present journal does not tell whose it is ({type(error).__name__})")
    if plan.present is None or plan.target.read_bytes() == default_config_text().encode():
        return None
    return plan.present.config.account, plan.present.config.mode


def _read_present(plan: Plan) -> None:
    if plan.where.file is None:
        found = shared_journal.loaded(plan.where.journal_url)
        if found is not None:
            plan.state, plan.head = found.state, (found.head.seq, found.head.hash.hex())
        return
    if not plan.where.file.exists():
        return
    engine = reader_engine(plan.where.file)
    try:
        with engine.connect() as connection:
            driver(connection).execute("BEGIN")
            plan.state, plan.head, plan.lost = _loaded(connection, plan)
    except OmsError as error:
        plan.notes.append(f"the present journal cannot be read: {error}")
    except Exception as error:  # noqa: BLE001 - as above: one restores because it is damaged
        plan.notes.append(f"the present journal cannot be read ({type(error).__name__})")
    finally:
        engine.dispose()


def _loaded(connection: Connection, plan: Plan) -> tuple[AccountState, tuple[int, str], Lost | None]:
    raw = driver(connection)
    account = raw.execute("SELECT value FROM meta WHERE name = 'account'").fetchone()[0]
    found = load(connection, account)
    state, head = found.state, (found.head.seq, found.head.hash.hex())
    kept = plan.manifest.journal
    if not plan.with_journal or kept is None:
        return state, head, None
    with suppress(DamagedError):  # without its archives only the facts since them are counted
        archives.attach(raw, account, plan.where.journal)
    row = raw.execute("SELECT hash FROM events WHERE account = ? AND seq = ?", (account, kept.seq)).fetchone()
    common = kept.seq if row is not None and row[0].hex() == kept.hash else 0
    counts = dict(
        raw.execute("SELECT kind, count(*) FROM events WHERE account = ? AND seq > ? GROUP BY kind", (account, common))
    )
    lost = Lost(
        entries=sum(counts.values()),
        fills=counts.get("order_filled", 0),
        orders=counts.get("order_planned", 0),
        cycles=counts.get("cycle_opened", 0),
        since_seq=common,
    )
    return state, head, lost


def _compare(plan: Plan) -> None:
    texts = plan.contents.texts
    if plan.present is not None:
        plan.config = changes(plan.present.config, plan.restored.config)
        if not plan.config and CONFIG in texts and plan.target.read_bytes() != texts[CONFIG]:
            plan.notes.append("config.yaml: the text changes, no value does")
    if UNIVERSE in texts:
        coming = _symbols(texts[UNIVERSE].decode("utf-8"))
        here = _universe_here(plan)
        plan.universe = ([s for s in coming if s not in here], [s for s in here if s not in coming])
    kept = _standing(plan)
    if kept is not None:
        now = plan.state or AccountState(plan.manifest.account)
        plan.standing = list(sentences(restored_orders(now, kept)))


def _standing(plan: Plan) -> str | None:
    """The halt, blacklist and frozen symbols of the backup: of its journal where that comes along."""
    if plan.contents.journal is None:
        return plan.contents.texts[STATE].decode() if STATE in plan.contents.texts else None
    engine = reader_engine(plan.contents.journal)
    try:
        with engine.connect() as connection:
            return standing_text(load(connection, plan.manifest.account).state)
    finally:
        engine.dispose()


def _symbols(text: str) -> list[str]:
    return [word for line in text.splitlines() if (word := line.partition("#")[0].strip())]


def _universe_here(plan: Plan) -> list[str]:
    try:
        return list(universe_of(plan.present)) if plan.present is not None else []
    except UsageError:
        return []
