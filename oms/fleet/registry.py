"""Who belongs to the fleet: each account with what its configuration says otherwise, and where its secret is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from oms.config import LoadedConfig, load_config
from oms.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TERMINATED, LeaseHeldError, UsageError
from oms.fleet.database import Database

NAME = "letters, digits, dot, dash, underscore"
_NEVER_IN_AN_OVERLAY = ("account", "journal.url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One account of the fleet."""

    account: str
    overlay: Mapping[str, str]
    """What differs from the fleet's configuration, by dotted key."""
    secret: str | None
    """Where its broker's credentials are: ``file:PATH``, or ``env:NAME`` of a variable that holds a path."""
    every_s: float
    """Seconds between the beginnings of two runs."""
    paused: str | None = None
    """Why it is not traded; None where it is."""


def overrides_of(member: Member, env: Mapping[str, str]) -> dict[str, object]:
    """What the member's own configuration says otherwise than the fleet's.

    Raises:
        UsageError: its secret cannot be found on this machine.
    """
    own: dict[str, object] = {"broker.paper.file": f"var/fleet/{member.account}/paper.db"}
    own |= dict(member.overlay)
    own["account"] = member.account
    if member.secret is not None:
        own["broker.tiger.properties"] = _path_of(member.secret, member.account, env)
    return own


def _path_of(secret: str, account: str, env: Mapping[str, str]) -> str:
    kind, _, name = secret.partition(":")
    if kind == "file":
        return name
    if name not in env:
        raise UsageError(f"{account}: its secret is named by the variable {name}, which this worker does not have")
    return env[name]


def config_of(loaded: LoadedConfig, member: Member) -> LoadedConfig:
    """The whole configuration of a member: the fleet's, with its own overlay.

    Raises:
        UsageError: the two do not fit together.
    """
    return load_config(loaded.path, os.environ, overrides_of(member, os.environ))


def add(database: Database, loaded: LoadedConfig, member: Member) -> None:
    """Let an account be traded from now on; one that is there already gets the new settings.

    Raises:
        UsageError: the name, the overlay or the secret is of no use; nothing was added.
    """
    account, overlay, secret = member.account, member.overlay, member.secret
    if not account.replace(".", "").replace("-", "").replace("_", "").isalnum() or not account.isascii():
        raise UsageError(f"{account!r} is no name of an account: {NAME}")
    for key in _NEVER_IN_AN_OVERLAY:
        if key in overlay:
            raise UsageError(f"--set {key}: that is the same for the whole fleet, or the account itself")
    if secret is not None and secret.partition(":")[0] not in ("file", "env"):
        raise UsageError("--secret: expected file:PATH or env:NAME; the secret itself never goes into the database")
    if secret is not None and secret.startswith("file:") and not Path(secret[5:]).is_absolute():
        raise UsageError("--secret file: expected an absolute path, which is the same on every machine with a worker")
    if secret is None or secret.startswith("file:"):
        config_of(loaded, member)
    database.do(
        "INSERT INTO fleet_accounts (account, overlay, secret, every_s) VALUES (?, ?, ?, ?) ON CONFLICT (account) DO UPDATE"
        " SET overlay = excluded.overlay, secret = excluded.secret, every_s = excluded.every_s",
        (account, json.dumps(dict(overlay), sort_keys=True), secret, member.every_s),
    )


def remove(database: Database, account: str) -> None:
    """Let an account be traded no more; its journal stays.

    Raises:
        UsageError: it does not belong to the fleet, or is not paused.
    """
    member = one(database, account)
    if member.paused is None:
        raise UsageError(f"{account} is traded; `fleet pause {account}` first, and wait until its cycle has ended")
    database.do("DELETE FROM fleet_accounts WHERE account = ?", (account,))


def pause(database: Database, account: str, reason: str) -> None:
    """Begin no new run of an account; one under way ends as it would. Its orders are not touched: `halt` is the brake.

    Raises:
        UsageError: it does not belong to the fleet.
    """
    one(database, account)
    database.do("UPDATE fleet_accounts SET paused = ? WHERE account = ?", (reason, account))


def go_on(database: Database, account: str) -> None:
    """Trade a paused account again, from now on.

    Raises:
        UsageError: it does not belong to the fleet.
    """
    one(database, account)
    sql = "UPDATE fleet_accounts SET paused = NULL, due_at = now(), failures_in_a_row = 0 WHERE account = ?"
    database.do(sql, (account,))


def one(database: Database, account: str) -> Member:
    """One account.

    Raises:
        UsageError: it does not belong to the fleet.
    """
    sql = "SELECT account, overlay, secret, every_s, paused FROM fleet_accounts WHERE account = ?"
    row = database.one(sql, (account,))
    if row is None:
        raise UsageError(f"{account} does not belong to the fleet; `fleet add {account}` adds it")
    return _member(row)


def _member(row: Sequence[Any]) -> Member:
    return Member(account=row[0], overlay=json.loads(row[1]), secret=row[2], every_s=row[3], paused=row[4])


_CLAIM = (
    "UPDATE fleet_accounts SET queued_at = CASE WHEN paused IS NULL THEN queued_at END,"
    " started_at = CASE WHEN paused IS NULL THEN now() ELSE started_at END,"
    " worker = CASE WHEN paused IS NULL THEN ? ELSE worker END WHERE account = ?"
    " RETURNING account, overlay, secret, every_s, paused, failures_in_a_row"
)


def claim(database: Database, account: str, worker: str) -> tuple[Member, int] | None:
    """Write down that a worker has an account's turn; its settings, and failures in a row before this turn.

    None where it does not belong to the fleet any more, or is paused: then no turn is queued.
    """
    rows = database.ask(_CLAIM, (worker, account), is_note=True)
    if not rows or rows[0][4] is not None:
        return None
    return _member(rows[0]), int(rows[0][5])


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How one turn of an account ended."""

    account: str
    exit_code: int
    why: str
    took_s: float
    cycles: int
    """Cycles brought to their end."""

    @property
    def is_failure(self) -> bool:
        """Something a person may have to look at, and that is tried again later and later."""
        return self.exit_code not in NO_FAILURE


NO_FAILURE = (EXIT_DONE, EXIT_INTERRUPTED, EXIT_TERMINATED, LeaseHeldError.exit_code)
"""How a turn may end with nothing wrong: done, told to stop, or the account's last worker may still live."""


def note_end(database: Database, turn: Turn, worker: str, due: datetime) -> None:
    """Write down how a turn went and when the next is due; a removed account is not brought back.

    Nothing is written where another worker has the account by now: this one was suspended, and its turn is no news.
    """
    database.note(
        "UPDATE fleet_accounts SET ended_at = now(), queued_at = NULL, worker = NULL, exit_code = ?, why = ?, took_s = ?,"
        " runs = runs + 1, cycles = cycles + ?, failures_in_a_row = CASE WHEN ? THEN failures_in_a_row + 1 ELSE 0 END,"
        " due_at = ?::timestamptz WHERE account = ? AND worker = ?",
        (
            turn.exit_code,
            turn.why[:500],
            turn.took_s,
            turn.cycles,
            turn.is_failure,
            due.isoformat(),
            turn.account,
            worker,
        ),
    )
