"""The page *Funds*: where a cycle's money came from and went to, and expected against credited over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from oms.errors import UnknownName
from oms.journal import views
from oms.journal.answers import Answer, instant, money
from oms.journal.stages import newest
from oms.model.event import CycleOpened
from oms.web.draw import chart as charts
from oms.web.draw.svg import Svg
from oms.web.look import Look
from oms.web.pages.finished import story_of, without_events
from oms.web.pages.flow import flow
from oms.web.pages.page import Asked, Page, View

CYCLES = 60
"""Newest cycles whose funds are drawn."""


def answer(asked: Asked) -> Answer:
    """The money now, the newest cycle's (or ``?cycle=``'s) streams and readings, and the funds before each cycle.

    Raises:
        UnknownName: there is no such cycle.
    """
    found: Answer = {
        "schema": "oms.funds-page/1",
        "funds": None,
        "cycle": None,
        "before": [],
        "choices": [],
        "currencies": [],
    }
    if asked.reader is None:
        return found
    status = asked.status
    found["funds"] = status["funds"]
    found["currencies"] = views.funds(asked.reader)["currencies"]
    opened = newest(asked.reader, [CycleOpened.kind], CYCLES)
    for fact in reversed(opened):
        assert isinstance(fact.event, CycleOpened)
        event = fact.event
        row = {
            "cycle_id": event.cycle_id,
            "at": instant(fact.at),
            "trading_day": event.trading_day.isoformat(),
            "cash": money(event.funds.cash),
            "spendable": money(event.spendable),
        }
        found["before"].append(row)
    wanted = asked.query.get("cycle") or _last_with_trades(asked, status["cycle_id"])
    if wanted is not None:
        found["cycle"] = without_events(story_of(asked.reader, wanted, None, asked.now))
        if found["cycle"] is None:
            raise UnknownName(f"there is no cycle {wanted} in this journal")
    found["choices"] = [row["cycle_id"] for row in reversed(found["before"])]
    return found


def _last_with_trades(asked: Asked, latest: str | None) -> str | None:
    """The newest cycle: one that had nothing to do shows no money, so the one before it is more to the point."""
    assert asked.reader is not None
    for cycle in views.cycle_list(asked.reader, limit=5)["cycles"]:
        if cycle["sells"] or cycle["buys"]:
            return str(cycle["cycle_id"])
    return latest


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a reading of the cycle."""
    cycle = found["cycle"]
    for reading in cycle["readings"] if cycle else []:
        yield {"cycle_id": cycle["cycle"]["cycle_id"], **reading}


def view(found: Answer, look: Look) -> View:
    """The streams and both charts."""
    cycle = found["cycle"]
    return {
        "flow": None if cycle is None else flow(cycle, look),
        "credited": None if cycle is None else _credited(cycle, look),
        "before": _before(found["before"], look),
        "title": look.words("Funds"),
    }


def _credited(cycle: Answer, look: Look) -> list[Svg] | None:
    """What the fills say should be there, as a line; what the broker showed, a dot a reading."""
    words = look.words
    start = datetime.fromisoformat(cycle["cycle"]["opened_at"])
    readings = cycle["readings"]
    if len(readings) < 2:
        return None

    def dots(name: str, word: str) -> tuple[charts.Dot, ...]:
        return tuple(
            charts.Dot(
                x=(datetime.fromisoformat(row["at"]) - start).total_seconds(),
                y=float(row[name]),
                told=f"{word} {look.money(row[name])}, {look.clock(row['at'])}",
            )
            for row in readings
            if row[name] is not None
        )

    lines = [
        charts.Line(
            label=words("expected"),
            kind="expected",
            dots=dots("expected", words("expected")),
            is_step=True,
            has_dots=False,
        ),
        charts.Line(label=words("credited"), kind="credited", dots=dots("spendable", words("credited")), is_step=True),
    ]
    last = max(dot.x for line in lines for dot in line.dots)
    names_x = [(last * part / 4, f"+{look.span(last * part / 4)}") for part in range(5)]
    title = words("Expected and credited over time")
    return _both(lines, names_x, look, title)


def _before(before: list[Answer], look: Look) -> list[Svg] | None:
    """Cash and what could be spent before each cycle."""
    if len(before) < 2:
        return None
    words = look.words
    lines = [
        charts.Line(
            label=words(word),
            kind=kind,
            dots=tuple(
                charts.Dot(
                    x=float(n),
                    y=float(row[name]),
                    told=f"{words(word)} {look.money(row[name])}, {look.day(row['trading_day'])}",
                )
                for n, row in enumerate(before)
            ),
            has_area=name == "spendable",
        )
        for word, name, kind in (("cash", "cash", "expected"), ("to spend", "spendable", "credited"))
    ]
    names_x = [(float(n), look.day(row["trading_day"])) for n, row in enumerate(before)]
    return _both(lines, names_x, look, words("Funds before each cycle"))


def _both(lines: list[charts.Line], names_x: list[tuple[float, str]], look: Look, title: str) -> list[Svg]:
    values = [dot.y for line in lines for dot in line.dots]
    steps = charts.nice_steps(min(values), max(values))
    names_y = [(value, look.dollars(f"{value:.2f}")) for value in steps]
    told = ". ".join(line.dots[-1].told for line in lines if line.dots)
    return [
        charts.chart(lines, frame=frame, names_y=names_y, names_x=names_x, form=form, title=title, told=told)
        for frame, form in ((charts.WIDE, "wide"), (charts.NARROW, "narrow"))
    ]


PAGE = Page(name="funds", title="Funds", answer=answer, rows=rows, view=view)
