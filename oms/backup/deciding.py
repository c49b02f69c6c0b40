"""The moment from which a restore holds, and carrying it out: one small file, then moves that can be repeated.

Everything that will replace something lies beside its place, complete and on the disk. The decision lists the moves;
once it has its name the restore *is* the new state, and whoever starts next finishes it. Before that, nothing changed.
"""

from __future__ import annotations

import json
import os
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oms import crashpoints
from oms.backup.files import storing, sync_folder, unfinished, write_new
from oms.backup.holding import Hold, give_back
from oms.config import load_config
from oms.engine.standing import AUTHOR, COMMAND
from oms.errors import DamagedError, TryAgainError
from oms.journal.inbox import Inbox
from oms.journal.restored import UNFINISHED
from oms.places import places

if TYPE_CHECKING:
    from oms.journal.postgres.inbox import PostgresInbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One rename. It is over where its source is gone; with ``guard`` it is over, too, where that file is gone."""

    source: str
    target: str
    guard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A restore that is decided; every path is absolute."""

    restore_id: str
    backup_id: str
    moves: tuple[Move, ...]
    remove: tuple[str, ...] = ()
    """Files that were set aside and are kept in a backup: they go at the end."""
    inbox: str | None = None
    """The mailbox for the halts and the blacklist of the backup; None where the journal itself was restored."""
    config: str | None = None
    """Or the configuration that names the database with the mailbox; never its address, which may hold a password."""
    standing: str = ""
    leases: tuple[Hold, ...] = ()
    """What the restore holds until it is finished."""


def decide(base: Path, decision: Decision) -> None:
    """From here on the restore holds.

    Raises:
        TryAgainError: another restore here has been decided and is not finished.
        StorageError: the disk refuses; nothing changed.
    """
    place = base / UNFINISHED
    if place.exists():
        raise TryAgainError(f"another restore in {base} is being finished; try again")
    temp = unfinished(base, "decision")
    write_new(temp, json.dumps(asdict(decision), indent=1, sort_keys=True, default=str).encode())
    crashpoints.point("restore.before_decision")
    with storing(f"naming {place}"):
        os.replace(temp, place)
    sync_folder(base)
    crashpoints.point("restore.after_decision")


def finish(base: Path) -> str | None:
    """Carry out what has been decided beside this configuration; the id of the backup, None where nothing was.

    It can be repeated after a crash anywhere in it, and by two processes at once.

    Raises:
        DamagedError: the decision cannot be read.
        StorageError: the disk refuses; the next command tries again.
    """
    place = base / UNFINISHED
    try:
        text = place.read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TryAgainError(f"{place} cannot be read: {error.strerror or error}") from error
    decision = _parsed(text, place)
    _move(decision)
    crashpoints.point("restore.before_mailbox")
    if decision.inbox is not None:
        with closing(Inbox(Path(decision.inbox))) as inbox:
            _post(decision, inbox)
    elif decision.config is not None:
        from oms.journal.postgres.address import parse  # its driver is an extra
        from oms.journal.postgres.inbox import PostgresInbox

        loaded = load_config(Path(decision.config), os.environ)
        address = parse(places(loaded).journal_url)
        with closing(PostgresInbox(address, loaded.config.account)) as inbox:
            _post(decision, inbox)
    for name in decision.remove:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
    crashpoints.point("restore.before_end")
    with storing(f"removing {place}"):
        place.unlink(missing_ok=True)
    sync_folder(base)
    crashpoints.point("restore.after_end")
    for hold in decision.leases:
        give_back(hold)
    return decision.backup_id


def _parsed(text: str, place: Path) -> Decision:
    try:
        fields = json.loads(text)
        moves = tuple(Move(**each) for each in fields.pop("moves"))
        leases = tuple(Hold(**{**each, "journal": Path(each["journal"])}) for each in fields.pop("leases"))
        return Decision(**{**fields, "moves": moves, "leases": leases, "remove": tuple(fields["remove"])})
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"{place} is damaged ({error}): a restore was decided and cannot be finished; restore the backup again "
            "after removing that file"
        ) from None


def _move(decision: Decision) -> None:
    folders: set[Path] = set()
    for move in decision.moves:
        source, target = Path(move.source), Path(move.target)
        if move.guard is not None and not Path(move.guard).exists():
            continue
        with storing(f"moving {source} to {target}"), suppress(FileNotFoundError):
            os.replace(source, target)
            folders |= {source.parent, target.parent}
            sync_folder(target.parent)
            crashpoints.point("restore.between_moves")
    for folder in folders:
        sync_folder(folder)


def _post(decision: Decision, mailbox: Inbox | PostgresInbox) -> None:
    """Leave the backup's standing orders for the journal's one writer, once however often this is repeated."""
    arguments = {"backup": decision.backup_id, "restore": decision.restore_id, "standing": decision.standing}
    mailbox.post_once(AUTHOR, COMMAND, arguments)
