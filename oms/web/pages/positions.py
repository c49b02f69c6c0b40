"""The page *Positions*: what the journal says is held, against the broker, with its profit and loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from oms.journal import views
from oms.journal.answers import Answer, money
from oms.web.draw.bars import share_bar
from oms.web.look import Look, exact
from oms.web.pages.page import Asked, Page, View


def answer(asked: Asked) -> Answer:
    """Every holding with its price, its share of the largest position allowed, and its profit."""
    config = asked.loaded.config
    held = {"positions": [], "as_of": None} if asked.reader is None else views.positions(asked.reader)
    status = asked.status
    positions = held["positions"]
    unrealised = [exact(each["unrealized_pnl"]) for each in positions]
    values = [exact(each["market_value"]) for each in positions]
    return {
        "schema": "oms.positions-page/1",
        "positions": positions,
        "as_of": held["as_of"],
        "cap": str(config.execution.max_position_value),
        "total": {
            "market_value": _sum(values),
            "unrealised": _sum(unrealised),
            "realised_today": status["realised_today"],
        },
    }


def _sum(values: list[Decimal | None]) -> str | None:
    """The total; None where one of its parts is not known."""
    if any(value is None for value in values):
        return None
    return money(sum((value for value in values if value is not None), Decimal(0)))


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a holding."""
    yield from found["positions"]


def view(found: Answer, look: Look) -> View:
    """Each holding's share of the largest position that is allowed."""
    cap = exact(found["cap"]) or Decimal(1)
    bars = {}
    for position in found["positions"]:
        value = exact(position["market_value"])
        if value is not None:
            told = look.words("{a} of {b}", a=look.dollars(value), b=look.dollars(cap))
            bars[position["symbol"]] = share_bar(float(value / cap), told=told)
    return {"bars": bars, "title": look.words("Positions")}


PAGE = Page(name="positions", title="Positions", answer=answer, rows=rows, view=view)
