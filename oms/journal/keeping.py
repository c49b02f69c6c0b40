"""The few old facts that stay in the database when their year is archived, because every start of the engine reads them."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection

from oms.journal import loading, tables
from oms.journal.archives import COLUMNS
from oms.journal.connection import driver
from oms.model.event import PositionAdopted, Reconciled, Selected
from oms.model.state import SCREENS_KEPT, AccountState

NEWEST_KEPT = 2
"""Newest facts of each rare kind that stay."""


def kept_facts(raw: sqlite3.Connection, account: str) -> frozenset[int]:
    """The facts that a start reads apart from those of the last cycle: the first, and the newest of each rare kind."""
    kept = {1}
    for kind in tables.WATCHED_KINDS:
        kept.update(seq for seq, _ in _newest(raw, account, kind, NEWEST_KEPT))
    kept.update(_screens(raw, account))
    compared = next((seq for seq, _ in _newest(raw, account, Reconciled.kind, 1)), 0)
    kept.update(seq for seq, _ in _newest(raw, account, PositionAdopted.kind) if seq > compared)
    return frozenset(kept)


def _newest(raw: sqlite3.Connection, account: str, kind: str, most: int = -1) -> list[tuple[int, str | None]]:
    # The kind is a word of our own, spelled out so that its index serves.
    sql = (
        f"SELECT seq, json_extract(data, '$.as_of') FROM main.events WHERE kind = '{kind}'"  # noqa: S608
        " AND account = ? ORDER BY seq DESC LIMIT ?"
    )
    return raw.execute(sql, (account, most)).fetchall()


def _screens(raw: sqlite3.Connection, account: str) -> list[int]:
    """The newest screen of each of the last days that the next screen depends on."""
    found: list[tuple[int, str | None]] = []
    for seq, day in _newest(raw, account, Selected.kind):
        if not found or day != found[-1][1]:
            found.append((seq, day))
        if len(found) == SCREENS_KEPT:
            break
    return [seq for seq, _ in found]


def sees_the_same(connection: Connection, account: str, last: int, kept: frozenset[int]) -> bool:
    """A start on the facts after ``last`` and those kept gives the very state that a start on all gives.

    The connection must not have a view named ``events`` of its own; it has none afterwards.
    """
    raw = driver(connection)
    all_of_it = loading.load(connection, account)
    some = ", ".join(str(seq) for seq in sorted(kept))
    raw.execute(
        f"CREATE TEMP VIEW events AS SELECT {COLUMNS} FROM main.events"  # noqa: S608  # numbers and names of our own
        f" WHERE seq > {last} OR seq IN ({some})"
    )
    try:
        part_of_it = loading.load(connection, account)
    finally:
        raw.execute("DROP VIEW temp.events")
    return all_of_it.head == part_of_it.head and essence(all_of_it.state) == essence(part_of_it.state)


def essence(state: AccountState) -> dict[str, Any]:
    """Everything that a state says, in values that can be compared."""
    found = {name: value for name, value in vars(state).items() if name not in ("recall", "cycle")}
    cycle = state.cycle
    if cycle is not None:
        found["cycle"] = (cycle.opened, cycle.phase, cycle.version, cycle.orders, cycle.outcome, cycle.resumed)
    return found
