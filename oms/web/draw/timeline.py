"""One cycle on a line of time: its phases as bands, each order from intent to fill, and the gap where no process was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oms.web.draw.scale import Scale, scale
from oms.web.draw.svg import Child, Svg, group, picture, tag, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A phase; times are seconds since the cycle opened."""

    phase: str
    label: str
    start: float
    end: float
    is_open: bool = False
    """It is still under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch in which no process worked on the cycle."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One order. A moment that has not come is None."""

    label: str
    side: str
    planned: float
    sent: float | None = None
    acknowledged: float | None = None
    fills: tuple[float, ...] = ()
    closed: float | None = None
    note: str = ""
    tone: str = ""
    """``alarm`` for what a person must see, ``dropped`` for what was never sent."""
    told: str = ""
    """The whole story in a sentence, for a pointer that rests on it and for a screen reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Measures of one of the two forms."""

    width: float
    left: float
    row: float
    letters: float
    """Rough width of one letter."""
    is_narrow: bool


WIDE = Sizes(width=1000, left=150, row=30, letters=6.6, is_narrow=False)
NARROW = Sizes(width=380, left=8, row=42, letters=6.6, is_narrow=True)


def timeline(
    bands: Sequence[Band],
    gaps: Sequence[Gap],
    bars: Sequence[Bar],
    *,
    sizes: Sizes,
    title: str,
    told: str,
    not_to_scale: str,
) -> Svg:
    """The drawing. The last band ends where the cycle ended, or now."""
    axis = scale(
        [edge for band in bands for edge in (band.start, band.end)],
        [(gap.start, gap.end) for gap in gaps],
        sizes.left,
        sizes.width - 12,
    )
    names = list(_band_names(bands, axis, sizes))
    top = 26.0 + 16 * max((row for _, _, row in names), default=0)
    bottom = top + 8 + max(len(bars), 1) * sizes.row
    parts: list[Child] = [
        *_bands(bands, axis, top, bottom),
        *(text(x, top - 8 - 16 * row, label, kind="band-name", anchor="middle") for x, label, row in names),
        *_gaps(gaps, axis, top, bottom, sizes),
        *_ticks(axis, bottom),
    ]
    for number, bar in enumerate(bars):
        parts.append(_bar(bar, axis, top + 6 + number * sizes.row, sizes))
    height = bottom + 26
    if axis.is_stretched:
        parts.append(text(sizes.width - 12, bottom + 38, not_to_scale, kind="tick", anchor="end"))
        height += 18
    form = "narrow" if sizes.is_narrow else "wide"
    return picture(sizes.width, height, parts, kind=f"timeline {form}", title=title, told=told)


def _bands(bands: Sequence[Band], axis: Scale, top: float, bottom: float) -> Iterator[Svg]:
    for band in bands:
        x1, x2 = axis.x(band.start), axis.x(band.end)
        kind = f"band of-{band.phase.lower()}{' open' if band.is_open else ''}"
        yield tag("rect", x=x1, y=top, width=max(x2 - x1, 1), height=bottom - top, class_=kind)


def _band_names(bands: Sequence[Band], axis: Scale, sizes: Sizes) -> Iterator[tuple[float, str, int]]:
    """Where each name stands, and on which line: names that would run into one another stand on lines of their own."""
    ends: list[float] = []
    for band in bands:
        half = len(band.label) * sizes.letters / 2
        left, right = (4.0, sizes.width - 4) if sizes.is_narrow else (sizes.left, sizes.width - 4)
        x = min(max((axis.x(band.start) + axis.x(band.end)) / 2, left + half), right - half)
        row = next((n for n, end in enumerate(ends) if x - half >= end), len(ends))
        ends[row : row + 1] = [x + half + 6]
        yield x, band.label, row


def _gaps(gaps: Sequence[Gap], axis: Scale, top: float, bottom: float, sizes: Sizes) -> Iterator[Svg]:
    for gap in gaps:
        x1, x2 = axis.x(gap.start), axis.x(gap.end)
        half = len(gap.label) * sizes.letters / 2 + 2
        middle = min(max((x1 + x2) / 2, sizes.left + half), sizes.width - 12 - half)
        yield group(
            [
                tag("rect", x=x1, y=top, width=max(x2 - x1, 3), height=bottom - top, class_="hole"),
                text(middle, bottom - 6, gap.label, kind="gap-name", anchor="middle"),
            ],
            class_="gap",
        )


def _ticks(axis: Scale, bottom: float) -> Iterator[Svg]:
    yield tag("line", x1=axis.xs[0], y1=bottom, x2=axis.xs[-1], y2=bottom, class_="axis")
    before, said = -100.0, ""
    for second, x in zip(axis.seconds, axis.xs, strict=True):
        label = _tick(second)
        half = len(label) * 3.4
        # Near an edge a label leans inwards.
        middle = min(max(x, half), axis.xs[-1] + 10 - half)
        if middle - half < before or label == said:
            continue
        before, said = middle + half + 6, label
        yield tag("line", x1=x, y1=bottom, x2=x, y2=bottom + 5, class_="axis")
        yield text(middle, bottom + 18, label, kind="tick", anchor="middle")


def _tick(second: float) -> str:
    if second < 60:
        return f"+{second:.2f}".rstrip("0").rstrip(".") + " s"
    if second < 600:
        return f"+{second:.1f}".removesuffix(".0") + " s"
    minutes = second / 60
    return f"+{minutes:.0f} min" if minutes < 600 else f"+{minutes / 60:.1f} h"


def _bar(bar: Bar, axis: Scale, y: float, sizes: Sizes) -> Svg:
    middle = y + sizes.row / 2 + (8 if sizes.is_narrow else 0)
    last = max(t for t in (bar.planned, bar.sent, bar.acknowledged, *bar.fills, bar.closed) if t is not None)
    parts: list[Child] = [tag("title", bar.told or f"{bar.label}. {bar.note}")]
    start, end = axis.x(bar.planned), axis.x(last)
    if bar.sent is not None:
        sent = axis.x(bar.sent)
        parts.append(tag("rect", x=start, y=middle - 4, width=max(sent - start, 1), height=8, class_="intent"))
        parts.append(tag("rect", x=sent, y=middle - 8, width=max(end - sent, 3), height=16, rx=3, class_="work"))
        if bar.acknowledged is not None:
            parts.append(_stroke(axis.x(bar.acknowledged), middle))
        parts += [tag("circle", cx=axis.x(at), cy=middle, r=5, class_="fill") for at in bar.fills]
        if bar.closed is not None and not bar.fills:
            parts.append(_cross(axis.x(bar.closed), middle))
    else:
        parts.append(tag("rect", x=start, y=middle - 4, width=max(end - start, 2), height=8, class_="intent"))
    parts += _words(bar, sizes, start=start, end=end, y=y, middle=middle)
    return group(parts, class_=f"order {bar.side.lower()} {bar.tone}".rstrip())


def _words(bar: Bar, sizes: Sizes, *, start: float, end: float, y: float, middle: float) -> Iterator[Svg]:
    """The order's name, and its note where it covers no bar."""
    if sizes.is_narrow:
        yield text(sizes.left + 4, y + 14, bar.label, kind="label", anchor="start")
        room = sizes.width - 24 - len(bar.label) * (sizes.letters + 0.8)
        note = _shortened(bar.note, room, sizes)
        if note:
            yield text(sizes.width - 14, y + 14, note, kind="note", anchor="end")
        return
    yield text(sizes.left - 12, middle + 4, bar.label, kind="label", anchor="end")
    if not bar.note:
        return
    needed = len(bar.note) * sizes.letters + 12
    if sizes.width - end >= needed + 8:
        yield text(end + 12, middle + 4, bar.note, kind="note")
    elif start - sizes.left >= needed:
        yield text(start - 8, middle + 4, bar.note, kind="note", anchor="end")
    else:
        is_left = start - sizes.left > sizes.width - end
        room = (start - sizes.left if is_left else sizes.width - end) - 16
        x, anchor = (start - 8, "end") if is_left else (end + 12, "start")
        yield text(x, middle + 4, _shortened(bar.note, room, sizes), kind="note", anchor=anchor)


def _shortened(words: str, room: float, sizes: Sizes) -> str:
    most = int(room / sizes.letters)
    if len(words) <= most:
        return words
    return f"{words[: most - 1].rstrip()}…" if most > 4 else ""


def _stroke(x: float, middle: float) -> Svg:
    return tag("line", x1=x, y1=middle - 8, x2=x, y2=middle + 8, class_="acknowledged")


def _cross(x: float, middle: float) -> Svg:
    return tag(
        "path",
        d=f"M{x - 4:.1f} {middle - 4:.1f}l8 8M{x + 4:.1f} {middle - 4:.1f}l-8 8",
        class_="ended",
    )
