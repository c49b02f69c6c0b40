"""Laws about single orders: exactly once, intent before deed, orders out equal to orders in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from oms.gateways.paper.log import LogEntry, LogKind
from oms.model.detail import Intent, Validated
from oms.model.event import (
    OrderBlocked,
    OrderNotFound,
    OrderNotSent,
    OrderRejected,
    OrderReserved,
    OrderSending,
)
from oms.model.liquidity import KEPT
from oms.model.order import CloseReason, OrderPhase, Side
from oms.model.rules import DoubtPolicy
from oms.sim.evidence import AtBroker, Evidence, IntentFacts
from oms.sim.law import Finding, law


@law("I1")
def an_intent_is_accepted_at_most_once(evidence: Evidence) -> Iterator[Finding]:
    """I1: for every intent, orders accepted by the broker with its number or its mark are at most one."""
    for key in evidence.intents:
        accepted = [arrival for arrival in evidence.arrivals_of(key) if arrival.accepted]
        if len(accepted) > 1:
            yield key, f"accepted {len(accepted)} times, in rows {[arrival.received.id for arrival in accepted]}"


@law("I1")
def an_intent_of_a_finished_cycle_was_sent_or_refused_with_a_reason(evidence: Evidence) -> Iterator[Finding]:
    """I1: none is lost; each reached the broker, or is blocked with its reason, void, or in quarantine for all to see."""
    for cycle in evidence.cycles.values():
        if cycle.done is None:
            continue
        for wish in (*cycle.opened.sells, *cycle.opened.buys):
            intent = cycle.intents.get(wish.cl_ord_id)
            if intent is None:
                yield wish.cl_ord_id, f"{cycle.cycle_id} is done, and this wish of its plan became no order"
                continue
            fault = _lost(evidence, intent)
            if fault is not None:
                yield wish.cl_ord_id, fault


def _turned_down(order: AtBroker) -> bool:
    """Accepted at first, and rejected before anything of it traded."""
    return order.ended is not None and order.ended.kind is LogKind.REJECTED and not order.fills


def _lost(evidence: Evidence, intent: IntentFacts) -> str | None:
    order = intent.order
    arrivals = evidence.arrivals_of(order.cl_ord_id)
    if order.phase is OrderPhase.LOCAL or (order.phase is OrderPhase.AMBIGUOUS and not order.quarantined):
        return f"its cycle is done, and it is {order.ord_status.value}"
    if order.close_reason is CloseReason.BLOCKED:
        return f"blocked by {order.rule}, but the broker received it" if arrivals else None
    if order.close_reason is CloseReason.REJECTED:
        # A no that the tests themselves scripted leaves no trace in the broker's log; an acceptance would.
        thought_better = any(_turned_down(each) for each in evidence.orders_of(order.cl_ord_id))
        accepted = any(arrival.accepted for arrival in arrivals)
        return "rejected, but the broker accepted it" if accepted and not thought_better else None
    if order.quarantined or order.close_reason is CloseReason.VOID:
        return None
    return None if any(a.accepted for a in arrivals) else f"{order.ord_status.value}, but the broker never accepted it"


@law("I2")
def an_order_stood_in_the_journal_before_the_broker_received_it(evidence: Evidence) -> Iterator[Finding]:
    """I2: its RESERVED row first, with the same fields, and its SENDING row, unless the machine restarted since."""
    for arrival in evidence.arrivals:
        row = arrival.received
        key = evidence.key(row)
        if key is None:
            yield f"number {row.order_no}", f"received at {row.at}, and the journal does not know it"
            continue
        intent = evidence.intents[key]
        reserved = [fact for fact, event in intent.of(OrderReserved) if event.order_no == row.order_no]
        if not reserved or reserved[0].at > row.at:
            yield key, f"received at {row.at}, reserved {f'at {reserved[0].at}' if reserved else 'never'}"
        sending = [fact for fact, _ in intent.of(OrderSending) if fact.at <= row.at]
        if not sending and not evidence.restarted_since(intent):
            yield key, f"received at {row.at} without a SENDING row before"


@law("I3")
def a_number_is_one_intent_and_an_intent_one_number(evidence: Evidence) -> Iterator[Finding]:
    """I3: in the journal, and on the wire."""
    pairs = [(key, event.order_no) for key, intent in evidence.intents.items() for _, event in intent.of(OrderReserved)]
    numbers: dict[str, set[str]] = {}
    keys: dict[str, set[str]] = {}
    sent = [(a.received.user_mark, a.received.order_no) for a in evidence.arrivals]
    for key, number in (*pairs, *((mark, number) for mark, number in sent if mark is not None and number is not None)):
        numbers.setdefault(key, set()).add(number)
        keys.setdefault(number, set()).add(key)
    for key, several in numbers.items():
        if len(several) > 1:
            yield key, f"it has the numbers {sorted(several)}"
    for number, several in keys.items():
        if len(several) > 1:
            yield f"number {number}", f"it stands for {sorted(several)}"


@law("I4")
def the_order_at_the_broker_is_the_order_in_the_journal(evidence: Evidence) -> Iterator[Finding]:
    """I4: orders out against orders in, field by field."""
    for arrival in evidence.arrivals:
        key = evidence.key(arrival.received)
        if key is None:
            continue
        for _, event in evidence.intents[key].of(OrderReserved):
            inside = (event.cl_ord_id, event.order_no, event.symbol, event.side, event.ord_type, event.price)
            if (outside := _fields(arrival.received)) != (*inside, Decimal(event.order_qty)):
                yield key, f"{outside} was received, {(*inside, event.order_qty)} is in the journal"


def _fields(row: LogEntry) -> tuple[object, ...]:
    return row.user_mark, row.order_no, row.symbol, row.side, row.ord_type, row.price, row.qty


@law("I5")
def an_order_is_requested_once_or_as_often_as_repeats_are_proved_harmless(evidence: Evidence) -> Iterator[Finding]:
    """I5: counted on the wire; every request has its own SENDING row."""
    for cycle in evidence.cycles.values():
        rules = evidence.rules_of(cycle)
        may_repeat = evidence.refuses_repeats and rules.doubt_then is DoubtPolicy.RESEND
        for key, intent in cycle.intents.items():
            received = len(evidence.arrivals_of(key))
            # A power cut may take the count of earlier requests with it, so each restart begins it afresh.
            most = rules.max_sends * (1 + evidence.restarts) if may_repeat else 1
            if received > most:
                yield key, f"{received} requests were received, {most} are allowed"
            sendings = len(intent.of(OrderSending))
            left = sendings - len(intent.of(OrderNotSent))
            if left > most:
                yield key, f"{left} requests left, {most} are allowed"
            if received > sendings and not evidence.restarted_since(intent):
                yield key, f"{received} requests were received for {sendings} SENDING rows"


@law("I5")
def a_request_is_repeated_only_after_a_reading_that_did_not_show_the_order(evidence: Evidence) -> Iterator[Finding]:
    """I5: ask before acting; only proof that nothing left lets a request go out again without asking."""
    for key, intent in evidence.intents.items():
        may_go = True
        for fact in intent.facts:
            if isinstance(fact.event, OrderSending):
                if not may_go:
                    yield key, f"row {fact.seq} sends it again, and nobody had asked for it since the last time"
                may_go = False
            elif isinstance(fact.event, OrderNotFound | OrderNotSent):
                may_go = True


@law("I14")
def an_order_is_one_that_a_market_takes(evidence: Evidence) -> Iterator[Finding]:
    """I14: whole shares, at least one, a finite limit above zero, on the tick and the lot."""
    for arrival in evidence.arrivals:
        row = arrival.received
        quantity_is_sound = row.qty is not None and row.qty.is_finite() and row.qty >= 1 and row.qty % 1 == 0
        limit_is_sound = row.price is None or (row.price.is_finite() and row.price > 0)
        if not quantity_is_sound or not limit_is_sound or arrival.refusal in ("bad_price", "bad_quantity"):
            yield evidence.key(row) or f"number {row.order_no}", f"{row.qty} at {row.price}, {arrival.refusal}"


@law("I41")
def no_buy_is_sent_beyond_the_trades_of_a_day(evidence: Evidence) -> Iterator[Finding]:
    """I41: when it left, fewer orders than the limit had left that the broker accepted, then or later; sells go on."""
    left: dict[date, list[tuple[int, str]]] = {}
    for key, intent in evidence.intents.items():
        sent = next((fact.seq for fact, _ in intent.of(OrderSending)), None)
        if sent is not None and any(arrival.accepted for arrival in evidence.arrivals_of(key)):
            left.setdefault(evidence.cycle_of[key].opened.trading_day, []).append((sent, key))
    for day, orders in left.items():
        for made, (_, key) in enumerate(sorted(orders)):
            most = evidence.rules_of(evidence.cycle_of[key]).max_trades_per_day
            if evidence.intents[key].order.side is Side.BUY and made >= most:
                yield key, f"trade {made + 1} of {day}, {most} are allowed"


@law("I42")
def whatever_was_cut_or_blocked_has_one_reason(evidence: Evidence) -> Iterator[Finding]:
    """I42: every refused or resized order has exactly one row that names the rule and its numbers."""
    for key, intent in evidence.intents.items():
        blocked = intent.of(OrderBlocked)
        rejected = intent.of(OrderRejected)
        is_blocked = intent.order.close_reason is CloseReason.BLOCKED
        if len(blocked) > 1 or (is_blocked and not blocked):
            yield key, f"it has {len(blocked)} reasons for being blocked"
        if intent.order.close_reason is CloseReason.REJECTED and len(rejected) != 1:
            yield key, f"it is rejected, with {len(rejected)} reasons"
        for _, event in blocked:
            if not event.rule or not event.reason:
                yield key, f"blocked by rule {event.rule!r} for the reason {event.reason!r}"
    for cycle in evidence.cycles.values():
        if cycle.revalidated is not None:
            yield from _cuts(cycle.opened.buys, cycle.revalidated[1].buys)


def _cuts(originals: Sequence[Intent], answers: Sequence[Validated]) -> Iterator[Finding]:
    wished = {buy.cl_ord_id: buy for buy in originals}
    answered = [answer.cl_ord_id for answer in answers]
    for key in wished:
        if answered.count(key) != 1:
            yield key, f"revalidation answered it {answered.count(key)} times"
    for answer in answers:
        wish = wished.get(answer.cl_ord_id)
        is_cut = wish is not None and answer.quantity < wish.quantity
        if is_cut and (not answer.rule or answer.rule == KEPT or not answer.reason):
            yield (
                answer.cl_ord_id,
                f"cut from {answer.original} to {answer.quantity} by {answer.rule!r}: {answer.reason!r}",
            )
