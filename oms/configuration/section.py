"""What every section of the configuration is made of: a frozen group of keys, and how their defaults are written."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field


def ms(count: int) -> timedelta:
    """A duration of so many milliseconds."""
    return timedelta(milliseconds=count)


def seconds(count: int) -> timedelta:
    """A duration of so many seconds."""
    return timedelta(seconds=count)


def percent(text: str) -> Decimal:
    """A share of one, written in hundredths: "0.5" is 0.005."""
    return Decimal(text).scaleb(-2)


class Section(BaseModel):
    """A frozen group of keys; a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


Kind = TypeVar("Kind", bound=Section)


def defaults(kind: type[Kind]) -> Kind:
    """A section that is not given; pydantic's own Field is typed for the value, not for its factory."""
    field: Any = Field(default_factory=cast("Any", kind))
    return cast("Kind", field)
