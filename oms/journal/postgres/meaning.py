"""What an error of PostgreSQL means for the person who reads it, and how the program ends."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from oms.errors import CredentialsError, DamagedError, FenceLostError, OmsError, RefusedError, StorageError
from oms.model.cycle import ImpossibleFact

FENCE_LOST = "OM001"
"""SQLSTATE of our own function: the account has another holder, or its journal moved on."""
SERVER_RECOVERED = "OM002"
NOT_DURABLE = "OM003"

SAFE_TO_REPEAT = frozenset({"40001", "40P01"})
"""Serialisation failure and deadlock: the server undid the whole transaction and says so."""


def is_database_error(error: BaseException) -> bool:
    """Whether this came from the database or its driver."""
    return isinstance(error, DBAPIError) or type(error).__module__.partition(".")[0] == "psycopg"


def state_of(error: BaseException) -> str | None:
    """SQLSTATE of an error; None where the server did not answer."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    found: str | None = getattr(cause, "sqlstate", None)
    return found


def translate(error: BaseException, where: object, doing: str) -> Exception:
    """The error as this program tells it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    state = state_of(error)
    text = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if state == FENCE_LOST:
        return FenceLostError(text)
    if state == SERVER_RECOVERED:
        return StorageError(f"{where}: {text}; this process starts over, and asks the broker about what it reserved")
    if state == NOT_DURABLE:
        return RefusedError(f"{where}: {text}")
    if state is not None and state[:2] == "23":
        return ImpossibleFact(f"{where}: the database refuses this while {doing}: {text}")
    kind, sentence = _meaning(state, cause)
    return kind(f"{where}: {sentence} ({doing}: {text})")


def _meaning(state: str | None, cause: BaseException) -> tuple[type[OmsError], str]:
    if state is None and type(cause).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
        return StorageError, "the server cannot be reached, or the connection to it was lost"
    if state is None:
        return StorageError, "the driver failed"
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or (StorageError, "the database failed")


_BY_STATE: dict[str, tuple[type[OmsError], str]] = {
    "28P01": (CredentialsError, "the server refuses this user's password"),
    "28000": (CredentialsError, "the server refuses this user"),
    "3D000": (StorageError, "this database is not there; `createdb` makes it"),
    "42501": (RefusedError, "this user may not do that; `db roles` shows what each role may"),
    "42P01": (DamagedError, "a table is missing; `db upgrade` makes it, as the owner"),
    "53100": (StorageError, "the server's disk is full; nothing was written"),
    "53300": (StorageError, "the server has no free connection"),
    "55P03": (StorageError, "another process has locked what this one needs"),
    "57014": (StorageError, "the statement took too long and was given up"),
    "57P01": (StorageError, "the server is being stopped"),
    "57P02": (StorageError, "the server crashed and is recovering"),
    "57P03": (StorageError, "the server is starting or stopping"),
    "25006": (StorageError, "the server only reads now: is it a standby?"),
    "0P000": (RefusedError, "the server knows no such role; `db roles` makes them"),
    "XX001": (DamagedError, "the server reports damaged data; restore a backup"),
    "XX002": (DamagedError, "the server reports a damaged index; REINDEX, then run `journal verify`"),
}
_BY_CLASS: dict[str, tuple[type[OmsError], str]] = {
    "08": (StorageError, "the connection to the server was lost"),
    "40": (StorageError, "the server undid the transaction, which may simply be tried again"),
    "53": (StorageError, "the server is short of something it needs"),
    "57": (StorageError, "the server ended the work"),
}
