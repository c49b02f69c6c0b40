"""Lines over time: amounts as steps or as a curve, each reading as a dot that names itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from oms.web.draw.svg import Child, Svg, group, picture, tag, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One reading."""

    x: float
    y: float
    told: str
    """What it says when a pointer rests on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series, in the order of its x."""

    label: str
    kind: str
    """Gives the colour."""
    dots: tuple[Dot, ...]
    is_step: bool = False
    """A value holds until the next one."""
    has_area: bool = False
    has_dots: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The measures of a chart."""

    width: float
    height: float
    left: float = 64
    right: float = 14
    top: float = 12
    bottom: float = 28


WIDE = Frame(width=1000, height=230)
HALF = Frame(width=640, height=230)
NARROW = Frame(width=380, height=210, left=56)


def nice_steps(low: float, high: float, most: int = 5) -> list[float]:
    """Round values that a reader expects beside an axis, from below ``low`` to above ``high``."""
    if not high > low:
        spread = abs(low) * 0.01 or 1.0
        low, high = low - spread, high + spread
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.floor(low / step)
    last = math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def chart(
    lines: Sequence[Line],
    *,
    frame: Frame,
    names_y: Sequence[tuple[float, str]],
    names_x: Sequence[tuple[float, str]],
    form: str,
    title: str,
    told: str,
) -> Svg:
    """The drawing; ``names_y`` and ``names_x`` are the values beside the axes and how they are written."""
    xs = [dot.x for line in lines for dot in line.dots]
    low_x, high_x = min(xs, default=0.0), max(xs, default=1.0)
    low_y, high_y = min(y for y, _ in names_y), max(y for y, _ in names_y)

    def at(x: float, y: float) -> tuple[float, float]:
        share_x = (x - low_x) / (high_x - low_x) if high_x > low_x else 0.5
        share_y = (y - low_y) / (high_y - low_y) if high_y > low_y else 0.5
        return (
            frame.left + share_x * (frame.width - frame.left - frame.right),
            frame.height - frame.bottom - share_y * (frame.height - frame.top - frame.bottom),
        )

    parts: list[Child] = []
    for value, name in names_y:
        _, y = at(low_x, value)
        parts.append(tag("line", x1=frame.left, y1=y, x2=frame.width - frame.right, y2=y, class_="rule"))
        parts.append(text(frame.left - 8, y + 4, name, kind="tick", anchor="end"))
    parts += _names_x(names_x, frame, lambda x: at(x, low_y)[0])
    floor = frame.height - frame.bottom
    for line in lines:
        placed = [at(dot.x, dot.y) for dot in line.dots]
        parts.append(group(_line(line, placed, floor), class_=f"line of-{line.kind}"))
    return picture(frame.width, frame.height, parts, kind=f"chart {form}", title=title, told=told)


def _names_x(names: Sequence[tuple[float, str]], frame: Frame, where: Callable[[float], float]) -> Iterator[Svg]:
    taken = 0.0
    for value, name in names:
        x, half = where(value), len(name) * 3.6
        if x - half < taken:
            continue
        taken = x + half + 10
        last = x + half > frame.width
        yield text(x, frame.height - 8, name, kind="tick", anchor="end" if last else "middle")


def _line(line: Line, placed: Sequence[tuple[float, float]], floor: float) -> Iterator[Svg]:
    if not placed:
        return
    path = f"M{placed[0][0]:.1f} {placed[0][1]:.1f}"
    for x, y in placed[1:]:
        path += f"H{x:.1f}V{y:.1f}" if line.is_step else f"L{x:.1f} {y:.1f}"
    if line.has_area and len(placed) > 1:
        yield tag("path", d=f"{path}V{floor:.1f}H{placed[0][0]:.1f}z", class_="area")
    yield tag("path", d=path, class_="stroke")
    if line.has_dots:
        for dot, (x, y) in zip(line.dots, placed, strict=True):
            yield tag("circle", tag("title", dot.told), cx=x, cy=y, r=3.5)


def sparkline(values: Sequence[float], *, title: str) -> Svg:
    """A line without axes, beside a figure."""
    if len(values) < 2:
        return Svg("")
    low, high = min(values), max(values)
    points = " ".join(
        f"{2 + number * 116 / (len(values) - 1):.1f},{26 - 22 * ((value - low) / (high - low) if high > low else 0.5):.1f}"
        for number, value in enumerate(values)
    )
    return picture(120, 30, [tag("polyline", points=points)], kind="sparkline", title=title)
