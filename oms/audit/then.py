"""``status``, ``positions`` and ``funds`` as they would have been answered at an earlier moment, from the journal alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from oms.audit.past import Moment, moment
from oms.journal import views
from oms.journal.answers import Answer, day, instant, money
from oms.journal.currencies import Standing, last_fill, settlement_day
from oms.journal.reader import Reader
from oms.journal.waiting import Now, waiting_for
from oms.model.cycle import Cycle, Phase
from oms.model.order import Order


def status_at(reader: Reader, at: datetime, fee_allowance: Decimal = views.FEE_ALLOWANCE) -> Answer:
    """What the account was doing and waiting for. Which process was at work then, the facts do not say."""
    then = moment(reader, at)
    state, cycle = then.state, then.state.cycle
    unclosed = _unclosed(then)
    halt = state.halt
    halted = None if halt is None else {"scope": halt.scope.value, "reason": halt.reason, "author": halt.author}
    row = None if cycle is None else _cycle(cycle)
    reading = None if then.reading is None else views.reading_of(then.reading)
    return {
        "schema": "oms.status/1",
        "account": reader.account,
        "mode": reader.mode,
        "at": instant(at),
        "phase": None if row is None else row["phase"],
        "cycle_id": None if row is None else row["cycle_id"],
        "waiting_for": waiting_for(Now(cycle=row, halted=halted, unclosed=unclosed, running=True), at),
        "halted": halted,
        **dict.fromkeys(("running", "pid", "host", "heartbeat")),
        "funds": None if reading is None else views.funds_of(reading, unclosed, fee_allowance),
        "trading_day": day(state.trading_day),
        "trades_today": state.trades_today,
        "realised_today": money(state.realised_today),
        "attention": state.attention,
        "unresolved": sum(order.is_unresolved for order in unclosed),
        "quarantined": sum(order.quarantined for order in unclosed),
        "frozen": [{"symbol": symbol, "reason": reason} for symbol, reason in sorted(state.frozen.items())],
        "tasks": [],
        "journal": {"seq": state.seq, "head": then.head.hex(), "at": instant(then.at)},
    }


def funds_at(reader: Reader, at: datetime, fee_allowance: Decimal = views.FEE_ALLOWANCE) -> Answer:
    """The newest reading of the money that there was then, and what the buys that were open then reserved of it."""
    then = moment(reader, at)
    with reader.asking("looking for the newest execution of then", whole=False) as connection:
        filled = last_fill(connection, reader.account, then.state.seq)
    now = Standing(ledgers=then.state.ledgers, today=settlement_day(then.state), last_fill=filled)
    return views.funds_with(then.reading, now, _unclosed(then), fee_allowance, at=instant(at))


def positions_at(reader: Reader, at: datetime) -> Answer:
    """The shares that were held then, at the newest price that was known then."""
    then = moment(reader, at)
    found = views.positions_of(then.state.holdings, then.selected, then.revalidated)
    return {"schema": found["schema"], "at": instant(at), "positions": found["positions"], "as_of": found["as_of"]}


def _unclosed(then: Moment) -> list[Order]:
    return [order for order in then.state.orders if not order.is_closed]


def _cycle(cycle: Cycle) -> dict[str, Any]:
    deadline = None
    match cycle.phase:
        case Phase.SELLING:
            deadline = cycle.opened.deadline
        case Phase.SETTLING if cycle.sells_over is not None:
            deadline = cycle.sells_over.deadline
        case Phase.BUYING if cycle.revalidated is not None:
            deadline = cycle.revalidated.deadline
    return {
        "cycle_id": cycle.cycle_id,
        "phase": cycle.phase.value,
        "deadline": deadline,
        "sells": len(cycle.opened.sells),
        "buys": len(cycle.opened.buys),
    }
