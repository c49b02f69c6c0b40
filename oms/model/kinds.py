"""Every kind of fact by the name under which the journal stores it."""

from __future__ import annotations

from oms.model import arming, event, probing

_HOMES = (event, arming, probing)
"""Modules that declare facts; named so that each of them is imported before they are counted."""


def _kinds(root: type[event.Event]) -> dict[str, type[event.Event]]:
    found: dict[str, type[event.Event]] = {}
    for cls in root.__subclasses__():
        if "kind" in cls.__dict__:
            found[cls.kind] = cls
        found.update(_kinds(cls))
    return found


KINDS: dict[str, type[event.Event]] = _kinds(event.Event)
"""Every kind of fact by its stored name."""
