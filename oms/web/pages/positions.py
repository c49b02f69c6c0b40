"""The page *Positions*: what the journal says is held, against the broker, with its profit and loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import accumulate
from typing import Any

from oms.audit import pnl
from oms.journal import loading, views
from oms.journal.answers import Answer, money, number
from oms.model.difference import Difference
from oms.web.draw import chart as charts
from oms.web.draw.bars import share_bar
from oms.web.draw.svg import Svg
from oms.web.look import Look, exact
from oms.web.pages.page import Asked, Page, View

_LAST: dict[str, tuple[int, Answer]] = {}
"""The newest profit and loss of each journal: it walks every fill, and changes only when something is journaled."""


def answer(asked: Asked) -> Answer:
    """Every holding with its price, its share of the largest position allowed, its profit, and what the broker says."""
    config = asked.loaded.config
    reader = asked.reader
    held: Answer = {"positions": [], "as_of": None}
    differences: tuple[Difference, ...] = ()
    earned = pnl.nothing()
    if reader is not None:
        held = views.positions(reader)
        with reader.asking("reading the last comparison with the broker") as connection:
            differences = loading.standing_differences(connection, reader.account)
        earned = _earned(asked)
    positions = list(_compared(held["positions"], differences, earned["by_symbol"]))
    return {
        "schema": "oms.positions-page/1",
        "positions": positions,
        "as_of": held["as_of"],
        "cap": str(config.execution.max_position_value),
        "market_value": _sum(exact(each["market_value"]) for each in positions if each["qty"] != "0"),
        "today": earned["today"],
        "total": earned["total"],
        "by_day": earned["by_day"],
        "compared_at": next((t["at"] for t in asked.status["tasks"] if t["name"] == "reconciliation"), None),
        "differences": [
            {
                "kind": each.kind.value,
                "symbol": each.symbol,
                "order": each.order,
                "broker": number(each.broker),
                "journal": number(each.journal),
                "text": each.text,
                "proposal": each.proposal,
            }
            for each in differences
        ],
    }


def _earned(asked: Asked) -> Answer:
    assert asked.reader is not None
    name, seq = str(asked.reader.where), asked.status["journal"]["seq"]
    kept = _LAST.get(name)
    if kept is None or kept[0] != seq:
        kept = _LAST[name] = (seq, pnl.pnl(asked.reader))
    return kept[1]


def _compared(
    positions: list[Answer], differences: tuple[Difference, ...], earned: list[Answer]
) -> Iterator[dict[str, Any]]:
    """Holdings with the broker's shares beside ours; what only the broker holds comes last."""
    # A difference without a cost is about an order, and not about the shares of a position.
    broker = {each.symbol: each.broker for each in differences if each.cost is not None}
    today = {each["symbol"]: each["realised_today"] for each in earned}
    for position in positions:
        there = broker.pop(position["symbol"], None)
        yield {
            **position,
            "broker_qty": position["qty"] if there is None else number(there),
            "differs": there is not None,
            "realised_today": today.get(position["symbol"]),
        }
    unknown = dict.fromkeys(("avg_cost", "last_px", "market_value", "unrealized_pnl", "realized_pnl", "score"))
    for symbol, there in broker.items():
        row = {"symbol": symbol, "qty": "0", **unknown, "realised_today": today.get(symbol)}
        yield {**row, "broker_qty": number(there), "differs": True}


def _sum(values: Iterator[Decimal | None]) -> str | None:
    """The total; None where one of its parts is not known."""
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return money(total)


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a holding."""
    yield from found["positions"]


def view(found: Answer, look: Look) -> View:
    """Each holding's share of the largest position that is allowed, and what was realised so far."""
    cap = exact(found["cap"]) or Decimal(1)
    bars = {}
    for position in found["positions"]:
        value = exact(position["market_value"])
        if value is not None:
            told = look.words("{a} of {b}", a=look.dollars(value), b=look.dollars(cap))
            bars[position["symbol"]] = share_bar(float(value / cap), told=told)
    return {"bars": bars, "realised": _realised(found["by_day"], look), "title": look.words("Positions")}


def _realised(by_day: list[Answer], look: Look) -> list[Svg] | None:
    """The sum of what sales realised, after each trading day."""
    if len(by_day) < 2:
        return None
    sums = list(accumulate(exact(each["realised"]) or Decimal(0) for each in by_day))
    word = look.words("realised")
    dots = tuple(
        charts.Dot(x=float(n), y=float(value), told=f"{word} {look.money(value)}, {each['day']}")
        for n, (value, each) in enumerate(zip(sums, by_day, strict=True))
    )
    line = charts.Line(label=word, kind="credited", dots=dots, has_area=True, has_dots=len(dots) <= 60)
    names_y = [(value, look.dollars(f"{value:.2f}")) for value in charts.nice_steps(float(min(sums)), float(max(sums)))]
    names_x = [(float(n), each["day"]) for n, each in enumerate(by_day)]
    title = look.words("Realised, summed up over trading days")
    return [
        charts.chart([line], frame=frame, names_y=names_y, names_x=names_x, form=form, title=title, told=dots[-1].told)
        for frame, form in ((charts.WIDE, "wide"), (charts.NARROW, "narrow"))
    ]


PAGE = Page(name="positions", title="Positions", answer=answer, rows=rows, view=view)
