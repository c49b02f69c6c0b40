"""Small bars inside tables: what is used of a limit, a score of a hundred, the phases of one cycle."""

from __future__ import annotations

from collections.abc import Sequence

from oms.web.draw.svg import Svg, tag


def share_bar(share: float, *, told: str, kind: str = "") -> Svg:
    """A part of a whole, from 0 to 1; more than the whole fills it and is marked."""
    tone = kind or ("over" if share > 1 else "near" if share >= 0.8 else "")
    full = min(max(share, 0.0), 1.0) * 100
    return tag(
        "svg",
        tag("rect", width="100%", height=8, rx=4, class_="track"),
        tag("rect", width=f"{full:.1f}%", height=8, rx=4, class_="part") if full > 0 else None,
        class_=f"bar bar-of {tone}".rstrip(),
        width="100%",
        height=8,
        role="img",
        aria_label=told,
    )


def phase_strip(parts: Sequence[tuple[str, float]], whole: float, *, told: str) -> Svg:
    """The phases of one cycle, each as long as it took of the ``whole``."""
    x = 0.0
    pieces = []
    for phase, seconds in parts:
        wide = max(seconds / whole * 100, 1.5) if whole > 0 else 1.5
        if x >= 100:
            break
        wide = min(wide, 100 - x)
        pieces.append(tag("rect", x=f"{x:.2f}%", width=f"{wide:.2f}%", height=12, class_=f"of-{phase.lower()}"))
        x += wide
    return tag("svg", *pieces, class_="strip", width="100%", height=12, role="img", aria_label=told)
