"""How many examples a property is tried on: a few with every change, a night's worth at night."""

from __future__ import annotations

import os

NIGHTLY = "OF_A_NIGHT"
"""Set by ``test --nightly``: how many examples each property of hostile input is tried on."""


def examples(every_change: int) -> int:
    """As many as this run asks for."""
    return max(int(os.environ.get(NIGHTLY, "0")), every_change)
