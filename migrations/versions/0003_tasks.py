"""Keep how the engine's standing tasks go, and find comparisons with the broker without walking past all else."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

WATCHED = (
    "account_opened",
    "attention_raised",
    "blacklisted",
    "buys_revalidated",
    "command_answered",
    "cycle_aborted",
    "cycle_opened",
    "cycle_resumed",
    "external_order_seen",
    "funds_observed",
    "halted",
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


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("healthy", WHOLE, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("last_run", WHOLE),
        sa.Column("next_run", WHOLE),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_at", WHOLE),
        sa.Column("runs", WHOLE, nullable=False),
        sa.Column("failures", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "name", name="pk_tasks"),
    )
    op.drop_index("ix_events_kind", "events")
    op.create_index(
        "ix_events_kind",
        "events",
        ["kind"],
        unique=False,
        sqlite_where=sa.text(" OR ".join(f"kind = '{kind}'" for kind in WATCHED)),
    )
