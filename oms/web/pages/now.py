"""The page *Now*: what the engine is doing, what it waits for and why, and the money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from oms.journal import views
from oms.journal.answers import Answer, instant, money
from oms.journal.stages import moved
from oms.web.look import Look, exact
from oms.web.pages.finished import story_of, without_events
from oms.web.pages.machine_view import machine
from oms.web.pages.page import Asked, Page, View
from oms.web.pages.waits import waiting

LOOKED_AT = 20
"""Newest cycles that the figures are of."""


def answer(asked: Asked) -> Answer:
    """The status with its cycle, and figures of the newest cycles."""
    status = asked.status
    cycle = None
    recent: list[Answer] = []
    held: list[Answer] = []
    if asked.reader is not None:
        if status["cycle_id"] is not None:
            cycle = without_events(story_of(asked.reader, status["cycle_id"], None, asked.now))
        listed = views.cycle_list(asked.reader, limit=LOOKED_AT)["cycles"]
        sums = moved(asked.reader, [each["cycle_id"] for each in listed])
        recent = [{**each, **sums.get(each["cycle_id"], {})} for each in listed]
        held = views.positions(asked.reader)["positions"]
    values = [exact(position["market_value"]) for position in held]
    worth = None if any(value is None for value in values) else sum((v for v in values if v is not None), Decimal(0))
    cash = exact(status["funds"]["cash"]) if status["funds"] else None
    config = asked.loaded.config
    return {
        "schema": "oms.now/1",
        "status": status,
        "cycle": cycle,
        "worth": {
            "cash": money(cash),
            "positions": money(worth),
            "net": None if cash is None or worth is None else money(cash + worth),
            "held": len(held),
        },
        "figures": _figures(recent),
        "limits": {
            "max_trades_per_day": config.risk.max_trades_per_day,
            "funds_fraction": str(config.execution.funds_fraction),
        },
        "next": _next(asked, status, cycle),
        "as_of": instant(asked.now),
    }


def _figures(recent: list[Answer]) -> dict[str, Any]:
    delays = sorted(Decimal(c["sell_to_buy_s"]) for c in recent if c.get("sell_to_buy_s"))
    sent = sum(c.get("buys_sent", 0) for c in recent)
    filled = sum(c.get("buys_filled", 0) for c in recent)
    return {
        "cycles": len(recent),
        "sell_to_buy_s": str(delays[len(delays) // 2]) if delays else None,
        "buys_sent": sent,
        "buys_filled": filled,
        "delays": [c.get("sell_to_buy_s") for c in reversed(recent) if c.get("sell_to_buy_s")],
    }


def _next(asked: Asked, status: Answer, cycle: Answer | None) -> dict[str, Any]:
    """When the engine acts next by itself; null where the day is played and does not wait, or no engine runs."""
    config = asked.loaded.config
    played = config.market.source in ("replay", "simulated")
    closed = None if cycle is None else cycle["cycle"]["closed_at"]
    due = None
    if status["running"] and not played and closed is not None:
        due = instant(datetime.fromisoformat(closed) + config.worker.interval)
    screened = next((task["at"] for task in status["tasks"] if task["name"] == "selection"), None)
    screen = None
    if status["running"] and not played and screened is not None:
        screen = instant(datetime.fromisoformat(screened) + config.selection.interval)
    return {
        "cycle_at": due,
        "selection_at": screen,
        "every_s": f"{config.worker.interval.total_seconds():g}",
        "is_played": played,
    }


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line: the figures of the page."""
    status = found["status"]
    yield {
        "as_of": found["as_of"],
        "account": status["account"],
        "mode": status["mode"],
        "running": status["running"],
        "heartbeat": status["heartbeat"],
        "phase": status["phase"],
        "cycle_id": status["cycle_id"],
        "waiting_for": status["waiting_for"],
        "halted": None if status["halted"] is None else status["halted"]["scope"],
        **{name: value for name, value in (status["funds"] or {}).items() if name != "as_of"},
        "trades_today": status["trades_today"],
        "realised_today": status["realised_today"],
        "quarantined": status["quarantined"],
        "seq": status["journal"]["seq"],
    }


def view(found: Answer, look: Look) -> View:
    """The machine, made when the template asks for it, and why it waits, in one sentence."""
    cycle = found["cycle"]
    return {
        "machine": lambda: machine(cycle, look),
        "waiting": waiting(found, look),
        "title": look.words("Now"),
    }


PAGE = Page(name="now", title="Now", answer=answer, rows=rows, view=view)
