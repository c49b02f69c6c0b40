"""The catalogue of controls: every named rule with what it means and the key that sets its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One control, as it is shown to a person."""

    name: str
    key: str
    """Key of config.yaml that sets its limit; empty where it has none."""
    unit: str
    """What limit and use are counted in: orders, shares, dollars, fraction, duration, messages, or nothing."""
    side: str
    """buy, sell, or any."""
    meaning: str


CATALOGUE: tuple[Rule, ...] = (
    Rule(
        name="halted", key="", unit="", side="any", meaning="the brake: no buy, or with --all no order, until release"
    ),
    Rule(
        name="market_closed",
        key="market.exchange",
        unit="",
        side="any",
        meaning="orders go out while the market trades",
    ),
    Rule(
        name="no_buys_before_close",
        key="market.no_buys_before_close",
        unit="duration",
        side="buy",
        meaning="no buy in the last minutes of a session",
    ),
    Rule(name="blacklist", key="risk.blacklist", unit="symbols", side="buy", meaning="symbols that are not bought"),
    Rule(
        name="symbol_frozen",
        key="",
        unit="symbols",
        side="any",
        meaning="symbols whose books do not agree take no order",
    ),
    Rule(
        name="max_trades_per_day",
        key="risk.max_trades_per_day",
        unit="orders",
        side="buy",
        meaning="orders acknowledged in one exchange day; at the limit buys stop, sells go on",
    ),
    Rule(
        name="max_order_quantity",
        key="risk.max_order_quantity",
        unit="shares",
        side="buy",
        meaning="shares in one order",
    ),
    Rule(name="max_order_value", key="risk.max_order_value", unit="dollars", side="buy", meaning="value of one order"),
    Rule(
        name="max_position_value",
        key="execution.max_position_value",
        unit="dollars",
        side="buy",
        meaning="held and on order in one symbol",
    ),
    Rule(
        name="funds_fraction",
        key="execution.funds_fraction",
        unit="fraction",
        side="buy",
        meaning="part of the spendable funds that a cycle's buys may cost, fees included",
    ),
    Rule(
        name="min_order_value",
        key="execution.min_order_value",
        unit="dollars",
        side="buy",
        meaning="smallest order worth it",
    ),
    Rule(
        name="price_collar",
        key="execution.collar",
        unit="fraction",
        side="any",
        meaning="distance of a limit from the quote it is made from; twice that when it is sent",
    ),
    Rule(
        name="max_quote_age",
        key="market.max_quote_age",
        unit="duration",
        side="buy",
        meaning="age of the quote behind a buy",
    ),
    Rule(name="min_price", key="risk.min_price", unit="dollars", side="buy", meaning="cheapest share that is bought"),
    Rule(name="duplicate_symbol", key="", unit="", side="any", meaning="a symbol stands in a plan once"),
    Rule(name="both_sides", key="", unit="", side="any", meaning="a symbol is not bought and sold in one plan"),
    Rule(
        name="no_short", key="", unit="", side="sell", meaning="no more is sold than is held and not already being sold"
    ),
    Rule(
        name="good_faith",
        key="settlement.allow_unsettled_sales",
        unit="symbols",
        side="sell",
        meaning="shares bought with unsettled proceeds are not sold before those settle",
    ),
    Rule(
        name="free_riding",
        key="settlement.allow_unsettled_sales",
        unit="symbols",
        side="sell",
        meaning="shares that no known money has paid for are not sold before they settle",
    ),
    Rule(
        name="message_rate",
        key="execution.messages_per_minute",
        unit="messages",
        side="any",
        meaning="requests to the broker in a minute; more wait",
    ),
    Rule(
        name="repeated_rejections",
        key="risk.max_rejections",
        unit="orders",
        side="buy",
        meaning="orders of a cycle that the broker may reject before its buys stop",
    ),
    Rule(
        name="daily_loss_limit",
        key="risk.daily_loss_limit",
        unit="dollars",
        side="buy",
        meaning="realised in a day after which no buy is sent",
    ),
    Rule(
        name="unresolved_sell",
        key="",
        unit="orders",
        side="buy",
        meaning="no buy follows a sell that nobody can account for",
    ),
    Rule(
        name="order_deadline",
        key="execution.order_deadline",
        unit="duration",
        side="any",
        meaning="orders not sent by then stay",
    ),
)
"""Every control, in the order in which it is shown."""
