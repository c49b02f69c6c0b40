"""Broker against journal, between two cycles: each difference with what kind it is, what explains it and what to do.

Nothing here becomes a trade, and no figure of the journal is corrected: a difference is shown until an operator adopts it
or the broker's own reports explain it away. Only what those reports show counts as an explanation; the ratio of a split
and a change of symbol are recognised by their arithmetic, and said to be likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal

from oms.model.account import Position
from oms.model.difference import Difference, DifferenceKind
from oms.model.event import ExternalOrderSeen
from oms.model.order import ZERO, BrokerOrder, Order, OrderPhase, Side
from oms.model.state import MICRO, AccountState, Holding
from oms.ports import OrdersRead

SPLITS = (
    *((ratio, 1) for ratio in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50)),
    *((1, ratio) for ratio in (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100)),
    *((3, 2), (4, 3), (5, 2), (5, 4)),
)
"""New shares for old ones: the ratios that companies use."""
SAME_COST = Decimal("0.02")
"""A split leaves the cost of a holding as it was; brokers round, so that it may differ by this share."""


def differences(state: AccountState, positions: Mapping[str, Position], read: OrdersRead) -> tuple[Difference, ...]:
    """Everything in which broker and journal do not agree, in an order that does not change by itself.

    Args:
        positions: the broker's, read no earlier than ``read``.
        read: the broker's orders, whose facts are journaled already.
    """
    reports = {report.order_no: report for report in read.orders if report.order_no is not None}
    found = [*_of_orders(state, reports, read), *_of_positions(state, positions)]
    return tuple(sorted(found, key=lambda difference: difference.key))


# Orders


def _of_orders(state: AccountState, reports: Mapping[str, BrokerOrder], read: OrdersRead) -> Iterator[Difference]:
    for seen in state.external.values():
        if seen.open:
            yield _foreign(seen)
    for order in state.orders:
        report = reports.get(order.order_no or "")
        if report is not None and report.cum_qty.is_finite() and report.cum_qty > order.cum_qty:
            yield _unbooked(order, report)
        elif report is None and read.complete and order.phase is OrderPhase.LIVE:
            yield _lost(order)


def _foreign(seen: ExternalOrderSeen) -> Difference:
    price = "at the market" if seen.price is None else f"at {seen.price:f}"
    return Difference(
        kind=DifferenceKind.FOREIGN_ORDER,
        symbol=seen.symbol,
        order=seen.order_id,
        broker=seen.cum_qty,
        journal=ZERO,
        text=f"an order of another program is open: {seen.side.value} {seen.order_qty:f} {seen.symbol} {price}, "
        f"{seen.cum_qty:f} filled ({seen.order_id})",
        proposal=f"it is counted against funds and caps and never touched; cancel it where it was made, or keep this "
        f"engine out of the symbol: `blacklist add {seen.symbol}`",
    )


def _unbooked(order: Order, report: BrokerOrder) -> Difference:
    return Difference(
        kind=DifferenceKind.LATE_FILL,
        symbol=order.symbol,
        order=order.cl_ord_id,
        broker=report.cum_qty,
        journal=Decimal(order.cum_qty),
        text=f"the broker calls {report.cum_qty:f} of {order.order_qty} shares filled, its executions add up to "
        f"{order.cum_qty}",
        proposal=f"wait: it is booked when its executions appear; `order show {order.cl_ord_id}` has the rest",
    )


def _lost(order: Order) -> Difference:
    return Difference(
        kind=DifferenceKind.MISSING_ORDER,
        symbol=order.symbol,
        order=order.cl_ord_id,
        broker=ZERO,
        journal=Decimal(order.cum_qty),
        text=f"the journal holds {order.side.value} {order.order_qty} {order.symbol} for open at the broker, which does "
        f"not show it (number {order.order_no})",
        proposal=f"it is asked about at each look and never sent again; look at the broker for it, and see "
        f"`order show {order.cl_ord_id}`",
    )


# Positions


def _of_positions(state: AccountState, positions: Mapping[str, Position]) -> Iterator[Difference]:
    unsure = {order.symbol for order in state.orders if not order.is_closed}
    symbols = {*positions, *(symbol for symbol, held in state.holdings.items() if held.qty)}
    apart = [
        (symbol, _at_broker(positions, symbol), state.holdings.get(symbol, Holding()))
        for symbol in sorted(symbols - unsure)
    ]
    apart = [(symbol, there, here) for symbol, there, here in apart if there.qty != here.qty]
    renamed = _renamed(state, apart)
    for symbol, there, here in apart:
        yield renamed.get(symbol) or _position(state, symbol, there, here)


def _at_broker(positions: Mapping[str, Position], symbol: str) -> Position:
    none = Position(symbol=symbol, qty=ZERO, sellable=ZERO, avg_cost=ZERO)
    return positions.get(symbol, none)


def _position(state: AccountState, symbol: str, there: Position, here: Holding) -> Difference:
    apart = there.qty - here.qty
    trades = [seen for seen in state.external.values() if seen.symbol == symbol and seen.cum_qty]
    both = f"the broker holds {there.qty:f} {symbol}, the journal {here.qty:f}"
    cost = _cost(there, here)
    adopt = f"`reconcile adopt {symbol} --reason TEXT` takes the broker's {there.qty:f} shares into the books"
    if orders := _explaining(trades, apart):
        names = ", ".join(f"{seen.side.value} {seen.cum_qty:f} ({seen.order_id})" for seen in orders)
        kind, text = DifferenceKind.MANUAL_TRADE, f"{both}; fills of other programs account for it: {names}"
    elif not trades and (ratio := _split(there, here)):
        kind, cost = DifferenceKind.CORPORATE_ACTION, here.cost
        text = f"{both}, and no order explains it: likely a split, {ratio[0]} new shares for {ratio[1]}"
        adopt += ", at the cost they had; compare the broker's notice of the split first"
    else:
        kind = DifferenceKind.MISSING if apart < 0 else DifferenceKind.SURPLUS
        text = f"{both}, and nothing that the broker showed explains it"
        adopt = f"ask the broker what happened (a transfer, a spin-off, a trade that it does not list); then {adopt}"
    return Difference(
        kind=kind, symbol=symbol, broker=there.qty, journal=here.qty, text=text, proposal=adopt, cost=cost
    )


def _explaining(trades: Sequence[ExternalOrderSeen], apart: Decimal) -> list[ExternalOrderSeen]:
    """Foreign orders whose fills are exactly what differs: all of the symbol, or one where others were adopted before."""
    signed = [seen.cum_qty if seen.side is Side.BUY else -seen.cum_qty for seen in trades]
    if trades and sum(signed, ZERO) == apart:
        return list(trades)
    return next(([seen] for seen, qty in zip(trades, signed, strict=True) if qty == apart), [])


def _split(there: Position, here: Holding) -> tuple[int, int] | None:
    """The ratio of a split that turns the journal's shares into the broker's; fractions may have been paid out."""
    if here.qty <= 0 or there.qty <= 0:
        return None
    cost = there.avg_cost * there.qty
    is_told = there.avg_cost.is_finite() and there.avg_cost > 0 and here.cost > 0
    if is_told and abs(cost - here.cost) > SAME_COST * here.cost:
        return None
    for new, old in SPLITS:
        exact = here.qty * new / old
        if there.qty in (exact, exact.to_integral_value(rounding=ROUND_FLOOR)):
            return new, old
    return None


def _renamed(state: AccountState, apart: Sequence[tuple[str, Position, Holding]]) -> dict[str, Difference]:
    """One symbol whose shares are all gone, and one new one with as many: likely the same company under another name."""
    traded = {seen.symbol for seen in state.external.values() if seen.cum_qty}
    gone = [(symbol, here) for symbol, there, here in apart if not there.qty and here.qty and symbol not in traded]
    come = [(symbol, there) for symbol, there, here in apart if there.qty and not here.qty and symbol not in traded]
    if len(gone) != 1 or len(come) != 1 or gone[0][1].qty != come[0][1].qty:
        return {}
    (old, held), (new, position) = gone[0], come[0]
    text = (
        f"{held.qty:f} {old} are gone and {held.qty:f} {new} have come, and no order explains it: likely a new symbol"
    )
    proposal = (
        f"compare the broker's notice; then `reconcile adopt {old} --reason TEXT`, the same for {new}, and put {new} into "
        "the universe"
    )
    kind = DifferenceKind.CORPORATE_ACTION
    return {
        old: Difference(kind=kind, symbol=old, broker=ZERO, journal=held.qty, text=text, proposal=proposal, cost=ZERO),
        new: Difference(
            kind=kind, symbol=new, broker=position.qty, journal=ZERO, text=text, proposal=proposal, cost=held.cost
        ),
    }


def _cost(there: Position, here: Holding) -> Decimal:
    """What the broker's shares did cost in all: by its own average, else in proportion to what the journal has."""
    if there.avg_cost.is_finite() and there.avg_cost > 0:
        return (there.avg_cost * there.qty).quantize(MICRO)
    return (here.cost * there.qty / here.qty).quantize(MICRO) if here.qty else ZERO
