"""How SQLite keeps facts, orders and fills: short numbers for long keys, and views that show the words.

A key of a cycle or an order stands in a dozen rows and twice as many indices. Here it stands once, in ``words``, and every
row holds its number. ``events``, ``orders`` and ``fills`` are views of the very columns that ``oms.journal.tables`` gives
them, so every question is written for those. The chain is computed over the words, never over the numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

from sqlalchemy import Column, Computed, Index, MetaData, Table, Text, literal_column

from oms.journal.scalars import HASH, TEXT, WHOLE, Day, Exact, Instant, Micro, Truth
from oms.journal.statements import Statements

Row = tuple[Any, ...]

CODES = {
    kind: code
    for code, kind in enumerate(
        ("order_planned", "order_reserved", "order_sending", "order_acknowledged", "order_filled", "funds_observed"), 1
    )
}
"""Numbers of the kinds that are met most, for ever; every other kind stands as its word, so a new one needs no number."""

_KIND = "\n ".join(("CASE code", *(f"WHEN {code} THEN {kind!r}" for kind, code in CODES.items()), "ELSE code END"))

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

words = Table(
    "words",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=False),
    Column("word", TEXT, nullable=False),
)
"""Each key of a cycle or an order, and each token of a start, once; as append-only as the facts that name them."""
Index("uq_words_word", words.c.word, unique=True)

facts = Table(
    "facts",
    metadata,
    Column("seq", WHOLE, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("cycle", WHOLE),
    Column("version", WHOLE),
    Column("ord", WHOLE),
    Column("symbol", TEXT),
    Column("code", WHOLE, nullable=False),
    Column("data", TEXT, nullable=False),
    Column("hash", HASH, nullable=False),
    Column("kind", Text, Computed(_KIND, persisted=False)),
)
"""``cycle`` and ``ord`` are numbers of words, ``code`` is one of ``CODES`` or the kind itself."""

order_rows = Table(
    "order_rows",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=False),
    Column("cycle", WHOLE, nullable=False),
    Column("side", TEXT, nullable=False),
    Column("idx", WHOLE, nullable=False),
    Column("symbol", TEXT, nullable=False),
    Column("ord_type", TEXT, nullable=False),
    Column("order_qty", WHOLE, nullable=False),
    Column("price", Micro),
    Column("worst_px", Micro, nullable=False),
    Column("score", Exact),
    Column("phase", TEXT, nullable=False),
    Column("order_no", TEXT),
    Column("order_id", TEXT),
    Column("deadline", Instant),
    Column("restart_token", WHOLE),
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
    Column("planned_at", Instant),
    Column("first_sent_at", Instant),
    Column("sent_at", Instant),
    Column("acknowledged_at", Instant),
    Column("cancel_requested_at", Instant),
    Column("closed_at", Instant),
    Column("last_fill_at", Instant),
)
"""``id`` is the number of the order's own key, ``cycle`` and ``restart_token`` are numbers of words too."""

fill_rows = Table(
    "fill_rows",
    metadata,
    Column("seq", WHOLE, primary_key=True, autoincrement=False),
    Column("exec_id", TEXT, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ord", WHOLE, nullable=False),
    Column("last_qty", WHOLE, nullable=False),
    Column("last_px", Micro, nullable=False),
    Column("fee", Micro, nullable=False),
    Column("transact_time", Instant, nullable=False),
    Column("settles", Day, nullable=False),
    Column("late", Truth, nullable=False),
)
"""``ord`` is the ``id`` of an order, which says the cycle, the symbol and the side."""


def add_indices(watched: Iterable[str], endings: Iterable[str]) -> None:
    """Define the indices, under the names that the tables of ``oms.journal.tables`` have for theirs."""
    Index(
        "uq_events_cycle_id_version",
        facts.c.cycle,
        facts.c.version,
        unique=True,
        sqlite_where=literal_column("cycle IS NOT NULL"),
    )
    Index("ix_events_symbol", facts.c.symbol, sqlite_where=literal_column("symbol IS NOT NULL"))
    Index("ix_events_at", facts.c.at)
    Index("ix_events_kind", facts.c.kind, sqlite_where=_one_of("kind", watched))
    Index("uq_orders_cycle_id_side_idx", order_rows.c.cycle, order_rows.c.side, order_rows.c.idx, unique=True)
    Index(
        "uq_orders_order_no",
        order_rows.c.order_no,
        unique=True,
        sqlite_where=literal_column("order_no IS NOT NULL"),
    )
    Index("ix_orders_unclosed", order_rows.c.phase, sqlite_where=literal_column("phase != 'CLOSED'"))
    Index("ix_orders_symbol", order_rows.c.symbol)
    Index("ix_orders_close_reason", order_rows.c.close_reason, sqlite_where=_one_of("close_reason", endings))
    Index("uq_fills_exec_id", fill_rows.c.exec_id, unique=True)
    Index("ix_fills_cl_ord_id", fill_rows.c.ord)


def _one_of(column: str, names: Iterable[str]) -> Any:
    return literal_column(" OR ".join(f"{column} = '{name}'" for name in names))


_ACCOUNT = "\n (SELECT value FROM meta WHERE name = 'account') AS account"


def _plain(table: Table, first: str, last: str) -> str:
    """The columns of a table from one to another, as they are."""
    names = [column.name for column in table.columns]
    chosen = ", ".join(f"{table.name}.{name}" for name in names[names.index(first) : names.index(last) + 1])
    return "\n ".join(("", *wrap(chosen, 100)))


_BEFORE_TOKEN = _plain(order_rows, "side", "deadline")

VIEWS = {
    "events": f"""\
CREATE VIEW events AS SELECT{_ACCOUNT}, facts.seq, facts.at, cycle.word AS cycle_id, facts.version,
 ord.word AS cl_ord_id, facts.symbol, facts.kind, facts.data, facts.hash FROM facts
 LEFT JOIN words AS cycle ON cycle.id = facts.cycle LEFT JOIN words AS ord ON ord.id = facts.ord""",
    "orders": f"""\
CREATE VIEW orders AS SELECT ord.word AS cl_ord_id,{_ACCOUNT}, cycle.word AS cycle_id,{_BEFORE_TOKEN},
 token.word AS restart_token,{_plain(order_rows, "fence", "last_fill_at")},
 order_rows.id AS rowid FROM order_rows LEFT JOIN words AS ord ON ord.id = order_rows.id
 LEFT JOIN words AS cycle ON cycle.id = order_rows.cycle LEFT JOIN words AS token ON token.id = order_rows.restart_token""",  # noqa: S608
    "fills": f"""\
CREATE VIEW fills AS SELECT{_ACCOUNT}, fill_rows.exec_id, fill_rows.seq, fill_rows.at,
 cycle.word AS cycle_id, ord.word AS cl_ord_id, order_rows.symbol, order_rows.side,{_plain(fill_rows, "last_qty", "late")},
 fill_rows.seq AS rowid FROM fill_rows LEFT JOIN order_rows ON order_rows.id = fill_rows.ord
 LEFT JOIN words AS ord ON ord.id = fill_rows.ord LEFT JOIN words AS cycle ON cycle.id = order_rows.cycle""",
}
"""What stands under the names of the tables that are packed. Orders are numbered as they were planned."""

TRIGGERS: dict[str, str] = {
    "events_no_update": """\
CREATE TRIGGER events_no_update INSTEAD OF UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be changed'); END""",
    "events_no_delete": """\
CREATE TRIGGER events_no_delete INSTEAD OF DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be deleted'); END""",
    "events_no_insert": """\
CREATE TRIGGER events_no_insert INSTEAD OF INSERT ON events
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row is added by the program only'); END""",
    "facts_no_update": """\
CREATE TRIGGER facts_no_update BEFORE UPDATE ON facts
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be changed'); END""",
    "facts_no_delete": """\
CREATE TRIGGER facts_no_delete BEFORE DELETE ON facts
WHEN OLD.seq = 1 OR OLD.seq > (SELECT coalesce(max(last_seq), 0) FROM archives)
BEGIN SELECT RAISE(ABORT, 'events is append-only: a row may not be deleted'); END""",
    "facts_next_only": """\
CREATE TRIGGER facts_next_only BEFORE INSERT ON facts
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM facts)
BEGIN SELECT RAISE(ABORT, 'events is append-only: only the next row may be added'); END""",
    "facts_version_once": """\
CREATE TRIGGER facts_version_once BEFORE INSERT ON facts
WHEN EXISTS (SELECT 1 FROM facts WHERE cycle = NEW.cycle AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'events is append-only: this version of the cycle is there already'); END""",
    "words_no_update": """\
CREATE TRIGGER words_no_update BEFORE UPDATE ON words
BEGIN SELECT RAISE(ABORT, 'events is append-only: a word that its rows name may not be changed'); END""",
    "words_no_delete": """\
CREATE TRIGGER words_no_delete BEFORE DELETE ON words
BEGIN SELECT RAISE(ABORT, 'events is append-only: a word that its rows name may not be deleted'); END""",
    "words_once": """\
CREATE TRIGGER words_once BEFORE INSERT ON words
WHEN EXISTS (SELECT 1 FROM words WHERE id = NEW.id OR word = NEW.word)
BEGIN SELECT RAISE(ABORT, 'events is append-only: this word is there already'); END""",
}
"""The guard of the facts. ``INSERT OR REPLACE`` would delete without a DELETE trigger, so inserts are guarded as well."""

_FIXED_OF_AN_ORDER = frozenset(
    ("id", "cycle", "side", "idx", "symbol", "ord_type", "order_qty", "price", "worst_px", "score", "planned_at")
)


def _insert(table: Table) -> str:
    names = [column.name for column in table.columns if column.computed is None]
    # Our own names only.
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"  # noqa: S608


_INSERT_FACT = _insert(facts)
_INSERT_FILL = _insert(fill_rows)
_UPSERT_ORDER = f"{_insert(order_rows)} ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{column.name} = excluded.{column.name}" for column in order_rows.columns if column.name not in _FIXED_OF_AN_ORDER
)
_TOKEN = [column.name for column in order_rows.columns].index("restart_token") + 1
"""Place of the token in a row of ``orders``, which has one more key before it."""

WORDS_REMEMBERED = 300
"""About one large cycle; more would grow with every cycle, and looking one up again costs little."""


class Packing:
    """Writes rows of ``events``, ``orders`` and ``fills`` into the tables below the views; one per connection."""

    def __init__(self, raw: Statements) -> None:
        self._raw = raw
        self._ids: dict[str, int] = {}

    def add_facts(self, rows: Iterable[Row]) -> None:
        """Add whole rows of ``events``."""
        number, codes = self.number, CODES
        self._raw.executemany(
            _INSERT_FACT,
            [
                (seq, at, number(cycle_id), version, number(cl_ord_id), symbol, codes.get(kind, kind), data, link)
                for _, seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, link in rows
            ],
        )

    def put_orders(self, rows: Iterable[Row]) -> None:
        """Add whole rows of ``orders``, or replace what may change of those that are there."""
        number, token = self.number, _TOKEN
        self._raw.executemany(
            _UPSERT_ORDER,
            [(number(row[0]), number(row[2]), *row[3:token], number(row[token]), *row[token + 1 :]) for row in rows],
        )

    def add_fills(self, rows: Iterable[Row]) -> None:
        """Add whole rows of ``fills``, whose orders are there."""
        number = self.number
        self._raw.executemany(
            _INSERT_FILL,
            [(seq, exec_id, at, number(cl_ord_id), *rest) for _, exec_id, seq, at, _, cl_ord_id, _, _, *rest in rows],
        )

    def number(self, word: str | None) -> int | None:
        """The number of a word; a new one where it has none yet."""
        if word is None:
            return None
        known = self._ids.get(word)
        return self._looked_up(word) if known is None else known

    def _looked_up(self, word: str) -> int:
        if len(self._ids) >= WORDS_REMEMBERED:
            self._ids.clear()
        row = self._raw.execute("SELECT id FROM words WHERE word = ?", (word,)).fetchone()
        if row is None:
            row = self._raw.execute("SELECT coalesce(max(id), 0) + 1 FROM words").fetchone()
            self._raw.execute("INSERT INTO words (id, word) VALUES (?, ?)", (row[0], word))
        found: int = row[0]
        self._ids[word] = found
        return found


def packing(raw: Statements) -> Packing | None:
    """How rows go into this database; None where its tables are not packed, as on PostgreSQL."""
    return Packing(raw) if isinstance(raw, sqlite3.Connection) else None


EMPTY = {"orders": "DELETE FROM order_rows", "fills": "DELETE FROM fill_rows"}
"""How all rows of a packed shadow are taken out."""


def statements() -> Iterator[str]:
    """Every view and trigger, in order."""
    yield from VIEWS.values()
    yield from TRIGGERS.values()
