"""Shapes of ``status``, ``funds``, ``positions``, ``select``, ``blacklist list``, and of the dashboards' status."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oms.web.shapes.figures import Day, Hash, Instant, JsonObject, Money, Number, Shape


class Halt(Shape):
    """A brake that an operator has put on."""

    scope: Literal["buys", "all"]
    reason: str
    author: str
    at: Instant | None


class FundsFigures(Shape):
    """A reading of the account's money, and what open buys reserve of it."""

    cash: Money | None
    settled_cash: Money | None
    unsettled_cash: Money | None
    buying_power: Money | None
    spendable: Money | None
    reserved: Money | None
    currency: str | None
    as_of: Instant | None


class Settling(Shape):
    """Sale proceeds that wait for their day."""

    settles: Day
    amount: Money


class ToldBalance(Shape):
    """What the broker's newest reading says of one currency."""

    cash: Money
    settled_cash: Money | None = Field(description="null where the broker does not say")
    unsettled_cash: Money | None


class Currency(Shape):
    """The account's money in one currency, by the journal's ledger and by the broker."""

    currency: str
    is_traded: bool = Field(description="the currency of the account's exchange; of every other nothing is spent")
    cash: Money
    settled: Money
    unsettled: list[Settling]
    waiting: Money = Field(description="all that has not settled")
    not_confirmed: Money = Field(description="due by its date, or without one, and not called settled by the broker")
    broker: ToldBalance | None
    differs_by: Money | None = Field(
        description="the broker's cash beyond the ledger's; null where the newest reading is older than an execution"
    )


class Funds(FundsFigures):
    """``funds``."""

    schema_: Literal["oms.funds/1"] = Field(alias="schema")
    currencies: list[Currency]


class Frozen(Shape):
    """A symbol that takes no order until a person says so."""

    symbol: str
    reason: str


class Task(Shape):
    """A piece of the engine's standing work."""

    name: str
    healthy: bool
    text: str


class Head(Shape):
    """The end of the chain."""

    seq: int = Field(ge=0)
    head: str | None


class Status(Shape):
    """``status``: nulls where nothing has run yet."""

    schema_: Literal["oms.status/1"] = Field(alias="schema")
    account: str
    mode: str
    phase: str | None
    cycle_id: str | None
    waiting_for: str
    halted: Halt | None
    running: bool | None
    pid: int | None
    host: str | None
    funds: FundsFigures | None
    trading_day: Day | None
    trades_today: int | None
    realised_today: Money | None
    attention: int | None
    unresolved: int | None
    quarantined: int | None
    frozen: list[Frozen]
    heartbeat: Instant | None
    tasks: list[Task]
    journal: Head


class Position(Shape):
    """Shares that the journal says are held, at the newest price it knows."""

    symbol: str
    qty: Number
    avg_cost: Money
    last_px: Money | None
    market_value: Money | None
    unrealized_pnl: Money | None
    realized_pnl: Money | None
    score: Number | None


class Positions(Shape):
    """``positions``."""

    schema_: Literal["oms.positions/1"] = Field(alias="schema")
    positions: list[Position]
    as_of: Instant | None


class Score(Shape):
    """One symbol of the screen."""

    symbol: str
    score: Number | None
    rank: int | None
    excluded_by: str | None
    close: Money | None


class Selection(Shape):
    """``select``."""

    schema_: Literal["oms.select/1"] = Field(alias="schema")
    as_of: Day | None
    scores: list[Score]


class Factor(Shape):
    """A part of a score."""

    name: str
    meaning: str
    value: Number | None
    percentile: Number | None = Field(description="its place among the scored symbols, of a hundred")
    weight: int
    points: Number


class ScoreExplained(Shape):
    """``select --explain``."""

    schema_: Literal["oms.select-explain/1"] = Field(alias="schema")
    symbol: str
    as_of: Day
    at: Instant
    strategy: str | None
    config_hash: Hash
    bars_hash: Hash
    score: Number | None
    rank: int | None
    of: int
    excluded_by: str | None
    lookback: int | None
    close: Money | None
    over_average: Number | None
    factors: list[Factor]


class Barred(Shape):
    """A symbol that is not bought."""

    symbol: str
    reason: str
    author: str
    until: Instant | None


class Blacklist(Shape):
    """``blacklist list``."""

    schema_: Literal["oms.blacklist-list/1"] = Field(alias="schema")
    symbols: list[Barred]


class Wish(Shape):
    """What the next cycle would sell or buy."""

    symbol: str
    quantity: int
    planned: int
    limit: Number | None
    value: Number | None
    score: Number | None
    rule: str | None
    reason: str | None


class Plan(Shape):
    """``plan``."""

    schema_: Literal["oms.plan/1"] = Field(alias="schema")
    sells: list[Wish]
    buys: list[Wish]
    budget: Number | None
    as_of: Instant | None
    trading_day: Day | None
    halted: JsonObject | None


class Limit(Shape):
    """One control: its limit, and what is used of it."""

    rule: str
    key: str | None = Field(description="key of config.yaml that sets it")
    unit: str | None
    side: Literal["buy", "sell", "any"]
    limit: Number | None
    used: Number | None
    share: Number | None
    state: Literal["ok", "near", "reached", "on", "off"]
    about: str | None
    blocked: int = Field(description="orders of the trading day that it has stopped")
    meaning: str


class Risk(Shape):
    """``risk``."""

    schema_: Literal["oms.risk/1"] = Field(alias="schema")
    trading_day: Day | None
    halted: JsonObject | None
    limits: list[Limit]
    blacklist: list[Barred]
    frozen: list[Frozen]
    settlement: JsonObject | None


class DashboardPosition(Shape):
    """Shares that the strategy holds."""

    symbol: str
    qty: float
    value: float | None
    score: float | None


class RealPosition(Shape):
    """Shares that the broker holds."""

    symbol: str
    quantity: float
    market_value: float | None
    unrealized_pnl: float | None


class TaskHealth(Shape):
    """How many pieces of standing work go well."""

    healthy_tasks: int
    error_tasks: int
    total_tasks: int


class Dashboard(Shape):
    """The status that dashboards of earlier engines read; its money is a number."""

    bot: Literal["running", "halted", "stopped"]
    heartbeat: int = Field(description="seconds since 1970; 0 where there never was one")
    pnl: float = Field(description="today's, realised and not")
    positions: list[DashboardPosition]
    trading_mode: Literal["LIVE_TRADING", "DRY_RUN", "PAPER"]
    real_positions: list[RealPosition]
    task_health: TaskHealth


class Delay(Shape):
    """Seconds from the last fill of the sells to the first buy on the wire."""

    p50: Number | None
    p95: Number | None
    max: Number | None


class ReportFigures(Shape):
    """The metrics of some cycles."""

    cycles: int
    buy_success_rate: Number | None
    sell_to_buy_delay_s: Delay
    funds_used_share: Number | None
    revalidated: int
    cut_by_rule: dict[str, int]
    liquidity_errors: int
    duplicates: int


class ReportDay(ReportFigures):
    """The metrics of one exchange day."""

    day: Day


class Report(ReportFigures):
    """``report``."""

    schema_: Literal["oms.report/1"] = Field(alias="schema")
    by_day: list[ReportDay]


class Gains(Shape):
    """Profit and loss, fees included."""

    realised: Money
    unrealised: Money


class Pnl(Shape):
    """``pnl``."""

    schema_: Literal["oms.pnl/1"] = Field(alias="schema")
    today: Gains
    total: Gains
    by_symbol: list[JsonObject]
    as_of: Instant | None
