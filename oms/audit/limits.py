"""``risk``: every limit with what is used of it, and whatever is stopped, listed, frozen or kept back now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from oms.journal import tables, views
from oms.journal.answers import Answer, day, instant, money, number
from oms.journal.currencies import settlement_day
from oms.journal.loading import load
from oms.journal.reader import Reader
from oms.model import controls
from oms.model.liquidity import cost_ceiling
from oms.model.order import ZERO, OrdStatus, Side
from oms.model.rules import Rules
from oms.model.settlement import HeldBack
from oms.model.state import AccountState

SCHEMA = "oms.risk/1"
MINUTE = timedelta(minutes=1)
_FOUR = Decimal("0.0001")


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the journal says of the last trading day, for one reading."""

    state: AccountState
    largest_qty: int = 0
    largest_value: Decimal = ZERO
    sent_last_minute: int = 0
    blocked: Counter[str] = field(default_factory=Counter)
    position: tuple[Decimal, str] | None = None
    """Value and symbol of the largest position that has a known price."""


def risk(reader: Reader | None, rules: Rules, *, messages_per_minute: int, now: datetime) -> Answer:
    """Each control with its limit and its use, of the journal's last trading day; ``reader`` is None before the first run.

    ``used`` is null where nothing is used up because each order is looked at by itself; ``state`` is ``ok``, ``near``
    (from 80 % on), ``reached``, ``on`` for a brake or list that stops something now, or ``off`` for a limit that is not
    set. ``blocked`` counts the orders of the day that the rule has stopped or made smaller to nothing.
    """
    seen = _Seen(state=AccountState("")) if reader is None else _seen(reader, now)
    state = seen.state
    held_back = _held_back(state, rules)
    return {
        "schema": SCHEMA,
        "trading_day": day(state.trading_day),
        "halted": _halt(state),
        "limits": [
            _row(rule, seen, rules, held_back, messages_per_minute=messages_per_minute, now=now)
            for rule in controls.CATALOGUE
        ],
        "blacklist": list(_listed(state, rules, now)),
        "frozen": [{"symbol": symbol, "reason": reason} for symbol, reason in sorted(state.frozen.items())],
        "settlement": _settlement(state, rules, held_back),
    }


def _seen(reader: Reader, now: datetime) -> _Seen:
    with reader.asking("looking at the limits") as connection:
        seen = _Seen(state=load(connection, reader.account).state)
        if seen.state.trading_day is not None:
            _of_the_day(connection, reader.account, seen, now)
    values = [
        (Decimal(each["market_value"]), each["symbol"])
        for each in views.positions(reader)["positions"]
        if each["market_value"] is not None
    ]
    seen.position = max(values, default=None)
    return seen


def _of_the_day(connection: Connection, account: str, seen: _Seen, now: datetime) -> None:
    """Orders of the cycles of the last trading day."""
    cycles, orders = tables.cycles, tables.orders
    of_day = (
        select(orders.c.side, orders.c.order_qty, orders.c.worst_px, orders.c.sends, orders.c.sent_at, orders.c.rule)
        .select_from(cycles.join(orders, orders.c.cycle_id == cycles.c.cycle_id))
        .where(cycles.c.account == account, cycles.c.trading_day == seen.state.trading_day)
    )
    for row in connection.execute(of_day):
        if row.rule is not None:
            seen.blocked[row.rule] += 1
        if not row.sends:
            continue
        seen.sent_last_minute += row.sent_at is not None and now - MINUTE < row.sent_at <= now
        if row.side == Side.BUY.value:
            seen.largest_qty = max(seen.largest_qty, row.order_qty)
            seen.largest_value = max(seen.largest_value, row.order_qty * row.worst_px)


def _row(
    rule: controls.Rule,
    seen: _Seen,
    rules: Rules,
    held_back: Mapping[str, HeldBack],
    *,
    messages_per_minute: int,
    now: datetime,
) -> Answer:
    limit, used, about = _figures(rule.name, seen, rules, held_back, messages_per_minute=messages_per_minute, now=now)
    return {
        "rule": rule.name,
        "key": rule.key or None,
        "unit": rule.unit or None,
        "side": rule.side,
        "limit": _text(limit, rule.unit),
        "used": _text(used, rule.unit),
        "share": _share(used, limit),
        "state": _state(rule, limit, used),
        "about": about,
        "blocked": seen.blocked[rule.name],
        "meaning": rule.meaning,
    }


Figure = Decimal | int | timedelta | None


def _figures(
    name: str,
    seen: _Seen,
    rules: Rules,
    held_back: Mapping[str, HeldBack],
    *,
    messages_per_minute: int,
    now: datetime,
) -> tuple[Figure, Figure, str | None]:
    """Limit, use, and what the use is about."""
    state = seen.state
    match name:
        case "halted":
            return None, int(state.halt is not None), None if state.halt is None else state.halt.scope.value
        case "no_buys_before_close":
            return rules.no_buys_before_close, None, None
        case "blacklist":
            listed = [row["symbol"] for row in _listed(state, rules, now)]
            return None, len(listed), ", ".join(listed) or None
        case "symbol_frozen":
            return None, len(state.frozen), ", ".join(sorted(state.frozen)) or None
        case "max_trades_per_day":
            return rules.max_trades_per_day, state.trades_today, None
        case "max_order_quantity":
            return rules.max_order_quantity, seen.largest_qty, "the largest buy of the day"
        case "max_order_value":
            return rules.max_order_value, seen.largest_value, "the largest buy of the day"
        case "max_position_value":
            value, symbol = seen.position or (ZERO, None)
            return rules.max_position_value, value, symbol
        case "funds_fraction":
            return rules.funds_fraction, _funds_used(state, rules), "the last cycle's buys, at their limits"
        case "good_faith" | "free_riding":
            back = [each.symbol for each in held_back.values() if each.rule == name]
            return None, len(back) if rules.keeps_faith else None, ", ".join(back) or None
        case "message_rate":
            return messages_per_minute, seen.sent_last_minute, "orders sent in the last minute"
        case "repeated_rejections":
            rejected = [o for o in _orders(state) if o.ord_status is OrdStatus.REJECTED]
            return rules.max_rejections, len(rejected), "in the last cycle"
        case "daily_loss_limit":
            return rules.daily_loss_limit, max(-state.realised_today, ZERO), "realised"
        case "unresolved_sell":
            return 0, sum(1 for o in state.unresolved if o.side is Side.SELL), None
        case _:
            return _per_order(name, rules), None, None


def _per_order(name: str, rules: Rules) -> Figure:
    """Limits that each order meets by itself."""
    limits: dict[str, Figure] = {
        "min_order_value": rules.min_order_value,
        "price_collar": rules.collar,
        "max_quote_age": rules.max_quote_age,
        "min_price": rules.min_price,
        "order_deadline": rules.order_deadline,
    }
    return limits.get(name)


def _orders(state: AccountState) -> list[Any]:
    return [] if state.cycle is None else list(state.cycle.orders.values())


def _funds_used(state: AccountState, rules: Rules) -> Decimal | None:
    """What the buys of the last cycle that were sent may cost, of what could be spent."""
    cycle = state.cycle
    if cycle is None or cycle.revalidated is None or cycle.revalidated.inputs.spendable <= 0:
        return None
    sent = [order for order in cycle.buys if order.sends]
    cost = sum((cost_ceiling(order.order_qty, order.worst_px, rules.fee_allowance) for order in sent), ZERO)
    return (cost / cycle.revalidated.inputs.spendable).quantize(_FOUR)


def _state(rule: controls.Rule, limit: Figure, used: Figure) -> str:
    if rule.name in ("halted", "blacklist", "symbol_frozen", "good_faith", "free_riding"):
        return "off" if used is None else "on" if used else "ok"
    if rule.key and limit is None and rule.unit:
        return "off"
    if used is None or limit is None or isinstance(used, timedelta) or isinstance(limit, timedelta):
        return "ok"
    if rule.name == "unresolved_sell":
        return "on" if used else "ok"
    # A limit that may be used up to its last unit is reached there; one that is only measured is not passed there.
    if used >= limit:
        return "reached"
    return "near" if Decimal(used) >= Decimal("0.8") * limit else "ok"


def _share(used: Figure, limit: Figure) -> str | None:
    if used is None or limit is None or isinstance(used, timedelta) or isinstance(limit, timedelta) or not limit:
        return None
    return number((Decimal(used) / Decimal(limit)).quantize(_FOUR))


def _text(figure: Figure, unit: str) -> str | None:
    if figure is None:
        return None
    if isinstance(figure, timedelta):
        return number(Decimal(figure // timedelta(milliseconds=1)) / 1000)
    return money(Decimal(figure)) if unit == "dollars" else number(Decimal(figure))


def _halt(state: AccountState) -> Answer | None:
    halt = state.halt
    return None if halt is None else {"scope": halt.scope.value, "reason": halt.reason, "author": halt.author}


def _listed(state: AccountState, rules: Rules, now: datetime) -> Iterator[Answer]:
    """Symbols that are not bought now: the configuration's and those of operators, expired ones left out."""
    for symbol in sorted({*rules.blacklist, *state.blacklist}):
        entry = state.blacklist.get(symbol)
        if entry is not None and state.is_blacklisted(symbol, now):
            until = instant(entry.until)
            yield {"symbol": symbol, "reason": entry.reason, "author": entry.author, "until": until}
        elif symbol in rules.blacklist:
            yield {"symbol": symbol, "reason": "risk.blacklist", "author": "config.yaml", "until": None}


def _held_back(state: AccountState, rules: Rules) -> dict[str, HeldBack]:
    today = settlement_day(state)
    return {} if today is None or not rules.keeps_faith else state.held_back(today)


def _settlement(state: AccountState, rules: Rules, held_back: Mapping[str, HeldBack]) -> Answer | None:
    """The ledgers: money by the day on which it settles, shares that wait for theirs, and money in other currencies."""
    today = settlement_day(state)
    if state.ledgers is None:
        return None
    ledger = state.ledgers.own
    return {
        "policy": rules.funds.value,
        "guarded": rules.keeps_faith,
        "currency": ledger.currency,
        "day": day(today),
        "settled": money(ledger.settled if today is None else ledger.settled_on(today)),
        "unsettled": [
            {"settles": day(settles), "amount": money(amount)}
            for settles, amount in ledger.unsettled
            if today is None or settles > today
        ],
        "outside": money(ledger.outside),
        "other_currencies": [
            {
                "currency": other.currency,
                "cash": money(other.cash),
                "settled": money(other.settled),
                "unsettled": money(other.withheld),
            }
            for other in state.ledgers.others
        ],
        "kept_back": [
            {"symbol": b.symbol, "shares": b.qty, "free": b.free, "until": day(b.until), "rule": b.rule}
            for b in sorted(held_back.values(), key=lambda each: each.symbol)
        ],
    }
