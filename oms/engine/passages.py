"""The crash points around the decisions of a cycle: which of them a set of facts passes."""

from __future__ import annotations

from collections.abc import Sequence

from oms import crashpoints
from oms.model.event import BuysClosed, BuysRevalidated, Event


def before(events: Sequence[Event]) -> None:
    """Nothing of these facts is journaled yet."""
    if any(isinstance(event, BuysRevalidated) for event in events):
        crashpoints.point("decide.before_revalidation")
    if any(isinstance(event, BuysClosed) for event in events):
        crashpoints.point("decide.before_done")


def after(events: Sequence[Event]) -> None:
    """These facts are journaled, and nothing was done about them."""
    if any(isinstance(event, BuysRevalidated) for event in events):
        crashpoints.point("decide.after_revalidation")
    if any(isinstance(event, BuysClosed) for event in events):
        crashpoints.point("decide.after_done")
