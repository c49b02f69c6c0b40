"""A cycle's story → the stations of the state machine, each with what happened in it, in both forms."""

from __future__ import annotations

from collections.abc import Iterator

from oms.journal.answers import Answer
from oms.model.cycle import Phase
from oms.web.draw.machine import Place, Station, lying, standing
from oms.web.draw.svg import Svg
from oms.web.look import Look, exact

CLOSED = frozenset({"BLOCKED", "FILLED", "CANCELED", "REJECTED", "EXPIRED", "VOID"})
ORDER = [phase.value for phase in Phase]


def machine(found: Answer, look: Look) -> tuple[Svg, Svg]:
    """The machine lying and standing."""
    stations = list(_stations(found, look))
    here = found["cycle"]["phase"]
    title = look.words("The cycle is in {phase}", phase=here)
    said = ". ".join(f"{s.phase}: {s.note} {s.took}".strip() for s in stations if s.note or s.took)
    return lying(stations, title=title, told=said), standing(stations, title=title, told=said)


def _stations(found: Answer, look: Look) -> Iterator[Station]:
    here = ORDER.index(found["cycle"]["phase"])
    lasted = {phase["phase"]: float(phase["seconds"]) for phase in found["phases"]}
    for number, phase in enumerate(ORDER):
        is_end = phase == Phase.DONE.value
        place: Place = "done" if number < here or (number == here and is_end) else "here" if number == here else "ahead"
        note, share = _note(phase, found, look) if place != "ahead" else (_ahead(phase, found, look), None)
        took = look.span(lasted[phase]) if phase in lasted and place == "done" and not is_end else ""
        yield Station(phase=phase, place=place, note=note, share=share if place == "here" else None, took=took)


def _note(phase: str, found: Answer, look: Look) -> tuple[str, float | None]:
    words, money = look.words, found["money"]
    match phase:
        case "SELLING":
            return _orders("SELL", found, look)
        case "SETTLING":
            expected, credited = exact(money["net_proceeds"]), exact(money["credited"])
            if not expected or expected <= 0:
                return words("nothing was sold"), None
            if credited is None:
                return words("{b} expected", b=look.dollars(expected)), 0.0
            credited = min(credited, expected)
            note = words("{a} of {b}", a=look.dollars(credited), b=look.dollars(expected))
            return note, float(credited / expected)
        case "REVALIDATING":
            rows = found["revalidation"]
            if not rows:
                return words("no buys") if found["cycle"]["phase"] == "DONE" else words("reading prices"), None
            cut = sum(1 for row in rows if row["quantity"] < row["planned"])
            return words.many(cut, "{n} buy cut", "{n} buys cut"), None
        case "BUYING":
            return _orders("BUY", found, look)
        case _:
            return words.name("outcome", found["cycle"]["outcome"]), None


def _orders(side: str, found: Answer, look: Look) -> tuple[str, float | None]:
    mine = [order for order in found["orders"] if order["side"] == side]
    sent = [order for order in mine if order["ord_status"] != "BLOCKED"]
    if not sent:
        return look.words("none sent") if mine else look.words("none"), None
    filled = sum(1 for order in sent if order["ord_status"] == "FILLED")
    closed = sum(1 for order in sent if order["ord_status"] in CLOSED or order["quarantined"])
    return look.words("{a} of {b} filled", a=filled, b=len(sent)), closed / len(sent)


def _ahead(phase: str, found: Answer, look: Look) -> str:
    if phase == "BUYING":
        return look.words.many(found["cycle"]["buys"], "{n} buy waits", "{n} buys wait")
    return ""
