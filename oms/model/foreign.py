"""Text that came from outside, as it is shown to a person."""

from __future__ import annotations

SHOWN = 60
"""At most so many characters of foreign text are echoed; the rest is counted."""


def shown(value: object) -> str:
    """The value in quotes, pure ASCII, short.

    Control characters, line ends, ANSI escapes, invisible and look-alike letters appear as escapes, so that a hostile
    value can neither forge a second log line nor pass for another symbol.
    """
    if not isinstance(value, str):
        return _cut(ascii(value))
    if len(value) > SHOWN:
        return f"{value[:SHOWN]!a}… ({len(value):,} characters)"
    return ascii(value)


def printable(text: str) -> str:
    """The whole text on one line, for the name of a file: only what cannot be printed is escaped."""
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
