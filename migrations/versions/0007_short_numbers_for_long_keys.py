"""Keep each key of a cycle or an order once, and its number everywhere else; the old names become views."""

from alembic import op

revision = "0007"
down_revision = "0006"
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

ENDINGS = ("blocked", "canceled", "rejected", "expired", "void")

TABLES = (
    """\
CREATE TABLE facts (
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cycle INTEGER,
    version INTEGER,
    ord INTEGER,
    symbol TEXT,
    code INTEGER NOT NULL,
    data TEXT NOT NULL,
    hash BLOB NOT NULL,
    kind TEXT GENERATED ALWAYS AS (CASE code
 WHEN 1 THEN 'order_planned'
 WHEN 2 THEN 'order_reserved'
 WHEN 3 THEN 'order_sending'
 WHEN 4 THEN 'order_acknowledged'
 WHEN 5 THEN 'order_filled'
 WHEN 6 THEN 'funds_observed'
 ELSE code END) VIRTUAL,
    CONSTRAINT pk_facts PRIMARY KEY (seq)
)""",
    """\
CREATE TABLE fill_rows (
    seq INTEGER NOT NULL,
    exec_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    ord INTEGER NOT NULL,
    last_qty INTEGER NOT NULL,
    last_px INTEGER NOT NULL,
    fee INTEGER NOT NULL,
    transact_time INTEGER NOT NULL,
    settles TEXT NOT NULL,
    late INTEGER NOT NULL,
    CONSTRAINT pk_fill_rows PRIMARY KEY (seq)
)""",
    """\
CREATE TABLE order_rows (
    id INTEGER NOT NULL,
    cycle INTEGER NOT NULL,
    side TEXT NOT NULL,
    idx INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    ord_type TEXT NOT NULL,
    order_qty INTEGER NOT NULL,
    price INTEGER,
    worst_px INTEGER NOT NULL,
    score TEXT,
    phase TEXT NOT NULL,
    order_no TEXT,
    order_id TEXT,
    deadline INTEGER,
    restart_token INTEGER,
    fence INTEGER,
    sends INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    repeat_refused INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    ever_quarantined INTEGER NOT NULL,
    not_found INTEGER NOT NULL,
    raw_status TEXT,
    cum_qty INTEGER NOT NULL,
    notional INTEGER NOT NULL,
    fees INTEGER NOT NULL,
    pending TEXT NOT NULL,
    close_reason TEXT,
    text TEXT NOT NULL,
    rule TEXT,
    planned_at INTEGER,
    first_sent_at INTEGER,
    sent_at INTEGER,
    acknowledged_at INTEGER,
    cancel_requested_at INTEGER,
    closed_at INTEGER,
    last_fill_at INTEGER,
    CONSTRAINT pk_order_rows PRIMARY KEY (id)
)""",
    """\
CREATE TABLE words (
    id INTEGER NOT NULL,
    word TEXT NOT NULL,
    CONSTRAINT pk_words PRIMARY KEY (id)
)""",
)

CODES = {
    "order_planned": 1,
    "order_reserved": 2,
    "order_sending": 3,
    "order_acknowledged": 4,
    "order_filled": 5,
    "funds_observed": 6,
}

# Keys are numbered in the order of their cycles and orders, so that orders go on being listed as they were planned.
WORDS = (
    "INSERT INTO words (word) SELECT cycle_id FROM cycles ORDER BY opened_seq",
    "INSERT INTO words (word) SELECT cl_ord_id FROM orders ORDER BY rowid",
    """\
INSERT INTO words (word) SELECT DISTINCT restart_token FROM orders
WHERE restart_token IS NOT NULL AND restart_token NOT IN (SELECT word FROM words)""",
    "INSERT INTO words (word) SELECT DISTINCT cycle_id FROM orders WHERE cycle_id NOT IN (SELECT word FROM words)",
    """\
INSERT INTO words (word) SELECT cycle_id FROM events
WHERE cycle_id IS NOT NULL AND cycle_id NOT IN (SELECT word FROM words) GROUP BY cycle_id ORDER BY min(seq)""",
    """\
INSERT INTO words (word) SELECT cl_ord_id FROM events
WHERE cl_ord_id IS NOT NULL AND cl_ord_id NOT IN (SELECT word FROM words) GROUP BY cl_ord_id ORDER BY min(seq)""",
)

ROWS = (
    """\
INSERT INTO facts (seq, at, cycle, version, ord, symbol, code, data, hash)
SELECT seq, at, (SELECT id FROM words WHERE word = cycle_id), version, (SELECT id FROM words WHERE word = cl_ord_id),
 symbol, {code}, data, hash FROM events ORDER BY seq""",
    """\
INSERT INTO order_rows
SELECT (SELECT id FROM words WHERE word = cl_ord_id), (SELECT id FROM words WHERE word = cycle_id),
 side, idx, symbol, ord_type, order_qty, price, worst_px, score, phase, order_no, order_id, deadline,
 (SELECT id FROM words WHERE word = restart_token),
 fence, sends, in_doubt, repeat_refused, quarantined, ever_quarantined, not_found, raw_status, cum_qty,
 notional, fees, pending, close_reason, text, rule, planned_at, first_sent_at, sent_at, acknowledged_at,
 cancel_requested_at, closed_at, last_fill_at
FROM orders ORDER BY rowid""",
    """\
INSERT INTO fill_rows
SELECT seq, exec_id, at, (SELECT id FROM words WHERE word = cl_ord_id), last_qty, last_px, fee, transact_time, settles, late
FROM fills ORDER BY seq""",
)

INDICES = (
    "CREATE INDEX ix_events_at ON facts (at)",
    "CREATE INDEX ix_events_symbol ON facts (symbol) WHERE symbol IS NOT NULL",
    "CREATE UNIQUE INDEX uq_events_cycle_id_version ON facts (cycle, version) WHERE cycle IS NOT NULL",
    "CREATE INDEX ix_fills_cl_ord_id ON fill_rows (ord)",
    "CREATE UNIQUE INDEX uq_fills_exec_id ON fill_rows (exec_id)",
    "CREATE INDEX ix_orders_symbol ON order_rows (symbol)",
    "CREATE INDEX ix_orders_unclosed ON order_rows (phase) WHERE phase != 'CLOSED'",
    "CREATE UNIQUE INDEX uq_orders_cycle_id_side_idx ON order_rows (cycle, side, idx)",
    "CREATE UNIQUE INDEX uq_orders_order_no ON order_rows (order_no) WHERE order_no IS NOT NULL",
)

VIEWS = (
    """\
CREATE VIEW events AS SELECT
 (SELECT value FROM meta WHERE name = 'account') AS account, facts.seq, facts.at, cycle.word AS cycle_id, facts.version,
 ord.word AS cl_ord_id, facts.symbol, facts.kind, facts.data, facts.hash FROM facts
 LEFT JOIN words AS cycle ON cycle.id = facts.cycle LEFT JOIN words AS ord ON ord.id = facts.ord""",
    """\
CREATE VIEW orders AS SELECT ord.word AS cl_ord_id,
 (SELECT value FROM meta WHERE name = 'account') AS account, cycle.word AS cycle_id,
 order_rows.side, order_rows.idx, order_rows.symbol, order_rows.ord_type, order_rows.order_qty,
 order_rows.price, order_rows.worst_px, order_rows.score, order_rows.phase, order_rows.order_no,
 order_rows.order_id, order_rows.deadline,
 token.word AS restart_token,
 order_rows.fence, order_rows.sends, order_rows.in_doubt, order_rows.repeat_refused,
 order_rows.quarantined, order_rows.ever_quarantined, order_rows.not_found, order_rows.raw_status,
 order_rows.cum_qty, order_rows.notional, order_rows.fees, order_rows.pending,
 order_rows.close_reason, order_rows.text, order_rows.rule, order_rows.planned_at,
 order_rows.first_sent_at, order_rows.sent_at, order_rows.acknowledged_at,
 order_rows.cancel_requested_at, order_rows.closed_at, order_rows.last_fill_at,
 order_rows.id AS rowid FROM order_rows LEFT JOIN words AS ord ON ord.id = order_rows.id
 LEFT JOIN words AS cycle ON cycle.id = order_rows.cycle LEFT JOIN words AS token ON token.id = order_rows.restart_token""",
    """\
CREATE VIEW fills AS SELECT
 (SELECT value FROM meta WHERE name = 'account') AS account, fill_rows.exec_id, fill_rows.seq, fill_rows.at,
 cycle.word AS cycle_id, ord.word AS cl_ord_id, order_rows.symbol, order_rows.side,
 fill_rows.last_qty, fill_rows.last_px, fill_rows.fee, fill_rows.transact_time, fill_rows.settles,
 fill_rows.late,
 fill_rows.seq AS rowid FROM fill_rows LEFT JOIN order_rows ON order_rows.id = fill_rows.ord
 LEFT JOIN words AS ord ON ord.id = fill_rows.ord LEFT JOIN words AS cycle ON cycle.id = order_rows.cycle""",
)

GUARD = (
    """\
CREATE TRIGGER events_no_update INSTEAD OF UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be changed'); END""",
    """\
CREATE TRIGGER events_no_delete INSTEAD OF DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be deleted'); END""",
    """\
CREATE TRIGGER events_no_insert INSTEAD OF INSERT ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row is added by the program only'); END""",
    """\
CREATE TRIGGER facts_no_update BEFORE UPDATE ON facts
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be changed'); END""",
    """\
CREATE TRIGGER facts_no_delete BEFORE DELETE ON facts
WHEN OLD.seq = 1 OR OLD.seq > (SELECT coalesce(max(last_seq), 0) FROM archives)
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be deleted'); END""",
    """\
CREATE TRIGGER facts_next_only BEFORE INSERT ON facts
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM facts)
BEGIN SELECT RAISE(ABORT, 'events is append-only: only the next row may be added'); END""",
    """\
CREATE TRIGGER facts_version_once BEFORE INSERT ON facts
WHEN EXISTS (SELECT 1 FROM facts WHERE cycle = NEW.cycle AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'events is append-only: this version of the cycle is there already'); END""",
    """\
CREATE TRIGGER words_no_update BEFORE UPDATE ON words
BEGIN SELECT RAISE(ABORT, 'events is append-only: a word that its rows name may not be changed'); END""",
    """\
CREATE TRIGGER words_no_delete BEFORE DELETE ON words
BEGIN SELECT RAISE(ABORT, 'events is append-only: a word that its rows name may not be deleted'); END""",
    """\
CREATE TRIGGER words_once BEFORE INSERT ON words
WHEN EXISTS (SELECT 1 FROM words WHERE id = NEW.id OR word = NEW.word)
BEGIN SELECT RAISE(ABORT, 'events is append-only: this word is there already'); END""",
)


def upgrade() -> None:
    # The driver's own words: nothing in them is the name of a value to be bound.
    run = op.get_bind().exec_driver_sql
    for statement in (*TABLES, "CREATE UNIQUE INDEX uq_words_word ON words (word)", *WORDS):
        run(statement)
    code = f"CASE kind {' '.join(f'WHEN {kind!r} THEN {code}' for kind, code in CODES.items())} ELSE kind END"
    for statement in ROWS:
        run(statement.replace("{code}", code))
    for name in ("fills", "orders", "events"):
        run(f"DROP TABLE {name}")
    for statement in INDICES:
        run(statement)
    run(f"CREATE INDEX ix_events_kind ON facts (kind) WHERE {_one_of('kind', WATCHED)}")
    run(f"CREATE INDEX ix_orders_close_reason ON order_rows (close_reason) WHERE {_one_of('close_reason', ENDINGS)}")
    for statement in (*VIEWS, *GUARD):
        run(statement)


def _one_of(column: str, names: tuple[str, ...]) -> str:
    return " OR ".join(f"{column} = '{name}'" for name in names)
