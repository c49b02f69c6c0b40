"""The page of one cycle: its timeline, its orders, the cuts, every fact, and the state at any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from oms.errors import UnknownName
from oms.journal.answers import Answer
from oms.web.draw.svg import Svg
from oms.web.draw.timeline import NARROW, WIDE, Band, Bar, Gap, timeline
from oms.web.look import Look
from oms.web.pages.finished import story_of
from oms.web.pages.machine_view import machine
from oms.web.pages.page import Asked, Page, View
from oms.web.pages.told import found_again, note_of, subject, told


def answer(asked: Asked) -> Answer:
    """The cycle as it is, or with ``?at=SEQ`` as it was after that fact.

    Raises:
        UnknownName: there is no such cycle.
    """
    at_seq = asked.number("at", 0, 2**62) or None
    found = None if asked.reader is None else story_of(asked.reader, asked.name, at_seq, asked.now)
    if found is None:
        raise UnknownName(f"there is no cycle {asked.name} in this journal")
    return found


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """The orders."""
    for order in found["orders"]:
        yield {name: value for name, value in order.items() if name != "fills"}


def view(found: Answer, look: Look) -> View:
    """The timeline and the machine, and each fact in words; each is made when the template asks for it."""
    shown = [event for event in found["events"] if event["seq"] <= found["at_seq"]]
    return {
        "machine": lambda: machine(found, look),
        "timelines": lambda: _timelines(found, shown, look),
        "events": lambda: ((event, subject(event), told(event, look)) for event in shown),
        "count": len(shown),
        "title": look.words("Cycle {id}", id=found["cycle"]["cycle_id"]),
        "position": next((n for n, e in enumerate(found["events"], 1) if e["seq"] == found["at_seq"]), 1),
        "seqs": [event["seq"] for event in found["events"]],
        "earlier": max((e["seq"] for e in found["events"] if e["seq"] < found["at_seq"]), default=None),
        "later": min((e["seq"] for e in found["events"] if e["seq"] > found["at_seq"]), default=None),
    }


def _timelines(found: Answer, shown: Sequence[Answer], look: Look) -> list[Svg]:
    """The drawing in both forms."""
    words = look.words
    start = datetime.fromisoformat(found["cycle"]["opened_at"])

    def second(at: str | None) -> float | None:
        return None if at is None else max((datetime.fromisoformat(at) - start).total_seconds(), 0.0)

    end = second(found["cycle"]["closed_at"]) or second(found["at"]) or 0.0
    bands = [
        Band(
            phase=phase["phase"],
            label=f"{phase['phase']} {look.span(float(phase['seconds']))}",
            start=second(phase["from"]) or 0.0,
            end=(second(phase["to"]) or 0.0) if phase["to"] else end,
            is_open=phase["to"] is None,
        )
        for phase in found["phases"]
        if phase["phase"] != "DONE"
    ]
    gaps = [
        Gap(
            start=second(gap["from"]) or 0.0,
            end=second(gap["to"]) or 0.0,
            label=words("process down {span}", span=look.span(float(gap["seconds"]))),
        )
        for gap in found["gaps"]
    ]
    lost = found_again(shown)
    bars = [_bar(order, found, order["cl_ord_id"] in lost, look, second) for order in found["orders"]]
    return [
        timeline(
            bands,
            gaps,
            bars,
            sizes=sizes,
            title=words("Timeline of cycle {id}", id=found["cycle"]["cycle_id"]),
            told=". ".join([*(band.label for band in bands), *(gap.label for gap in gaps)]),
            not_to_scale=words("short phases are stretched"),
        )
        for sizes in (WIDE, NARROW)
    ]


def _bar(order: Answer, found: Answer, was_lost: bool, look: Look, second: Callable[[str | None], float | None]) -> Bar:
    note, tone = note_of(order, found, look, was_lost=was_lost)
    label = f"{order['side']} {order['symbol']} {look.number(order['order_qty'])}"
    return Bar(
        label=label,
        side=order["side"],
        planned=second(order["planned_at"]) or 0.0,
        sent=second(order["sent_at"]),
        acknowledged=second(order["acknowledged_at"]),
        fills=tuple(second(fill["at"]) or 0.0 for fill in order["fills"]),
        closed=second(order["closed_at"]),
        note=note,
        tone=tone,
        told=f"{label}: {look.words.name('status', order['ord_status'])}. {note}".rstrip(". ") + ".",
    )


PAGE = Page(name="cycle", title="Cycle", answer=answer, rows=rows, view=view)
