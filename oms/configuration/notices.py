"""How one entry of ``notify`` is written: where a message goes, and which topics are told there, kept or dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """What a message is about."""

    DOUBT = "doubt"
    """An order of which nobody knows whether it exists."""
    ATTENTION = "attention"
    """Something that needs a person."""
    HALT = "halt"
    LIVE = "live"
    """Real money was armed or disarmed."""
    FOREIGN = "foreign"
    """Orders, trades or shares on the account that are not ours."""
    CYCLE = "cycle"
    """A cycle was taken up again, given up, or is done."""
    ORDER = "order"
    """The broker rejected an order or let it expire."""
    FILL = "fill"
    RISK = "risk"
    """One of our own rules blocked an order; a symbol was listed or frozen."""
    SUMMARY = "summary"
    """Once a day, what was traded, earned and refused."""


class Level(StrEnum):
    """What becomes of the messages of a topic."""

    ON = "on"
    SILENT = "silent"
    """Not sent by themselves, but counted in the daily summary."""
    OFF = "off"


DEFAULTS: Mapping[Topic, Level] = {
    **dict.fromkeys(Topic, Level.ON),
    Topic.ORDER: Level.ON,
    Topic.FILL: Level.OFF,
    Topic.RISK: Level.SILENT,
}

EXPECTED = (
    "env:NAME or file:PATH, naming the environment variable or the file that holds the address (the address itself is a "
    "secret and may not stand here); behind a ? topics with their level, such as env:PHONE?fill=on&cycle=silent, where "
    f"topics are {', '.join(Topic)} and levels are {', '.join(Level)}; or ping: before it for an address that is only "
    "called while the engine is well"
)

_ENTRY = re.compile(
    r"(?P<ping>ping:)?(?P<kind>env|file):(?P<place>[^?\x00-\x1f\x7f]{1,500})(?:\?(?P<topics>[a-z=&]{1,300}))?", re.ASCII
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One parsed entry."""

    text: str
    """As it stands in the configuration, which names no secret."""
    kind: str
    """``env`` or ``file``."""
    place: str
    """The variable, or the path, that holds the address."""
    is_ping: bool
    levels: Mapping[Topic, Level]

    @property
    def name(self) -> str:
        """The entry without its topics: what tells it from the others, however its topics are changed."""
        return f"{'ping:' if self.is_ping else ''}{self.kind}:{self.place}"


def parse_entry(text: str) -> Entry:
    """The meaning of one entry.

    Raises:
        ValueError: it is none; the text says what was expected.
    """
    found = _ENTRY.fullmatch(text)
    if found is None or (found["kind"] == "env" and _NAME.fullmatch(found["place"]) is None):
        raise ValueError(EXPECTED)
    if found["ping"] and found["topics"]:
        raise ValueError("an address that is only called has no topics; " + EXPECTED)
    levels = dict(DEFAULTS)
    for pair in (found["topics"] or "").split("&") if found["topics"] else ():
        topic, _, level = pair.partition("=")
        if topic not in set(Topic) or level not in set(Level):
            raise ValueError(f"{pair!r} is no topic with a level; " + EXPECTED)
        levels[Topic(topic)] = Level(level)
    return Entry(text=text, kind=found["kind"], place=found["place"], is_ping=bool(found["ping"]), levels=levels)
