"""A record of the bench as a picture: how far each figure is from its goal; plain SVG, dark and light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from oms.bench.goals import BY_ID
from oms.bench.record import Figure, Record

WIDTH, LEFT, RIGHT, TOP, ROW = 1000, 404, 186, 62, 24
LEAST, MOST = 0.03, 300.0
"""Ends of the scale, in times better than the goal."""
TICKS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 } .small { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de } .goal { stroke: #24292f; stroke-width: 1.5 }
.met { fill: #1a7f37 } .missed { fill: #bc4c00 } .whisker { stroke: #24292f; stroke-width: 1.2 }
.paper { fill: #ffffff } .floor { fill: #24292f } .peer { fill: #ffffff; stroke: #24292f; stroke-width: 1.2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d } .goal, .whisker { stroke: #e6edf3 }
  .met { fill: #3fb950 } .missed { fill: #f0883e } .paper { fill: #0d1117 }
  .floor { fill: #e6edf3 } .peer { fill: #0d1117; stroke: #e6edf3 }
}
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured figure, drawn."""

    label: str
    value: str
    met: bool
    better: float
    least: float
    most: float
    beside: tuple[tuple[str, float], ...]
    """Floor and peers that were measured in the same unit: what each is, and how it stands to the goal."""


def lines(record: Record) -> list[Line]:
    """What is drawn of a record: each figure that was measured."""
    return [_line(figure) for figure in record.figures if figure.measured is not None]


def _line(figure: Figure) -> Line:
    assert figure.measured is not None
    mark = BY_ID[figure.goal].mark(figure.mark)
    ends = sorted(mark.times_better(value) for value in (figure.measured.min, figure.measured.max))
    return Line(
        label=f"{figure.goal}  {BY_ID[figure.goal].title}: {figure.sentence}",
        value=f"{figure.measured.median:.3g} (goal {mark.bound})",
        met=bool(figure.met),
        better=mark.times_better(figure.measured.median),
        least=ends[0],
        most=ends[1],
        beside=tuple(
            (kind, mark.times_better(each.spread.median))
            for kind, each in (("floor", figure.floor), *(("peer", peer) for peer in figure.peers))
            if each is not None and each.unit == mark.unit
        ),
    )


def chart(record: Record) -> str:
    """The picture."""
    drawn = lines(record)
    height = TOP + ROW * len(drawn) + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d">',
        f"<title id='t'>Every figure against its goal, {record.at:%Y-%m-%d}</title>",
        f"<desc id='d'>{escape(_told(drawn))}</desc>",
        f"<style>{STYLE}</style><rect class='paper' width='{WIDTH}' height='{height}'/>",
        "<text class='title' x='16' y='24'>Times better than the goal</text>",
        f"<text class='small' x='16' y='42'>{escape(_subtitle(record))}</text>",
        *_grid(height),
        *(part for number, line in enumerate(drawn) for part in _row(line, TOP + ROW * number)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _told(drawn: list[Line]) -> str:
    met = sum(line.met for line in drawn)
    return f"{met} of {len(drawn)} marks are met. " + "; ".join(
        f"{line.label}: {line.value}, {'met' if line.met else 'missed'}" for line in drawn
    )


def _subtitle(record: Record) -> str:
    machine = record.machine
    load = "" if machine.load_before is None else f", {machine.load_before:.1f} processes wanted them when it began"
    return (
        f"{record.at:%Y-%m-%d}, oms {record.versions['oms']}, {record.size} run, {machine.cores} cores{load}; "
        "medians, with the least and the most; ◆ the physical limit, ◇ another product"
    )


def _x(better: float) -> float:
    bounded = min(max(better, LEAST), MOST)
    span = math.log10(MOST) - math.log10(LEAST)
    return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(bounded) - math.log10(LEAST)) / span


def _grid(height: int) -> Iterator[str]:
    for tick in TICKS:
        x, kind = _x(tick), "goal" if tick == 1 else "grid"
        yield f"<line class='{kind}' x1='{x:.1f}' x2='{x:.1f}' y1='{TOP - 6}' y2='{height - 32}'/>"
        words = "goal" if tick == 1 else f"{tick:g}×"
        yield f"<text class='small' x='{x:.1f}' y='{height - 14}' text-anchor='middle'>{words}</text>"


def _row(line: Line, y: int) -> Iterator[str]:
    kind, middle = "met" if line.met else "missed", y + ROW / 2
    begin, end = sorted((_x(1.0), _x(line.better)))
    yield f"<text x='16' y='{middle + 4:.0f}'>{escape(line.label)}</text>"
    yield f"<rect class='{kind}' x='{begin:.1f}' y='{y + 6}' width='{max(end - begin, 2):.1f}' height='{ROW - 12}' rx='2'/>"
    yield f"<line class='whisker' x1='{_x(line.least):.1f}' x2='{_x(line.most):.1f}' y1='{middle}' y2='{middle}'/>"
    for kind, better in line.beside:
        x, half = _x(better), 4.5
        points = f"{x - half:.1f},{middle} {x:.1f},{middle - half} {x + half:.1f},{middle} {x:.1f},{middle + half}"
        yield f"<polygon class='{kind}' points='{points}'><title>{kind}</title></polygon>"
    sign = "✓" if line.met else "✗"
    yield f"<text class='small' x='{WIDTH - RIGHT + 12}' y='{middle + 4:.0f}'>{sign} {escape(line.value)}</text>"
