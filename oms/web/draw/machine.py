"""The state machine of a cycle, with the place where it is now: lying for a desk, standing for a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from oms.web.draw.svg import Child, Svg, group, picture, tag, text

Place = Literal["done", "here", "ahead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One phase as the drawing shows it."""

    phase: str
    """Its own name, which also gives it its colour."""
    place: Place
    note: str = ""
    """What happened in it, or happens now."""
    share: float | None = None
    """How far it is, from 0 to 1; None where that says nothing."""
    took: str = ""
    """How long it lasted."""


_W, _H, _GAP = 132.0, 44.0, 50.0
_TALL_W, _TALL_H, _TALL_STEP = 148.0, 44.0, 66.0


def lying(stations: Sequence[Station], *, title: str, told: str) -> Svg:
    """The machine from left to right."""
    parts: list[Child] = []
    for number, station in enumerate(stations):
        x = number * (_W + _GAP) + 2
        if number:
            parts.append(_arrow(x - _GAP + 2, 26, x - 3, 26, is_passed=station.place != "ahead"))
        parts.append(group(_box(station, x, 4, _W, _H), class_=f"station {station.place} of-{station.phase.lower()}"))
        lines = [line for line in (station.note, station.took) if line]
        parts += [text(x + _W / 2, 68 + 17 * i, line, kind="note", anchor="middle") for i, line in enumerate(lines)]
    width = len(stations) * (_W + _GAP) - _GAP + 4
    return picture(width, 94, parts, kind="machine lying", title=title, told=told)


def standing(stations: Sequence[Station], *, title: str, told: str) -> Svg:
    """The machine from top to bottom, the notes beside it."""
    parts: list[Child] = []
    for number, station in enumerate(stations):
        y = number * _TALL_STEP + 2
        if number:
            x = 2 + _TALL_W / 2
            parts.append(
                _arrow(x, y - _TALL_STEP + _TALL_H + 2, x, y - 3, is_passed=station.place != "ahead", is_down=True)
            )
        box = _box(station, 2, y, _TALL_W, _TALL_H)
        parts.append(group(box, class_=f"station {station.place} of-{station.phase.lower()}"))
        lines = [line for line in (station.note, station.took) if line]
        first = y + _TALL_H / 2 + (5 if len(lines) < 2 else -4)
        parts += [text(_TALL_W + 16, first + 18 * i, line, kind="note") for i, line in enumerate(lines)]
    height = (len(stations) - 1) * _TALL_STEP + _TALL_H + 6
    return picture(360, height, parts, kind="machine standing", title=title, told=told)


def _box(station: Station, x: float, y: float, width: float, height: float) -> Iterator[Svg]:
    yield tag("rect", x=x, y=y, width=width, height=height, rx=9, class_="box")
    if station.share is not None:
        full = min(max(station.share, 0.0), 1.0) * (width - 16)
        yield tag("rect", x=x + 8, y=y + height - 8, width=width - 16, height=3, rx=1.5, class_="track")
        if full:
            yield tag("rect", x=x + 8, y=y + height - 8, width=full, height=3, rx=1.5, class_="done-part")
    yield text(x + width / 2, y + height / 2 + 4.5, station.phase, kind="name", anchor="middle")


def _arrow(x1: float, y1: float, x2: float, y2: float, *, is_passed: bool, is_down: bool = False) -> Svg:
    head = (
        f"M{x2 - 5:.1f} {y2 - 7:.1f}L{x2:.1f} {y2:.1f}L{x2 + 5:.1f} {y2 - 7:.1f}z"
        if is_down
        else f"M{x2 - 7:.1f} {y2 - 5:.1f}L{x2:.1f} {y2:.1f}L{x2 - 7:.1f} {y2 + 5:.1f}z"
    )
    back = (x2, y2 - 6) if is_down else (x2 - 6, y2)
    return group(
        [tag("line", x1=x1, y1=y1, x2=back[0], y2=back[1]), tag("path", d=head)],
        class_="arrow passed" if is_passed else "arrow",
    )
