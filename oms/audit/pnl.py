"""``pnl``: what was earned, realised by sales and not yet realised, today and in all, by symbol and by day.

From the journal alone: every execution is walked once, at average cost with fees, exactly as the fold keeps the books.
Shares are valued at the newest price that the journal knows, so what is not realised is as fresh as ``as_of``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Connection, literal_column, select, type_coerce

from oms.audit.books import Book
from oms.audit.past import newest_before
from oms.journal import tables, views
from oms.journal.answers import Answer, day, instant, money
from oms.journal.loading import STORED, recorded
from oms.journal.reader import Reader
from oms.journal.scalars import from_micro, to_instant, to_micro
from oms.model.event import AccountOpened, BuysRevalidated, PositionAdopted, Recorded, Selected
from oms.model.order import ZERO
from oms.model.state import Holding

SCHEMA = "oms.pnl/1"
_NEVER = 2**62


@dataclass(slots=True, kw_only=True)
class _Walk:
    """What one walk over the executions found, in millionths."""

    books: dict[str, Book]
    then: dict[str, Holding] = field(default_factory=dict)
    """Shares as the current trading day found them."""
    realised: Counter[str] = field(default_factory=Counter)
    """By symbol, of the executions asked for."""
    today: Counter[str] = field(default_factory=Counter)
    by_day: Counter[date] = field(default_factory=Counter)


def pnl(reader: Reader, since: datetime | None = None, until: datetime | None = None) -> Answer:
    """Profit and loss in account currency, fees included.

    ``today`` is the last trading day of the journal: what its sales realised, and by how much the value of the shares moved
    away from their cost since the day began. ``total`` is everything since the journal began; with ``since`` or ``until``
    its realised part, ``by_symbol`` and ``by_day`` count only the executions journaled in that time.
    """
    with reader.asking("reckoning profit and loss") as connection:
        days = _days(connection, reader.account)
        today = days[-1][1] if days else None
        began = next((seq for seq, each in days if each == today), _NEVER)
        walk = _walked(connection, reader.account, days, began, since=since, until=until)
        now = _valued(connection, {symbol: book.holding() for symbol, book in walk.books.items()}, _NEVER)
        before = _valued(connection, walk.then, began)
        currency = _currency(connection, reader.account)
    positions = {position["symbol"]: position for position in now["positions"]}
    unrealised = _unrealised(now)
    moved = unrealised - _unrealised(before)
    realised_today = from_micro(sum(walk.today.values()))
    realised = from_micro(sum(walk.realised.values()))
    return {
        "schema": SCHEMA,
        "currency": currency,
        "trading_day": day(today),
        "today": _sums(realised_today, moved),
        "total": _sums(realised, unrealised),
        "by_symbol": [
            _of_symbol(symbol, walk, positions.get(symbol))
            for symbol in sorted(walk.books)
            if symbol in positions or walk.realised[symbol] or walk.today[symbol]
        ],
        "by_day": [
            {"day": day(each), "realised": money(from_micro(sum_))} for each, sum_ in sorted(walk.by_day.items())
        ],
        "unpriced": [symbol for symbol, each in positions.items() if each["last_px"] is None],
        "as_of": now["as_of"],
        "since": instant(since),
        "until": instant(until),
    }


def nothing() -> Answer:
    """The profit and loss of an account that has never run."""
    none = dict.fromkeys(("currency", "trading_day", "as_of", "since", "until"))
    lists: dict[str, list[str]] = {"by_symbol": [], "by_day": [], "unpriced": []}
    return {"schema": SCHEMA, "today": _sums(ZERO, ZERO), "total": _sums(ZERO, ZERO), **lists, **none}


def _days(connection: Connection, account: str) -> list[tuple[int, date]]:
    """The row at which each cycle opened, and its trading day, oldest first."""
    cycles = tables.cycles
    statement = (
        select(cycles.c.opened_seq, cycles.c.trading_day)
        .where(cycles.c.account == account, cycles.c.opened_seq > 0)
        .order_by(cycles.c.opened_seq)
    )
    return [(row.opened_seq, row.trading_day) for row in connection.execute(statement)]


def _walked(
    connection: Connection,
    account: str,
    days: list[tuple[int, date]],
    began: int,
    *,
    since: datetime | None,
    until: datetime | None,
) -> _Walk:
    """Every execution once, oldest first: they were written in the order of the chain."""
    fills = tables.fills
    walk = _Walk(books={symbol: Book.of(held) for symbol, held in _opening(connection, account).items()})
    opened = [seq for seq, _ in days]
    first = 0 if since is None else to_instant(since)
    last = _NEVER if until is None else to_instant(until)
    statement = (
        select(
            fills.c.seq,
            type_coerce(fills.c.at, BigInteger),
            fills.c.symbol,
            fills.c.side,
            fills.c.last_qty,
            type_coerce(fills.c.last_px, BigInteger),
            type_coerce(fills.c.fee, BigInteger),
        )
        .where(fills.c.account == account)
        .order_by(fills.c.seq)
    )
    is_today = False
    adopted = _adopted(connection, account)
    for seq, at, symbol, side, qty, px, fee in connection.execute(statement):
        if not is_today and seq >= began:
            is_today = True
            walk.then = {name: book.holding() for name, book in walk.books.items()}
        while adopted and adopted[-1].seq < seq:
            _adopt(walk, adopted.pop())
        realised = walk.books.setdefault(symbol, Book()).take(side, qty, px, fee)
        if not realised:
            continue
        if is_today:
            walk.today[symbol] += realised
        if first <= at < last:
            walk.realised[symbol] += realised
            walk.by_day[days[max(bisect_right(opened, seq) - 1, 0)][1]] += realised
    while adopted:
        _adopt(walk, adopted.pop())
    if not is_today:
        walk.then = {name: book.holding() for name, book in walk.books.items()}
    return walk


def _adopted(connection: Connection, account: str) -> list[Recorded]:
    """What operators took over from the broker without a trade, the newest first."""
    events = tables.events
    statement = select(*STORED).where(
        # Spelled out, not bound, so that the index of kinds serves it; the word is our own.
        events.c.kind == literal_column(f"'{PositionAdopted.kind}'"),
        events.c.account == account,
    )
    return [recorded(row) for row in connection.execute(statement.order_by(events.c.seq.desc()))]


def _adopt(walk: _Walk, fact: Recorded) -> None:
    """Shares and cost are from here on what the operator said: no trade, and no profit."""
    event = fact.event
    assert isinstance(event, PositionAdopted)
    book = walk.books.setdefault(event.symbol, Book())
    book.qty, book.cost = to_micro(event.qty), to_micro(event.cost)


def _opening(connection: Connection, account: str) -> dict[str, Holding]:
    """What was held when the journal began."""
    opened = _first(connection, account)
    positions = () if opened is None else opened.positions
    return {p.symbol: Holding(qty=p.qty, cost=(p.qty * p.avg_cost).quantize(Decimal("0.000001"))) for p in positions}


def _currency(connection: Connection, account: str) -> str | None:
    opened = _first(connection, account)
    return None if opened is None else opened.currency


def _first(connection: Connection, account: str) -> AccountOpened | None:
    events = tables.events
    row = connection.execute(select(*STORED).where(events.c.account == account, events.c.seq == 1)).first()
    event = None if row is None else recorded(row).event
    return event if isinstance(event, AccountOpened) else None


def _valued(connection: Connection, held: Mapping[str, Holding], seq: int) -> Answer:
    """These shares at the newest price that was known up to a row."""
    selected, revalidated = (_newest(connection, kind, seq) for kind in (Selected.kind, BuysRevalidated.kind))
    return views.positions_of(held, selected, revalidated)


def _newest(connection: Connection, kind: str, seq: int) -> Recorded | None:
    return next(iter(newest_before(connection, kind, seq, 1)), None)


def _unrealised(valued: Answer) -> Decimal:
    return _sum(position["unrealized_pnl"] for position in valued["positions"])


def _sum(amounts: Iterable[str | None]) -> Decimal:
    return sum((Decimal(amount) for amount in amounts if amount is not None), ZERO)


def _sums(realised: Decimal, unrealised: Decimal) -> Answer:
    return {"realised": money(realised), "unrealised": money(unrealised), "total": money(realised + unrealised)}


def _of_symbol(symbol: str, walk: _Walk, position: Mapping[str, Any] | None) -> Answer:
    return {
        "symbol": symbol,
        "realised": money(from_micro(walk.realised[symbol])),
        "realised_today": money(from_micro(walk.today[symbol])),
        "unrealised": None if position is None else position["unrealized_pnl"],
        "qty": "0" if position is None else position["qty"],
        "avg_cost": None if position is None else position["avg_cost"],
        "last_px": None if position is None else position["last_px"],
        "market_value": None if position is None else position["market_value"],
    }
