"""What stands on every page: mode, heartbeat, brake, and the orders that a person must decide."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oms.config import LoadedConfig
from oms.journal import views
from oms.journal.access import is_postgres
from oms.journal.answers import Answer, instant
from oms.journal.reader import Reader
from oms.journal.stages import newest
from oms.model.event import CycleOpened
from oms.web.pages.page import Asked

_UNKNOWN = (
    *("phase", "cycle_id", "halted", "pid", "host", "funds", "trading_day", "realised_today", "heartbeat"),
    *("trades_today", "attention", "unresolved", "quarantined"),
)
_PLAYED = ("replay", "simulated")


def status_of(loaded: LoadedConfig, reader: Reader | None, now: datetime, *, dry_run: bool) -> dict[str, Any]:
    """The status, with nulls where nothing has run yet."""
    config = loaded.config
    if reader is not None:
        return views.status(reader, now, config.execution.fee_allowance)
    return {
        "schema": "oms.status/1",
        "account": config.account,
        "mode": "dry_run" if dry_run else config.mode,
        **dict.fromkeys(_UNKNOWN),
        "running": False,
        "waiting_for": "`run`: nothing has run yet",
        "frozen": [],
        "tasks": [],
        "journal": {"seq": 0, "head": None},
    }


def frame(asked: Asked) -> Answer:
    """What the frame of a page shows."""
    config, status = asked.loaded.config, asked.status
    unresolved = []
    if asked.reader is not None and status["unresolved"]:
        unresolved = views.order_list(asked.reader, unresolved=True)["orders"]
    held = [order for order in unresolved if order["quarantined"] or config.in_doubt.then == "hold"]
    about = {order["symbol"] for order in held}
    return {
        "account": status["account"],
        "mode": status["mode"],
        "broker": config.broker.kind,
        "market": config.market.source,
        "is_played": config.market.source in _PLAYED,
        "exchange": config.market.exchange,
        "trading_day": status["trading_day"],
        "closes": _closes(asked),
        "running": status["running"],
        "heartbeat": status["heartbeat"],
        "halted": status["halted"],
        "seq": status["journal"]["seq"],
        "head": status["journal"]["head"],
        "held": held,
        "doubtful": len(unresolved),
        "frozen": [each for each in status["frozen"] if each["symbol"] not in about],
        "has_fleet": is_postgres(config.journal.url),
        "ailing": [task for task in status["tasks"] if not task["healthy"] and task["name"] != "engine"],
    }


def _closes(asked: Asked) -> str | None:
    """When the trading day of the last cycle ends; None where it is over, or is played and not of this world."""
    if asked.reader is None or asked.loaded.config.market.source in _PLAYED:
        return None
    opened = next(iter(newest(asked.reader, [CycleOpened.kind], 1)), None)
    if opened is None or not isinstance(opened.event, CycleOpened) or opened.event.closes <= asked.now:
        return None
    return instant(opened.event.closes)
