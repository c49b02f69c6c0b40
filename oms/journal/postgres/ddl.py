"""The journal's tables as PostgreSQL has them, made from ``oms.journal.tables``: many accounts, and what guards them.

Where SQLite keeps one account a file, every key here begins or ends with the account. ``events`` is split by it into
partitions, so that both unique keys of the chain stay constraints of the database; ``docs/scale.md`` has the measurement.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Index, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from oms.journal import tables
from oms.journal.postgres.meaning import FENCE_LOST, NOT_DURABLE, SERVER_RECOVERED

PARTITIONS = 16
"""Parts of ``events``; an account is always in one of them."""

APPEND_ONLY = ("events", "configs")
NUMBERED = ("orders", "fills")
"""Tables whose rows have the order in which they came, as SQLite's own row number gives it."""
_BUSY = {"heads": 50, "lease": 50, "accounts": 70, "cycles": 70, "orders": 80, "holdings": 70}
"""Per cent of a page that new rows may fill: the rest is room for new versions of rows, which then touch no index."""
_OWN_KEYS = ("cycle_id", "cl_ord_id", "account")
"""Columns that name an account's own things, so an index that begins with one needs no account before it."""
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy has it


def statements(schema: str) -> Iterator[str]:
    """Everything of the first schema, in order; ``schema`` is where the tables go."""
    for table in tables.metadata.sorted_tables:
        yield from create(table)
    yield _INBOX
    yield _RESTARTS
    yield from FUNCTIONS
    for name in APPEND_ONLY:
        yield from guard(name)
    yield from own_rows(schema)


def create(table: Table) -> Iterator[str]:
    """One table with its indices."""
    text = str(CreateTable(table).compile(dialect=_DIALECT)).strip()
    if table.name in NUMBERED:
        text = f"{text[:-1].rstrip()},\n\trowid BIGINT GENERATED ALWAYS AS IDENTITY\n)"
    # What is unique in a file of one account is unique for each account here: no account can overwrite another's row.
    for key in ("seq", "cycle_id", "cl_ord_id"):
        text = text.replace(f"PRIMARY KEY ({key})", f"PRIMARY KEY (account, {key})")
    text = text.replace("UNIQUE (cycle_id,", "UNIQUE (account, cycle_id,")
    if table.name == "events":
        text += " PARTITION BY HASH (account)"
    if table.name in _BUSY:
        text += f" WITH (fillfactor = {_BUSY[table.name]})"
    yield text
    if table.name == "events":
        for part in range(PARTITIONS):
            remainder = f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
            yield f"CREATE TABLE {partition(part)} PARTITION OF events {remainder}"
    yield from (_index(table, index) for index in sorted(table.indexes, key=lambda i: str(i.name)))


def partition(part: int) -> str:
    """The name of one part of ``events``."""
    return f"events_{part:02d}"


def _index(table: Table, index: Index) -> str:
    columns = [column.name for column in index.columns]
    if not index.unique and "account" in table.c and columns[0] not in _OWN_KEYS:
        columns.insert(0, "account")
    if table.name == "events":
        columns.append("account" if index.unique else "seq")
    elif not index.unique and table.name in NUMBERED:
        columns.append("rowid")
    where = index.dialect_options["sqlite"]["where"]
    if index.name == "ix_events_at":
        # Time and place in the table go together, so a summary of each stretch of pages is enough, and costs no row.
        return f"CREATE INDEX {index.name} ON {table.name} USING brin (at) WITH (pages_per_range = 32)"
    condition = "" if where is None else f" WHERE {where.compile(dialect=_DIALECT)}"
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {index.name} ON {table.name} ({', '.join(dict.fromkeys(columns))}){condition}"


def mine(schema: str) -> str:
    """The schema beside the tables' own in which each table shows the rows of one account only."""
    return f"{schema}_mine"


def own_rows(schema: str) -> Iterator[str]:
    """For who reads: a view of each table's name that shows the rows of the account that is asked about.

    No question can then mix accounts, whoever wrote it and whatever it forgets.
    """
    yield f"CREATE SCHEMA IF NOT EXISTS {mine(schema)}"
    for name in shown():  # our own names
        yield f"CREATE VIEW {mine(schema)}.{name} AS SELECT * FROM {schema}.{name} WHERE account = {_ASKED}"  # noqa: S608


def shown() -> list[str]:
    """Tables that have such a view."""
    return sorted(table.name for table in tables.metadata.tables.values() if "account" in table.c)


_ASKED = "current_setting('oms.account', true)"


def guard(name: str) -> Iterator[str]:
    """What makes one table append-only."""
    refuse = f"EXECUTE FUNCTION refuse_change('{name}')"
    yield f"CREATE TRIGGER {name}_no_change BEFORE UPDATE OR DELETE ON {name} FOR EACH ROW {refuse}"
    parts = [partition(part) for part in range(PARTITIONS)] if name == "events" else []
    for each in [name, *parts]:
        yield f"CREATE TRIGGER {each}_no_truncate BEFORE TRUNCATE ON {each} FOR EACH STATEMENT {refuse}"


_INBOX = """\
CREATE TABLE inbox (
    account TEXT COLLATE "C" NOT NULL,
    id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    author TEXT NOT NULL,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,
    taken_at BIGINT,
    answer TEXT,
    CONSTRAINT pk_inbox PRIMARY KEY (account, id)
)"""

_RESTARTS = """\
CREATE UNLOGGED TABLE restart_token (
    one BIGINT NOT NULL CONSTRAINT pk_restart_token PRIMARY KEY CHECK (one = 1),
    token TEXT NOT NULL
)"""
"""Emptied by the server whenever it recovers from a crash: then soft commits may be gone."""

FUNCTIONS = (
    """\
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: no row may be changed, deleted or truncated', TG_ARGV[0]
        USING ERRCODE = 'OM010';
END $$""",
    f"""\
CREATE FUNCTION advance(
    p_account text, p_fence bigint, p_seq bigint, p_hash bytea, p_new_seq bigint, p_new_hash bytea, p_token text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE holder record;
BEGIN
    PERFORM 1 FROM lease WHERE account = p_account AND fence = p_fence FOR UPDATE;
    IF NOT FOUND THEN
        SELECT pid, host, fence INTO holder FROM lease WHERE account = p_account;
        RAISE EXCEPTION 'process % on % took the lease of % (fence %, ours was %); this process may write nothing more',
            holder.pid, holder.host, p_account, holder.fence, p_fence USING ERRCODE = '{FENCE_LOST}';
    END IF;
    IF p_token IS NULL THEN
        -- A soft commit. A barrier keeps what the server or its administrator asks for.
        PERFORM set_config('synchronous_commit', 'off', true);
        UPDATE heads SET seq = p_new_seq, hash = p_new_hash
            WHERE account = p_account AND seq = p_seq AND hash = p_hash;
    ELSE
        IF current_setting('synchronous_commit') NOT IN ('on', 'remote_write', 'remote_apply') THEN
            RAISE EXCEPTION 'a barrier would not reach the disk: synchronous_commit is %',
                current_setting('synchronous_commit') USING ERRCODE = '{NOT_DURABLE}';
        END IF;
        PERFORM 1 FROM restart_token WHERE token = p_token;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the server has recovered from a crash since this account was loaded'
                USING ERRCODE = '{SERVER_RECOVERED}';
        END IF;
        UPDATE heads SET seq = p_new_seq, hash = p_new_hash, barrier_seq = p_new_seq, barrier_hash = p_new_hash
            WHERE account = p_account AND seq = p_seq AND hash = p_hash;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the journal of % has moved on without this process; it may write nothing more', p_account
            USING ERRCODE = '{FENCE_LOST}';
    END IF;
END $$""",  # noqa: S608  # our own words
    # What SQLite calls it, so that both databases understand the same questions and views.
    """\
CREATE FUNCTION instr(text, text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN strpos($1, $2)""",
    """\
CREATE FUNCTION iif(boolean, text, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN $1 THEN $2 ELSE $3 END""",
    """\
CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN upper(encode($1, 'hex'))""",
    # The two forms that the views use: an amount in millionths, and the fraction of a second.
    """\
CREATE FUNCTION printf(text, bigint, bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN $2::text || '.' || lpad($3::text, 6, '0')""",
    """\
CREATE FUNCTION printf(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '.' || lpad($2::text, 6, '0') || 'Z'""",
    """\
CREATE FUNCTION strftime(text, bigint, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_char(to_timestamp($2) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')""",
    """\
CREATE FUNCTION json_extract(text, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN $1::json #>> string_to_array(substr($2, 3), '.')""",
    """\
CREATE FUNCTION json_each(text, text) RETURNS TABLE (value text) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    BEGIN ATOMIC
        SELECT each.value::text FROM json_array_elements($1::json #> string_to_array(substr($2, 3), '.')) AS each;
    END""",
)
