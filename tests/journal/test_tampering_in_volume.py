"""Whoever changes a journal by hand, in whatever way, is found out, and the first row that he changed is named."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from oms.journal.reader import open_reader
from oms.journal.verify import Verdict, verify
from tests.volume import examples

Deed = Callable[[sqlite3.Connection, "Table", random.Random], tuple[str, int]]
"""Changes the table; answers what was done and the first row that is not what it was."""

PART = 50
"""Tamperings of one test."""
AWAY = 1_000_000


class Table:
    """Where the facts lie in the file, whatever the tables around them are called."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        names = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self.name = "facts" if "facts" in names else "events"
        self.columns = [name for _, name, *_ in raw.execute(f"PRAGMA table_info({self.name})") if name != "seq"]
        (self.last,) = raw.execute(f"SELECT max(seq) FROM {self.name}").fetchone()

    def row(self, chance: random.Random) -> int:
        return chance.randint(1, self.last)


def another(value: object, chance: random.Random) -> object:
    """A value that differs from this one in one small place."""
    if value is None:
        return chance.choice([0, 1, "x", ""])
    if isinstance(value, int):
        return value + chance.choice([-1, 1, 10, -(10**6), 2 ** chance.randint(1, 40)])
    if isinstance(value, bytes):
        at = chance.randrange(len(value))
        return value[:at] + bytes([value[at] ^ (1 << chance.randrange(8))]) + value[at + 1 :]
    text = str(value)
    at = chance.randrange(len(text) + 1)
    kind = chance.randrange(4)
    if kind == 0:
        return text[:at] + chance.choice(["0", " ", "é", '"', "\0", "\u202e"]) + text[at:]
    if kind == 1 and text:
        return text[: at - 1] + text[at:] if at else text[1:]
    if kind == 2 and text:
        at = chance.randrange(len(text))
        return text[:at] + chr((ord(text[at]) + 1) % 0xD000) + text[at + 1 :]
    return text.encode() if chance.random() < 0.5 else None


def changed(raw: sqlite3.Connection, table: Table, chance: random.Random) -> tuple[str, int]:
    """One value of one row."""
    row, column = table.row(chance), chance.choice(table.columns)
    (value,) = raw.execute(f"SELECT {column} FROM {table.name} WHERE seq = ?", (row,)).fetchone()
    new = another(value, chance)
    try:
        raw.execute(f"UPDATE {table.name} SET {column} = ? WHERE seq = ?", (new, row))
    except sqlite3.IntegrityError:  # the table itself refuses that
        new = another(value, random.Random(1)) if value is not None else 0
        raw.execute(f"UPDATE OR IGNORE {table.name} SET {column} = ? WHERE seq = ?", (new, row))
    (now,) = raw.execute(f"SELECT {column} FROM {table.name} WHERE seq = ?", (row,)).fetchone()
    return (f"{column} of row {row}: {value!r} -> {now!r}", row if (type(now), now) != (type(value), value) else 0)


def deleted(raw: sqlite3.Connection, table: Table, chance: random.Random) -> tuple[str, int]:
    """Some rows in the middle, with others behind them."""
    row = chance.randint(1, table.last - 1)
    until = min(row + chance.choice([0, 0, 1, 5]), table.last - 1)
    raw.execute(f"DELETE FROM {table.name} WHERE seq BETWEEN ? AND ?", (row, until))
    return f"rows {row} to {until} deleted", row


def swapped(raw: sqlite3.Connection, table: Table, chance: random.Random) -> tuple[str, int]:
    """Two rows in each other's place."""
    one, other = sorted(chance.sample(range(1, table.last + 1), 2))
    for old, new in ((one, AWAY), (other, one), (AWAY, other)):
        raw.execute(f"UPDATE {table.name} SET seq = ? WHERE seq = ?", (new, old))
    return f"rows {one} and {other} swapped", one


def doubled(raw: sqlite3.Connection, table: Table, chance: random.Random) -> tuple[str, int]:
    """A row once more, in the place of another or behind the last."""
    row, names = table.row(chance), ", ".join(table.columns)
    kept = ", ".join("NULL" if name == "version" else name for name in table.columns)  # unique within a cycle
    to = chance.choice([table.last + 1, chance.choice([n for n in range(1, table.last + 1) if n != row])])
    raw.execute(f"DELETE FROM {table.name} WHERE seq = ?", (to,))
    raw.execute(f"INSERT INTO {table.name} (seq, {names}) SELECT ?, {kept} FROM {table.name} WHERE seq = ?", (to, row))
    return f"row {row} once more as {to}", to


def cut(raw: sqlite3.Connection, table: Table, chance: random.Random) -> tuple[str, int]:
    """The tail."""
    row = table.row(chance)
    raw.execute(f"DELETE FROM {table.name} WHERE seq >= ?", (row,))
    return f"cut from row {row} on", row


def moved(raw: sqlite3.Connection, table: Table, chance: random.Random) -> tuple[str, int]:
    """All rows from one on one place further, as for one that was slipped in."""
    row = table.row(chance)
    raw.execute(f"UPDATE {table.name} SET seq = seq + {AWAY} WHERE seq >= ?", (row,))
    raw.execute(f"UPDATE {table.name} SET seq = seq - {AWAY} + 1 WHERE seq > {AWAY}")
    return f"moved from row {row} on", row


DEEDS: tuple[Deed, ...] = (changed, changed, changed, deleted, swapped, doubled, cut, moved)


def tampered(path: Path, seed: int) -> tuple[str, int]:
    """Change the file as somebody with a database tool would, the guard taken off first and put back after."""
    chance = random.Random(f"tampering {seed}")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        guard = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guard:
            raw.execute(f"DROP TRIGGER {name}")
        done = chance.choice(DEEDS)(raw, Table(raw), chance)
        for _, sql in guard:
            raw.execute(sql)
    return done


def verdict_of(path: Path, *, full: bool) -> Verdict:
    reader = open_reader(f"sqlite:///{path}")
    try:
        return verify(reader, full=full)
    finally:
        reader.close()


@pytest.mark.parametrize("part", range(max(examples(100) // PART // 10, 2)))
@pytest.mark.timeout(3_600)
def test_every_tampering_is_found(story: Path, tmp_path: Path, part: int) -> None:
    """Values, rows, order, tail: the verdict is bad, names the first row in question, and says what to do (10,000 at
    night).
    """
    good, place = story.read_bytes(), tmp_path / "var" / "oms.db"
    found = 0
    for seed in range(part * PART, part * PART + PART):
        place.write_bytes(good)
        deed, row = tampered(place, seed)
        if not row:
            continue  # the table took the value for the one it had
        verdict = verdict_of(place, full=seed % 2 == 0)
        assert not verdict.ok, f"seed {seed}: {deed}"
        assert verdict.bad_row == row, f"seed {seed}: {deed}: {verdict}"
        assert verdict.remedy
        found += 1
    assert found > PART // 2
