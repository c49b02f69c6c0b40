"""How figures look in an answer, and what every answer may have beside what is promised."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Money = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["9963.19"])]
"""An exact amount in the account's currency."""
Number = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["66"])]
"""An exact figure: shares, a score, a fraction, seconds."""
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-20T14:30:00.000000Z"])]
"""RFC 3339, UTC."""
Day = Annotated[str, Field(json_schema_extra={"format": "date"}, examples=["2026-11-20"])]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[str, Field(pattern=r"^(BUY|SELL)$")]


class Shape(BaseModel):
    """One answer or a part of it. Fields may be added to it, none is renamed."""

    model_config = ConfigDict(extra="allow", strict=True)


class Error(Shape):
    """Why a request was not served."""

    code: str
    message: str
    id: str = Field(description="stands in the server's log beside what happened")


class Problem(Shape):
    """The one shape of every failure."""

    error: Error


JsonObject = dict[str, Any]
