"""Changing a journal's file as somebody with a database tool would, in the words of its views."""

from __future__ import annotations

import sqlite3

from oms.journal.packed import CODES

_ID = "(SELECT id FROM words WHERE word = NEW.{})"
_WORD = (
    "INSERT INTO words (word) SELECT NEW.{0}"
    " WHERE NEW.{0} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM words WHERE word = NEW.{0})"
)
_CODE = f"CASE NEW.kind {' '.join(f'WHEN {kind!r} THEN {code}' for kind, code in CODES.items())} ELSE NEW.kind END"
_ORDER = ("phase", "cum_qty", "order_qty", "notional", "order_no", "close_reason", "side", "text", "price", "fees")

_THROUGH = (
    f"""CREATE TRIGGER through_u INSTEAD OF UPDATE ON events BEGIN {_WORD.format("cycle_id")}; {_WORD.format("cl_ord_id")};
 UPDATE facts SET seq = NEW.seq, at = NEW.at, cycle = {_ID.format("cycle_id")}, version = NEW.version,
 ord = {_ID.format("cl_ord_id")}, symbol = NEW.symbol, code = {_CODE}, data = NEW.data, hash = NEW.hash
 WHERE seq = OLD.seq; END""",
    "CREATE TRIGGER through_d INSTEAD OF DELETE ON events BEGIN DELETE FROM facts WHERE seq = OLD.seq; END",
    f"""CREATE TRIGGER through_o INSTEAD OF UPDATE ON orders BEGIN
 UPDATE order_rows SET {", ".join(f"{name} = NEW.{name}" for name in _ORDER)} WHERE id = OLD.rowid; END""",
    "CREATE TRIGGER through_od INSTEAD OF DELETE ON orders BEGIN DELETE FROM order_rows WHERE id = OLD.rowid; END",
    "CREATE TRIGGER through_fd INSTEAD OF DELETE ON fills BEGIN DELETE FROM fill_rows WHERE seq = OLD.seq; END",
)


def take_guard_off(raw: sqlite3.Connection) -> list[str]:
    """Let every statement change facts, orders and fills; returns what puts the guard on again."""
    guard = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in guard:
        raw.execute(f"DROP TRIGGER {name}")
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
        for statement in _THROUGH:
            raw.execute(statement)
    return [sql for _, sql in guard]


def put_guard_on(raw: sqlite3.Connection, guard: list[str]) -> None:
    """The guard as it was, so that the file looks untouched."""
    for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {name}")
    for sql in guard:
        raw.execute(sql)
