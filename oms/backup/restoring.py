"""Restoring a backup: stage everything beside its place, keep what is there now, decide, move; all of it or nothing."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from oms.backup import holding, shelf
from oms.backup.closed_years import aside_of, moves_of
from oms.backup.deciding import Decision, Move, decide, finish
from oms.backup.files import make_folder, storing, sweep, sync_file, sync_folder, unfinished, write_new
from oms.backup.making import Made, new_id
from oms.backup.manifest import CONFIG, STATE, UNIVERSE
from oms.backup.planning import Plan, remove_unpacked
from oms.config import LoadedConfig
from oms.engine.operators import carry_out
from oms.engine.standing import AUTHOR, COMMAND
from oms.errors import FenceLostError, OmsError, StorageError
from oms.gateways.system_clock import SystemClock
from oms.journal import anchors
from oms.journal.access import open_account, open_mailbox
from oms.journal.account import AccountJournal
from oms.journal.inbox import Inbox
from oms.journal.lease import LeaseRow
from oms.journal.machine import this_process
from oms.journal.restored import write_mark
from oms.journal.store import open_journal
from oms.model.arming import LiveDisarmed
from oms.model.detail import HaltScope
from oms.model.event import CommandAnswered, Event, Halted
from oms.model.restoration import Restoration
from oms.model.state import AccountState
from oms.places import places

UNKNOWN_FENCE = 1_000_000
"""How far the fence leaps where the newest one cannot be read."""
_BESIDE = ("-wal", "-shm", "-journal", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restore that is done."""

    backup_id: str
    previous: Made | None
    """What was there before, as a backup of its own; None on a machine where nothing was."""
    aside: tuple[Path, ...]
    """Files that could not be put into that backup, and where they lie now."""
    with_journal: bool


def restore(plan: Plan, env: Mapping[str, str]) -> Restored:
    """Carry a plan out.

    Raises:
        LeaseHeldError: an engine runs; nothing was changed.
        StorageError: the disk refuses; before the decision nothing was changed, after it the next command finishes it.
    """
    for folder in _folders(plan):
        make_folder(folder)
    holds: list[holding.Hold] = []
    on_a_server = plan.where.file is None and plan.state is not None and plan.state.seq
    with _opened(plan) if on_a_server else nullcontext() as shared:
        done = _hold_and_restore(plan, env, holds)
        if shared is not None and plan.state is not None:
            with suppress(OmsError):  # as below
                _obey(plan, shared)
    if plan.where.file is not None and plan.state is not None and plan.state.seq and not done.with_journal:
        with (
            suppress(OmsError),
            _opened(plan) as journal,
        ):  # what waits in the mailbox counts already
            _obey(plan, journal)
    return done


def _folders(plan: Plan) -> set[Path]:
    files = (plan.config_path, plan.universe_file, *([] if plan.where.file is None else [plan.where.file]))
    comes = {year.place.parent for year in plan.closed_years if year.comes}
    return {plan.base, *(file.parent for file in files), *comes}


def _hold_and_restore(plan: Plan, env: Mapping[str, str], holds: list[holding.Hold]) -> Restored:
    try:
        for journal in {plan.where.file, _journal_of(plan.present)} - {None}:
            assert journal is not None
            if (hold := holding.take(journal)) is not None:
                holds.append(hold)
        return _restore(plan, env, holds)
    finally:
        for hold in holds:
            with suppress(OmsError):  # where another journal stands now, this one's fence is no longer the newest
                holding.give_back(hold)


@contextmanager
def _opened(plan: Plan) -> Iterator[AccountJournal]:
    """The journal that stays, with its lease."""
    config = plan.restored.config
    with closing(
        open_account(plan.where.journal_url, config.account, config.mode, SystemClock(), holding.HOLD_S)
    ) as journal:
        yield journal


def _obey(plan: Plan, journal: AccountJournal) -> None:
    """Journal the standing orders of the backup at once, as the engine would at its next start."""
    where = plan.where
    with closing(open_mailbox(where.journal_url, where.inbox, plan.restored.config.account)) as inbox:
        for message in inbox.unread(journal.state.inbox_id):
            events, answer = carry_out(journal.state, message)
            journal.append_barrier(events)
            inbox.taken(message.inbox_id, answer)


def clean_up(plan: Plan) -> None:
    """Remove what was unpacked for a plan and is not needed any more, and what earlier crashes left."""
    if plan.contents.journal is not None:
        remove_unpacked(plan.contents.journal, plan.where.journal)
    sweep({*_folders(plan), Path(tempfile.gettempdir())})


def _restore(plan: Plan, env: Mapping[str, str], holds: list[holding.Hold]) -> Restored:
    restore_id = new_id("restore", plan.manifest.account, datetime.now(UTC))
    previous, aside = _keep(plan, env, restore_id)
    moves = [*_staged_texts(plan)]
    decision = Decision(
        restore_id=restore_id,
        backup_id=plan.manifest.id,
        moves=(),
        leases=tuple(holds),
    )
    if plan.contents.journal is not None:
        here = next((hold for hold in holds if hold.journal == plan.where.journal), None)
        new_hold = _prepare_journal(plan, plan.contents.journal, here, restore_id)
        old = plan.where.journal.with_name(f"{plan.where.journal.name}.before-{restore_id}")
        moves += moves_of(plan.closed_years, restore_id)
        aside = (*aside, *(aside_of(year, restore_id) for year in plan.closed_years if year.in_the_way))
        moves += _journal_moves(plan.where.journal, plan.contents.journal, old)
        is_kept = previous is not None and previous.manifest.with_journal
        if not is_kept and plan.where.journal.exists():
            aside = (*aside, old)
        going = tuple(f"{old}{ending}" for ending in _BESIDE) if is_kept else ()
        elsewhere = (hold for hold in holds if hold is not here)
        decision = replace(decision, leases=(*elsewhere, new_hold), remove=going)
    elif STATE in plan.contents.texts:
        standing = plan.contents.texts[STATE].decode()
        box = {"config": str(plan.target)} if plan.where.file is None else {"inbox": str(plan.where.inbox)}
        decision = replace(decision, standing=standing, **box)  # type: ignore[arg-type]  # one text by its name
    for hold in holds:
        _refuse_fence_lost(hold)
    decide(plan.base, replace(decision, moves=tuple(moves)))
    finish(plan.base)
    with_journal = plan.contents.journal is not None
    return Restored(backup_id=plan.manifest.id, previous=previous, aside=aside, with_journal=with_journal)


# What is there now ────────────────────────────────────────────────────────────────────────────────────────────────


def _keep(plan: Plan, env: Mapping[str, str], restore_id: str) -> tuple[Made | None, tuple[Path, ...]]:
    """The present state as a backup of its own; what cannot go into one is copied beside."""
    there = [file for file in (plan.target, plan.universe_file) if file.exists()]
    file = plan.where.file
    if not there and not (file is not None and file.exists()):
        return None, ()
    if plan.present is not None:
        # The journal that is replaced is the one the backup's configuration names; usually both name the same.
        same = plan.contents.journal is not None and _journal_of(plan.present) == file
        with_journal = same and file is not None and file.exists()
        return shelf.automatic(plan.present, "restore", with_journal=with_journal, tolerant=True, env=env), ()
    copies = []
    for file in there:
        copy = file.with_name(f"{file.name}.before-{restore_id}")
        with storing(f"copying {file}"):
            write_new(copy, file.read_bytes())
        sync_folder(copy.parent)
        copies.append(copy)
    return None, tuple(copies)


def _journal_of(loaded: LoadedConfig | None) -> Path | None:
    return places(loaded).file if loaded is not None else None


def _refuse_fence_lost(hold: holding.Hold) -> None:
    """The lease may have run out during a very long copy."""
    if hold.fence is None:
        return
    with closing(sqlite3.connect(f"{hold.journal.as_uri()}?mode=ro", uri=True)) as raw:
        row = raw.execute("SELECT fence FROM lease WHERE account = ?", (hold.account,)).fetchone()
    if row is None or row[0] != hold.fence:
        raise FenceLostError("another process took the account while the restore was prepared; nothing was changed")


# Staging ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _staged_texts(plan: Plan) -> list[Move]:
    """config.yaml and the universe beside their places; one that the backup does not have is set aside."""
    moves = []
    for name, place in ((CONFIG, plan.target), (UNIVERSE, plan.universe_file)):
        target = Path(os.path.realpath(place))  # a link stays a link
        data = plan.contents.texts.get(name)
        if data is not None:
            staged = unfinished(target.parent, name)
            write_new(staged, data)
            sync_folder(staged.parent)
            moves.append(Move(source=str(staged), target=str(target)))
        elif target.exists():
            moves.append(Move(source=str(target), target=str(target.with_name(f"{target.name}.replaced"))))
    return moves


def _journal_moves(journal: Path, staged: Path, old: Path) -> list[Move]:
    """The old database out with all that belongs to it, then the new one in; its log must never meet the new database."""
    staged_anchors, journal_anchors = anchors.anchors_file(staged), anchors.anchors_file(journal)
    return [
        *(Move(source=f"{journal}{ending}", target=f"{old}{ending}", guard=str(staged)) for ending in _BESIDE),
        Move(source=str(journal_anchors), target=str(anchors.anchors_file(old)), guard=str(staged_anchors)),
        Move(source=str(staged_anchors), target=str(journal_anchors)),
        Move(source=str(staged), target=str(journal)),
    ]


def _prepare_journal(plan: Plan, staged: Path, hold: holding.Hold | None, restore_id: str) -> holding.Hold:
    """Make an unpacked journal one that may follow the present one: a higher fence, the mark, and the restore as a fact.

    Its lease is held by this process until the restore is finished.
    """
    mark = _mark(plan, restore_id)
    known = [plan.manifest.journal.fence if plan.manifest.journal is not None else 0]
    known.append(hold.fence if hold is not None and hold.fence is not None else known[0] + UNKNOWN_FENCE)
    account = plan.manifest.account
    with closing(_writable(staged)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        write_mark(raw, mark)
        raw.execute("UPDATE lease SET fence = ?, expires_at = NULL WHERE account = ?", (max(known) + 1, account))
        raw.execute("COMMIT")
    _say_so(plan, staged, mark)
    with closing(_writable(staged)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        lease = LeaseRow(account, SystemClock(), holding.HOLD_S, this_process()).take(raw)
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        raw.execute("PRAGMA journal_mode = DELETE").fetchone()
    if staged.with_name(f"{staged.name}-wal").exists():
        raise StorageError(f"{staged} keeps a write-ahead log that could not be folded in; nothing was changed")
    sync_file(staged)
    sync_folder(staged.parent)
    return holding.Hold(journal=plan.where.journal, account=account, fence=lease.fence)


def _mark(plan: Plan, restore_id: str) -> Restoration:
    kept = plan.manifest.journal
    return Restoration(
        restore_id=restore_id,
        backup_id=plan.manifest.id,
        horizon=datetime.fromisoformat(kept.at) if kept is not None and kept.at is not None else plan.manifest.created,
        restored_at=datetime.now(UTC),
        head_seq=kept.seq if kept is not None else 0,
        superseded_seq=plan.head[0] if plan.head is not None else None,
        superseded_hash=plan.head[1] if plan.head is not None else None,
    )


def _say_so(plan: Plan, staged: Path, mark: Restoration) -> None:
    """Journal the restore in the restored chain itself; a halt that is on now stays on, and old commands stay old."""
    journal = open_journal(
        f"sqlite:///{staged.as_posix()}", plan.manifest.account, plan.manifest.mode, SystemClock(), holding.HOLD_S
    )
    with closing(journal):
        if not journal.state.seq:  # its first fact must say what the account held
            return
        told = f"journal restored from {mark.backup_id}, which ends at row {mark.head_seq}"
        if mark.superseded_seq is not None:
            told += f"; it replaces a chain that ended at row {mark.superseded_seq}, {mark.superseded_hash}"
        answered = CommandAnswered(
            command=COMMAND, accepted=True, answer=told, author=AUTHOR, inbox_id=_highest(plan.where.inbox)
        )
        journal.append_barrier([*_kept_halt(plan, journal.state.halt), *_disarmed(journal.state, mark), answered])


def _kept_halt(plan: Plan, restored: Halted | None) -> list[Event]:
    """The brake that is on now, where the restored journal has none or a weaker one."""
    halt = plan.state.halt if plan.state is not None else None
    if halt is None:
        return []
    is_stricter = restored is None or (halt.scope is HaltScope.ALL and restored.scope is not HaltScope.ALL)
    return [replace(halt, inbox_id=None)] if is_stricter else []


def _disarmed(restored: AccountState, mark: Restoration) -> list[Event]:
    """A word for real money that the restored journal still holds may have been taken back since: it counts no more."""
    if restored.armed is None:
        return []
    return [LiveDisarmed(reason=f"the journal was restored from {mark.backup_id}; arm anew", author=AUTHOR)]


def _highest(mailbox: Path) -> int | None:
    """Commands left before the restore were meant for the journal that it replaces."""
    if not mailbox.exists():
        return None
    with closing(Inbox(mailbox)) as inbox:
        return inbox.highest() or None


def _writable(path: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)
    raw.execute("PRAGMA synchronous = FULL")
    return raw
