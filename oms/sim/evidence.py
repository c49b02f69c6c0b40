"""What the laws are judged from: the broker's own log on one side, the journal's facts on the other, each indexed once.

Nothing here is taken from the engine: orders are folded from their facts, the broker's cash and shares from its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TypeVar

from oms.gateways.paper.log import LogEntry, LogKind
from oms.model import lifecycle
from oms.model.event import (
    AccountOpened,
    BuysClosed,
    BuysRevalidated,
    CycleOpened,
    CycleResumed,
    Event,
    FundsObserved,
    FundsSettled,
    OrderEvent,
    OrderFilled,
    OrderPlanned,
    OrderQuarantined,
    OrderReserved,
    OrderVoided,
    Recorded,
    SellsClosed,
)
from oms.model.order import ZERO, Order, Side
from oms.model.rules import Rules
from oms.model.state import AccountState

E = TypeVar("E", bound=Event)

OPERATOR = "operator"
"""How the evidence of a void that rests on a person's word begins."""


@dataclass(kw_only=True)
class Arrival:
    """One request to place an order as the broker received it, and what it answered."""

    received: LogEntry
    answer: LogEntry | None = None

    @property
    def accepted(self) -> bool:
        return self.answer is not None and self.answer.kind is LogKind.ACCEPTED

    @property
    def refusal(self) -> str | None:
        """The code with which it was refused."""
        if self.answer is None or self.answer.kind is not LogKind.REFUSED:
            return None
        return self.answer.text.partition(":")[0]


@dataclass(kw_only=True)
class AtBroker:
    """One accepted order as the broker's log adds up."""

    accepted: LogEntry
    fills: list[LogEntry] = field(default_factory=list)
    ended: LogEntry | None = None
    """The row after which nothing more of it traded; None while it may trade."""

    @property
    def order_qty(self) -> Decimal:
        return self.accepted.qty or ZERO

    @property
    def cum_qty(self) -> Decimal:
        return sum((fill.qty or ZERO for fill in self.fills), ZERO)

    def leaves_before(self, row_id: int) -> Decimal:
        """Shares that could still trade when the broker wrote row ``row_id``."""
        if self.accepted.id >= row_id or (self.ended is not None and self.ended.id < row_id):
            return ZERO
        return self.order_qty - sum((fill.qty or ZERO for fill in self.fills if fill.id < row_id), ZERO)


@dataclass(kw_only=True)
class IntentFacts:
    """One intent as the journal has it: its own fold and the rows it came from."""

    order: Order
    planned: Recorded
    facts: list[Recorded] = field(default_factory=list)

    def of(self, kind: type[E]) -> list[tuple[Recorded, E]]:
        """Its rows of one kind, oldest first."""
        return [(fact, fact.event) for fact in self.facts if isinstance(fact.event, kind)]

    @property
    def voided_by_a_person(self) -> bool:
        return any(event.evidence.startswith(OPERATOR) for _, event in self.of(OrderVoided))


@dataclass(kw_only=True)
class CycleFacts:
    """One cycle as the journal has it."""

    opened_row: Recorded
    opened: CycleOpened
    facts: list[Recorded] = field(default_factory=list)
    intents: dict[str, IntentFacts] = field(default_factory=dict)

    def of(self, kind: type[E]) -> list[tuple[Recorded, E]]:
        """Rows of one kind, oldest first."""
        return [(fact, fact.event) for fact in self.facts if isinstance(fact.event, kind)]

    @property
    def cycle_id(self) -> str:
        return self.opened.cycle_id

    @property
    def done(self) -> Recorded | None:
        """The row that ended it."""
        return next((fact for fact, _ in self.of(BuysClosed)), None)

    @property
    def settled(self) -> tuple[Recorded, FundsSettled] | None:
        return next(iter(self.of(FundsSettled)), None)

    @property
    def revalidated(self) -> tuple[Recorded, BuysRevalidated] | None:
        return next(iter(self.of(BuysRevalidated)), None)

    @property
    def sells_closed(self) -> tuple[Recorded, SellsClosed] | None:
        return next(iter(self.of(SellsClosed)), None)

    def side(self, side: Side) -> list[IntentFacts]:
        return [intent for intent in self.intents.values() if intent.order.side is side]

    @property
    def had_a_sell_in_quarantine(self) -> bool:
        return any(intent.of(OrderQuarantined) for intent in self.side(Side.SELL))

    @property
    def readings(self) -> list[tuple[Recorded, FundsObserved]]:
        """Funds read while it waited for the money."""
        closed, settled = self.sells_closed, self.settled
        last = settled[0].seq if settled is not None else None
        return [
            (fact, event)
            for fact, event in self.of(FundsObserved)
            if closed is not None and fact.seq > closed[0].seq and (last is None or fact.seq < last)
        ]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything the laws look at. ``log`` and ``facts`` are of one account, oldest first."""

    log: Sequence[LogEntry]
    facts: Sequence[Recorded]
    state: AccountState
    """The journal's own fold of ``facts``."""
    rules: Rules = field(default_factory=Rules)
    """Limits of cycles whose own are not in ``rules_by_config``."""
    rules_by_config: Mapping[str, Rules] = field(default_factory=dict)
    refuses_repeats: bool = True
    """The broker is proven to refuse a repeated number, so a re-send is allowed."""
    restart_token: str | None = None
    """The machine's present one; None: that of the newest fact that names one."""
    in_flight: timedelta = timedelta(0)
    """How long a request may be on its way: one that left before a halt may arrive so much after it."""

    def rules_of(self, cycle: CycleFacts) -> Rules:
        """The limits under which a cycle was opened."""
        return self.rules_by_config.get(cycle.opened.config_hash, self.rules)

    # The journal's side

    @cached_property
    def began_at(self) -> datetime | None:
        """When this journal began; what the broker has from before is not ours to judge."""
        first = next(iter(self.facts), None)
        return first.at if first is not None and isinstance(first.event, AccountOpened) else None

    @cached_property
    def cycles(self) -> dict[str, CycleFacts]:
        found: dict[str, CycleFacts] = {}
        for fact in self.facts:
            event = fact.event
            if isinstance(event, CycleOpened):
                found[event.cycle_id] = CycleFacts(opened_row=fact, opened=event)
            cycle = found.get(getattr(event, "cycle_id", None) or "")
            if cycle is None:
                continue
            cycle.facts.append(fact)
            if isinstance(event, OrderPlanned):
                order = lifecycle.planned(event, fact.at)
                cycle.intents.setdefault(event.cl_ord_id, IntentFacts(order=order, planned=fact))
            if isinstance(event, OrderEvent) and event.cl_ord_id in cycle.intents:
                intent = cycle.intents[event.cl_ord_id]
                intent.facts.append(fact)
                if not isinstance(event, OrderPlanned):
                    intent.order = lifecycle.apply(intent.order, event, fact.at)
        return found

    @cached_property
    def intents(self) -> dict[str, IntentFacts]:
        """Every intent of every cycle, by its key."""
        return {key: intent for cycle in self.cycles.values() for key, intent in cycle.intents.items()}

    @cached_property
    def cycle_of(self) -> dict[str, CycleFacts]:
        """The cycle of every intent, by the intent's key."""
        return {key: cycle for cycle in self.cycles.values() for key in cycle.intents}

    @cached_property
    def key_of_number(self) -> dict[str, str]:
        """Reserved number to the intent that holds it; the first one, where there are two."""
        found: dict[str, str] = {}
        for key, intent in self.intents.items():
            for _, event in intent.of(OrderReserved):
                found.setdefault(event.order_no, key)
        return found

    @cached_property
    def booked(self) -> dict[str, tuple[Recorded, OrderFilled]]:
        """Fills of the journal by the broker's number of the execution."""
        fills = ((fact, fact.event) for fact in self.facts if isinstance(fact.event, OrderFilled))
        return {event.exec_id: (fact, event) for fact, event in fills}

    @property
    def at_rest(self) -> bool:
        """No cycle is open: every fact of the broker's about our orders must be in the journal by now."""
        return bool(self.cycles) and all(cycle.done is not None for cycle in self.cycles.values())

    def restarted_since(self, intent: IntentFacts) -> bool:
        """The machine restarted after this intent was reserved, so what followed may have been lost."""
        reserved = intent.of(OrderReserved)
        if not reserved:
            return False
        fact, event = reserved[0]
        tokens = {f.event.restart_token for f in self.facts if f.seq > fact.seq and isinstance(f.event, CycleResumed)}
        if self.restart_token is not None:
            tokens.add(self.restart_token)
        return bool(tokens - {event.restart_token})

    @cached_property
    def restarts(self) -> int:
        """Restarts of the machine that this journal lived through."""
        tokens = [f.event.restart_token for f in self.facts if isinstance(f.event, OrderReserved | CycleResumed)]
        if self.restart_token is not None:
            tokens.append(self.restart_token)
        return max(len(set(tokens)) - 1, 0)

    # The broker's side

    def is_ours(self, row: LogEntry) -> bool:
        """A row about an order that came through our own door since this journal began."""
        return row.order_no is not None and (self.began_at is None or row.at >= self.began_at)

    def key(self, row: LogEntry) -> str | None:
        """The intent a row is about: by reserved number, then by mark."""
        by_number = self.key_of_number.get(row.order_no or "")
        if by_number is not None:
            return by_number
        return row.user_mark if row.user_mark in self.intents else None

    @cached_property
    def arrivals(self) -> list[Arrival]:
        """Every request of ours to place an order, in the order in which the broker received them."""
        found: list[Arrival] = []
        for row in self.log:
            if row.kind is LogKind.PLACE_RECEIVED and self.is_ours(row):
                found.append(Arrival(received=row))
            elif row.kind in (LogKind.ACCEPTED, LogKind.REFUSED) and self.is_ours(row):
                for arrival in reversed(found):
                    if arrival.received.order_no == row.order_no:
                        arrival.answer = arrival.answer or row
                        break
        return found

    def arrivals_of(self, key: str) -> list[Arrival]:
        """The requests for one intent."""
        return self._arrivals_by_key.get(key, [])

    @cached_property
    def _arrivals_by_key(self) -> dict[str, list[Arrival]]:
        found: dict[str, list[Arrival]] = {}
        for arrival in self.arrivals:
            key = self.key(arrival.received)
            if key is not None:
                found.setdefault(key, []).append(arrival)
        return found

    @cached_property
    def at_broker(self) -> dict[str, AtBroker]:
        """Every accepted order, whoever made it, by the broker's own number."""
        found: dict[str, AtBroker] = {}
        for row in self.log:
            if row.order_id is None:
                continue
            if row.kind is LogKind.ACCEPTED:
                found.setdefault(row.order_id, AtBroker(accepted=row))
            order = found.get(row.order_id)
            if order is None:
                continue
            if row.kind is LogKind.FILL:
                order.fills.append(row)
                if order.cum_qty >= order.order_qty:
                    order.ended = order.ended or row
            elif row.kind in (LogKind.CANCELED, LogKind.EXPIRED, LogKind.REJECTED):
                order.ended = order.ended or row
        return found

    def orders_of(self, key: str) -> list[AtBroker]:
        """The accepted orders of one intent: one, where the law holds."""
        return self._orders_by_key.get(key, [])

    @cached_property
    def _orders_by_key(self) -> dict[str, list[AtBroker]]:
        found: dict[str, list[AtBroker]] = {}
        for order in self.at_broker.values():
            key = self.key(order.accepted)
            if key is not None and self.is_ours(order.accepted):
                found.setdefault(key, []).append(order)
        return found

    def held_before(self, symbol: str, row_id: int) -> Decimal:
        """Shares of a symbol at the broker when it wrote row ``row_id``."""
        return sum((qty for found, qty in self._moves.get(symbol, ()) if found.id < row_id), ZERO)

    def held_at(self, symbol: str, at: datetime) -> Decimal:
        """Shares of a symbol at the broker at one instant."""
        return sum((qty for found, qty in self._moves.get(symbol, ()) if found.at <= at), ZERO)

    @property
    def symbols(self) -> list[str]:
        """Every symbol that the broker ever held."""
        return sorted(self._moves)

    @cached_property
    def _moves(self) -> dict[str, list[tuple[LogEntry, Decimal]]]:
        found: dict[str, list[tuple[LogEntry, Decimal]]] = {}
        for row in self.log:
            if row.symbol is not None and (qty := shares_moved(row)):
                found.setdefault(row.symbol, []).append((row, qty))
        return found

    def missing_fills(self) -> Iterator[LogEntry]:
        """Fills of our orders at the broker that the journal does not hold."""
        for row in self.log:
            if row.kind is LogKind.FILL and self.key(row) is not None and row.exec_id not in self.booked:
                yield row

    def is_excused(self, row: LogEntry) -> bool:
        """A fill the journal cannot know yet: of an order in doubt, or of one that a person declared void."""
        intent = self.intents.get(self.key(row) or "")
        return intent is not None and (intent.order.is_unresolved or intent.voided_by_a_person)

    def strangers_between(self, first: datetime, last: datetime) -> bool:
        """Whether somebody else moved or locked money or shares of the account between two instants."""
        return any(
            first <= row.at <= last
            and (cash_moved(row) or shares_moved(row) or row.kind is LogKind.ACCEPTED)
            and self.key(row) is None
            for row in self.log
        )


def cash_moved(row: LogEntry) -> Decimal:
    """What a row of the broker's log did to the cash."""
    if row.kind in (LogKind.OPENED, LogKind.CASH_MOVED):
        return row.price or ZERO
    if row.kind is not LogKind.FILL:
        return ZERO
    value = (row.qty or ZERO) * (row.price or ZERO)
    return (value if row.side is Side.SELL else -value) - (row.fee or ZERO)


def shares_moved(row: LogEntry) -> Decimal:
    """What a row of the broker's log did to the shares of its symbol."""
    if row.kind in (LogKind.OPENED_POSITION, LogKind.SHARES_MOVED):
        return row.qty or ZERO
    if row.kind is not LogKind.FILL:
        return ZERO
    return -(row.qty or ZERO) if row.side is Side.SELL else row.qty or ZERO


def fold(facts: Iterable[Recorded], account: str) -> AccountState:
    """The state that these facts add up to, from nothing."""
    state = AccountState(account)
    closed: dict[str, Order] = {}
    state.recall = closed.get
    for fact in facts:
        event = fact.event
        if isinstance(event, CycleOpened):
            closed.update({order.cl_ord_id: order for order in state.orders})
        state.apply(fact)
    return state
