"""Questions about the account as it is now, answered from the tables: status, funds, positions, the last screen.

Each answer is a plain dict, ready for JSON, in the shape that the public surface promises. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from oms.journal import tables
from oms.journal.answers import Answer, day, instant, money, number
from oms.journal.currencies import Standing, currencies_of, standing
from oms.journal.history import (
    EventFilter,
    cycle_list,
    cycle_show,
    journal_count,
    journal_query,
    journal_stream,
    journal_tail,
    order_list,
    order_show,
)
from oms.journal.lease import is_held
from oms.journal.loading import last_of_kind, newest_of_kinds, read_head
from oms.journal.projection import HOLDINGS, ORDERS
from oms.journal.reader import Reader, open_reader, reader_over
from oms.journal.statuses import is_unclosed
from oms.journal.task_rows import read_tasks
from oms.journal.waiting import Now, waiting_for
from oms.model.account import Funds
from oms.model.event import BuysRevalidated, CycleOpened, FundsObserved, Halted, Recorded, Selected
from oms.model.liquidity import reserved_for
from oms.model.order import ZERO, Order
from oms.model.state import Holding
from oms.model.task import NOTIFICATION, RECONCILIATION, SELECTION, TRADING, TaskHealth

__all__ = [
    "EventFilter",
    "Reader",
    "blacklist",
    "cycle_list",
    "cycle_show",
    "funds",
    "funds_of",
    "journal_count",
    "journal_query",
    "journal_stream",
    "journal_tail",
    "open_reader",
    "order_list",
    "order_show",
    "positions",
    "positions_of",
    "reader_over",
    "reading_of",
    "select_scores",
    "status",
]

FEE_ALLOWANCE = Decimal("0.001")
"""Fees set aside for an unclosed buy where the caller names no other."""

OVERDUE = timedelta(seconds=90)
"""A task that was due so long ago, and has not begun, does not run as it should while an engine holds the account."""


def status(reader: Reader, now: datetime | None = None, fee_allowance: Decimal = FEE_ALLOWANCE) -> Answer:
    """What the account is doing, what it waits for, and whether anybody is at the wheel."""
    now = now or datetime.now(UTC)
    with reader.asking("reading the status", whole=False) as connection:
        account = _first(connection, select(tables.accounts).where(tables.accounts.c.account == reader.account))
        cycle = last_cycle(connection, reader.account)
        head = read_head(connection, reader.account)
        holder = _first(connection, select(tables.lease).where(tables.lease.c.account == reader.account))
        halted = None if account is None else _halted(connection, reader.account, account)
        unclosed = unclosed_orders(connection, reader.account)
        reading = _newest_reading(connection, reader.account)
        tasks = read_tasks(connection, reader.account)
        frozen = connection.execute(
            select(tables.frozen.c.symbol, tables.frozen.c.reason).where(tables.frozen.c.account == reader.account)
        ).all()
    running = holder is not None and is_held(holder, now)
    seen = Now(cycle=cycle, halted=halted, unclosed=unclosed, running=running)
    return {
        "schema": "oms.status/1",
        "account": reader.account,
        "mode": reader.mode,
        "phase": None if cycle is None else cycle["phase"],
        "cycle_id": None if cycle is None else cycle["cycle_id"],
        "waiting_for": waiting_for(seen, now),
        "halted": halted,
        "running": running,
        "pid": holder["pid"] if running and holder is not None else None,
        "host": holder["host"] if running and holder is not None else None,
        "funds": None if reading is None else funds_of(reading, unclosed, fee_allowance),
        "trading_day": None if account is None else day(account["trading_day"]),
        "trades_today": 0 if account is None else account["trades_today"],
        "realised_today": None if account is None else money(account["realised_today"]),
        "attention": 0 if account is None else account["attention"],
        "unresolved": sum(order.is_unresolved for order in unclosed),
        "quarantined": sum(order.quarantined for order in unclosed),
        "frozen": [{"symbol": symbol, "reason": reason} for symbol, reason in frozen],
        "heartbeat": None if holder is None else instant(holder["renewed_at"]),
        "tasks": [task_of(task, now, running=running) for task in _standing(tasks)],
        "journal": {"seq": head.seq, "head": head.hash.hex()},
    }


def funds(reader: Reader, fee_allowance: Decimal = FEE_ALLOWANCE) -> Answer:
    """The newest reading of the account's money, and what unclosed buys reserve of it."""
    with reader.asking("reading the funds", whole=False) as connection:
        found = _newest_with_funds(connection, reader.account)
        unclosed = unclosed_orders(connection, reader.account)
        now = standing(connection, reader.account)
    return funds_with(found, now, unclosed, fee_allowance)


def funds_with(
    found: Recorded | None, now: Standing, unclosed: Sequence[Order], fee_allowance: Decimal, **more: str | None
) -> Answer:
    """``funds``: the newest reading, and the account's money in each currency; nulls where nothing was read yet."""
    reading = None if found is None else reading_of(found)
    names = ("cash", "settled_cash", "unsettled_cash", "buying_power", "spendable", "reserved", "currency", "as_of")
    figures = dict.fromkeys(names) if reading is None else funds_of(reading, unclosed, fee_allowance)
    read, at = (None, 0) if reading is None or found is None else (reading[0], found.seq)
    return {"schema": "oms.funds/1", **more, **figures, "currencies": currencies_of(now, read, at)}


def positions(reader: Reader) -> Answer:
    """The shares that the journal says are held, at the newest price it knows."""
    with reader.asking("reading the positions", whole=False) as connection:
        rows = connection.execute(select(tables.holdings).where(tables.holdings.c.account == reader.account))
        held = {row["symbol"]: HOLDINGS.value(row) for row in rows.mappings()}
        selected = last_of_kind(connection, reader.account, Selected.kind)
        revalidated = last_of_kind(connection, reader.account, BuysRevalidated.kind)
    return positions_of(held, selected, revalidated)


def positions_of(held: Mapping[str, Holding], selected: Recorded | None, revalidated: Recorded | None) -> Answer:
    """These holdings at the prices that these facts know."""
    prices, scores, as_of = _prices(selected, revalidated)
    answers = []
    for symbol, holding in sorted(held.items()):
        if not holding.qty:
            continue
        last_px = prices.get(symbol)
        value = None if last_px is None else holding.qty * last_px
        answers.append(
            {
                "symbol": symbol,
                "qty": number(holding.qty),
                "avg_cost": money(holding.avg_cost.quantize(Decimal("0.000001"))),
                "last_px": money(last_px),
                "market_value": money(value),
                "unrealized_pnl": None if value is None else money(value - holding.cost),
                "realized_pnl": money(holding.realised),
                "score": number(scores.get(symbol)),
            }
        )
    return {"schema": "oms.positions/1", "positions": answers, "as_of": instant(as_of)}


def select_scores(reader: Reader, top: int | None = None) -> Answer:
    """The last screen of the universe, best first; ``top`` shows only so many of the ranked."""
    with reader.asking("reading the last screen", whole=False) as connection:
        found = last_of_kind(connection, reader.account, Selected.kind)
    if found is None or not isinstance(found.event, Selected):
        return {"schema": "oms.select/1", "as_of": None, "scores": []}
    event = found.event
    shown = sorted(event.scores, key=lambda s: (s.rank is None, s.rank or 0, s.symbol))
    if top is not None:
        shown = [score for score in shown if score.rank is not None and score.rank <= top]
    return {
        "schema": "oms.select/1",
        "as_of": day(event.as_of),
        "at": instant(found.at),
        "scores": [
            {
                "symbol": score.symbol,
                "score": number(score.score),
                "rank": score.rank,
                "excluded_by": score.excluded_by,
                "close": money(score.close),
            }
            for score in shown
        ],
    }


def blacklist(reader: Reader) -> Answer:
    """Symbols that operators put on the blacklist; the configuration may name more."""
    listed = tables.blacklist
    with reader.asking("reading the blacklist", whole=False) as connection:
        rows = connection.execute(select(listed).where(listed.c.account == reader.account)).mappings().all()
    return {
        "schema": "oms.blacklist/1",
        "symbols": [
            {"symbol": r["symbol"], "reason": r["reason"], "author": r["author"], "until": instant(r["until"])}
            for r in rows
        ],
    }


def last_cycle(connection: Connection, account: str) -> dict[str, Any] | None:
    """The open cycle, or the last one, as its row shows it."""
    cycles = tables.cycles
    return _first(
        connection,
        select(cycles).where(cycles.c.account == account).order_by(cycles.c.opened_seq.desc()).limit(1),
    )


def unclosed_orders(connection: Connection, account: str) -> list[Order]:
    """Every order that may still trade or is in doubt."""
    orders = tables.orders
    statement = select(orders).where(orders.c.account == account, *is_unclosed())
    return [ORDERS.value(row) for row in connection.execute(statement).mappings()]


def _first(connection: Connection, statement: Any) -> dict[str, Any] | None:
    row = connection.execute(statement).mappings().first()
    return None if row is None else dict(row)


def _halted(connection: Connection, account: str, row: dict[str, Any]) -> Answer | None:
    if row["halt_scope"] is None:
        return None
    found = last_of_kind(connection, account, Halted.kind)
    return {
        "scope": row["halt_scope"],
        "reason": row["halt_reason"],
        "author": row["halt_author"],
        "at": None if found is None else instant(found.at),
    }


def _newest_reading(connection: Connection, account: str) -> tuple[Funds, Decimal] | None:
    """Funds and the spendable of the policy, from the newest fact that carries them."""
    found = _newest_with_funds(connection, account)
    return None if found is None else reading_of(found)


def _newest_with_funds(connection: Connection, account: str) -> Recorded | None:
    return newest_of_kinds(connection, account, (FundsObserved.kind, CycleOpened.kind, BuysRevalidated.kind))


def reading_of(fact: Recorded) -> tuple[Funds, Decimal] | None:
    """The funds that a fact carries, and what of them may be spent."""
    event = fact.event
    match event:
        case FundsObserved() | CycleOpened():
            return event.funds, event.spendable
        case BuysRevalidated():
            return event.inputs.funds, event.inputs.spendable
        case _:
            return None


def funds_of(reading: tuple[Funds, Decimal], unclosed: Sequence[Order], fee_allowance: Decimal) -> Answer:
    """A reading of the funds, and what these orders reserve of it."""
    read, spendable = reading
    return {
        "cash": money(read.cash),
        "settled_cash": money(read.settled_cash),
        "unsettled_cash": money(read.in_transit),
        "buying_power": money(read.buying_power),
        "spendable": money(spendable),
        "reserved": money(reserved_for(unclosed, fee_allowance)),
        "currency": read.currency,
        "as_of": instant(read.at),
    }


def _prices(
    selected: Recorded | None, revalidated: Recorded | None
) -> tuple[dict[str, Decimal], dict[str, Decimal], datetime | None]:
    """Newest price of each symbol, its score, and the instant of the newest of them."""
    prices: dict[str, Decimal] = {}
    scores: dict[str, Decimal] = {}
    as_of = None
    for fact in sorted((f for f in (selected, revalidated) if f is not None), key=lambda f: f.seq):
        as_of = fact.at
        if isinstance(fact.event, Selected):
            prices |= {s.symbol: s.close for s in fact.event.scores if s.close is not None}
            scores |= {s.symbol: s.score for s in fact.event.scores if s.score is not None}
        elif isinstance(fact.event, BuysRevalidated):
            prices |= {quote.symbol: quote.last for quote in fact.event.inputs.quotes if quote.last > ZERO}
    return prices, scores, as_of


def _standing(noted: Sequence[TaskHealth]) -> list[TaskHealth]:
    """The four supervised tasks, and whatever else an engine told of."""
    found = {task.name: task for task in noted}
    standing = [found.pop(name, TaskHealth(name=name)) for name in (TRADING, SELECTION, RECONCILIATION, NOTIFICATION)]
    return [*standing, *found.values()]


def task_of(task: TaskHealth, now: datetime, *, running: bool) -> Answer:
    """One supervised task; while an engine runs, one that is long due and has not begun is not healthy."""
    overdue = running and task.next_run is not None and now - task.next_run > OVERDUE
    return {
        "name": task.name,
        "healthy": task.healthy and not overdue,
        "text": f"overdue since {task.next_run:%Y-%m-%d %H:%M:%S} UTC: {task.text}" if overdue else task.text,
        "at": instant(task.last_run),
        "last_run": instant(task.last_run),
        "next_run": instant(task.next_run) if running else None,
        "last_error": task.last_error or None,
        "last_error_at": instant(task.last_error_at),
        "runs": task.runs,
        "failures": task.failures,
    }
