"""Facts as they are journaled → the lines a person reads while the engine runs; it knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from oms.cli.layout import count, money, number, span
from oms.cli.sentences import Line, because, cuts, filled, said
from oms.model.arming import LiveDisarmed
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
    OrderBlocked,
    OrderEvent,
    OrderNotFound,
    OrderRejected,
    OrderSending,
    PositionAdopted,
    Released,
    Selected,
    SellsClosed,
    SymbolFrozen,
    SymbolUnfrozen,
    Unblacklisted,
)
from oms.model.order import Order, Side
from oms.model.state import AccountState


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
        self._sent = 0
        self.totals = Totals()

    def resuming(self, state: AccountState, last_at: datetime | None) -> list[Line]:
        """What a process finds open at its start."""
        cycle = state.open_cycle
        if cycle is None:
            return []
        self._phase_since = cycle.phase_since
        self._sent = sum(1 for order in cycle.orders.values() if order.sends)
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
            all_closed = f"{count(self._sent, 'order')} sent, every one is closed"
            yield Line(text=all_closed if self._sent else "no order had been sent")
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
        found = list(cuts(event, self._compact))
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
        line = said(order, event)
        if line is not None:
            yield line

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
            case LiveDisarmed():
                yield Line(phase="disarmed", text=f"by {event.author}{because(event.reason)}", is_warning=True)
            case Released():
                yield Line(phase="released", text=f"by {event.author}{because(event.reason)}")
            case Blacklisted():
                yield Line(phase="blacklist", text=f"+ {event.symbol} by {event.author}{because(event.reason)}")
            case Unblacklisted():
                yield Line(phase="blacklist", text=f"- {event.symbol} by {event.author}{because(event.reason)}")
            case SymbolFrozen():
                yield Line(phase="frozen", text=f"{event.symbol}: {event.reason}", is_warning=True)
            case PositionAdopted():
                text = f"{event.symbol} {number(event.before)} -> {number(event.qty)} by {event.author}"
                yield Line(phase="adopted", text=f"{text}{because(event.reason)}")
            case SymbolUnfrozen():
                yield Line(phase="unfrozen", text=f"{event.symbol} by {event.author}{because(event.reason)}")
            case CommandAnswered():
                yield Line(phase="operator", text=f"{event.command} by {event.author}: {event.answer}")
            case ExternalOrderSeen():
                text = (
                    f"{event.side.value} {event.symbol} {number(event.order_qty)} of another program ({event.order_id})"
                )
                yield Line(phase="look", text=text, is_warning=True)
