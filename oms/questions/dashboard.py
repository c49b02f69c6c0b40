"""The status in the shape that dashboards of earlier engines read: plain numbers, seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from oms.questions import account, performance
from oms.questions.asking import Answer, Desk

if TYPE_CHECKING:
    from oms.journal.reader import Reader

TRADING_MODES = {"live": "LIVE_TRADING", "dry_run": "DRY_RUN", "paper": "PAPER"}


def dashboard(desk: Desk) -> dict[str, Any]:
    """What the strategy holds and what the broker holds, what today brought, and whether all goes well.

    Money is a number here, as those dashboards expect it; every other answer has it as exact text.
    """
    status = account.status(desk)
    held = account.positions(desk)["positions"]
    tasks = status["tasks"]
    healthy = sum(1 for task in tasks if task["healthy"])
    return {
        "bot": _bot(status),
        "heartbeat": _seconds(status["heartbeat"]),
        "pnl": float(_today(desk, status, held)),
        "positions": [
            {
                "symbol": each["symbol"],
                "qty": _figure(each["qty"]),
                "value": _figure(each["market_value"]),
                "score": _figure(each["score"]),
            }
            for each in held
        ],
        "trading_mode": TRADING_MODES[status["mode"]],
        "real_positions": list(_real(held, desk.ask(_differences, {}))),
        "task_health": {"healthy_tasks": healthy, "error_tasks": len(tasks) - healthy, "total_tasks": len(tasks)},
    }


_MORNINGS: dict[str, tuple[str, Decimal]] = {}
"""For each journal its trading day, and what was not realised as it began: found once a day, by one walk over all fills."""


def _today(desk: Desk, status: Answer, held: Iterable[Answer]) -> Decimal:
    """What today brought, as ``pnl`` reckons it: what sales realised, and by how much the shares held have moved."""
    day, realised = status["trading_day"], Decimal(status["realised_today"] or 0)
    if day is None:
        return realised
    url = f"{desk.loaded.journal_url} {desk.dry_run}"
    known = _MORNINGS.get(url)
    if known is None or known[0] != day:
        found = performance.pnl(desk)
        known = (day, Decimal(found["total"]["unrealised"]) - Decimal(found["today"]["unrealised"]))
        if found["trading_day"] == day:
            _MORNINGS[url] = known
    return realised + sum(Decimal(each["unrealized_pnl"] or 0) for each in held) - known[1]


def _bot(status: Answer) -> str:
    if not status["running"]:
        return "stopped"
    return "halted" if status["halted"] is not None else "running"


def _seconds(instant: str | None) -> int:
    """Seconds since 1970; 0 where there never was a heartbeat."""
    return 0 if instant is None else int(datetime.fromisoformat(instant).timestamp())


def _figure(text: str | None) -> float | int | None:
    if text is None:
        return None
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() and "." not in text else float(exact)


def _differences(reader: Reader) -> dict[str, tuple[Decimal, Decimal]]:
    """Shares at the broker more than in the journal, and what those at the broker cost, as the last comparison found it."""
    from oms.journal.loading import standing_differences

    with reader.asking("reading the last comparison") as connection:
        found = standing_differences(connection, reader.account)
    return {each.symbol: (each.broker - each.journal, each.cost) for each in found if each.cost is not None}


def _real(held: Iterable[Answer], differences: dict[str, tuple[Decimal, Decimal]]) -> Iterable[dict[str, Any]]:
    """The broker's positions: the journal's, but for what the last comparison found to differ."""
    seen = set()
    for each in held:
        symbol = each["symbol"]
        seen.add(symbol)
        if symbol not in differences:
            yield _position(symbol, Decimal(each["qty"]), each["last_px"], each["unrealized_pnl"])
            continue
        more, cost = differences[symbol]
        quantity = Decimal(each["qty"]) + more
        if quantity:
            yield _position(symbol, quantity, each["last_px"], _gain(quantity, each["last_px"], cost))
    for symbol, (more, _) in differences.items():
        if symbol not in seen and more:
            yield _position(symbol, more, None, None)


def _position(symbol: str, quantity: Decimal, price: str | None, gain: str | None) -> dict[str, Any]:
    value = None if price is None else f"{quantity * Decimal(price):.2f}"
    return {
        "symbol": symbol,
        "quantity": _figure(f"{quantity.normalize():f}"),
        "market_value": _figure(value),
        "unrealized_pnl": _figure(gain),
    }


def _gain(quantity: Decimal, price: str | None, cost: Decimal) -> str | None:
    return None if price is None else f"{quantity * Decimal(price) - cost:.2f}"
