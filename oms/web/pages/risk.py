"""The page *Risk*: each limit as used of what it allows, the blacklist, the brake, and whether live trading is armed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from oms.journal import views
from oms.journal.answers import Answer, instant, money
from oms.journal.stages import newest
from oms.model.event import Halted, Released
from oms.web.draw.bars import share_bar
from oms.web.look import Look, exact
from oms.web.pages.page import Asked, Page, View

HISTORY = 20
"""Newest halts and releases that are shown."""


def answer(asked: Asked) -> Answer:
    """Limits with their use, symbols that are barred, and what operators stopped and let go."""
    status = asked.status
    listed: list[Answer] = []
    brakes: list[Answer] = []
    positions: list[Answer] = []
    if asked.reader is not None:
        listed = [{**row, "is_configured": False} for row in views.blacklist(asked.reader)["symbols"]]
        positions = views.positions(asked.reader)["positions"]
        brakes = [_brake(fact) for fact in newest(asked.reader, [Halted.kind, Released.kind], HISTORY)]
    named = {row["symbol"] for row in listed}
    configured = [
        {"symbol": symbol, "reason": "risk.blacklist", "author": "config.yaml", "until": None, "is_configured": True}
        for symbol in asked.loaded.config.risk.blacklist
        if symbol not in named
    ]
    return {
        "schema": "oms.risk-page/1",
        "limits": _limits(asked, status, positions),
        "blacklist": sorted([*listed, *configured], key=lambda row: str(row["symbol"])),
        "frozen": status["frozen"],
        "halted": status["halted"],
        "brakes": brakes,
        "mode": status["mode"],
    }


def _brake(fact: Any) -> Answer:
    event = fact.event
    return {
        "at": instant(fact.at),
        "kind": event.kind,
        "scope": event.scope.value if isinstance(event, Halted) else None,
        "author": event.author,
        "reason": event.reason,
    }


def _limits(asked: Asked, status: Answer, positions: list[Answer]) -> list[Answer]:
    """Each limit: ``used`` is null where nothing is used up, only checked order by order."""
    config = asked.loaded.config
    risk, execution, market = config.risk, config.execution, config.market
    values = [(exact(p["market_value"]), p["symbol"]) for p in positions if p["market_value"] is not None]
    largest, symbol = max(values, default=(None, None), key=lambda pair: pair[0] or Decimal(0))
    loss = max(-(exact(status["realised_today"]) or Decimal(0)), Decimal(0))
    limits: list[tuple[str, str, object, object, str | None]] = [
        ("risk.max_trades_per_day", "number", status["trades_today"], risk.max_trades_per_day, None),
        ("execution.max_position_value", "money", largest, execution.max_position_value, symbol),
        ("risk.daily_loss_limit", "money", loss, risk.daily_loss_limit, None),
        ("execution.funds_fraction", "share", None, execution.funds_fraction, None),
        ("risk.max_order_value", "money", None, risk.max_order_value, None),
        ("risk.max_order_quantity", "number", None, risk.max_order_quantity, None),
        ("execution.min_order_value", "money", None, execution.min_order_value, None),
        ("execution.collar", "share", None, execution.collar, None),
        ("market.max_quote_age", "seconds", None, f"{market.max_quote_age.total_seconds():g}", None),
        ("market.no_buys_before_close", "seconds", None, f"{market.no_buys_before_close.total_seconds():g}", None),
        ("execution.messages_per_minute", "number", None, execution.messages_per_minute, None),
    ]
    return [
        {
            "key": key,
            "unit": unit,
            "used": None if used is None else str(used),
            "limit": None if limit is None else str(limit),
            "about": about,
        }
        for key, unit, used, limit, about in limits
    ]


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a limit."""
    yield from found["limits"]


def view(found: Answer, look: Look) -> View:
    """The bar of each limit that can be used up."""
    shown = []
    for row in found["limits"]:
        used, limit = exact(row["used"]), exact(row["limit"])
        share = float(used / limit) if used is not None and limit else None
        told = look.words("{a} of {b}", a=_figure(used, row["unit"], look), b=_figure(limit, row["unit"], look))
        shown.append(
            {
                **row,
                "shown_used": None if used is None else _figure(used, row["unit"], look),
                "shown_limit": look.words("none") if limit is None else _figure(limit, row["unit"], look),
                "bar": None if share is None else share_bar(share, told=told),
            }
        )
    return {"limits": shown, "title": look.words("Risk")}


def _figure(value: Decimal | None, unit: str, look: Look) -> str:
    match unit:
        case "money":
            return look.money(value) if value is not None and value % 1 else look.dollars(value)
        case "share":
            return look.unknown if value is None else f"{(value * 100).normalize():f}%"
        case "seconds":
            return look.unknown if value is None else look.whole_span(float(value))
        case _:
            return look.number(money(value) if value is not None and value % 1 else value)


PAGE = Page(name="risk", title="Risk", answer=answer, rows=rows, view=view)
