"""Shapes of ``reconcile``, ``order foreign``, ``live show``, ``notify list``, ``fleet status`` and ``doctor``."""

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


class Addressee(Shape):
    """An address that messages go to, named by where it is kept: never the address itself."""

    name: str
    ping: bool
    topics: dict[str, str]
    seq: int | None = Field(description="told about every row up to it")
    behind: int | None = Field(description="rows of the journal that were not looked at yet")
    sent_at: Instant | None
    error: str = Field(description="why the last message could not be sent; empty where it could")


class Outbox(Shape):
    """``notify list``."""

    schema_: Literal["oms.notify-list/1"] = Field(alias="schema")
    addresses: list[Addressee]
    told_kinds: list[str]


class Fleet(Shape):
    """``fleet status``."""

    schema_: Literal["oms.fleet-status/1"] = Field(alias="schema")
    database: str
    accounts: list[JsonObject]
    counts: dict[str, int] = Field(description="accounts by state, and `all` of them")
    workers: list[JsonObject]
    queue: dict[str, int]
    halted: JsonObject | None
    limits: dict[str, str]
    notional_today: Money


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
