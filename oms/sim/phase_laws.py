"""Laws about order in time: sells before buys, phases in their path, nothing against the brake or after the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from oms.model.arming import LiveArmed, LiveDisarmed
from oms.model.detail import HaltScope
from oms.model.event import (
    AccountOpened,
    Blacklisted,
    BuysClosed,
    BuysRevalidated,
    CycleOpened,
    FundsSettled,
    Halted,
    OrderInDoubt,
    OrderPlanned,
    OrderReserved,
    OrderSending,
    Recorded,
    Released,
    SellsClosed,
    Unblacklisted,
)
from oms.model.order import Side
from oms.sim.evidence import CycleFacts, Evidence
from oms.sim.law import Finding, law

PATH = (CycleOpened, SellsClosed, FundsSettled, BuysRevalidated, BuysClosed)
"""The facts that move a cycle, in their order."""


@law("I6")
def no_buy_is_received_before_every_sell_is_over(evidence: Evidence) -> Iterator[Finding]:
    """I6: over at the broker, whatever the client saw; no buy at all where a sell was ever in quarantine."""
    for cycle in evidence.cycles.values():
        buys = [a.received for intent in cycle.side(Side.BUY) for a in evidence.arrivals_of(intent.order.cl_ord_id)]
        if not buys:
            continue
        first = min(buys, key=lambda row: row.id)
        if cycle.had_a_sell_in_quarantine:
            yield cycle.cycle_id, f"a sell was in quarantine, and a buy was received in row {first.id}"
        for intent in cycle.side(Side.SELL):
            if intent.voided_by_a_person:
                continue  # a person took the answer for it
            for order in evidence.orders_of(intent.order.cl_ord_id):
                if order.ended is None or order.ended.id > first.id:
                    ended = f"over in row {order.ended.id}" if order.ended is not None else "not over"
                    yield intent.order.cl_ord_id, f"{ended}, and a buy was received in row {first.id}"


@law("I7")
def a_cycle_walks_the_five_phases_each_once(evidence: Evidence) -> Iterator[Finding]:
    """I7: no order of a phase is planned, numbered or sent outside it."""
    for cycle in evidence.cycles.values():
        walked = [type(fact.event) for fact in cycle.facts if isinstance(fact.event, PATH)]
        if walked != list(PATH[: len(walked)]):
            yield cycle.cycle_id, f"its path is {[kind.kind for kind in walked]}"
        yield from _out_of_place(cycle)


def _out_of_place(cycle: CycleFacts) -> Iterator[Finding]:
    passed: set[type[object]] = set()
    for fact in cycle.facts:
        event = fact.event
        if isinstance(event, PATH):
            passed.add(type(event))
        if not isinstance(event, OrderPlanned | OrderReserved | OrderSending):
            continue
        intent = cycle.intents.get(event.cl_ord_id)
        side = intent.order.side if intent is not None else None
        is_early = side is Side.BUY and BuysRevalidated not in passed
        is_late = (side is Side.SELL and SellsClosed in passed) or BuysClosed in passed
        if is_early or is_late:
            yield (
                event.cl_ord_id,
                f"row {fact.seq} is {event.kind} of a {side}, {'too early' if is_early else 'too late'}",
            )


@law("I8")
def an_account_never_has_two_open_cycles(evidence: Evidence) -> Iterator[Finding]:
    """I8: a cycle opens when the one before it is done, and its name is new."""
    open_cycle: str | None = None
    names: set[str] = set()
    for fact in evidence.facts:
        event = fact.event
        if isinstance(event, CycleOpened):
            if open_cycle is not None:
                yield event.cycle_id, f"opened in row {fact.seq} while {open_cycle} was open"
            if event.cycle_id in names:
                yield event.cycle_id, f"opened again in row {fact.seq}"
            names.add(event.cycle_id)
            open_cycle = event.cycle_id
        elif isinstance(event, BuysClosed) and event.cycle_id == open_cycle:
            open_cycle = None


@law("I9")
def nothing_is_sent_against_the_brake(evidence: Evidence) -> Iterator[Finding]:
    """I9: no buy while halted, no order at all while halted for all."""
    for halted, released in _halts(evidence):
        scope = halted.event.scope if isinstance(halted.event, Halted) else HaltScope.ALL
        for key, intent in evidence.intents.items():
            if scope is HaltScope.BUYS and intent.order.side is Side.SELL:
                continue
            for fact, _ in intent.of(OrderSending):
                if fact.seq > halted.seq and (released is None or fact.seq < released.seq):
                    yield key, f"row {fact.seq} is its SENDING, halted in row {halted.seq}"
            if intent.of(OrderInDoubt):
                continue  # it may have been long on its way; that nothing was sent is said by its rows
            for arrival in evidence.arrivals_of(key):
                at = arrival.received.at
                if at > halted.at + evidence.in_flight and (released is None or at < released.at):
                    yield key, f"received at {at}, halted at {halted.at}"


@law("I9")
def no_real_money_moves_without_a_persons_word(evidence: Evidence) -> Iterator[Finding]:
    """I9: armed for these limits when an order is SENDING, and neither disarmed nor over when it is received."""
    first = next((fact.event for fact in evidence.facts if isinstance(fact.event, AccountOpened)), None)
    if first is None or first.mode != "live":
        return
    word: LiveArmed | None = None
    for fact in evidence.facts:
        event = fact.event
        if isinstance(event, LiveArmed | LiveDisarmed):
            word = event if isinstance(event, LiveArmed) else None
        elif isinstance(event, OrderSending):
            cycle = evidence.cycles.get(event.cycle_id)
            licences = evidence.rules_of(cycle).licences if cycle is not None else ()
            if word is None:
                yield event.cl_ord_id, f"row {fact.seq} is its SENDING, and real money was not armed"
            elif licences and word.limits_hash not in licences:
                yield event.cl_ord_id, f"row {fact.seq} is its SENDING, armed for other limits than it was sent under"
    words = list(_words(evidence))
    for key, intent in evidence.intents.items():
        if intent.of(OrderInDoubt):
            continue  # it may have been long on its way
        for arrival in evidence.arrivals_of(key):
            at = arrival.received.at
            if not any(since <= at <= until + evidence.in_flight for since, until in words):
                yield key, f"received at {at}, when real money was not armed"


def _words(evidence: Evidence) -> Iterator[tuple[datetime, datetime]]:
    """From when to when real money was armed."""
    word: tuple[datetime, datetime] | None = None
    for fact in evidence.facts:
        event = fact.event
        if not isinstance(event, LiveArmed | LiveDisarmed):
            continue
        if word is not None:
            yield word[0], min(word[1], fact.at)
        word = (fact.at, event.until) if isinstance(event, LiveArmed) else None
    if word is not None:
        yield word


def _halts(evidence: Evidence) -> Iterator[tuple[Recorded, Recorded | None]]:
    """Each time the brake was on or changed, with the row that ended it."""
    halted: Recorded | None = None
    for fact in evidence.facts:
        if isinstance(fact.event, Halted | Released):
            if halted is not None:
                yield halted, fact
            halted = fact if isinstance(fact.event, Halted) else None
    if halted is not None:
        yield halted, None


@law("I9")
def no_buy_of_a_blacklisted_symbol_is_sent(evidence: Evidence) -> Iterator[Finding]:
    """I9: from the instant at which the list names it."""
    for cycle in evidence.cycles.values():
        barred = evidence.rules_of(cycle).blacklist
        for intent in cycle.side(Side.BUY):
            if intent.order.symbol in barred and evidence.arrivals_of(intent.order.cl_ord_id):
                yield intent.order.cl_ord_id, f"{intent.order.symbol} is on the blacklist of the configuration"
    listed: dict[str, Recorded] = {}
    for fact in evidence.facts:
        event = fact.event
        if isinstance(event, Blacklisted):
            listed[event.symbol] = fact
        elif isinstance(event, Unblacklisted):
            listed.pop(event.symbol, None)
        elif isinstance(event, OrderSending) and event.symbol in listed:
            intent_sent = evidence.intents.get(event.cl_ord_id)
            row = listed[event.symbol]
            until = row.event.until if isinstance(row.event, Blacklisted) else None
            is_buy = intent_sent is not None and intent_sent.order.side is Side.BUY
            if is_buy and (until is None or fact.at < until):
                yield event.cl_ord_id, f"row {fact.seq} is its SENDING, {event.symbol} was listed in row {row.seq}"


@law("I9")
def nothing_is_sent_after_the_end_or_to_a_closed_market(evidence: Evidence) -> Iterator[Finding]:
    """I9: nothing reaches the broker for a cycle that is done, and nothing outside the market's hours."""
    for cycle in evidence.cycles.values():
        for key in cycle.intents:
            for arrival in evidence.arrivals_of(key):
                if arrival.refusal == "market_closed":
                    yield key, f"received at {arrival.received.at}, and the market was closed"
                sent_late = cycle.done is not None and arrival.received.at > cycle.done.at + evidence.in_flight
                if sent_late and not evidence.intents[key].of(OrderInDoubt):
                    yield key, f"received at {arrival.received.at}, its cycle was done"


@law("I31")
def a_deadline_is_the_one_its_phase_began_with(evidence: Evidence) -> Iterator[Finding]:
    """I31: an absolute instant in the journal; a restart continues it and never restarts a clock."""
    for cycle in evidence.cycles.values():
        for key, intent in cycle.intents.items():
            first = cycle.opened.deadline
            if intent.order.side is Side.BUY and cycle.revalidated is not None:
                first = cycle.revalidated[1].deadline
            for fact, event in intent.of(OrderReserved):
                if event.deadline != first:
                    yield key, f"row {fact.seq} says {event.deadline}, its phase began with {first}"
