"""The page *Risk*: each limit as used of what it allows, the blacklist, the brake, and whether live trading is armed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from oms.app import rules_of
from oms.audit import limits
from oms.journal import views
from oms.journal.answers import Answer, instant
from oms.journal.stages import newest
from oms.model.event import Halted, Released
from oms.web.draw.bars import share_bar
from oms.web.look import Look, exact
from oms.web.pages.page import Asked, Page, View

HISTORY = 20
"""Newest halts and releases that are shown."""


def answer(asked: Asked) -> Answer:
    """Limits with their use, symbols that are barred, and what operators stopped and let go."""
    config = asked.loaded.config
    found = limits.risk(
        asked.reader,
        rules_of(config),
        messages_per_minute=config.execution.messages_per_minute,
        now=asked.now,
    )
    listed: list[Answer] = []
    brakes: list[Answer] = []
    if asked.reader is not None:
        listed = [{**row, "is_configured": False} for row in views.blacklist(asked.reader)["symbols"]]
        brakes = [_brake(fact) for fact in newest(asked.reader, [Halted.kind, Released.kind], HISTORY)]
    named = {row["symbol"] for row in listed}
    configured = [
        {"symbol": symbol, "reason": "risk.blacklist", "author": "config.yaml", "until": None, "is_configured": True}
        for symbol in config.risk.blacklist
        if symbol not in named
    ]
    return {
        **found,
        "schema": "oms.risk-page/1",
        "blacklist": sorted([*listed, *configured], key=lambda row: str(row["symbol"])),
        "brakes": brakes,
        "mode": asked.status["mode"],
        "licence": _licence(asked),
    }


def _licence(asked: Asked) -> Answer | None:
    """By whose word real money may be traded, and until when; None in a mode that trades none."""
    if asked.status["mode"] != "live":
        return None
    from oms.questions import licence
    from oms.questions.asking import Desk

    return licence.show(Desk(loaded=asked.loaded, dry_run=asked.dry_run))


def _brake(fact: Any) -> Answer:
    event = fact.event
    return {
        "at": instant(fact.at),
        "kind": event.kind,
        "scope": event.scope.value if isinstance(event, Halted) else None,
        "author": event.author,
        "reason": event.reason,
    }


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a limit."""
    yield from found["limits"]


def view(found: Answer, look: Look) -> View:
    """The bar of each limit that can be used up."""
    shown = []
    for row in found["limits"]:
        used, limit = _figure(row["used"], row["unit"], look), _figure(row["limit"], row["unit"], look)
        share = None if row["share"] is None else float(row["share"])
        told = look.words("{a} of {b}", a=used, b=limit)
        bar = None if share is None else share_bar(share, told=told)
        shown.append({**row, "shown_used": used, "shown_limit": limit, "bar": bar})
    shown.sort(key=lambda row: row["bar"] is None)  # what can be used up comes first
    return {"limits": shown, "title": look.words("Risk")}


def _figure(text: str | None, unit: str | None, look: Look) -> str:
    if text is None:
        return ""
    if unit == "duration":
        return look.whole_span(float(text.removesuffix("s"))) if _is_number(text.removesuffix("s")) else text
    value = exact(text)
    assert value is not None
    match unit:
        case "dollars":
            return look.money(value) if value % 1 else look.dollars(value)
        case "fraction":
            return f"{(value * 100).normalize():f}%"
        case _:
            return look.number(value if value % 1 else Decimal(int(value)))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


PAGE = Page(name="risk", title="Risk", answer=answer, rows=rows, view=view)
