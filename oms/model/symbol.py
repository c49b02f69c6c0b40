"""A trading symbol and its one spelling.

Brokers write a share class with a dot (``BRK.B``), Yahoo with a dash (``BRK-B``). Inside this program it is always the
dot; the gateways that need the dash change it at their edge.
"""

from __future__ import annotations

import re

from oms.model.foreign import shown

_SYMBOL = re.compile(r"[A-Z0-9]{1,10}(?:[.-][A-Z0-9]{1,3})?", re.ASCII)

RULE = "capital letters A-Z and digits, at most 10, and at most one share class such as .B"


def canonical_symbol(text: str) -> str:
    """The one spelling of ``text``.

    Raises ValueError with the reason where ``text`` is not a symbol; nothing is repaired but the dash of a share class.
    """
    if _SYMBOL.fullmatch(text):
        return text.replace("-", ".")
    raise ValueError(f"{shown(text)} is not a symbol: {_reason(text)}")


def _reason(text: str) -> str:
    if not text.strip():
        return "it is empty"
    if any(ch < " " or ch == "\x7f" for ch in text):
        return "it holds control characters"
    if text != text.strip():
        return "it has blanks around it"
    if not text.isascii():
        return "it holds characters other than A-Z and 0-9 that only look like them, or cannot be seen; type it anew"
    if _SYMBOL.fullmatch(text.upper()):
        return f"symbols are capital letters; write {text.upper()}"
    return f"a symbol is {RULE}"
