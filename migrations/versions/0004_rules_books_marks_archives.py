"""Find facts by rule and by text without reading all, look back fast, and let closed years move to an archive."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HASH = sa.LargeBinary(32).with_variant(sa.LargeBinary(), "sqlite")

TRIGGERS = (
    """\
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
WHEN OLD.seq = 1 OR OLD.seq > (SELECT coalesce(max(last_seq), 0) FROM archives)
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be deleted'); END""",
    """\
CREATE TRIGGER archives_no_update BEFORE UPDATE ON archives
BEGIN SELECT RAISE(ABORT, 'archives is append-only: a row may not be changed'); END""",
    """\
CREATE TRIGGER archives_no_delete BEFORE DELETE ON archives
BEGIN SELECT RAISE(ABORT, 'archives is append-only: a row may not be deleted'); END""",
)

PLAIN_RULES = """\
INSERT OR IGNORE INTO bound_rules (account, rule, seq)
SELECT account, json_extract(data, '$.rule'), seq FROM events
WHERE kind = 'order_blocked' OR kind = 'attention_raised' OR kind = 'cycle_aborted'"""

RULES_OF_BUYS = """\
INSERT OR IGNORE INTO bound_rules (account, rule, seq)
SELECT events.account, json_extract(buy.value, '$.rule'), events.seq FROM events, json_each(events.data, '$.buys') AS buy
WHERE events.kind = 'buys_revalidated'"""


def upgrade() -> None:
    op.create_table(
        "bound_rules",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "rule", "seq", name="pk_bound_rules"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "books",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("cash", WHOLE, nullable=False),
        sa.Column("held", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "seq", name="pk_books"),
    )
    op.create_table(
        "text_marks",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("block", WHOLE, nullable=False),
        sa.Column("letters", HASH, nullable=False),
        sa.Column("digits", HASH, nullable=False),
        sa.PrimaryKeyConstraint("account", "block", name="pk_text_marks"),
    )
    op.create_table(
        "archives",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("first_seq", WHOLE, nullable=False),
        sa.Column("last_seq", WHOLE, nullable=False),
        sa.Column("previous", HASH, nullable=False),
        sa.Column("head", HASH, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("bytes", WHOLE, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("at", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "last_seq", "first_seq", name="pk_archives"),
    )
    op.create_table(
        "archived_cycles",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "cycle_id", name="pk_archived_cycles"),
        sqlite_with_rowid=False,
    )
    op.drop_index("ix_fills_at", "fills")
    op.create_index("ix_fills_account_seq", "fills", ["account", "seq"], unique=False)
    op.execute("DROP TRIGGER events_no_delete")
    for trigger in TRIGGERS:
        op.execute(sa.text(trigger))
    op.execute(sa.text(PLAIN_RULES))
    op.execute(sa.text(RULES_OF_BUYS))
