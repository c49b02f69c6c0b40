"""Every key of config.yaml: its type, unit, default, bounds, and the reason for the bounds.

The names and defaults are those of the public interface; a test compares them with the config.yaml that is shipped. A
hard ceiling (0.80 of the funds, $10,000 a position) is a bound here, so no configuration can raise it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from oms.configuration.scalars import (
    Currency,
    DatabaseUrl,
    Duration,
    Holdings,
    HostNames,
    Integer,
    Notices,
    Number,
    PaperHoldings,
    Percent,
    Switch,
    Symbols,
    WebUrl,
    Word,
    read_word,
)
from oms.configuration.section import Section, defaults, ms, percent, seconds
from oms.model.exchange import currency_of

MOST_FUNDS = Decimal("0.80")
MOST_PER_POSITION = Decimal(10_000)


class JournalConfig(Section):
    """Where the memory lies."""

    url: DatabaseUrl = Field(
        default="sqlite:///var/oms.db",
        description="database of the journal: sqlite:/// and a path relative to this file, or postgresql://",
    )


class PaperConfig(Section):
    """The paper broker: a durable exchange on this machine."""

    file: Word = Field(default="var/paper.db", description="path of the paper broker's own database")
    cash: Number = Field(
        default=Decimal(20_000),
        ge=0,
        le=1_000_000_000,
        description="money at the first start, in the currency of the market",
    )
    positions: PaperHoldings = Field(
        default=Holdings({"AMGN": 80, "BA": 60, "C": 1200, "CAT": 80, "GE": 300, "OXY": 60}),
        description="holdings at the first start, symbol to whole shares; enough that a first run shows every phase",
    )
    settle_after: Duration = Field(
        default=seconds(1), ge=ms(0), le=seconds(3600), description="time from an accepted order to its fill"
    )
    funds_lag: Duration = Field(
        default=ms(500),
        ge=ms(0),
        le=seconds(3600),
        description="how much later than the fill the funds figure moves",
    )
    list_lag: Duration = Field(
        default=ms(0),
        ge=ms(0),
        le=seconds(3600),
        description="how much later than its acceptance a list shows an order",
    )
    fee_per_share: Number = Field(
        default=Decimal("0.005"),
        ge=0,
        le=1,
        description="fee per share in that currency; bounded, a mistyped fee eats the account",
    )
    slippage: Percent = Field(
        default=percent("0.05"),
        ge=0,
        le=percent("5"),
        description="how much worse than the quote a fill is, within its limit",
    )
    partial_fills: Percent = Field(
        default=percent("20"), ge=0, le=1, description="share of the orders that are filled in two parts"
    )
    fill_delay: Duration = Field(
        default=ms(200), ge=ms(0), le=seconds(3600), description="time from the first part of a fill to the second"
    )
    seed: Integer = Field(
        default=1, ge=0, le=2**32 - 1, description="seed of the paper broker's chance; the same seed, the same day"
    )


class TigerConfig(Section):
    """Tiger Brokers' OpenAPI."""

    properties: Word = Field(
        default="tiger_openapi_config.properties", description="path of the file with account and key; 0600 on POSIX"
    )
    server_url: WebUrl | None = Field(
        default=None, description="another server than the SDK's own; null takes the SDK's"
    )
    timeout: Duration = Field(
        default=seconds(15),
        ge=seconds(1),
        le=seconds(120),
        description="longest wait for one reply; then the order is in doubt",
    )
    refuses_repeats: Duration | None = Field(
        default=None,
        ge=seconds(1),
        le=seconds(86_400),
        description="for how long after a send you claim that the broker refuses the same order number again; "
        "null: only what doctor --probe has proved",
    )
    push: Switch = Field(
        default=True, description="listen to what the broker pushes, so as to look sooner; polling goes on without it"
    )


class BrokerConfig(Section):
    """Which broker, and what each needs."""

    kind: Annotated[Literal["paper", "tiger"], BeforeValidator(read_word)] = Field(
        default="paper", description="paper (on this machine) or tiger (the broker; its paper accounts too)"
    )
    paper: PaperConfig = defaults(PaperConfig)
    tiger: TigerConfig = defaults(TigerConfig)


class ReplayConfig(Section):
    """Market days of the past, played again."""

    data: Word = Field(
        default="sp500-2010",
        description="name of a bundled data set, or a CSV file or folder (Date,Symbol,Open,High,Low,Close,Volume)",
    )


class SimulatedConfig(Section):
    """A market that a seed makes up."""

    seed: Integer = Field(
        default=1, ge=0, le=2**32 - 1, description="seed of its prices; the same seed, the same market"
    )
    days: Integer = Field(
        default=250, ge=1, le=2520, description="days that can be traded, after a year of history; ten years at most"
    )
    symbols: Word = Field(
        default="universe",
        description="universe: the symbols of selection.universe; else the path of another such list",
    )


class YahooConfig(Section):
    """Yahoo Finance."""

    base_url: WebUrl | None = Field(default=None, description="another server than Yahoo's; null takes Yahoo's")


class MarketConfig(Section):
    """Where prices and trading hours come from."""

    source: Annotated[Literal["replay", "simulated", "yahoo", "tiger"], BeforeValidator(read_word)] = Field(
        default="replay", description="replay, simulated, yahoo or tiger"
    )
    exchange: Word = Field(
        default="XNYS", max_length=40, description="any calendar name of exchange_calendars, such as XNYS, XHKG or 24/7"
    )
    currency: Currency | None = Field(
        default=None, description="in which its prices are, such as USD or HKD; null takes that of the exchange"
    )
    max_quote_age: Duration = Field(
        default=seconds(60), ge=seconds(1), le=seconds(3600), description="oldest quote an order may be priced from"
    )
    no_buys_before_close: Duration = Field(
        default=seconds(600),
        ge=ms(0),
        le=seconds(6 * 3600),
        description="no buy is sent so shortly before the close",
    )
    replay: ReplayConfig = defaults(ReplayConfig)
    simulated: SimulatedConfig = defaults(SimulatedConfig)
    yahoo: YahooConfig = defaults(YahooConfig)

    @property
    def trades_in(self) -> str:
        """The currency of prices, fees and the account's money."""
        return self.currency or currency_of(self.exchange) or ""


class SelectionConfig(Section):
    """How symbols are scored and chosen."""

    universe: Word = Field(default="universe.txt", description="path of the list of symbols, one a line")
    interval: Duration = Field(
        default=seconds(3600),
        ge=seconds(10),
        le=seconds(7 * 86_400),
        description="time from one selection to the next",
    )
    strategy: Word | None = Field(
        default=None,
        max_length=200,
        description="your own strategy, module:function or an entry point's name; null takes the built-in screen",
    )
    top: Integer = Field(default=10, ge=1, le=100, description="at most so many symbols are bought in one cycle")
    min_score: Number = Field(default=Decimal(60), ge=0, le=100, description="lowest score that is bought, of 100")
    sell_below: Number = Field(
        default=Decimal(50), ge=0, le=100, description="a holding that scores less is sold, of 100"
    )
    min_history: Integer = Field(
        default=100, ge=2, le=5000, description="fewest trading days of prices a score may rest on"
    )


class ExecutionConfig(Section):
    """How large orders are, at what price, and how fast they go out."""

    funds_fraction: Number = Field(
        default=MOST_FUNDS,
        gt=0,
        le=MOST_FUNDS,
        description="plain fraction of the spendable funds for buys; ceiling 0.80 in code",
    )
    max_position_value: Number = Field(
        default=MOST_PER_POSITION,
        gt=0,
        le=MOST_PER_POSITION,
        description="account currency in one symbol; ceiling 10000 in code",
    )
    min_order_value: Number = Field(
        default=Decimal(100),
        ge=0,
        le=MOST_PER_POSITION,
        description="account currency; a smaller buy is blocked, its fee would eat it",
    )
    order_type: Annotated[Literal["limit", "market"], BeforeValidator(read_word)] = Field(
        default="limit", description="limit (at the collar) or market (no price protection)"
    )
    collar: Percent = Field(
        default=percent("0.5"),
        ge=percent("0.01"),
        le=percent("10"),
        description="distance of a limit from the fresh quote",
    )
    fee_allowance: Percent = Field(
        default=percent("0.1"), ge=0, le=percent("5"), description="part of a buy's value kept free for its fees"
    )
    order_deadline: Duration = Field(
        default=seconds(120),
        ge=ms(100),
        le=seconds(6 * 3600),
        description="an order not filled by then is cancelled",
    )
    max_in_flight: Integer = Field(
        default=24, ge=1, le=64, description="orders on the wire at once; each may be in doubt after a crash"
    )
    messages_per_minute: Integer = Field(
        default=600,
        ge=1,
        le=60_000,
        description="most order messages to the broker in a minute; Tiger's own limit binds as well",
    )
    grace: Duration = Field(
        default=seconds(1),
        ge=ms(0),
        le=seconds(60),
        description="a closed order is read once more after this time, for late fills",
    )


class SettlementConfig(Section):
    """When the money of the sells counts as there."""

    funds: Annotated[Literal["cash", "buying_power", "settled_cash"], BeforeValidator(read_word)] = Field(
        default="cash", description="which figure is spent: cash, buying_power (margin) or settled_cash"
    )
    poll: Duration = Field(
        default=seconds(1), ge=ms(10), le=seconds(60), description="time between two readings of the funds"
    )
    confirm: Duration = Field(
        default=ms(0), ge=ms(0), le=seconds(60), description="two equal readings must lie so far apart; for Tiger 2s"
    )
    deadline: Duration = Field(
        default=seconds(60),
        ge=ms(100),
        le=seconds(6 * 3600),
        description="after it the cycle goes on with the funds that are there",
    )
    allow_margin: Switch = Field(default=False, description="true confirms that borrowed money may be spent")
    allow_unsettled_sales: Switch = Field(
        default=False,
        description="true confirms that shares bought with unsettled proceeds may be sold before those settle",
    )


class InDoubtConfig(Section):
    """What happens to an order of which nobody knows whether it reached the broker."""

    reads: Integer = Field(
        default=3, ge=1, le=20, description="complete reads of the broker's orders before a decision"
    )
    window: Duration = Field(
        default=seconds(30),
        ge=ms(0),
        le=seconds(3600),
        description="the reads span at least this time since the send",
    )
    then: Annotated[Literal["resend", "quarantine", "hold"], BeforeValidator(read_word)] = Field(
        default="resend",
        description="resend (where repeats are proved to be refused, else quarantine), quarantine or hold",
    )


class RiskConfig(Section):
    """Limits that every order meets before it is sent."""

    max_trades_per_day: Integer = Field(
        default=100, ge=0, le=1000, description="orders acknowledged in one exchange day; then no buys, sells go on"
    )
    max_order_value: Number = Field(
        default=MOST_PER_POSITION,
        gt=0,
        le=MOST_PER_POSITION,
        description="account currency in one buy; ceiling is that of a position",
    )
    max_order_quantity: Integer = Field(
        default=10_000, ge=1, le=1_000_000, description="shares in one order; guards against a mistyped quantity"
    )
    max_rejections: Integer = Field(
        default=3,
        ge=1,
        le=100,
        description="orders the broker may reject in a cycle before its remaining buys are blocked",
    )
    min_price: Number | None = Field(
        default=None,
        gt=0,
        le=MOST_PER_POSITION,
        description="account currency; a share that costs less is not bought; null for no floor",
    )
    daily_loss_limit: Number | None = Field(
        default=None,
        gt=0,
        le=1_000_000_000,
        description="account currency lost in a day after which no buy is sent; null for none",
    )
    blacklist: Symbols = Field(
        default=(), description="symbols that are never traded, in addition to the journal's own list"
    )


class WorkerConfig(Section):
    """The rhythm of `run --loop`."""

    interval: Duration = Field(
        default=seconds(30), ge=ms(100), le=seconds(86_400), description="time from the end of a cycle to the next"
    )
    lease: Duration = Field(
        default=seconds(15),
        ge=seconds(1),
        le=seconds(600),
        description="how long the account stays ours without a renewal",
    )
    reconciliation: Duration = Field(
        default=seconds(60),
        ge=seconds(1),
        le=seconds(86_400),
        description="time between two comparisons of the broker with the journal, between cycles",
    )


class BackupConfig(Section):
    """Snapshots of the configuration and what goes with it."""

    dir: Word = Field(default="var/backups", description="path of the folder for backups")
    keep: Integer = Field(default=30, ge=1, le=10_000, description="newest backups that are kept")
    daily: Switch = Field(default=True, description="one backup each day by itself")


class ApiConfig(Section):
    """The HTTP API and dashboard."""

    host: Word = Field(
        default="127.0.0.1", max_length=255, description="address to listen on; the default is this machine only"
    )
    port: Integer = Field(default=8000, ge=0, le=65_535, description="TCP port; 0 takes any free one")
    names: HostNames = Field(
        default=(),
        description="further names it is called by, such as that of a proxy; requests to any other are refused",
    )
    tls_certificate: Word | None = Field(
        default=None, description="PEM file of the certificate and its chain; null speaks plain HTTP"
    )
    tls_key: Word | None = Field(default=None, description="PEM file of the certificate's private key")
    open_status: Switch = Field(
        default=False, description="/api/status and /metrics answer without a token, for dashboards that know none"
    )


class Config(Section):
    """One frozen, checked configuration."""

    account: Word = Field(
        default="paper-main",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$",
        description="name of the account: letters, digits, dot, dash, underscore",
    )
    mode: Annotated[Literal["paper", "dry_run", "live"], BeforeValidator(read_word)] = Field(
        default="paper", description="paper, dry_run or live; stamped into the database"
    )
    journal: JournalConfig = defaults(JournalConfig)
    broker: BrokerConfig = defaults(BrokerConfig)
    market: MarketConfig = defaults(MarketConfig)
    selection: SelectionConfig = defaults(SelectionConfig)
    execution: ExecutionConfig = defaults(ExecutionConfig)
    settlement: SettlementConfig = defaults(SettlementConfig)
    in_doubt: InDoubtConfig = defaults(InDoubtConfig)
    risk: RiskConfig = defaults(RiskConfig)
    worker: WorkerConfig = defaults(WorkerConfig)
    backup: BackupConfig = defaults(BackupConfig)
    api: ApiConfig = defaults(ApiConfig)
    notify: Notices = Field(
        default=(),
        description="where notifications go: env:NAME or file:PATH, which hold the secret address, with topics",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if quarrels := quarrels_of(self):
            message = "; ".join(f"{key}: expected {expected}" for key, _, expected in quarrels)
            raise PydanticCustomError("keys_disagree", "{message}", {"message": message, "quarrels": quarrels})
        return self


def quarrels_of(config: Config) -> list[tuple[str, str, str]]:
    """Keys that are right each by itself but not together: (key, the other key, what was expected)."""
    found: list[tuple[str, str, str]] = []
    if config.mode == "live" and config.broker.kind != "tiger":
        found.append(("broker.kind", "mode", "tiger, because mode is live and the paper broker holds no real account"))
    if not config.market.trades_in:
        found.append(
            (
                "market.currency",
                "market.exchange",
                f"a currency, such as EUR, for none is known of market.exchange {config.market.exchange} (is it misspelt?)",
            )
        )
    elif config.market.trades_in != "USD" and "tiger" in (config.broker.kind, config.market.source):
        found.append(("market.exchange", "market.currency", "an American exchange: at Tiger only US stocks are traded"))
    if config.settlement.funds == "buying_power" and not config.settlement.allow_margin:
        found.append(
            (
                "settlement.funds",
                "settlement.allow_margin",
                "cash or settled_cash, or settlement.allow_margin: true as the confirmation that money may be borrowed",
            )
        )
    if config.selection.sell_below > config.selection.min_score:
        found.append(
            (
                "selection.sell_below",
                "selection.min_score",
                "at most selection.min_score, or a symbol just bought would be sold at once",
            )
        )
    if config.execution.min_order_value > config.execution.max_position_value:
        found.append(
            (
                "execution.min_order_value",
                "execution.max_position_value",
                "at most execution.max_position_value, or no buy could ever be sent",
            )
        )
    if config.settlement.confirm >= config.settlement.deadline:
        found.append(
            (
                "settlement.confirm",
                "settlement.deadline",
                "less than settlement.deadline, or the funds could never be confirmed in time",
            )
        )
    if config.settlement.poll > config.settlement.deadline:
        found.append(
            ("settlement.poll", "settlement.deadline", "at most settlement.deadline, or the funds are read only once")
        )
    return found
