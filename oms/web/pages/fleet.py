"""The page *Fleet*: every account and worker on this database, who is late, and the brake for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oms.errors import UnknownName
from oms.journal.answers import Answer, instant
from oms.questions import fleet
from oms.questions.asking import Desk
from oms.questions.fleet import STATES
from oms.web.draw.bars import share_bar
from oms.web.look import Look
from oms.web.pages.page import Asked, Page, View

DEFAULT, MOST = 100, 2000
PATIENCE_S = 5.0
_NONE = {"accounts": [], "workers": [], "counts": {"all": 0}, "queue": {"waiting": 0, "running": 0}, "limits": {}}


def answer(asked: Asked) -> Answer:
    """Accounts, those first that a person would look at first: ``?show=STATE``, ``?find=`` part of a name, ``?limit=``.

    Raises:
        WrongDatabase: the journal is a file.
    """
    try:
        status = fleet.status(Desk(loaded=asked.loaded, patience_s=PATIENCE_S))
    except UnknownName:
        status = {**_NONE, "database": None, "halted": None, "latest_s": 0.0, "notional_today": "0"}
    show = asked.query.get("show", "")
    find = asked.query.get("find", "").strip()[:60]
    limit = asked.number("limit", DEFAULT, MOST)
    listed = [
        each for each in status["accounts"] if (show not in STATES or each["state"] == show) and find in each["account"]
    ]
    listed.sort(key=lambda each: (STATES.index(each["state"]), -(each["late_s"] or 0.0), each["account"]))
    return {
        **status,
        "schema": "oms.fleet-page/1",
        "counts": {**dict.fromkeys(STATES, 0), **status["counts"]},
        "accounts": listed[:limit],
        "has_more": len(listed) > limit,
        "found": len(listed),
        "show": show if show in STATES else "",
        "find": find,
        "limit": limit,
        "as_of": instant(asked.now),
    }


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line an account, and one a worker."""
    yield from ({"part": "account", **each} for each in found["accounts"])
    yield from ({"part": "worker", **each} for each in found["workers"])


def view(found: Answer, look: Look) -> View:
    """The load of each worker as a bar, and how much of the day's notional is used."""
    loads = {each["worker"]: share_bar(each["load"], told=look.percent(str(each["load"]))) for each in found["workers"]}
    most = found["limits"].get("notional_per_day")
    used = None
    if most is not None:
        told = look.words("{a} of {b}", a=look.money(found["notional_today"]), b=look.money(most))
        used = share_bar(float(found["notional_today"]) / float(most), told=told)
    rates = {name: value for name, value in found["limits"].items() if name != "notional_per_day"}
    return {"states": STATES, "loads": loads, "used": used, "rates": rates, "title": look.words("Fleet")}


PAGE = Page(name="fleet", title="Fleet", answer=answer, rows=rows, view=view)
