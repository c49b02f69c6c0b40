"""Laws about the whole account: the journal's books and the broker's are the same books."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from oms.gateways.paper.log import LogEntry, LogKind
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    ExternalOrderSeen,
    OrderAcknowledged,
    OrderFilled,
    OrderQuarantined,
    OrderVoided,
)
from oms.model.order import ZERO, Side
from oms.sim.evidence import Evidence, cash_moved, shares_moved
from oms.sim.law import Finding, law


@law("I15")
def cash_and_shares_are_the_same_at_broker_and_journal(evidence: Evidence) -> Iterator[Finding]:
    """I15: what was there, what fills of ours moved, and nothing else; in a journal at rest also the broker's own sum."""
    first = next(iter(evidence.facts), None)
    if first is None or not isinstance(first.event, AccountOpened):
        return
    opened = first.event
    fills = [fact.event for fact in evidence.facts if isinstance(fact.event, OrderFilled)]
    cash = opened.cash + sum((_cash(fill) for fill in fills), ZERO)
    if cash != evidence.state.cash:
        yield "the journal's cash", f"its facts add up to {cash}, its state says {evidence.state.cash}"
    shares = {position.symbol: position.qty for position in opened.positions}
    for fill in fills:
        signed = fill.last_qty if fill.side is Side.BUY else -fill.last_qty
        shares[fill.symbol] = shares.get(fill.symbol, ZERO) + signed
    held = {symbol: holding.qty for symbol, holding in evidence.state.holdings.items()}
    for symbol in sorted({*shares, *held}):
        if shares.get(symbol, ZERO) != held.get(symbol, ZERO):
            yield (
                f"the journal's {symbol}",
                f"its facts add up to {shares.get(symbol)}, its state says {held.get(symbol)}",
            )
    if evidence.at_rest:
        yield from _against_the_broker(evidence, opened)


def _cash(fill: OrderFilled) -> Decimal:
    value = fill.last_qty * fill.last_px
    return (value if fill.side is Side.SELL else -value) - fill.fee


def _against_the_broker(evidence: Evidence, opened: AccountOpened) -> Iterator[Finding]:
    """The broker's sums, without what strangers did and what the journal cannot know yet."""
    began = evidence.began_at
    before = [row for row in evidence.log if began is None or row.at <= began]
    ours = [
        row
        for row in evidence.log[len(before) :]
        if evidence.key(row) is not None and not (row.exec_id not in evidence.booked and evidence.is_excused(row))
    ]
    cash = sum((cash_moved(row) for row in (*before, *ours)), ZERO)
    if cash != evidence.state.cash:
        yield "cash", f"{cash} at the broker, {evidence.state.cash} in the journal"
    if (first := sum((cash_moved(row) for row in before), ZERO)) != opened.cash:
        yield "opening cash", f"{first} at the broker, {opened.cash} in the journal"
    for symbol in sorted({*evidence.symbols, *evidence.state.holdings}):
        there = sum((shares_moved(row) for row in (*before, *ours) if row.symbol == symbol), ZERO)
        here = evidence.state.holdings[symbol].qty if symbol in evidence.state.holdings else ZERO
        if there != here:
            yield f"shares of {symbol}", f"{there} at the broker, {here} in the journal"


@law("I15")
def the_judge_adds_up(evidence: Evidence) -> Iterator[Finding]:
    """I15: each row of the broker's log shows the cash that the rows before it lead to."""
    cash = ZERO
    for row in evidence.log:
        if row.cash != cash:
            yield f"row {row.id} of the broker's log", f"it shows {row.cash}, the rows before add up to {cash}"
        cash += cash_moved(row)


@law("I20")
def a_fill_in_the_journal_is_a_fill_at_the_broker(evidence: Evidence) -> Iterator[Finding]:
    """I20: with the same order, quantity, price and fee, and booked once."""
    there = {row.exec_id: row for row in evidence.log if row.kind is LogKind.FILL}
    booked: set[str] = set()
    for fact in evidence.facts:
        event = fact.event
        if not isinstance(event, OrderFilled):
            continue
        if event.exec_id in booked:
            yield event.cl_ord_id, f"execution {event.exec_id} is booked again in row {fact.seq}"
        booked.add(event.exec_id)
        row = there.get(event.exec_id)
        if row is None:
            yield event.cl_ord_id, f"row {fact.seq} books execution {event.exec_id}, which the broker never made"
        elif _differs(evidence, event, row):
            inside = (event.cl_ord_id, event.side, event.last_qty, event.last_px, event.fee)
            yield (
                event.cl_ord_id,
                f"{inside} is booked, {(row.user_mark, row.side, row.qty, row.price, row.fee)} was done",
            )


def _differs(evidence: Evidence, event: OrderFilled, row: LogEntry) -> bool:
    inside = (event.cl_ord_id, event.side, Decimal(event.last_qty), event.last_px, event.fee)
    return inside != (evidence.key(row), row.side, row.qty, row.price, row.fee)


@law("I20")
def a_fill_at_the_broker_is_a_fill_in_the_journal(evidence: Evidence) -> Iterator[Finding]:
    """I20: in a journal at rest, but for orders that are in doubt or that a person declared void."""
    if not evidence.at_rest:
        return
    for row in evidence.missing_fills():
        if not evidence.is_excused(row):
            yield evidence.key(row) or "", f"execution {row.exec_id} of {row.qty} at {row.price} is not booked"


@law("I20")
def an_order_that_is_over_at_the_broker_is_over_in_the_journal(evidence: Evidence) -> Iterator[Finding]:
    """I20: in a journal at rest, with the same quantity; and one that may still trade is not closed there."""
    if not evidence.at_rest:
        return
    for key, intent in evidence.intents.items():
        for order in evidence.orders_of(key):
            if intent.order.is_unresolved or intent.voided_by_a_person:
                continue
            same = order.cum_qty == intent.order.cum_qty and (order.ended is not None) == intent.order.is_closed
            if not same:
                there = f"{order.cum_qty} of {order.order_qty} filled, {'over' if order.ended else 'open'}"
                yield (
                    key,
                    f"{there} at the broker; {intent.order.cum_qty}, {intent.order.ord_status.value} in the journal",
                )


@law("I34")
def a_difference_of_shares_after_the_end_is_shown(evidence: Evidence) -> Iterator[Finding]:
    """I34: once a cycle is done both hold the same, or a person was told or shown the foreign order; never a silent fix."""
    done = [cycle.done for cycle in evidence.cycles.values() if cycle.done is not None]
    if not done or not evidence.at_rest or any(i.order.is_unresolved for i in evidence.intents.values()):
        return
    last = max(done, key=lambda fact: fact.seq)
    unsure = set(_in_doubt_at(evidence, last.seq))
    told = {fact.event.symbol for fact in evidence.facts if isinstance(fact.event, AttentionRaised | ExternalOrderSeen)}
    for symbol in sorted({*evidence.symbols, *evidence.state.holdings}):
        there = sum(
            (
                shares_moved(row)
                for row in evidence.log
                if row.symbol == symbol and (row.at <= last.at or row.exec_id in evidence.booked)
            ),
            ZERO,
        )
        here = evidence.state.holdings[symbol].qty if symbol in evidence.state.holdings else ZERO
        if there != here and symbol not in told and symbol not in unsure:
            yield f"shares of {symbol}", f"{there} at the broker, {here} in the journal, and nobody was told"


def _in_doubt_at(evidence: Evidence, seq: int) -> Iterator[str]:
    """Symbols of orders that were in quarantine at a row: what is held of them is compared when the next cycle ends."""
    for intent in evidence.intents.values():
        parked = [fact.seq for fact, _ in intent.of(OrderQuarantined)]
        ends = [fact.seq for fact in intent.facts if isinstance(fact.event, OrderAcknowledged | OrderVoided)]
        if any(at < seq and not any(at < end < seq for end in ends) for at in parked):
            yield intent.order.symbol
