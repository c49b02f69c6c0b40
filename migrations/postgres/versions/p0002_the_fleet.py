"""Many accounts traded by many workers: who they are, who works, and what holds for all of them.

Adds tables only, so workers of the release before go on with their accounts while it runs, and afterwards.
"""

from alembic import op

revision = "p0002"
down_revision = "p0001"
branch_labels = None
depends_on = None

TABLES = (
    """\
CREATE TABLE fleet_accounts (
    account TEXT COLLATE "C" NOT NULL CONSTRAINT pk_fleet_accounts PRIMARY KEY,
    overlay TEXT NOT NULL,
    secret TEXT,
    every_s DOUBLE PRECISION NOT NULL,
    paused TEXT,
    added_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    due_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    queued_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    worker TEXT,
    exit_code BIGINT,
    why TEXT,
    took_s DOUBLE PRECISION,
    runs BIGINT NOT NULL DEFAULT 0,
    cycles BIGINT NOT NULL DEFAULT 0,
    failures_in_a_row BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 60)""",
    "CREATE INDEX ix_fleet_accounts_due ON fleet_accounts (due_at) WHERE paused IS NULL",
    """\
CREATE TABLE fleet_workers (
    worker TEXT COLLATE "C" NOT NULL CONSTRAINT pk_fleet_workers PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    version TEXT NOT NULL,
    lanes BIGINT NOT NULL,
    busy BIGINT NOT NULL DEFAULT 0,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    draining BOOLEAN NOT NULL DEFAULT false,
    ended_at TIMESTAMPTZ,
    runs BIGINT NOT NULL DEFAULT 0,
    cycles BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    busy_s DOUBLE PRECISION NOT NULL DEFAULT 0
) WITH (fillfactor = 60)""",
    """\
CREATE TABLE fleet_limits (
    name TEXT COLLATE "C" NOT NULL CONSTRAINT pk_fleet_limits PRIMARY KEY,
    value TEXT NOT NULL,
    author TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL DEFAULT now()
)""",
    """\
CREATE TABLE fleet_notional (
    day DATE NOT NULL CONSTRAINT pk_fleet_notional PRIMARY KEY,
    micro BIGINT NOT NULL
) WITH (fillfactor = 10)""",
    """\
CREATE TABLE fleet_rates (
    credential TEXT COLLATE "C" NOT NULL CONSTRAINT pk_fleet_rates PRIMARY KEY,
    empty_at DOUBLE PRECISION NOT NULL
) WITH (fillfactor = 10)""",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
