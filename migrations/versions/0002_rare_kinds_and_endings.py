"""Find rare kinds of facts, and orders that ended otherwise than filled, without walking past all the others."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

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
    "released",
    "selected",
    "symbol_frozen",
    "symbol_unfrozen",
    "unblacklisted",
)
ENDINGS = ("blocked", "canceled", "rejected", "expired", "void")


def _one_of(column: str, words: tuple[str, ...]) -> sa.TextClause:
    return sa.text(" OR ".join(f"{column} = '{word}'" for word in words))


def upgrade() -> None:
    op.drop_index("ix_events_kind", "events")
    op.create_index("ix_events_kind", "events", ["kind"], unique=False, sqlite_where=_one_of("kind", WATCHED))
    op.create_index(
        "ix_orders_close_reason",
        "orders",
        ["close_reason"],
        unique=False,
        sqlite_where=_one_of("close_reason", ENDINGS),
    )
