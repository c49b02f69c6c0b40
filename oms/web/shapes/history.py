"""Shapes of ``cycle list|show|explain``, ``order list|show|explain`` and ``journal query|tail|verify``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oms.web.shapes.figures import Day, Hash, Instant, JsonObject, Money, Shape, Side


class Cycle(Shape):
    """One trading cycle."""

    cycle_id: str
    account: str
    phase: Literal["SELLING", "SETTLING", "REVALIDATING", "BUYING", "DONE"]
    outcome: str | None
    opened_at: Instant
    closed_at: Instant | None
    resumed: int
    sells: int
    buys: int
    cut: int
    config_hash: str
    trading_day: Day
    deadline: Instant | None


class Cycles(Shape):
    """``cycle list``; ``next`` is what ``before`` takes for the next page, null on the last."""

    schema_: Literal["oms.cycle-list/1"] = Field(alias="schema")
    cycles: list[Cycle]
    next: str | None


class Order(Shape):
    """One order, in FIX's names."""

    cl_ord_id: str
    cycle_id: str
    sends: int
    side: Side
    symbol: str
    ord_type: str
    price: Money | None
    order_qty: int
    cum_qty: int
    leaves_qty: int
    avg_px: Money | None
    fees: Money
    ord_status: str
    quarantined: bool
    order_no: str | None
    order_id: str | None
    planned_at: Instant | None
    sent_at: Instant | None
    closed_at: Instant | None
    text: str


class Orders(Shape):
    """``order list``; ``next`` as for cycles."""

    schema_: Literal["oms.order-list/1"] = Field(alias="schema")
    orders: list[Order]
    next: str | None


class Fact(Shape):
    """One row of the journal."""

    seq: int = Field(ge=1)
    at: Instant
    account: str
    cycle_id: str | None
    cl_ord_id: str | None
    symbol: str | None
    kind: str
    data: JsonObject
    hash: Hash


class Facts(Shape):
    """``journal query``; ``next`` is what ``before`` takes for the page of older facts, null on the last."""

    schema_: Literal["oms.journal-query/1", "oms.journal-tail/1"] = Field(alias="schema")
    events: list[Fact]
    next: int | None


class Count(Shape):
    """``journal query --count``."""

    schema_: Literal["oms.journal-count/1"] = Field(alias="schema")
    count: int = Field(ge=0)


class Archive(Shape):
    """The facts of closed years in a file of their own."""

    path: str
    there: bool = Field(description="the file is in its place")
    first_seq: int
    last_seq: int
    previous: Hash
    head: Hash
    bytes: int
    sha256: Hash
    at: Instant


class Archives(Shape):
    """``journal archives``."""

    schema_: Literal["oms.journal.archives/1"] = Field(alias="schema")
    archives: list[Archive]


class Verdict(Shape):
    """``journal verify``."""

    schema_: Literal["oms.journal-verify/1"] = Field(alias="schema")
    ok: bool
    rows: int
    seq: int
    head: str | None
    full: bool
    anchors: int
    bad_row: int | None
    problem: str
    remedy: str


class Reading(Shape):
    """The money as a cycle saw it."""

    at: Instant
    cash: Money
    settled_cash: Money | None
    buying_power: Money
    spendable: Money


class Cut(Shape):
    """A buy that was made smaller."""

    symbol: str
    from_: int = Field(alias="from")
    to: int
    rule: str | None
    reason: str | None


class CycleShown(Shape):
    """``cycle show``."""

    schema_: Literal["oms.cycle-show/1"] = Field(alias="schema")
    cycle: Cycle
    orders: list[Order]
    events: list[Fact]
    funds: list[Reading]
    cuts: list[Cut]


class Execution(Shape):
    """One fill."""

    exec_id: str
    last_qty: int
    last_px: Money
    fee: Money
    transact_time: Instant
    late: bool


class OrderShown(Shape):
    """``order show``."""

    schema_: Literal["oms.order-show/1"] = Field(alias="schema")
    order: Order
    events: list[Fact]
    fills: list[Execution]


class Sentence(Shape):
    """One thing said, with the row it rests on."""

    seq: int | None
    at: Instant | None
    rule: str | None
    text: str


class Decision(Shape):
    """The cycle's decision, made once more from its journaled inputs."""

    seq: int
    same: bool | None
    why: str
    differences: list[str]


class Explained(Shape):
    """``explain`` of a cycle, an order or a symbol."""

    schema_: Literal["oms.cycle.explain/1", "oms.order.explain/1", "oms.symbol.explain/1"] = Field(alias="schema")
    answer: str
    sentences: list[Sentence]
    decision: Decision | None = None
