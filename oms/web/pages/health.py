"""The page *Health*: tasks, the broker's answers, the database, the clock, backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from oms.backup import shelf
from oms.errors import OmsError
from oms.journal import tables, views
from oms.journal.answers import Answer, instant
from oms.journal.stages import newest
from oms.model.event import AttentionRaised
from oms.observe.wiring import outbox_at
from oms.places import places
from oms.web.draw.bars import share_bar
from oms.web.look import Look
from oms.web.pages.page import Asked, Page, View

ORDERS = 200
"""Newest orders that the broker's speed is measured on."""
ATTENTION = 12


def answer(asked: Asked) -> Answer:
    """What works and what does not, each with the figures behind it."""
    status = asked.status
    orders: list[Answer] = []
    attention: list[Answer] = []
    if asked.reader is not None:
        orders = views.order_list(asked.reader, limit=ORDERS)["orders"]
        attention = [_attention(fact) for fact in newest(asked.reader, [AttentionRaised.kind], ATTENTION)]
    config = asked.loaded.config
    return {
        "schema": "oms.health-page/1",
        "running": status["running"],
        "pid": status["pid"],
        "host": status["host"],
        "heartbeat": status["heartbeat"],
        "tasks": status["tasks"],
        "broker": {
            "kind": config.broker.kind,
            **_latency(orders),
            "sent_last_minute": _recent(orders, asked.now),
            "messages_per_minute": config.execution.messages_per_minute,
        },
        "database": _database(asked),
        "journal": status["journal"],
        "attention": attention,
        "attention_count": status["attention"] or 0,
        "backups": _backups(asked),
        "outbox": _outbox(asked),
        "as_of": instant(asked.now),
    }


def _attention(fact: Any) -> Answer:
    event = fact.event
    return {"seq": fact.seq, "at": instant(fact.at), "rule": event.rule, "text": event.text, "cycle_id": event.cycle_id}


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _latency(orders: list[Answer]) -> dict[str, Any]:
    """From the moment an order leaves to the broker's word that it has it."""
    waits = sorted(
        _seconds(order["sent_at"], order["acknowledged_at"])
        for order in orders
        if order["sent_at"] and order["acknowledged_at"] and order["sends"] == 1
    )
    waits = [wait for wait in waits if wait >= 0]
    if not waits:
        return {"measured": 0, "p50_s": None, "p95_s": None, "max_s": None}
    return {
        "measured": len(waits),
        "p50_s": f"{waits[len(waits) // 2]:.4f}",
        "p95_s": f"{waits[min(int(len(waits) * 0.95), len(waits) - 1)]:.4f}",
        "max_s": f"{waits[-1]:.4f}",
    }


def _recent(orders: list[Answer], now: datetime) -> int:
    since = now - timedelta(minutes=1)
    return sum(1 for order in orders if order["sent_at"] and datetime.fromisoformat(order["sent_at"]) >= since)


def _database(asked: Asked) -> dict[str, Any]:
    file = places(asked.loaded, dry_run=asked.dry_run).file
    return {
        "kind": "PostgreSQL" if file is None else "SQLite",
        "file": None if file is None else file.name,
        "bytes": None if file is None else _size(file),
        "log_bytes": None if file is None else _size(file.with_name(f"{file.name}-wal")),
        "schema": tables.SCHEMA_REVISION,
    }


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _backups(asked: Asked) -> dict[str, Any]:
    try:
        kept = shelf.every(asked.loaded)
    except (OmsError, OSError) as error:
        return {"count": None, "newest_at": None, "problem": str(error)}
    good = [each.manifest for each in kept if each.manifest is not None]
    return {
        "count": len(kept),
        "newest_at": instant(good[0].created) if good else None,
        "daily": asked.loaded.config.backup.daily,
        "problem": next((str(each.problem) for each in kept if each.manifest is None), None),
    }


def _outbox(asked: Asked) -> dict[str, Any]:
    """What waits for each address; a file of cursors that cannot be used hides nothing else of this page."""
    try:
        told = outbox_at(asked.loaded, asked.status["journal"]["seq"], dry_run=asked.dry_run)
    except OmsError as error:
        return {"addresses": [], "problem": str(error)}
    return {"addresses": told["addresses"], "problem": None}


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a task, and one an address that messages go to."""
    yield from ({"part": "task", **task} for task in found["tasks"])
    for each in found["outbox"]["addresses"]:
        yield {
            "part": "address",
            "name": each["name"],
            "healthy": not each["error"],
            "at": each["sent_at"],
            "last_error": each["error"] or None,
            "seq": each["seq"],
            "behind": each["behind"],
        }


def view(found: Answer, look: Look) -> View:
    """The bar of the broker's message budget."""
    broker = found["broker"]
    share = broker["sent_last_minute"] / broker["messages_per_minute"]
    told = look.words("{a} of {b}", a=broker["sent_last_minute"], b=broker["messages_per_minute"])
    return {"budget": share_bar(share, told=told), "title": look.words("Health")}


PAGE = Page(name="health", title="Health", answer=answer, rows=rows, view=view)
