"""What a process may have seen when it decides: one glance that a test changes where it matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from oms.engine.conductor import decide
from oms.engine.orders import Decision, Seen
from oms.model.order import BrokerOrder, BrokerState, Fill, Order, OrdType
from oms.model.rules import Rules
from oms.ports import Capabilities, OrdersRead
from tests.model.story import SESSION, START, Story, funds, quote

ABLE = Capabilities(reserves_numbers=True, refuses_repeats=timedelta(days=7), reports_executions=True, currency="USD")


def glance(story: Story, seconds: Any = 0, **changes: Any) -> Seen:
    """Everything fresh, ``seconds`` after the story's last fact; the process began with the story."""
    now = story.now + timedelta(seconds=seconds)
    symbols = {order.symbol for order in story.state.orders}
    if story.state.cycle is not None:
        symbols |= {wish.symbol for wish in (*story.cycle.opened.sells, *story.cycle.opened.buys)}
    seen = Seen(
        now=now,
        market_time=now,
        session=SESSION,
        fence=1 if story.state.cycle is None else story.cycle.fence,
        restart_token="boot-1",
        host="here",
        pid=1,
        capabilities=ABLE,
        patient=False,
        started_at=START,
        asked_at=now,
        funds=funds(10_000, now),
        quotes={symbol: quote(symbol, "9.96", now) for symbol in sorted(symbols)},
        quotes_at=now,
        positions={},
        positions_at=now,
        numbers={order.cl_ord_id: f"no-{order.cl_ord_id}" for order in story.state.orders},
    )
    return replace(seen, **changes)


def decided(story: Story, seen: Seen | None = None, rules: Rules | None = None) -> Decision:
    return decide(story.state, seen or glance(story), rules or Rules())


def kinds(decision: Decision) -> list[str]:
    return [event.kind for event in decision.events]


def report(
    order: Order, state: BrokerState = BrokerState.NEW, fills: Sequence[Fill] = (), **changes: Any
) -> BrokerOrder:
    """What the broker says about one of our orders; the figures are those of its executions."""
    shown = BrokerOrder(
        order_no=order.order_no,
        order_id=f"id-{order.cl_ord_id}",
        user_mark=order.cl_ord_id,
        symbol=order.symbol,
        side=order.side,
        ord_type=OrdType.LIMIT,
        order_qty=Decimal(order.order_qty),
        price=order.price,
        state=state,
        raw_status=state.value,
        cum_qty=Decimal(sum(fill.last_qty for fill in fills)),
        notional=sum((fill.last_qty * fill.last_px for fill in fills), Decimal(0)),
        fees=sum((fill.fee for fill in fills), Decimal(0)),
        fills=tuple(fills),
        transact_time=START,
    )
    return replace(shown, **changes)


def execution(quantity: int, price: str = "10", exec_id: str | None = None, fee: str = "0") -> Fill:
    return Fill(
        exec_id=exec_id or f"x-{quantity}",
        last_qty=quantity,
        last_px=Decimal(price),
        fee=Decimal(fee),
        transact_time=START,
    )


def reading(story: Story, *reports: BrokerOrder, complete: bool = True, seconds: float = 0) -> OrdersRead:
    return OrdersRead(orders=reports, complete=complete, asked_at=story.now + timedelta(seconds=seconds))
