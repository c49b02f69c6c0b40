"""A page's answer → HTML for one reader."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from oms import __version__
from oms.journal.answers import Answer
from oms.web.kept import Kept
from oms.web.look import Look
from oms.web.pages import config, cycle, cycles, fleet, funds, health, now, positions, risk, selection
from oms.web.pages.finished import seal_of
from oms.web.pages.page import Page
from oms.web.words import LANGUAGES, Words, language_of

PAGES: tuple[Page, ...] = (
    now.PAGE,
    cycles.PAGE,
    funds.PAGE,
    positions.PAGE,
    selection.PAGE,
    risk.PAGE,
    health.PAGE,
    config.PAGE,
)
"""In the order of the navigation; one cycle is reached from the others."""

CYCLE = cycle.PAGE
FLEET = fleet.PAGE
"""Stands in the navigation where the journal is in a database that can have a fleet."""
PATHS = {page.name: "/" if page.name == "now" else f"/{page.name}" for page in PAGES}
THEMES, GAINS = ("auto", "light", "dark"), ("green", "red")

_ZONES = {
    **dict.fromkeys(("XNYS", "XNAS", "NYSE", "NASDAQ", "XASE", "ARCX", "BATS", "IEXG"), "America/New_York"),
    **dict.fromkeys(("XHKG", "HKEX"), "Asia/Hong_Kong"),
    "XSHG": "Asia/Shanghai",
    "XSES": "Asia/Singapore",
    "XTKS": "Asia/Tokyo",
    "XLON": "Europe/London",
    "XTSE": "America/Toronto",
    "XASX": "Australia/Sydney",
    "24/7": "UTC",
}
"""The zones of the exchanges that are asked for most; the package that knows all of them costs a second to import."""


@cache
def zone_of(exchange: str) -> ZoneInfo:
    """The time zone of an exchange."""
    name = _ZONES.get(exchange)
    if name is None:
        from oms.gateways.calendar import ExchangeCalendar
        from oms.gateways.system_clock import SystemClock

        name = ExchangeCalendar(exchange, SystemClock()).zone
    return ZoneInfo(name)


def look_of(cookies: Mapping[str, str], accepted: str, exchange: str, at: datetime) -> Look:
    """What a reader chose, as the cookies say, and where they say nothing, what the browser's language suggests."""
    language = cookies.get("lang", "")
    words = Words(language if language in LANGUAGES else language_of(accepted))
    theme = cookies.get("theme", "")
    gains = cookies.get("gains", "")
    return Look(
        words=words,
        zone=zone_of(exchange),
        now=at,
        theme=theme if theme in THEMES else "auto",
        # Where Chinese is read, red is the colour of what rises.
        gains=gains if gains in GAINS else "red" if words.language == "zh-CN" else "green",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What surrounds a page: where it is, what it may post, and what is said about the last deed."""

    address: str
    """Path and query, to come back to."""
    csrf: str = ""
    notice: str = ""
    can_operate: bool = True
    """The buttons that give commands are for this reader."""
    is_part: bool = False
    """Only what can change is asked for."""
    name: str = ""
    """What the address names besides the page."""


MOST_CHARACTERS = 8_000_000
"""Of all the painted parts that are kept."""
_painted: Kept[str] = Kept(MOST_CHARACTERS, len)


def _once(look: Look) -> Callable[..., str]:
    """For templates, around a part that is made of one cycle's story alone: of a finished one it is painted once.

    Such a part may show times and words, but nothing that counts on, and no form.
    """
    reader = (look.words.language, look.zone.key, look.now.astimezone(look.zone).date())

    def once(part: str, story: Answer, caller: Callable[[], str]) -> str:
        seal = seal_of(story)
        if seal is None:
            return caller()
        key = (part, seal, reader)
        made = _painted.find(key)
        if made is None:
            made = caller()
            _painted.keep(key, made)
        return made

    return once


def paint(page: Page, answer: Answer, frame: Answer, look: Look, setting: Setting) -> str:
    """The page as HTML; of a part, only the elements that can change."""
    path, _, query = setting.address.partition("?")
    return (
        _templates()
        .get_template(f"{page.name}.html")
        .render(
            **page.view(answer, look),
            answer=answer,
            frame=frame,
            look=look,
            w=look.words,
            once=_once(look),
            here="cycles" if page is CYCLE else page.name,
            nav=[
                {"name": each.name, "title": each.title, "path": PATHS.get(each.name, f"/{each.name}")}
                for each in (*PAGES, *([FLEET] if frame["has_fleet"] else []))
            ],
            twin="/now" if path == "/" else path,
            asked=f"?{query}" if query else "",
            languages=LANGUAGES,
            stamp=stamp(),
            version=__version__,
            address=setting.address,
            csrf=setting.csrf,
            notice=setting.notice,
            can_operate=setting.can_operate,
            is_part=setting.is_part,
        )
    )


def paint_alone(name: str, look: Look, **values: object) -> str:
    """A page without a frame: the log-in, or what went wrong."""
    return _templates().get_template(f"{name}.html").render(look=look, w=look.words, stamp=stamp(), **values)


@cache
def stamp() -> str:
    """Changes with the style sheet and the script, so that a browser never keeps old ones."""
    folder = files("oms.web").joinpath("static")
    content = b"".join(folder.joinpath(name).read_bytes() for name in ("pages.css", "live.js", "login.js"))
    return hashlib.sha256(content).hexdigest()[:10]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("oms.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
