"""Shapes of ``reconcile``, ``order foreign``, ``live show`` and ``doctor``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oms.web.shapes.figures import Instant, JsonObject, Money, Number, Shape


class Difference(Shape):
    """One thing in which broker and journal do not agree."""

    kind: str
    symbol: str
    order: str | None
    broker: Number
    journal: Number
    cost: Money | None
    text: str
    proposal: str


class Reconciliation(Shape):
    """``reconcile``."""

    schema_: Literal["oms.reconcile/1"] = Field(alias="schema")
    as_of: Instant | None
    healthy: bool | None
    text: str
    differences: list[Difference]


class Foreign(Shape):
    """``order foreign``."""

    schema_: Literal["oms.order-foreign/1"] = Field(alias="schema")
    orders: list[JsonObject]


class Live(Shape):
    """``live show``."""

    schema_: Literal["oms.live-show/1"] = Field(alias="schema")
    account: str
    mode: str
    armed: bool
    why_not: str | None
    until: Instant | None


class Check(Shape):
    """One thing that trading rests on."""

    name: str
    ok: bool
    found: str
    remedy: str | None


class Doctor(Shape):
    """``doctor``."""

    schema_: Literal["oms.doctor/1"] = Field(alias="schema")
    checks: list[Check]
