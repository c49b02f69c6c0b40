"""The few words of SVG that the drawings are written in, with everything that comes from outside escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Svg:
    """Finished markup: a template puts it in as it is, where it would escape plain text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __html__(self) -> str:
        """What Jinja asks for before it escapes."""
        return self.text

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)


Child: TypeAlias = Svg | str | None
Attribute: TypeAlias = str | int | float | None
NOTHING = Svg("")


def tag(name: str, *children: Child, **attributes: Attribute) -> Svg:
    """One element. ``class_`` is class, ``stroke_width`` is stroke-width; an attribute that is None is left out."""
    written = ""
    for key, value in attributes.items():
        if value is not None:
            name_ = _NAMES.get(key) or _named(key)
            written += f' {name_}="{value if type(value) is int else _written(value)}"'
    inside = "".join(_inner(child) for child in children)
    return Svg(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def group(parts: Iterable[Child], **attributes: Attribute) -> Svg:
    """Several elements under common attributes."""
    return tag("g", *parts, **attributes)


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str | None = None) -> Svg:
    """A line of text; ``anchor`` is start, middle or end."""
    return tag("text", words, x=x, y=y, class_=kind or None, text_anchor=anchor)


def picture(width: float, height: float, parts: Iterable[Child], *, kind: str, title: str, told: str = "") -> Svg:
    """A whole drawing that fills the width it is given; ``title`` and ``told`` are what a screen reader says of it."""
    label = f"{title}. {told}" if told else title
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {_written(width)} {_written(height)}",
        class_=f"drawing {kind}",
        role="img",
        aria_label=label,
    )


_NAMES: dict[str, str] = {}


def _named(key: str) -> str:
    """An attribute as SVG spells it, remembered."""
    _NAMES[key] = key.rstrip("_").replace("_", "-")
    return _NAMES[key]


def _inner(child: Child) -> str:
    if child is None:
        return ""
    return child.text if isinstance(child, Svg) else escape(child, quote=False)


def _written(value: Attribute) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(str(value), quote=True)
