"""Find what a trial of the broker showed, by the index of rare kinds."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WATCHED = (
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


def upgrade() -> None:
    watched = sa.text(" OR ".join(f"kind = '{kind}'" for kind in WATCHED))
    op.drop_index("ix_events_kind", "events")
    op.create_index("ix_events_kind", "events", ["kind"], unique=False, sqlite_where=watched)
