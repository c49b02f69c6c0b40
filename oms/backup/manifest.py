"""The manifest of a backup: whose it is, what made it, and the size and SHA-256 of every member beside it.

It is the first member of the archive, so that a folder of backups is listed without reading them whole. The seal
covers the manifest itself. It shows damage, not malice: who can write the archive can also write a new seal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from oms.errors import DamagedError
from oms.journal.archives import MOST_FILES
from oms.model.foreign import shown

FORMAT = 2
"""Newest version of the archive's layout; a newer one is refused. A backup without closed years has version 1."""
NAME = "manifest.json"
CONFIG, UNIVERSE, STATE, CONFIGS, JOURNAL = "config.yaml", "universe.txt", "state.json", "configs.jsonl", "journal.db"
ARCHIVES = tuple(f"archive-{number}.db" for number in range(1, MOST_FILES + 1))
"""Archives of closed years that the journal goes on from, oldest first. What each is called only the journal says."""
LIMITS: Mapping[str, int] = {
    CONFIG: 1_000_000,
    UNIVERSE: 4_000_000,
    STATE: 16_000_000,
    CONFIGS: 64_000_000,
    JOURNAL: 8 * 2**30 - 1,
    **dict.fromkeys(ARCHIVES, 8 * 2**30 - 1),
}
"""Every member there can be, in the order in which they stand, with its largest size in bytes."""
MOST_MANIFEST = 4_000_000
MOST_CONFIGS = 10_000
"""Kept configurations that go along, the newest first."""

_ID = re.compile(r"oms-[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9._-]{1,40}-[a-z0-9]{4}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of the archive."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHead:
    """The end of the journal's chain when the backup was made."""

    seq: int
    hash: str
    at: str | None
    """When the last row was written; None for an empty journal."""
    fence: int
    """Fence of the newest lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptConfig:
    """A configuration that the journal keeps, and when it first kept it; None where no cycle ran under it yet."""

    hash: str
    at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive says about itself. Times are RFC 3339 in UTC, hashes hexadecimal SHA-256."""

    id: str
    created_at: str
    reason: str
    """``manual``, ``daily``, ``restore``, ``rollback`` or ``migration``."""
    note: str
    program: str
    """Release that made it."""
    schema: str
    """Newest migration that release knew."""
    account: str
    mode: str
    config_hash: str | None
    """Of the effective configuration; None where it could not be read, in a backup made before a restore."""
    journal: JournalHead | None
    """None where there was no journal, or none that could be read."""
    configs: tuple[KeptConfig, ...]
    members: tuple[Member, ...]
    format: int = 1

    @property
    def created(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.created_at)

    @property
    def with_journal(self) -> bool:
        """The archive holds the journal's database too."""
        return any(member.name == JOURNAL for member in self.members)

    @property
    def archives(self) -> tuple[Member, ...]:
        """The archives of closed years that it holds, oldest first."""
        return tuple(member for member in self.members if member.name in ARCHIVES)

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)

    def encode(self) -> bytes:
        """The bytes that stand in the archive."""
        fields = asdict(self)
        return (
            json.dumps({**fields, "seal": _seal(fields)}, indent=2, sort_keys=True, ensure_ascii=True).encode() + b"\n"
        )


def is_id(text: str) -> bool:
    """Whether a text can be the name of a backup."""
    return _ID.fullmatch(text) is not None


def decode_manifest(data: bytes, where: object) -> Manifest:
    """Read and check a manifest.

    Raises:
        DamagedError: it is broken, sealed wrongly, or of a newer format.
    """
    try:
        fields = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_refuse)
        newest = fields.get("format")
        if isinstance(newest, int) and newest > FORMAT:
            raise DamagedError(
                f"{where} was made by a newer release (backup format {newest}; this one reads up to {FORMAT}): "
                "install that release, or choose an older backup"
            )
        seal = fields.pop("seal")
        if seal != _seal(fields):
            raise ValueError("its seal does not match")
        return _manifest(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{where} is damaged: its manifest cannot be believed ({shown(str(error))[:80]})") from None


def _manifest(fields: dict[str, Any]) -> Manifest:
    head = fields["journal"]
    found = Manifest(
        **{
            **fields,
            "journal": None if head is None else JournalHead(**head),
            "configs": tuple(KeptConfig(**each) for each in fields["configs"]),
            "members": tuple(Member(**each) for each in fields["members"]),
        }
    )
    texts: tuple[Any, ...] = (
        found.created_at,
        found.reason,
        found.note,
        found.program,
        found.schema,
        found.account,
        found.mode,
    )
    if (
        not all(isinstance(text, str) for text in texts)
        or not is_id(found.id)
        or found.format not in range(1, FORMAT + 1)
    ):
        raise ValueError("a field is not what it should be")
    if found.created.tzinfo is None:
        raise ValueError("its time has no zone")
    _check_journal(found.journal)
    if not all(_HASH.fullmatch(each.hash) for each in found.configs):
        raise ValueError("a kept configuration has no hash")
    _check_members(found.members)
    return found


def _check_journal(head: JournalHead | None) -> None:
    if head is None:
        return
    numbers: tuple[Any, ...] = (head.seq, head.fence)
    whole = all(isinstance(number, int) and 0 <= number < 2**62 for number in numbers)
    if not whole or not _HASH.fullmatch(head.hash):
        raise ValueError("the head of the journal is none")
    if head.at is not None and datetime.fromisoformat(head.at).tzinfo is None:
        raise ValueError("the time of the journal's head has no zone")


def _check_members(members: tuple[Member, ...]) -> None:
    names = [member.name for member in members]
    if names != [name for name in LIMITS if name in names]:
        raise ValueError("its members are not those of a backup, each once and in their order")
    old = [name for name in names if name in ARCHIVES]
    if old != list(ARCHIVES[: len(old)]) or (old and JOURNAL not in names):
        raise ValueError("its archives are not those of a journal in it")
    for member in members:
        size: Any = member.size
        if not isinstance(size, int) or not 0 <= size <= LIMITS[member.name]:
            raise ValueError(f"{member.name} is too large")
        if not _HASH.fullmatch(member.sha256):
            raise ValueError(f"{member.name} has no checksum")


def member(name: str, data: bytes) -> Member:
    """The entry of a member whose content is at hand."""
    return Member(name=name, size=len(data), sha256=sha256(data).hexdigest())


def _seal(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(f"oms.backup-manifest/1:{text}".encode()).hexdigest()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"it holds the number {text}")
