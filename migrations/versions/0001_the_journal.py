"""The journal: facts, their shadow, the lease, and the guard that makes facts append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HASH = sa.LargeBinary(32).with_variant(sa.LargeBinary(), "sqlite")

APPLICATION_ID = 0x6F6D736A

WATCHED = " OR ".join(
    f"kind = '{kind}'"
    for kind in (
        "cycle_opened",
        "buys_revalidated",
        "funds_observed",
        "selected",
        "attention_raised",
        "halted",
        "released",
    )
)

TRIGGERS = (
    """\
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be changed'); END""",
    """\
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be deleted'); END""",
    """\
CREATE TRIGGER events_next_only BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN SELECT RAISE(ABORT, 'events is append-only: only the next row may be added'); END""",
    """\
CREATE TRIGGER events_version_once BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE cycle_id = NEW.cycle_id AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'events is append-only: this version of the cycle is there already'); END""",
    """\
CREATE TRIGGER configs_no_update BEFORE UPDATE ON configs
BEGIN SELECT RAISE(ABORT, 'configs is append-only: a row may not be changed'); END""",
    """\
CREATE TRIGGER configs_no_delete BEFORE DELETE ON configs
BEGIN SELECT RAISE(ABORT, 'configs is append-only: a row may not be deleted'); END""",
    """\
CREATE TRIGGER configs_once BEFORE INSERT ON configs
WHEN EXISTS (SELECT 1 FROM configs WHERE config_hash = NEW.config_hash)
BEGIN SELECT RAISE(ABORT, 'configs is append-only: this configuration is there already'); END""",
)


def upgrade() -> None:
    op.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "events",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.Column("cycle_id", sa.Text()),
        sa.Column("version", WHOLE),
        sa.Column("cl_ord_id", sa.Text()),
        sa.Column("symbol", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
    )
    op.create_index("ix_events_at", "events", ["at"], unique=False)
    op.create_index("ix_events_kind", "events", ["kind"], unique=False, sqlite_where=sa.text(WATCHED))
    op.create_index("ix_events_symbol", "events", ["symbol"], unique=False, sqlite_where=sa.text("symbol IS NOT NULL"))
    op.create_index(
        "uq_events_cycle_id_version",
        "events",
        ["cycle_id", "version"],
        unique=True,
        sqlite_where=sa.text("cycle_id IS NOT NULL"),
    )
    op.create_table(
        "heads",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("barrier_seq", WHOLE, nullable=False),
        sa.Column("barrier_hash", HASH, nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_heads"),
    )
    op.create_table(
        "lease",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("host", sa.Text()),
        sa.Column("restart_token", sa.Text()),
        sa.Column("pid_namespace", sa.Text()),
        sa.Column("pid", WHOLE),
        sa.Column("process_started", sa.Text()),
        sa.Column("taken_at", WHOLE),
        sa.Column("renewed_at", WHOLE),
        sa.Column("expires_at", WHOLE),
        sa.PrimaryKeyConstraint("account", name="pk_lease"),
    )
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text()),
        sa.Column("broker", sa.Text()),
        sa.Column("currency", sa.Text()),
        sa.Column("cash", WHOLE, nullable=False),
        sa.Column("trading_day", sa.Text()),
        sa.Column("trades_today", WHOLE, nullable=False),
        sa.Column("realised_today", WHOLE, nullable=False),
        sa.Column("halt_scope", sa.Text()),
        sa.Column("halt_reason", sa.Text()),
        sa.Column("halt_author", sa.Text()),
        sa.Column("halt_inbox_id", WHOLE),
        sa.Column("inbox_id", WHOLE, nullable=False),
        sa.Column("attention", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_accounts"),
    )
    op.create_table(
        "cycles",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("opened_seq", WHOLE, nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("phase_since", WHOLE, nullable=False),
        sa.Column("deadline", WHOLE),
        sa.Column("outcome", sa.Text()),
        sa.Column("opened_at", WHOLE, nullable=False),
        sa.Column("closed_at", WHOLE),
        sa.Column("trading_day", sa.Text(), nullable=False),
        sa.Column("settles", sa.Text(), nullable=False),
        sa.Column("fence", WHOLE, nullable=False),
        sa.Column("resumed", WHOLE, nullable=False),
        sa.Column("sells", WHOLE, nullable=False),
        sa.Column("buys", WHOLE, nullable=False),
        sa.Column("cut", WHOLE, nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("aborted_rule", sa.Text()),
        sa.Column("aborted_reason", sa.Text()),
        sa.PrimaryKeyConstraint("cycle_id", name="pk_cycles"),
    )
    op.create_index("ix_cycles_trading_day", "cycles", ["account", "trading_day"], unique=False)
    op.create_index("uq_cycles_account_opened_seq", "cycles", ["account", "opened_seq"], unique=True)
    op.create_index("uq_cycles_open", "cycles", ["account"], unique=True, sqlite_where=sa.text("phase != 'DONE'"))
    op.create_table(
        "orders",
        sa.Column("cl_ord_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("idx", WHOLE, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("ord_type", sa.Text(), nullable=False),
        sa.Column("order_qty", WHOLE, nullable=False),
        sa.Column("price", WHOLE),
        sa.Column("worst_px", WHOLE, nullable=False),
        sa.Column("score", sa.Text()),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text()),
        sa.Column("order_id", sa.Text()),
        sa.Column("deadline", WHOLE),
        sa.Column("restart_token", sa.Text()),
        sa.Column("fence", WHOLE),
        sa.Column("sends", WHOLE, nullable=False),
        sa.Column("in_doubt", WHOLE, nullable=False),
        sa.Column("repeat_refused", WHOLE, nullable=False),
        sa.Column("quarantined", WHOLE, nullable=False),
        sa.Column("ever_quarantined", WHOLE, nullable=False),
        sa.Column("not_found", WHOLE, nullable=False),
        sa.Column("raw_status", sa.Text()),
        sa.Column("cum_qty", WHOLE, nullable=False),
        sa.Column("notional", WHOLE, nullable=False),
        sa.Column("fees", WHOLE, nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.Column("close_reason", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text()),
        sa.Column("planned_at", WHOLE),
        sa.Column("first_sent_at", WHOLE),
        sa.Column("sent_at", WHOLE),
        sa.Column("acknowledged_at", WHOLE),
        sa.Column("cancel_requested_at", WHOLE),
        sa.Column("closed_at", WHOLE),
        sa.Column("last_fill_at", WHOLE),
        sa.PrimaryKeyConstraint("cl_ord_id", name="pk_orders"),
        sa.UniqueConstraint("cycle_id", "side", "idx", name="uq_orders_cycle_id_side_idx"),
    )
    op.create_index("ix_orders_symbol", "orders", ["symbol"], unique=False)
    op.create_index(
        "ix_orders_unclosed", "orders", ["account"], unique=False, sqlite_where=sa.text("phase != 'CLOSED'")
    )
    op.create_index(
        "uq_orders_order_no",
        "orders",
        ["account", "order_no"],
        unique=True,
        sqlite_where=sa.text("order_no IS NOT NULL"),
    )
    op.create_table(
        "fills",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("exec_id", sa.Text(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("cl_ord_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("last_qty", WHOLE, nullable=False),
        sa.Column("last_px", WHOLE, nullable=False),
        sa.Column("fee", WHOLE, nullable=False),
        sa.Column("transact_time", WHOLE, nullable=False),
        sa.Column("settles", sa.Text(), nullable=False),
        sa.Column("late", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "exec_id", name="pk_fills"),
    )
    op.create_index("ix_fills_cl_ord_id", "fills", ["cl_ord_id"], unique=False)
    op.create_index("ix_fills_at", "fills", ["at"], unique=False)
    op.create_table(
        "holdings",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("qty", WHOLE, nullable=False),
        sa.Column("cost", WHOLE, nullable=False),
        sa.Column("realised", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", name="pk_holdings"),
    )
    op.create_table(
        "blacklist",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("until", WHOLE),
        sa.Column("inbox_id", WHOLE),
        sa.PrimaryKeyConstraint("account", "symbol", name="pk_blacklist"),
    )
    op.create_table(
        "frozen",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", name="pk_frozen"),
    )
    op.create_table(
        "external_orders",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("order_qty", sa.Text(), nullable=False),
        sa.Column("cum_qty", sa.Text(), nullable=False),
        sa.Column("price", sa.Text()),
        sa.Column("raw_status", sa.Text(), nullable=False),
        sa.Column("open", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "order_id", name="pk_external_orders"),
    )
    op.create_table(
        "configs",
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("config_hash", name="pk_configs"),
    )
    for trigger in TRIGGERS:
        op.execute(sa.text(trigger))
