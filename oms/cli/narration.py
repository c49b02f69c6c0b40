"""Facts as they are journaled → the lines a person reads while the engine runs; it knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from oms.cli.layout import count, money, number, span
from oms.model.cycle import Cycle
from oms.model.detail import SettledBy
from oms.model.event import (
    AttentionRaised,
    Blacklisted,
    BuysClosed,
    BuysRevalidated,
    CommandAnswered,
    CycleAborted,
    CycleOpened,
    CycleResumed,
    Event,
    ExternalOrderSeen,
    FundsSettled,
    Halted,
    OrderAcknowledged,
    OrderBlocked,
    OrderCancelRequested,
    OrderEvent,
    OrderFilled,
    OrderInDoubt,
    OrderNotFound,
    OrderNotSent,
    OrderQuarantined,
    OrderRejected,
    OrderSending,
    OrderVoided,
    Released,
    Selected,
    SellsClosed,
    SymbolFrozen,
    SymbolUnfrozen,
    Unblacklisted,
)
from oms.model.order import ZERO, Order, OrderPhase, OrdStatus, Side
from oms.model.state import AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: the phase it belongs to (empty for what continues it) and what is said."""

    phase: str = ""
    text: str
    is_answer: bool = False
    """It is the result, not the progress towards it."""
    is_warning: bool = False
    is_detail: bool = False
    """Left out where many cycles follow one another."""

    def __str__(self) -> str:
        """The line as it stands in a plain text."""
        return f"  {self.phase:<13} {self.text}".rstrip()


@dataclass(slots=True)
class Totals:
    """What the cycles of one process add up to."""

    cycles: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    resent: int = 0
    funds_refusals: int = 0
    """Buys that the broker rejected for lack of funds: each one would be a fault of ours."""


class Narrator:
    """Tells one process's story; give it each batch of facts once, in order."""

    def __init__(self, funds_fraction: str, *, now: Callable[[], datetime], compact: bool) -> None:
        self._fraction = funds_fraction
        self._now = now
        self._compact = compact
        self._phase_since: datetime | None = None
        self._asked_for: int | None = None
        """Orders that a resumed process must ask about; None when nothing is being resumed."""
        self.totals = Totals()

    def resuming(self, state: AccountState, last_at: datetime | None) -> list[Line]:
        """What a process finds open at its start."""
        cycle = state.open_cycle
        if cycle is None:
            return []
        self._phase_since = cycle.phase_since
        self._asked_for = sum(1 for order in state.orders if order.sends and not order.is_closed)
        age = f", {span(self._now() - last_at)} ago" if last_at is not None else ""
        entry = f"was {cycle.phase.value}, last journal entry {state.seq}{age}"
        return [Line(phase="resume", text=f"{cycle.cycle_id} {entry}")]

    def told(self, state: AccountState, events: Sequence[Event]) -> list[Line]:
        """The lines of one batch of facts."""
        lines = list(self._resumed(events))
        revalidating = any(isinstance(event, BuysRevalidated) for event in events)
        for event in events:
            if isinstance(event, OrderBlocked) and revalidating:
                continue  # the line of the revalidation has said it
            lines += self._line(state, event)
        if state.cycle is not None:
            self._phase_since = state.cycle.phase_since
        return lines

    def _resumed(self, events: Sequence[Event]) -> Iterator[Line]:
        if not any(isinstance(event, CycleResumed) for event in events) or self._asked_for is None:
            return
        missing = sum(1 for event in events if isinstance(event, OrderNotFound))
        asked, self._asked_for = max(self._asked_for, missing), None
        if not asked:
            yield Line(text="the broker was asked: no order was out")
            return
        found = f"{asked - missing} found, {missing} in doubt"
        yield Line(text=f"the broker was asked for {count(asked, 'order')}: {found}")

    def _line(self, state: AccountState, event: Event) -> Iterator[Line]:
        match event:
            case OrderEvent():
                yield from self._order(state, event)
            case Selected():
                scored = sum(1 for score in event.scores if score.score is not None)
                yield Line(
                    phase="selection",
                    text=f"{scored} of {len(event.scores)} symbols scored from bars to {event.as_of}",
                    is_detail=True,
                )
            case CycleOpened():
                yield self._opened(event)
            case SellsClosed() | FundsSettled() | BuysRevalidated() | BuysClosed() | CycleAborted() if state.cycle:
                yield from self._phase(state.cycle, event)
            case AttentionRaised():
                yield Line(phase="look", text=f"{event.text} ({event.rule})", is_warning=True)
            case _:
                yield from self._operator(event)

    @staticmethod
    def _opened(event: CycleOpened) -> Line:
        plan = f"{count(len(event.sells), 'sell')} and {count(len(event.buys), 'buy')} planned"
        text = f"{event.cycle_id} {event.trading_day}: {plan}, {money(event.spendable)} to spend before the sells"
        return Line(phase="cycle", text=text)

    # Phases

    def _phase(self, cycle: Cycle, event: Event) -> Iterator[Line]:
        match event:
            case SellsClosed():
                text = filled(cycle.sells)
                if event.proceeds:
                    text += f", {money(event.proceeds)} less {money(event.fees)} fees"
                yield Line(phase="SELLING", text=text)
            case FundsSettled():
                yield Line(phase="SETTLING", text=self._settled(cycle, event))
            case BuysRevalidated():
                yield from self._revalidated(event)
            case BuysClosed():
                spent = sum(order.notional + order.fees for order in cycle.buys)
                cost = f", {money(spent)} with fees" if spent else ""
                yield Line(phase="BUYING", text=f"{filled(cycle.buys)}{cost}")
                yield self._done(cycle)
            case CycleAborted():
                yield Line(phase="aborted", text=f"{event.reason} ({event.rule})", is_warning=True)

    def _settled(self, cycle: Cycle, event: FundsSettled) -> str:
        if event.by is SettledBy.NO_SELLS:
            return f"nothing was sold, {money(event.spendable)} to spend"
        before = cycle.opened.spendable
        waited = "" if self._phase_since is None else f" after {span(cycle.phase_since - self._phase_since)}"
        ended = "" if event.by is SettledBy.COVERED else ", the deadline has passed"
        credited, expected = money(event.spendable - before), money(cycle.proceeds - cycle.sell_fees)
        return f"{credited} of {expected} credited{waited}{ended}"

    def _revalidated(self, event: BuysRevalidated) -> Iterator[Line]:
        spendable = event.inputs.spendable
        text = f"{money(event.budget)} for buys ({self._fraction} of {money(spendable)})"
        if event.buys and all(buy.quantity == buy.original for buy in event.buys):
            text += ", no buy is cut"
        found = list(_cuts(event, self._compact))
        if self._compact:
            yield Line(phase="REVALIDATING", text=" · ".join([text, *found]))
            return
        yield Line(phase="REVALIDATING", text=text)
        for sentence in found:
            yield Line(text=sentence)

    def _done(self, cycle: Cycle) -> Line:
        outcome = cycle.outcome.value if cycle.outcome is not None else ""
        self.totals.cycles += 1
        self.totals.outcomes[outcome] = self.totals.outcomes.get(outcome, 0) + 1
        took = (cycle.closed_at or self._now()) - cycle.opened_at
        resumes = "" if not cycle.resumed else f", resumed {cycle.resumed}×"
        return Line(
            phase="DONE",
            text=f"{outcome.replace('_', ' ')} after {span(took)}{resumes} ({cycle.cycle_id})",
            is_answer=True,
        )

    # Orders

    def _order(self, state: AccountState, event: OrderEvent) -> Iterator[Line]:
        order = state.order(event.cl_ord_id)
        if order is None:
            return
        self._count(order, event)
        said = _said(order, event)
        if said is not None:
            yield said

    def _count(self, order: Order, event: OrderEvent) -> None:
        if isinstance(event, OrderSending) and event.attempt > 1:
            self.totals.resent += 1
        lacks_funds = isinstance(event, OrderRejected) and "fund" in f"{event.code} {event.text}".lower()
        if lacks_funds and order.side is Side.BUY:
            self.totals.funds_refusals += 1

    # Operators

    @staticmethod
    def _operator(event: Event) -> Iterator[Line]:
        match event:
            case Halted():
                reason = f": {event.reason}" if event.reason else ""
                yield Line(phase="halted", text=f"{event.scope.value} by {event.author}{reason}", is_warning=True)
            case Released():
                yield Line(phase="released", text=f"by {event.author}{_because(event.reason)}")
            case Blacklisted():
                yield Line(phase="blacklist", text=f"+ {event.symbol} by {event.author}{_because(event.reason)}")
            case Unblacklisted():
                yield Line(phase="blacklist", text=f"- {event.symbol} by {event.author}{_because(event.reason)}")
            case SymbolFrozen():
                yield Line(phase="frozen", text=f"{event.symbol}: {event.reason}", is_warning=True)
            case SymbolUnfrozen():
                yield Line(phase="unfrozen", text=f"{event.symbol} by {event.author}{_because(event.reason)}")
            case CommandAnswered():
                yield Line(phase="operator", text=f"{event.command} by {event.author}: {event.answer}")
            case ExternalOrderSeen():
                text = (
                    f"{event.side.value} {event.symbol} {number(event.order_qty)} of another program ({event.order_id})"
                )
                yield Line(phase="look", text=text, is_warning=True)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _said(order: Order, event: OrderEvent) -> Line | None:
    """What one fact about an order is worth saying; None for the steps of an order that goes as planned."""
    name = f"{order.side.value} {order.symbol} {number(order.order_qty)}"
    match event:
        case OrderFilled() if order.ord_status is OrdStatus.FILLED or event.late:
            late = ", late" if event.late else ""
            price = number(order.avg_px.quantize(event.last_px)) if order.avg_px is not None else "-"
            return Line(text=f"{name} filled {number(order.cum_qty)} at {price}{late}", is_detail=True)
        case OrderBlocked():
            return Line(text=f"{name} not sent ({event.rule}: {event.reason})", is_warning=True)
        case OrderRejected():
            return Line(text=f"{name} rejected by the broker ({event.code}: {event.text})", is_warning=True)
        case OrderSending(attempt=attempt) if attempt > 1:
            return Line(text=f"{name} sent again under its number {order.order_no}")
        case OrderAcknowledged(adopted=True):
            return Line(text=f"{name} found at the broker as {event.order_id}", is_detail=True)
        case OrderNotSent():
            return Line(text=f"{name} could not leave this machine ({event.reason})", is_warning=True)
        case OrderInDoubt():
            return Line(text=f"{name} in doubt ({event.reason})", is_warning=True)
        case OrderQuarantined():
            return Line(text=f"{name} in quarantine ({event.reason})", is_warning=True)
        case OrderVoided():
            return Line(text=f"{name} void ({event.evidence})")
        case OrderCancelRequested():
            return Line(text=f"{name} cancel asked for ({event.reason})", is_detail=True)
        case _ if (
            order.is_closed and order.cum_qty < order.order_qty and event.kind in ("order_canceled", "order_expired")
        ):
            return Line(text=f"{name} {order.ord_status.value.lower()} with {number(order.cum_qty)} filled")
    return None


def _cuts(event: BuysRevalidated, compact: bool) -> Iterator[str]:
    """What the buys were cut to and by which rule; those that one reason dropped stand together."""
    dropped: dict[str, list[str]] = {}
    for buy in event.buys:
        why = buy.rule if compact else f"{buy.rule}: {buy.reason}"
        if buy.quantity == 0:
            dropped.setdefault(why, []).append(f"{buy.symbol} {buy.original}")
        elif buy.quantity != buy.original:
            yield f"{buy.symbol} {buy.original} -> {buy.quantity} ({why})"
    for why, names in dropped.items():
        yield f"{', '.join(names)} dropped ({why})"


def filled(orders: Sequence[Order]) -> str:
    """How many of a round were filled, and what became of the others."""
    if not orders:
        return "none"
    sent = [order for order in orders if order.ord_status is not OrdStatus.BLOCKED]
    complete = sum(1 for order in sent if order.ord_status is OrdStatus.FILLED)
    others: dict[str, int] = {}
    for order in orders:
        if order.ord_status is not OrdStatus.FILLED:
            word = "in quarantine" if order.quarantined else order.ord_status.value.lower().replace("_", " ")
            others[word] = others.get(word, 0) + 1
    rest = "".join(f", {number_} {word}" for word, number_ in others.items())
    return f"{complete}/{len(sent)} filled{rest}"


def underway(cycle: Cycle, why: str) -> tuple[float, str]:
    """How far the current phase is, from 0 to 1, and its figures."""
    match cycle.phase.value:
        case "SELLING" | "BUYING":
            orders = cycle.sells if cycle.phase.value == "SELLING" else cycle.buys
            going = [order for order in orders if order.ord_status is not OrdStatus.BLOCKED]
            closed = sum(1 for order in going if order.is_finished_for_cycle)
            return (closed / len(going) if going else 1.0), f"{closed}/{len(going)} closed"
        case "SETTLING" if cycle.readings and cycle.proceeds:
            expected = cycle.proceeds - cycle.sell_fees
            credited = max(cycle.readings[-1].spendable - cycle.opened.spendable, ZERO)
            return (
                float(credited / expected) if expected > 0 else 1.0
            ), f"{money(credited)} of {money(expected)} credited"
    return 0.0, why


def still_open(state: AccountState) -> list[str]:
    """What may still trade at the broker, one line an order."""
    out = [order for order in state.orders if order.phase in (OrderPhase.LIVE, OrderPhase.AMBIGUOUS)]
    return [
        f"{order.side.value} {order.symbol} {number(order.cum_qty)}/{number(order.order_qty)} {order.ord_status.value}"
        f" ({order.cl_ord_id})"
        for order in out
    ]
