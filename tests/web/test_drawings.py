"""Checks the drawings: they stay inside their frame, tell true lengths, and let nothing from outside become markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.web.draw.bars import phase_strip, share_bar
from oms.web.draw.chart import NARROW as NARROW_CHART
from oms.web.draw.chart import WIDE as WIDE_CHART
from oms.web.draw.chart import Dot, Line, chart, nice_steps
from oms.web.draw.machine import Station, lying, standing
from oms.web.draw.sankey import Pool, Stream, sankey
from oms.web.draw.scale import LEAST, MOST_OF_GAP, scale
from oms.web.draw.svg import Svg, tag, text
from oms.web.draw.timeline import NARROW, WIDE, Band, Bar, Gap, Sizes, timeline

seconds = st.floats(0.001, 100_000, allow_nan=False)


def parsed(drawing: Svg) -> ET.Element:
    return ET.fromstring(str(drawing))


def widths(drawing: Svg) -> tuple[float, list[float]]:
    """The frame's width, and where every rectangle of the drawing ends."""
    root = parsed(drawing)
    frame = float(root.attrib["viewBox"].split()[2])
    return frame, [float(r.attrib["x"]) + float(r.attrib["width"]) for r in root.iter("rect")]


def test_what_comes_from_outside_never_becomes_markup() -> None:
    """A text or an attribute that holds markup is shown as it is written."""
    drawing = str(tag("g", text(1, 2, '<script>"&'), title="\"><script>'"))
    assert "<script" not in drawing
    assert parsed(Svg(drawing))[0].text == '<script>"&'
    assert parsed(Svg(drawing)).attrib["title"] == "\"><script>'"


@given(st.lists(seconds, min_size=1, max_size=8), st.integers(0, 7))
def test_the_axis_runs_forward_and_shows_every_phase(lengths: list[float], down: int) -> None:
    """Later instants never stand left of earlier ones; every stretch is wide enough to be seen, and no gap takes over."""
    edges = [0.0]
    for length in lengths:
        edges.append(edges[-1] + length)
    edges = sorted({round(edge, 6) for edge in edges})
    at = min(down, len(edges) - 2)
    gaps = [(edges[at], edges[at + 1])] if len(edges) > 2 else []
    axis = scale(edges, gaps, 100, 900)
    steps = [after - before for before, after in zip(axis.xs, axis.xs[1:], strict=False)]
    assert axis.xs[0] == 100
    assert axis.xs[-1] == pytest.approx(900)
    assert min(steps) >= 800 * min(LEAST, 0.6 / len(steps)) - 0.01
    if gaps and len(steps) > 1:
        assert axis.x(gaps[0][1]) - axis.x(gaps[0][0]) <= 800 * max(MOST_OF_GAP, 1 - LEAST * (len(steps) - 1)) + 0.01


def test_an_axis_that_needs_no_help_is_to_scale() -> None:
    """Phases of like length stand in true proportion, and the drawing does not say otherwise."""
    axis = scale([0, 10, 25, 40], [], 0, 400)
    assert not axis.is_stretched
    assert [round(axis.x(at)) for at in (0, 10, 20, 40)] == [0, 100, 200, 400]


def test_a_night_without_a_process_does_not_squeeze_the_trades() -> None:
    """Eight hours of silence take a fifth of the axis, and the drawing says that it is not to scale."""
    axis = scale([0, 5, 28_805, 28_810], [(5, 28_805)], 0, 1000)
    assert axis.x(28_805) - axis.x(5) == pytest.approx(1000 * MOST_OF_GAP)
    assert axis.is_stretched


BANDS = [
    Band(phase="SELLING", label="SELLING 12 s", start=0, end=12),
    Band(phase="SETTLING", label="SETTLING 28 s", start=12, end=40),
    Band(phase="BUYING", label="BUYING 8 s", start=40, end=48, is_open=True),
]
BARS = [
    Bar(label="SELL F 320", side="SELL", planned=0, sent=0.2, acknowledged=1, fills=(5, 12), closed=12, note="x" * 80),
    Bar(label="BUY AAPL 31", side="BUY", planned=40, sent=41, note="cut 44 to 31"),
    Bar(label="BUY TSLA 5", side="BUY", planned=40, closed=40, tone="dropped", note="dropped: blacklist"),
]


@pytest.mark.parametrize("sizes", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_timeline_stays_inside_its_frame_and_names_the_gap(sizes: Sizes) -> None:
    """Bands, bars and the hole lie inside the drawing in both forms, and the hole says how long nobody worked."""
    gaps = [Gap(start=20, end=29, label="process down 9.0 s")]
    drawing = timeline(BANDS, gaps, BARS, sizes=sizes, title="T", told="told", not_to_scale="stretched")
    frame, ends = widths(drawing)
    assert max(ends) <= frame
    assert "process down 9.0 s" in str(drawing)
    assert str(drawing).count('class="fill"') == 2
    assert "stretched" not in str(drawing)
    assert parsed(drawing).attrib["aria-label"] == "T. told"


def test_a_timeline_of_no_orders_and_no_time_can_be_drawn() -> None:
    """A cycle that has just opened has a picture."""
    bands = [Band(phase="SELLING", label="SELLING", start=0, end=0, is_open=True)]
    assert "SELLING" in str(timeline(bands, [], [], sizes=WIDE, title="T", told="", not_to_scale=""))


@pytest.mark.parametrize("is_narrow", [False, True])
def test_the_streams_of_money_fit_their_pools(is_narrow: bool) -> None:
    """What leaves a pool is as thick as the pool is high, whichever form is drawn."""
    pools = [
        Pool(name="a", column=0, label="A", figure="$30", value=30, kind="cash"),
        Pool(name="b", column=0, label="B", figure="$70", value=70, kind="sell"),
        Pool(name="c", column=1, label="C", figure="$100", value=100, kind="funds"),
    ]
    streams = [
        Stream(source="a", target="c", value=30, kind="cash"),
        Stream(source="b", target="c", value=70, kind="sell"),
    ]
    root = parsed(sankey(pools, streams, is_narrow=is_narrow, title="T", told=""))
    heights = [float(rect.attrib["height"]) for rect in root.iter("rect")]
    thick = []
    for path in root.iter("path"):
        top, foot = re.findall(r"M\S+ (\S+?)C|V([\d.]+)C", path.attrib["d"])
        starts = re.findall(r"[\d.]+", path.attrib["d"])
        thick.append(float(starts[-1]) - float(top[0] or starts[1]))
        assert foot
    assert thick == pytest.approx(heights[:2], abs=0.2)
    assert sum(heights[:2]) == pytest.approx(heights[2], abs=0.2)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (112_000, 118_000), (-5, 5), (7, 7), (0, 0), (0.001, 0.002)])
def test_the_values_beside_an_axis_are_round_and_hold_the_line(low: float, high: float) -> None:
    """They begin at or below the lowest value and end at or above the highest, in a handful of equal steps."""
    steps = nice_steps(low, high)
    assert steps[0] <= low
    assert steps[-1] >= high
    assert 2 <= len(steps) <= 8


@pytest.mark.parametrize("frame", [WIDE_CHART, NARROW_CHART], ids=["wide", "narrow"])
def test_each_reading_is_a_dot_that_names_itself(frame: object) -> None:
    """A chart has a dot a reading, inside its frame, with what it says."""
    assert frame in (WIDE_CHART, NARROW_CHART)
    dots = tuple(Dot(x=x, y=y, told=f"{y}") for x, y in [(0, 5), (1, 9), (2, 7)])
    line = Line(label="L", kind="credited", dots=dots, is_step=True, has_area=True)
    used = WIDE_CHART if frame is WIDE_CHART else NARROW_CHART
    drawing = chart(
        [line], frame=used, names_y=[(5, "5"), (9, "9")], names_x=[(0, "a"), (2, "b")], form="wide", title="T", told=""
    )
    circles = list(parsed(drawing).iter("circle"))
    assert [circle[0].text for circle in circles] == ["5", "9", "7"]
    assert all(0 <= float(circle.attrib["cx"]) <= used.width for circle in circles)
    assert min(float(circle.attrib["cy"]) for circle in circles) == float(circles[1].attrib["cy"])


def test_a_machine_shows_where_it_is_in_both_forms() -> None:
    """The phase under way is marked, those behind it are done, those ahead are not."""
    stations = [
        Station(phase="SELLING", place="done", note="2 of 2 filled", took="12 s"),
        Station(phase="SETTLING", place="here", note="$5 of $9", share=0.55),
        Station(phase="REVALIDATING", place="ahead"),
    ]
    for draw in (lying, standing):
        drawing = str(draw(stations, title="The cycle is in SETTLING", told=""))
        assert 'class="station here of-settling"' in drawing
        assert drawing.count("arrow passed") == 1
        assert "$5 of $9" in drawing


@pytest.mark.parametrize(
    ("share", "width", "tone"), [(0.5, "50.0%", ""), (0.9, "90.0%", "near"), (3, "100.0%", "over")]
)
def test_a_bar_fills_with_its_share_and_warns(share: float, width: str, tone: str) -> None:
    """A limit that is nearly used, or overrun, is marked, and the bar never leaves its track."""
    bar = share_bar(share, told="told")
    assert parsed(bar)[1].attrib["width"] == width
    assert tone in parsed(bar).attrib["class"]


def test_a_strip_of_phases_never_overflows() -> None:
    """Phases that would be hairs get their least width, and the strip still ends at its end."""
    strip = phase_strip([("SELLING", 0.001)] * 5 + [("SETTLING", 1000)], 1000, told="told")
    assert sum(float(r.attrib["width"][:-1]) for r in parsed(strip)) <= 100.01
