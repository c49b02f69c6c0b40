"""Where a journal on PostgreSQL is: the server and database, the schema, and the account it is about."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from oms.errors import UsageError
from oms.journal.postgres.ddl import mine

SCHEMA = "oms"
"""Schema that holds the journal's tables; a dry run has its own."""
DRY_SCHEMA = "oms_dry"
LOCK_S = 5
"""Seconds to wait for a lock before the statement is given up."""
STATEMENT_S = 60
"""Seconds after which a statement of the writer is given up."""
IDLE_S = 120
"""Seconds after which the server ends a transaction that its client has left open, and so frees its locks."""

RESTED_S = 1.0
"""Seconds after which a kept connection is tried before it is used again: the server may have ended it meanwhile."""

_OWN = ("account", "schema", "anchors")
"""What the address says besides where the server is; libpq knows nothing of these."""
_RESTS = "oms rests since"
_KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""So that a server that was cut off is noticed within seconds."""


@dataclass(frozen=True, slots=True)
class Address:
    """One account's journal, or with no account the database of many."""

    server: URL
    """For the driver; it may hold a password."""
    schema: str
    account: str | None
    anchors: Path | None = None
    """File outside the database in which heads of the chain are kept."""

    @property
    def shown(self) -> str:
        """For a person: without a password."""
        where = f"{self.server.host or self.server.query.get('host') or 'local'}/{self.server.database}"
        return f"PostgreSQL {where}" if self.schema == SCHEMA else f"PostgreSQL {where} ({self.schema})"

    @property
    def url(self) -> str:
        """The whole address as text; it may hold a password, so do not show it."""
        own = {"schema": self.schema}
        if self.account is not None:
            own["account"] = self.account
        if self.anchors is not None:
            own["anchors"] = self.anchors.as_posix()
        return self.server.update_query_dict(own).render_as_string(hide_password=False)

    def of(self, account: str | None, anchors: Path | None = None) -> Address:
        """The same database, for another account."""
        return replace(self, account=account, anchors=anchors)


def parse(url: str) -> Address:
    """The parts of an address.

    Raises:
        UsageError: it is none, or the driver is not installed.
    """
    if find_spec("psycopg") is None:
        raise UsageError("a journal on PostgreSQL needs its driver: pip install 'oms[postgres]'")
    if url.startswith("postgres://"):
        url = url.replace("postgres://", "postgresql://", 1)
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError("this is no address of PostgreSQL; expected postgresql://user@host/database") from error
    if not parsed.database:
        raise UsageError("the address of PostgreSQL names no database; expected postgresql://user@host/database")
    own = {name: str(parsed.query[name]) for name in _OWN if name in parsed.query}
    schema = own.get("schema", SCHEMA)
    if not (schema.isascii() and schema.replace("_", "").isalnum() and schema == schema.lower()):
        raise UsageError(f"schema={schema!r}: expected lower-case letters, digits and underscores")
    server = parsed.difference_update_query(_OWN).set(drivername="postgresql+psycopg")
    anchors = Path(own["anchors"]) if "anchors" in own else None
    return Address(server=server, schema=schema, account=own.get("account"), anchors=anchors)


@cache
def writers(server: URL, schema: str) -> Engine:
    """The kept connections of this process that may write; each one is one account's for as long as it is out."""
    settings = {
        "lock_timeout": f"{LOCK_S}s",
        "statement_timeout": f"{STATEMENT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_S}s",
    }
    return _engine(server, schema, settings, pool_size=8, max_overflow=64, pool_recycle=3600)


@cache
def clerks(server: URL, schema: str) -> Engine:
    """Those for notes that need not outlive a crash of the server: their commits do not wait for the disk."""
    settings = {
        "synchronous_commit": "off",
        "lock_timeout": f"{LOCK_S}s",
        "statement_timeout": f"{STATEMENT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_S}s",
    }
    return _engine(server, schema, settings, pool_size=2, max_overflow=64, pool_recycle=3600)


def readers(address: Address, patience_s: float | None = None) -> Engine:
    """Connections for questions about one account, one for each question: they see its rows only, and only read."""
    settings = {"default_transaction_read_only": "on"}
    if address.account is not None:
        settings["oms.account"] = address.account
    if patience_s is not None:
        settings["statement_timeout"] = f"{max(round(patience_s * 1000), 1)}ms"
    return _engine(address.server, f"{mine(address.schema)},{address.schema}", settings, poolclass=NullPool)


@cache
def overseers(server: URL, schema: str, patience_s: float | None) -> Engine:
    """The kept connections of this process for questions about all accounts: they only read."""
    settings = {"default_transaction_read_only": "on", "statement_timeout": f"{STATEMENT_S}s"}
    if patience_s is not None:
        settings["statement_timeout"] = f"{max(round(patience_s * 1000), 1)}ms"
    return _engine(server, schema, settings, pool_size=1, max_overflow=8, pool_recycle=3600)


def askers(address: Address) -> Engine:
    """Connections that are opened for one question, and see and may do what this user may."""
    return _engine(address.server, address.schema, {"statement_timeout": f"{STATEMENT_S}s"}, poolclass=NullPool)


def _escaped(value: str) -> str:
    """For the options of a connection, where a blank parts two of them."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _engine(server: URL, schema: str, settings: dict[str, str], **pool: Any) -> Engine:
    named = {"search_path": schema, **settings}
    given = str(server.query.get("options", ""))
    words = (f"-c {name}={_escaped(value)}" for name, value in named.items())
    options = " ".join([given, *words]).strip()
    connect = {**_KEEPALIVE, "options": options}
    connect.setdefault("application_name", "oms")
    made = create_engine(
        server.difference_update_query(["options"]),
        connect_args=connect,
        isolation_level="AUTOCOMMIT",
        use_native_hstore=False,
        **pool,
    )

    @event.listens_for(made, "connect")
    def prepared(raw: Any, _record: object) -> None:
        from oms.journal.postgres.driver import prepare

        prepare(raw)

    @event.listens_for(made, "checkin")
    def rests(_raw: object, record: ConnectionPoolEntry) -> None:
        record.info[_RESTS] = time.monotonic()

    @event.listens_for(made, "checkout")
    def tried(raw: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        since = record.info.pop(_RESTS, None)
        if since is not None and time.monotonic() - since > RESTED_S:
            try:
                raw.execute("")
            except Exception as error:
                raise InvalidatePoolError from error  # it takes another, and throws those away that are as old

    return made
