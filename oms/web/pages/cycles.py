"""The page *Cycles*: each cycle with its phases, its orders, its money and what was unusual about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oms.journal import views
from oms.journal.answers import Answer
from oms.journal.stages import moved, phases
from oms.model.cycle import Phase
from oms.model.detail import Outcome
from oms.web.draw.bars import phase_strip
from oms.web.look import Look
from oms.web.pages.page import Asked, Page, View

FILTERS = ("open", "complete", "partial", "nothing_to_do", "aborted", "resumed", "cut")
DEFAULT, MOST = 40, 500


def answer(asked: Asked) -> Answer:
    """Cycles, newest first, filtered by ``?show=`` and ``?symbol=``; ``?limit=`` shows more of them."""
    show = asked.query.get("show", "")
    symbol = asked.query.get("symbol", "").strip().upper()[:20]
    limit = asked.number("limit", DEFAULT, MOST)
    found: list[Answer] = []
    if asked.reader is not None:
        listed = views.cycle_list(
            asked.reader,
            limit=limit + 1,
            is_open=True if show == "open" else None,
            outcome=show if show in {each.value for each in Outcome} else None,
            resumed=True if show == "resumed" else None,
            cut=True if show == "cut" else None,
            symbol=symbol or None,
        )["cycles"]
        ids = [each["cycle_id"] for each in listed]
        sums, spans = moved(asked.reader, ids), phases(asked.reader, ids, asked.now)
        found = [{**each, **sums.get(each["cycle_id"], {}), "phases": spans[each["cycle_id"]]} for each in listed]
    return {
        "schema": "oms.cycles-page/1",
        "cycles": found[:limit],
        "has_more": len(found) > limit,
        "show": show if show in FILTERS else "",
        "symbol": symbol,
        "limit": limit,
    }


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a cycle."""
    for cycle in found["cycles"]:
        lasted = {f"{each['phase'].lower()}_s": each["seconds"] for each in cycle["phases"] if each["phase"] != "DONE"}
        yield {**{name: value for name, value in cycle.items() if name != "phases"}, **lasted}


def view(found: Answer, look: Look) -> View:
    """Each cycle's strip: the share of its time that each phase took; how long that was stands beside it."""
    strips, took = {}, {}
    for cycle in found["cycles"]:
        parts = [
            (each["phase"], float(each["seconds"])) for each in cycle["phases"] if each["phase"] != Phase.DONE.value
        ]
        said = ", ".join(f"{phase} {look.span(seconds)}" for phase, seconds in parts)
        took[cycle["cycle_id"]] = sum(seconds for _, seconds in parts)
        strips[cycle["cycle_id"]] = phase_strip(parts, took[cycle["cycle_id"]], told=said)
    return {"strips": strips, "took": took, "filters": FILTERS, "title": look.words("Cycles")}


PAGE = Page(name="cycles", title="Cycles", answer=answer, rows=rows, view=view)
