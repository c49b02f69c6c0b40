"""Operators' commands: left in the mailbox, journaled by the running engine, or here where none runs."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from oms.config import LoadedConfig
from oms.errors import LeaseHeldError, TryAgainError, UsageError
from oms.journal.access import Post, exists, has_facts, is_postgres, open_account, open_mailbox
from oms.places import Places, places

PATIENCE_S = 5.0
"""So long a command waits for the running engine to journal it."""
NOTHING_YET = "nothing has run yet; `run` makes the journal"
LOOK_S = 0.05
"""Time between two looks at the mailbox."""
TRY_S = 0.5
"""Time between two attempts to take the lease, should the engine end meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of a command."""

    inbox_id: int
    answer: str | None
    """The answer that stands beside it in the journal; None while nobody has journaled it."""
    by_engine: bool
    """A running engine journaled it, not the command itself."""
    why: str = ""
    """Where there is no answer yet: why not, and when there will be one."""

    @property
    def refused(self) -> bool:
        """It was journaled as refused."""
        return self.answer is not None and self.answer.startswith("refused")


def author() -> str:
    """Who gives the command: user@host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def give(
    loaded: LoadedConfig,
    command: str,
    arguments: Mapping[str, str],
    *,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
    by: str | None = None,
) -> Reply:
    """Leave a command in the mailbox and see that it is journaled, given ``by`` whoever runs this program or somebody else.

    It counts from the mailbox's commit. With no engine running, the lease is taken for as long as it takes to journal
    it; ``say`` is told where that moved a database up.

    Raises:
        StorageError, DamagedError, RefusedError: as for a start of the engine.
    """
    where = places(loaded, dry_run=dry_run)
    mode = "dry_run" if dry_run else loaded.config.mode
    # A command must not be left for a journal that refuses this configuration: it would be obeyed later all the same.
    # And before the first fact, which says what the account held, only the engine may write.
    can_be_journaled = has_facts(where.journal_url, loaded.config.account, mode)
    with closing(open_mailbox(where.journal_url, where.inbox, loaded.config.account)) as inbox:
        inbox_id = inbox.post(by or author(), command, arguments)
        if not can_be_journaled:
            why = "nothing has run yet; the first run obeys it"
            return Reply(inbox_id=inbox_id, answer=None, by_engine=False, why=why)
        began = time.monotonic()
        while True:
            try:
                held = _journal_it(loaded, where, inbox, dry_run=dry_run, say=say)
            except TryAgainError as error:  # the command is in the mailbox all the same
                return Reply(inbox_id=inbox_id, answer=None, by_engine=False, why=str(error))
            if held is None:
                return Reply(inbox_id=inbox_id, answer=inbox.answer(inbox_id), by_engine=False)
            answer = _await_answer(inbox, inbox_id, min(TRY_S, began + PATIENCE_S - time.monotonic()))
            if answer is not None:
                return Reply(inbox_id=inbox_id, answer=answer, by_engine=True)
            if time.monotonic() - began >= PATIENCE_S:
                return Reply(inbox_id=inbox_id, answer=None, by_engine=True, why=held)


def _await_answer(inbox: Post, inbox_id: int, seconds: float) -> str | None:
    until = time.monotonic() + seconds
    while (answer := inbox.answer(inbox_id)) is None and time.monotonic() < until:
        time.sleep(LOOK_S)
    return answer


def _journal_it(
    loaded: LoadedConfig, where: Places, inbox: Post, *, dry_run: bool, say: Callable[[str], None]
) -> str | None:
    """Take the lease and journal every command that waits; the sentence of the holder where another process has it."""
    from oms.engine.operators import carry_out
    from oms.gateways.system_clock import SystemClock

    config = loaded.config
    mode = "dry_run" if dry_run else config.mode
    lease_s = config.worker.lease.total_seconds()
    try:
        journal = open_account(where.journal_url, config.account, mode, SystemClock(), lease_s, say=say)
    except LeaseHeldError as held:
        return str(held)
    with closing(journal):
        for message in inbox.unread(journal.state.inbox_id):
            events, answer = carry_out(journal.state, message)
            journal.append_barrier(events)
            inbox.taken(message.inbox_id, answer)
    return None


def rebuild_tables(loaded: LoadedConfig, *, dry_run: bool, say: Callable[[str], None]) -> int:
    """Cast every table of the journal anew from its facts; returns how many facts there are.

    Raises:
        UsageError: there is no journal yet.
        DamagedError: the facts themselves are not whole; nothing was changed.
        LeaseHeldError: an engine works on this account.
    """
    from oms.gateways.system_clock import SystemClock
    from oms.journal.rebuild import rebuild

    where = places(loaded, dry_run=dry_run)
    if not exists(where.journal_url):
        raise UsageError(NOTHING_YET)
    mode = "dry_run" if dry_run else loaded.config.mode
    return rebuild(where.journal_url, loaded.config.account, mode, SystemClock(), say=say)


def upgrade(loaded: LoadedConfig, *, dry_run: bool, say: Callable[[str], None]) -> str:
    """Move the database up to the schema of this release, which is returned; a file is copied first.

    Raises:
        UsageError: there is no journal yet.
        LeaseHeldError: an engine works on this account, whose journal is a file.
        DamagedError: it is damaged, half migrated, or newer than this program.
    """
    from oms.gateways.system_clock import SystemClock
    from oms.journal import tables

    where = places(loaded, dry_run=dry_run)
    if where.file is None:
        from oms.journal.postgres.administration import move_up

        return move_up(where.journal_url, say)
    if not exists(where.journal_url):
        raise UsageError(NOTHING_YET)
    mode = "dry_run" if dry_run else loaded.config.mode
    open_account(where.journal_url, loaded.config.account, mode, SystemClock(), say=say).close()
    return tables.SCHEMA_REVISION


def migrate(loaded: LoadedConfig, url: str, *, dry_run: bool, say: Callable[[str], None]) -> dict[str, object]:
    """Move the journal from its file to PostgreSQL; what was moved and where to.

    Raises:
        UsageError: there is no journal in a file, or ``url`` is no address of PostgreSQL.
        RefusedError: the target has a journal of this account already, or the file was moved elsewhere.
        LeaseHeldError: an engine works on this account.
        DamagedError: the journal, or what arrived of it, is not what was written; nothing was switched.
    """
    from dataclasses import asdict

    from oms.gateways.system_clock import SystemClock
    from oms.journal.postgres.address import parse
    from oms.journal.postgres.moving import move
    from oms.places import on_postgres

    if not is_postgres(url):
        raise UsageError("expected postgresql://user@host/database")
    where = places(loaded, dry_run=dry_run)
    config, dry = loaded.config, dry_run or loaded.config.mode == "dry_run"
    target = on_postgres(loaded, url, dry=dry)
    mode = "dry_run" if dry_run else config.mode
    moved = move(where.journal, where.inbox, target, config.account, mode=mode, clock=SystemClock(), say=say)
    shown = parse(url).server.set(drivername="postgresql", password=None).render_as_string()
    return {**asdict(moved), "to": parse(target).shown, "to_url": shown}
