"""The journal's tables, their unique keys and partial indices, and the guard that makes ``events`` append-only.

``events`` is the ground truth. Every other table that is not about the lease is a shadow of it, cast in the same
transaction by ``oms.journal.projection`` and compared with a fresh fold by ``oms.journal.verify``. SQLite keeps events,
orders and fills in the shorter tables of ``oms.journal.packed``, under views that have these names and columns.
The migrations under ``migrations/versions`` make the same tables; a test compares them.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Connection,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    literal_column,
    or_,
    text,
)

from oms.journal import packed
from oms.journal.scalars import HASH, TEXT, WHOLE, Day, Exact, Instant, Micro, Truth

SCHEMA_REVISION = "0007"
"""Newest migration; a test compares it with Alembic's head. A database that carries it needs no Alembic."""

APPLICATION_ID = 0x6F6D736A
"""SQLite's mark of whose file it is: "omsj"."""

WATCHED_KINDS = (
    "account_bound",
    "account_opened",
    "attention_raised",
    "blacklisted",
    "broker_probed",
    "buys_revalidated",
    "command_answered",
    "cycle_aborted",
    "cycle_opened",
    "cycle_resumed",
    "external_order_seen",
    "funds_observed",
    "halted",
    "live_armed",
    "live_disarmed",
    "order_blocked",
    "order_cancel_requested",
    "order_canceled",
    "order_expired",
    "order_in_doubt",
    "order_not_found",
    "order_not_sent",
    "order_quarantined",
    "order_rejected",
    "order_voided",
    "position_adopted",
    "reconciled",
    "released",
    "selected",
    "symbol_frozen",
    "symbol_unfrozen",
    "unblacklisted",
)
"""Kinds that are rare, or asked for by name: an index holds these only. The others are met often on any walk."""

ENDINGS = ("blocked", "canceled", "rejected", "expired", "void")
"""Endings of orders other than filled: an index holds these only."""

_FIXED = {"fixed": True}
"""Marks a column that never changes once its row is there."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

meta = Table("meta", metadata, Column("name", TEXT, primary_key=True), Column("value", TEXT, nullable=False))
"""What this database is: the account and the mode that it was made for."""

events = Table(
    "events",
    metadata,
    Column("account", TEXT, nullable=False),
    # One file holds one account, so seq alone is the key: SQLite's own row number, which costs no index.
    Column("seq", WHOLE, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("cycle_id", TEXT),
    Column("version", WHOLE),
    Column("cl_ord_id", TEXT),
    Column("symbol", TEXT),
    Column("kind", TEXT, nullable=False),
    Column("data", TEXT, nullable=False),
    Column("hash", HASH, nullable=False),
)
Index(
    "uq_events_cycle_id_version",
    events.c.cycle_id,
    events.c.version,
    unique=True,
    sqlite_where=events.c.cycle_id.is_not(None),
)
Index("ix_events_symbol", events.c.symbol, sqlite_where=events.c.symbol.is_not(None))
Index("ix_events_at", events.c.at)
Index(
    "ix_events_kind",
    events.c.kind,
    sqlite_where=or_(*[literal_column("kind") == literal_column(f"'{kind}'") for kind in WATCHED_KINDS]),
)

heads = Table(
    "heads",
    metadata,
    Column("account", TEXT, primary_key=True),
    Column("seq", WHOLE, nullable=False),
    Column("hash", HASH, nullable=False),
    Column("barrier_seq", WHOLE, nullable=False),
    Column("barrier_hash", HASH, nullable=False),
)
"""The end of each chain, and the last end that a barrier has brought to the disk."""

lease = Table(
    "lease",
    metadata,
    Column("account", TEXT, primary_key=True),
    Column("fence", WHOLE, nullable=False),
    Column("host", TEXT),
    Column("restart_token", TEXT),
    Column("pid_namespace", TEXT),
    Column("pid", WHOLE),
    Column("process_started", TEXT),
    Column("taken_at", Instant),
    Column("renewed_at", Instant),
    Column("expires_at", Instant),
)
"""Who may write. ``expires_at`` is null once it was given back; ``fence`` only grows."""

accounts = Table(
    "accounts",
    metadata,
    Column("account", TEXT, primary_key=True),
    Column("mode", TEXT),
    Column("broker", TEXT),
    Column("currency", TEXT),
    Column("cash", Micro, nullable=False),
    Column("trading_day", Day),
    Column("trades_today", WHOLE, nullable=False),
    Column("realised_today", Micro, nullable=False),
    Column("halt_scope", TEXT),
    Column("halt_reason", TEXT),
    Column("halt_author", TEXT),
    Column("halt_inbox_id", WHOLE),
    Column("inbox_id", WHOLE, nullable=False),
    Column("attention", WHOLE, nullable=False),
)

cycles = Table(
    "cycles",
    metadata,
    Column("cycle_id", TEXT, primary_key=True),
    Column("account", TEXT, nullable=False, info=_FIXED),
    Column("opened_seq", WHOLE, nullable=False, info=_FIXED),
    Column("phase", TEXT, nullable=False),
    Column("phase_since", Instant, nullable=False),
    Column("deadline", Instant),
    Column("outcome", TEXT),
    Column("opened_at", Instant, nullable=False, info=_FIXED),
    Column("closed_at", Instant),
    Column("trading_day", Day, nullable=False, info=_FIXED),
    Column("settles", Day, nullable=False, info=_FIXED),
    Column("fence", WHOLE, nullable=False),
    Column("resumed", WHOLE, nullable=False),
    Column("sells", WHOLE, nullable=False, info=_FIXED),
    Column("buys", WHOLE, nullable=False, info=_FIXED),
    Column("cut", WHOLE, nullable=False),
    Column("config_hash", TEXT, nullable=False, info=_FIXED),
    Column("source", TEXT, nullable=False, info=_FIXED),
    Column("aborted_rule", TEXT),
    Column("aborted_reason", TEXT),
)
Index("uq_cycles_open", cycles.c.account, unique=True, sqlite_where=literal_column("phase") != literal_column("'DONE'"))
Index("uq_cycles_account_opened_seq", cycles.c.account, cycles.c.opened_seq, unique=True)
Index("ix_cycles_trading_day", cycles.c.account, cycles.c.trading_day)

orders = Table(
    "orders",
    metadata,
    Column("cl_ord_id", TEXT, primary_key=True),
    Column("account", TEXT, nullable=False, info=_FIXED),
    Column("cycle_id", TEXT, nullable=False, info=_FIXED),
    Column("side", TEXT, nullable=False, info=_FIXED),
    Column("idx", WHOLE, nullable=False, info=_FIXED),
    Column("symbol", TEXT, nullable=False, info=_FIXED),
    Column("ord_type", TEXT, nullable=False, info=_FIXED),
    Column("order_qty", WHOLE, nullable=False, info=_FIXED),
    Column("price", Micro, info=_FIXED),
    Column("worst_px", Micro, nullable=False, info=_FIXED),
    Column("score", Exact, info=_FIXED),
    Column("phase", TEXT, nullable=False),
    Column("order_no", TEXT),
    Column("order_id", TEXT),
    Column("deadline", Instant),
    Column("restart_token", TEXT),
    Column("fence", WHOLE),
    Column("sends", WHOLE, nullable=False),
    Column("in_doubt", Truth, nullable=False),
    Column("repeat_refused", Truth, nullable=False),
    Column("quarantined", Truth, nullable=False),
    Column("ever_quarantined", Truth, nullable=False),
    Column("not_found", WHOLE, nullable=False),
    Column("raw_status", TEXT),
    Column("cum_qty", WHOLE, nullable=False),
    Column("notional", Micro, nullable=False),
    Column("fees", Micro, nullable=False),
    Column("pending", TEXT, nullable=False),
    Column("close_reason", TEXT),
    Column("text", TEXT, nullable=False),
    Column("rule", TEXT),
    Column("planned_at", Instant, info=_FIXED),
    Column("first_sent_at", Instant),
    Column("sent_at", Instant),
    Column("acknowledged_at", Instant),
    Column("cancel_requested_at", Instant),
    Column("closed_at", Instant),
    Column("last_fill_at", Instant),
    UniqueConstraint("cycle_id", "side", "idx"),
)
"""One row per intent, for ever. ``ord_status`` is derived on reading and never stored."""
Index(
    "uq_orders_order_no", orders.c.account, orders.c.order_no, unique=True, sqlite_where=orders.c.order_no.is_not(None)
)
Index("ix_orders_unclosed", orders.c.account, sqlite_where=literal_column("phase") != literal_column("'CLOSED'"))
Index("ix_orders_symbol", orders.c.symbol)
Index(
    "ix_orders_close_reason",
    orders.c.close_reason,
    sqlite_where=or_(*[literal_column("close_reason") == literal_column(f"'{ending}'") for ending in ENDINGS]),
)

fills = Table(
    "fills",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("exec_id", TEXT, nullable=False),
    Column("seq", WHOLE, nullable=False),
    Column("at", Instant, nullable=False),
    Column("cycle_id", TEXT, nullable=False),
    Column("cl_ord_id", TEXT, nullable=False),
    Column("symbol", TEXT, nullable=False),
    Column("side", TEXT, nullable=False),
    Column("last_qty", WHOLE, nullable=False),
    Column("last_px", Micro, nullable=False),
    Column("fee", Micro, nullable=False),
    Column("transact_time", Instant, nullable=False),
    Column("settles", Day, nullable=False),
    Column("late", Truth, nullable=False),
    PrimaryKeyConstraint("account", "exec_id"),
)
Index("ix_fills_cl_ord_id", fills.c.cl_ord_id)
Index("ix_fills_account_seq", fills.c.account, fills.c.seq)

holdings = Table(
    "holdings",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("symbol", TEXT, nullable=False),
    Column("qty", Micro, nullable=False),
    Column("cost", Micro, nullable=False),
    Column("realised", Micro, nullable=False),
    PrimaryKeyConstraint("account", "symbol"),
)

blacklist = Table(
    "blacklist",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("symbol", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("author", TEXT, nullable=False),
    Column("until", Instant),
    Column("inbox_id", WHOLE),
    PrimaryKeyConstraint("account", "symbol"),
)

frozen = Table(
    "frozen",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("symbol", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "symbol"),
)
"""Symbols that take no new order until a person says so."""

external_orders = Table(
    "external_orders",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("order_id", TEXT, nullable=False),
    Column("symbol", TEXT, nullable=False),
    Column("side", TEXT, nullable=False),
    Column("order_qty", Exact, nullable=False),
    Column("cum_qty", Exact, nullable=False),
    Column("price", Exact),
    Column("raw_status", TEXT, nullable=False),
    Column("open", Truth, nullable=False),
    PrimaryKeyConstraint("account", "order_id"),
)
"""Orders that others made in the same account, as last seen."""

configs = Table(
    "configs",
    metadata,
    Column("config_hash", TEXT, primary_key=True),
    Column("canonical", TEXT, nullable=False),
    Column("at", Instant, nullable=False),
)
"""Each distinct effective configuration, whole and without secrets."""

tasks = Table(
    "tasks",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("healthy", Truth, nullable=False),
    Column("text", TEXT, nullable=False),
    Column("last_run", Instant),
    Column("next_run", Instant),
    Column("last_error", TEXT, nullable=False),
    Column("last_error_at", Instant),
    Column("runs", WHOLE, nullable=False),
    Column("failures", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "name"),
)
"""How the engine's supervised tasks go; beside the chain, as the lease is: no fact of the account."""

bound_rules = Table(
    "bound_rules",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("rule", TEXT, nullable=False),
    Column("seq", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "rule", "seq"),
    sqlite_with_rowid=False,
)
"""Which facts name which rule: a rule that seldom bound, or never, is found without reading them."""

books = Table(
    "books",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("seq", WHOLE, nullable=False),
    Column("cash", Micro, nullable=False),
    Column("held", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "seq"),
)
"""Cash and shares as they stood after every ``BOOKED_EVERY`` th fact, so that a question about the past adds up little.

An older journal begins with them late; what is there is compared with a fold like every shadow.
"""

text_marks = Table(
    "text_marks",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("block", WHOLE, nullable=False),
    Column("letters", HASH, nullable=False),
    Column("digits", HASH, nullable=False),
    PrimaryKeyConstraint("account", "block"),
)
"""What letters and digits occur in a block of facts (``oms.journal.marks``); made at quiet moments, never while trading."""

archives = Table(
    "archives",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("first_seq", WHOLE, nullable=False),
    Column("last_seq", WHOLE, nullable=False),
    Column("previous", HASH, nullable=False),
    Column("head", HASH, nullable=False),
    Column("file", TEXT, nullable=False),
    Column("bytes", WHOLE, nullable=False),
    Column("sha256", TEXT, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("account", "last_seq", "first_seq"),
)
"""Where the facts of closed years lie: a file beside the database, its hash, and the links before and after its facts."""

archived_cycles = Table(
    "archived_cycles",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("cycle_id", TEXT, nullable=False),
    Column("version", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "cycle_id"),
    sqlite_with_rowid=False,
)
"""Version of the newest archived fact of each cycle: a late fact goes on from there without the archive."""

BOOKED_EVERY = 16_384
"""Facts between two rows of ``books``."""

SHADOWS: tuple[Table, ...] = (
    *(accounts, cycles, orders, fills, holdings, blacklist, frozen, external_orders, bound_rules, books),
)
"""What a fold of ``events`` gives again."""

TRIGGERS: dict[str, str] = {
    **packed.TRIGGERS,
    "archives_no_update": """\
CREATE TRIGGER archives_no_update BEFORE UPDATE ON archives
BEGIN SELECT RAISE(ABORT, 'archives is append-only: a row may not be changed'); END""",
    "archives_no_delete": """\
CREATE TRIGGER archives_no_delete BEFORE DELETE ON archives
BEGIN SELECT RAISE(ABORT, 'archives is append-only: a row may not be deleted'); END""",
    "configs_no_update": """\
CREATE TRIGGER configs_no_update BEFORE UPDATE ON configs
BEGIN SELECT RAISE(ABORT, 'configs is append-only: a row may not be changed'); END""",
    "configs_no_delete": """\
CREATE TRIGGER configs_no_delete BEFORE DELETE ON configs
BEGIN SELECT RAISE(ABORT, 'configs is append-only: a row may not be deleted'); END""",
    "configs_once": """\
CREATE TRIGGER configs_once BEFORE INSERT ON configs
WHEN EXISTS (SELECT 1 FROM configs WHERE config_hash = NEW.config_hash)
BEGIN SELECT RAISE(ABORT, 'configs is append-only: this configuration is there already'); END""",
}
"""The guard. ``INSERT OR REPLACE`` would delete without a DELETE trigger, so inserts are guarded as well."""


packed.add_indices(WATCHED_KINDS, ENDINGS)

PACKED = frozenset(packed.VIEWS)
"""Tables that SQLite keeps as views over those of ``oms.journal.packed``; PostgreSQL has them as they are here."""


def tables_in_sqlite() -> list[Table]:
    """The tables that an SQLite file has."""
    return [*(t for t in metadata.sorted_tables if t.name not in PACKED), *packed.metadata.sorted_tables]


def create_tables(connection: Connection) -> None:
    """Make every table and view in an empty SQLite database, without the guard. The caller holds the transaction."""
    plain = [table for table in metadata.sorted_tables if table.name not in PACKED]
    metadata.create_all(connection, tables=plain, checkfirst=False)
    packed.metadata.create_all(connection, checkfirst=False)
    for view in packed.VIEWS.values():
        connection.execute(text(view))


def create_all(connection: Connection) -> None:
    """Make every table at once, without Alembic: for databases in memory. The caller holds the transaction."""
    create_tables(connection)
    for trigger in TRIGGERS.values():
        connection.execute(text(trigger))
    connection.execute(
        text(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": SCHEMA_REVISION})
    connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
