"""What may be asked: the parameters of the lists, each with its bounds; a parameter that is not known is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from oms.model.cycle import Phase
from oms.model.detail import Outcome
from oms.model.order import OrdStatus
from oms.questions.words import instant

MOST_ROWS = 1000
"""Largest page of a list."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Moment = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        description="2026-11-20, 2026-11-20T14:30:00Z, today, yesterday, or so long ago: 30m, 2h, 7d",
    ),
]


def _limit(usual: int) -> int:
    limit: int = Field(default=usual, ge=1, le=MOST_ROWS, description="rows of a page")
    return limit


class Asked(BaseModel):
    """Parameters of one question."""

    model_config = ConfigDict(extra="forbid")


class Period(Asked):
    """A stretch of time."""

    since: Moment | None = Field(default=None)
    until: Moment | None = Field(default=None)

    def times(self) -> tuple[datetime | None, datetime | None]:
        """From when on, and before when."""
        return moment(self.since, "since"), moment(self.until, "until")


class Then(Asked):
    """An earlier moment."""

    at: Moment | None = Field(default=None)


class CyclesAsked(Period):
    """Which cycles."""

    limit: int = _limit(20)
    before: Name | None = Field(default=None, description="goes on after this cycle: `next` of the page before")
    open: bool | None = Field(default=None, description="only those that are not DONE, or only those that are")
    outcome: Outcome | None = Field(default=None)
    state: Phase | None = Field(default=None)
    resumed: bool | None = Field(default=None, description="a second process took it up")
    cut: bool | None = Field(default=None, description="a buy was made smaller")
    symbol: Name | None = Field(default=None, description="with an order for it")


class OrdersAsked(Asked):
    """Which orders."""

    limit: int = _limit(100)
    before: Name | None = Field(default=None, description="goes on after this order: `next` of the page before")
    unresolved: bool = Field(default=False, description="only those of which nobody knows whether they exist")
    status: list[OrdStatus] = Field(default=[], max_length=20)
    cycle: Name | None = Field(default=None)
    symbol: Name | None = Field(default=None)


class FactsAsked(Period):
    """Which facts."""

    cycle: Name | None = Field(default=None)
    order: Name | None = Field(default=None)
    symbol: Name | None = Field(default=None)
    kind: Name | None = Field(default=None)
    rule: Name | None = Field(default=None, description="facts in which this rule decided")
    text: Name | None = Field(default=None, description="somewhere in the details")


class FactsPage(FactsAsked):
    """Which facts, page by page: the newest, or with ``after`` the oldest, in their order."""

    limit: int = _limit(100)
    before: int | None = Field(
        default=None, ge=1, le=2**62, description="only rows before it: `next` of the page before"
    )
    after: int | None = Field(default=None, ge=0, le=2**62, description="only rows after it, oldest first")


def moment(text: str | None, name: str) -> datetime | None:
    """An instant in words. Raises UsageError for what is none."""
    return None if text is None else instant(text, name)
