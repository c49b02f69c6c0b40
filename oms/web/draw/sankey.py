"""Money as a stream: from cash and proceeds through what may be spent to each buy and what is kept back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from oms.web.draw.svg import Child, Svg, group, picture, tag, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A place where money is."""

    name: str
    column: int
    label: str
    figure: str
    """Its amount as people write it."""
    value: float
    kind: str
    """cash, sell, funds, budget, buy, kept or missing: gives the colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Money that goes from one pool to another."""

    source: str
    target: str
    value: float
    kind: str


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    y: float
    height: float


NODE = 12.0
GAP = 14.0
LEAST = 2.0


def sankey(pools: Sequence[Pool], streams: Sequence[Stream], *, is_narrow: bool, title: str, told: str) -> Svg:
    """The drawing; pools of one column stand in their order from the top."""
    columns = max((pool.column for pool in pools), default=0) + 1
    width, margin = (380.0, 82.0) if is_narrow else (1000.0, 190.0)
    tallest = max(sum(1 for pool in pools if pool.column == column) for column in range(columns))
    gap = 26.0 if is_narrow else GAP
    height = max(300.0, tallest * 40.0) if not is_narrow else max(320.0, tallest * 48.0)
    step = (width - margin - NODE) / max(columns - 1, 1)
    scale = min(
        (
            (height - gap * (len(heights) - 1)) / sum(heights)
            for column in range(columns)
            if (heights := [pool.value for pool in pools if pool.column == column]) and sum(heights) > 0
        ),
        default=1.0,
    )
    places = _places(pools, columns, step=step, gap=gap, scale=scale, height=height)
    parts: list[Child] = [
        *_streams(streams, places, scale),
        *(_pool(pool, places[pool.name], is_narrow) for pool in pools),
    ]
    foot = max((place.y + place.height for place in places.values()), default=0.0)
    form = "narrow" if is_narrow else "wide"
    return picture(width, foot + 18, parts, kind=f"sankey {form}", title=title, told=told)


def _places(
    pools: Sequence[Pool], columns: int, *, step: float, gap: float, scale: float, height: float
) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for column in range(columns):
        mine = [pool for pool in pools if pool.column == column]
        heights = [max(pool.value * scale, LEAST) for pool in mine]
        y = 10 + max(height - sum(heights) - gap * (len(mine) - 1), 0) / 2
        for pool, tall in zip(mine, heights, strict=True):
            places[pool.name] = _Place(column * step, y, tall)
            y += tall + gap
    return places


def _streams(streams: Sequence[Stream], places: Mapping[str, _Place], scale: float) -> Iterator[Svg]:
    left: dict[str, float] = {}
    right: dict[str, float] = {}
    for stream in streams:
        source, target = places[stream.source], places[stream.target]
        thick = max(stream.value * scale, 1.0)
        y1 = source.y + left.get(stream.source, 0.0)
        y2 = target.y + right.get(stream.target, 0.0)
        left[stream.source] = left.get(stream.source, 0.0) + thick
        right[stream.target] = right.get(stream.target, 0.0) + thick
        x1, x2 = source.x + NODE, target.x
        half = (x1 + x2) / 2
        yield tag(
            "path",
            d=(
                f"M{x1:.1f} {y1:.1f}C{half:.1f} {y1:.1f} {half:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
                f"V{y2 + thick:.1f}C{half:.1f} {y2 + thick:.1f} {half:.1f} {y1 + thick:.1f} {x1:.1f} {y1 + thick:.1f}z"
            ),
            class_=f"stream of-{stream.kind}",
        )


def _pool(pool: Pool, place: _Place, is_narrow: bool) -> Svg:
    x, middle = place.x + NODE + 8, place.y + place.height / 2
    parts: list[Child] = [
        tag("title", f"{pool.label} {pool.figure}"),
        tag("rect", x=place.x, y=place.y, width=NODE, height=place.height, rx=2),
    ]
    if is_narrow:
        parts += [
            text(x - 3, middle - 1, pool.label, kind="label"),
            text(x - 3, middle + 13, pool.figure, kind="figure"),
        ]
    else:
        words = [tag("tspan", f"{pool.label} "), tag("tspan", pool.figure, class_="figure")]
        parts.append(tag("text", *words, x=x, y=middle + 5, class_="label"))
    return group(parts, class_=f"pool of-{pool.kind}")
