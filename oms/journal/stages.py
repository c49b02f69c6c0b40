"""Questions that a picture of cycles asks: when each phase began, what its orders moved, and its facts with their links."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, or_, select, type_coerce

from oms.journal import tables
from oms.journal.answers import Answer, instant, money
from oms.journal.loading import STORED, newest_of_kind, recorded
from oms.journal.reader import Reader
from oms.journal.scalars import from_micro
from oms.model.cycle import TABLE, Phase
from oms.model.event import CycleOpened, CycleResumed, Recorded
from oms.model.order import Side

BEGINS = {CycleOpened.kind: Phase.SELLING, **{trigger: to for trigger, _, to, _ in TABLE}}
"""The fact with which each phase begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A fact as it is in the chain."""

    fact: Recorded
    kind: str
    cl_ord_id: str | None
    symbol: str | None
    data: dict[str, Any]
    hash: str


def linked_facts(reader: Reader, cycle_id: str) -> list[Linked]:
    """Every fact of one cycle, in order; none where there is no such cycle."""
    events = tables.events
    statement = (
        select(*STORED, events.c.hash)
        .where(events.c.cycle_id == cycle_id, events.c.account == reader.account)
        .order_by(events.c.version)
    )
    with reader.asking("reading a cycle") as connection:
        rows = connection.execute(statement).all()
    return [
        Linked(
            fact=recorded(row),
            kind=row.kind,
            cl_ord_id=row.cl_ord_id,
            symbol=row.symbol,
            data=json.loads(row.data),
            hash=row.hash.hex(),
        )
        for row in rows
    ]


def newest_hash(reader: Reader, cycle_id: str) -> str | None:
    """The hash of the newest fact of one cycle; None where there is no such cycle."""
    events = tables.events
    statement = (
        select(events.c.hash)
        .where(events.c.cycle_id == cycle_id, events.c.account == reader.account)
        .order_by(events.c.version.desc())
        .limit(1)
    )
    with reader.asking("looking for a cycle") as connection:
        found = connection.execute(statement).scalar()
    return None if found is None else bytes(found).hex()


def phases_of(starts: Sequence[tuple[Phase, datetime]], now: datetime) -> list[Answer]:
    """Each phase with its length in seconds; the one under way lasts until now, and DONE has no length."""
    found = []
    for number, (phase, at) in enumerate(starts):
        is_last = number + 1 == len(starts)
        end = None if is_last else starts[number + 1][1]
        seconds = 0.0 if phase is Phase.DONE else ((end or max(now, at)) - at).total_seconds()
        found.append({"phase": phase.value, "from": instant(at), "to": instant(end), "seconds": f"{seconds:.6f}"})
    return found


def phases(reader: Reader, cycle_ids: Collection[str], now: datetime) -> dict[str, list[Answer]]:
    """The phases of these cycles, each by :func:`phases_of`."""
    events = tables.events
    statement = (
        select(events.c.cycle_id, events.c.kind, events.c.at)
        .where(
            events.c.cycle_id > "",  # so that SQLite begins with the cycles
            events.c.cycle_id.in_(sorted(cycle_ids)),
            events.c.account == reader.account,
            events.c.kind.in_(sorted(BEGINS)),
        )
        .order_by(events.c.cycle_id, events.c.version)
    )
    starts: dict[str, list[tuple[Phase, datetime]]] = {cycle_id: [] for cycle_id in cycle_ids}
    with reader.asking("reading the phases of cycles") as connection:
        for cycle_id, kind, at in connection.execute(statement):
            starts[cycle_id].append((BEGINS[kind], at))
    return {cycle_id: phases_of(found, now) for cycle_id, found in starts.items()}


def moved(reader: Reader, cycle_ids: Collection[str]) -> dict[str, Answer]:
    """What the orders of these cycles sold and bought; amounts without fees, and the fees of both sides."""
    orders = tables.orders
    sold, bought = orders.c.side == Side.SELL.value, orders.c.side == Side.BUY.value

    def total(column: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.coalesce(func.sum(case((where, column), else_=0)), 0)

    filled = orders.c.cum_qty >= orders.c.order_qty
    quarantined, in_doubt = (type_coerce(each, BigInteger) == 1 for each in (orders.c.quarantined, orders.c.in_doubt))
    held = or_(quarantined, and_(orders.c.phase == "AMBIGUOUS", in_doubt))
    # As whole numbers: the sum of such a column is another type on PostgreSQL than the column itself.
    notional, fees = (type_coerce(each, BigInteger) for each in (orders.c.notional, orders.c.fees))
    statement = (
        select(
            orders.c.cycle_id,
            total(notional, sold).label("proceeds"),
            total(notional, bought).label("spent"),
            func.sum(fees).label("fees"),
            func.sum(case((and_(sold, filled), 1), else_=0)).label("sells_filled"),
            func.sum(case((and_(bought, filled), 1), else_=0)).label("buys_filled"),
            func.sum(case((and_(bought, orders.c.sends > 0), 1), else_=0)).label("buys_sent"),
            func.sum(case((held, 1), else_=0)).label("unresolved"),
            func.max(case((sold, orders.c.last_fill_at))).label("last_sold"),
            func.min(case((bought, orders.c.first_sent_at))).label("first_bought"),
        )
        .where(orders.c.account == reader.account, orders.c.cycle_id > "", orders.c.cycle_id.in_(sorted(cycle_ids)))
        .group_by(orders.c.cycle_id)
    )
    with reader.asking("adding up cycles") as connection:
        rows = connection.execute(statement).mappings().all()
    return {
        row["cycle_id"]: {
            "proceeds": money(from_micro(int(row["proceeds"]))),
            "spent": money(from_micro(int(row["spent"]))),
            "fees": money(from_micro(int(row["fees"]))),
            "sells_filled": row["sells_filled"],
            "buys_filled": row["buys_filled"],
            "buys_sent": row["buys_sent"],
            "unresolved": row["unresolved"],
            "sell_to_buy_s": _between(row["last_sold"], row["first_bought"]),
        }
        for row in rows
    }


def _between(sold: datetime | None, bought: datetime | None) -> str | None:
    if sold is None or bought is None or bought < sold:
        return None
    return f"{(bought - sold).total_seconds():.6f}"


def silences(facts: Sequence[Recorded]) -> list[Answer]:
    """Where a process took a cycle up again: from the last fact before it, the longest that nobody worked on it."""
    found = []
    for before, fact in itertools.pairwise(facts):
        if isinstance(fact.event, CycleResumed):
            seconds = (fact.at - before.at).total_seconds()
            found.append(
                {
                    "from": instant(before.at),
                    "to": instant(fact.at),
                    "seconds": f"{seconds:.6f}",
                    "seq": fact.seq,
                    "pid": fact.event.pid,
                    "host": fact.event.host,
                }
            )
    return found


def newest(reader: Reader, kinds: Collection[str], limit: int) -> list[Recorded]:
    """The newest facts of these watched kinds together, newest first."""
    with reader.asking("reading facts by their kind") as connection:
        found = [fact for kind in kinds for fact in newest_of_kind(connection, reader.account, kind, limit)]
    return sorted(found, key=lambda fact: fact.seq, reverse=True)[:limit]
