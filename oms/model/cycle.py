"""One trading cycle: its five phases, and the machine that lets it move only as the table says."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from transitions import Machine

from oms.model import lifecycle
from oms.model.detail import Outcome
from oms.model.event import (
    BuysClosed,
    BuysRevalidated,
    CycleAborted,
    CycleEvent,
    CycleOpened,
    CycleResumed,
    FundsObserved,
    FundsSettled,
    OrderEvent,
    OrderPlanned,
    SellsClosed,
)
from oms.model.order import ZERO, Order, Side


class Phase(StrEnum):
    """The five phases, in their order."""

    SELLING = "SELLING"
    SETTLING = "SETTLING"
    REVALIDATING = "REVALIDATING"
    BUYING = "BUYING"
    DONE = "DONE"


TABLE: tuple[tuple[str, Phase, Phase, str | None], ...] = (
    (SellsClosed.kind, Phase.SELLING, Phase.SETTLING, "sells_are_finished"),
    (FundsSettled.kind, Phase.SETTLING, Phase.REVALIDATING, None),
    (BuysRevalidated.kind, Phase.REVALIDATING, Phase.BUYING, "adopted_sells_are_closed"),
    (BuysClosed.kind, Phase.BUYING, Phase.DONE, "buys_are_finished"),
)
"""Trigger, from, to, and the guard that must hold."""

_PHASES = {phase.value: phase for phase in Phase}
_STATES = list(_PHASES)
_TRANSITIONS = [
    {"trigger": trigger, "source": source.value, "dest": dest.value, **({"conditions": guard} if guard else {})}
    for trigger, source, dest, guard in TABLE
]
# One machine moves all cycles: it keeps nothing of them, and a cycle is folded more often than anything else.
# Its default would add to_DONE(), a jump past every guard.
MACHINE = Machine(model=None, states=_STATES, transitions=_TRANSITIONS, initial=None, auto_transitions=False)


class ImpossibleFact(Exception):
    """A fact does not belong at this place of the cycle: a bug, or a journal that was changed."""


class Cycle:
    """The fold of one cycle's facts; ``apply`` is the only way it changes."""

    state: str
    """The value of a :class:`Phase`; after the start only the machine sets it."""

    def __init__(self, opened: CycleOpened, at: datetime) -> None:
        self.opened = opened
        self.opened_at = at
        self.version = 1
        """Facts of this cycle so far."""
        self.orders: dict[str, Order] = {}
        self.resumed = 0
        self.resumed_at: datetime | None = None
        self.planned_earlier: frozenset[str] = frozenset()
        """Orders that stood here when the last process took it up: those unsent are looked at afresh."""
        self.fence = opened.fence
        self.sells_over: SellsClosed | None = None
        """The fact that ended SELLING. Not named as its kind: that name is the machine's trigger."""
        self.readings: tuple[FundsObserved, ...] = ()
        """Funds read since the last sell fill, oldest first."""
        self.settled: FundsSettled | None = None
        self.revalidated: BuysRevalidated | None = None
        self.aborted: CycleAborted | None = None
        self.outcome: Outcome | None = None
        self.phase_since = at
        self.closed_at: datetime | None = None
        self.state = Phase.SELLING.value

    @property
    def cycle_id(self) -> str:
        return self.opened.cycle_id

    @property
    def phase(self) -> Phase:
        return _PHASES[self.state]

    @property
    def day(self) -> date:
        """The trading day it sends on: its own, or the later one on which its buys were revalidated."""
        revalidated = self.revalidated
        return self.opened.trading_day if revalidated is None else revalidated.inputs.day or self.opened.trading_day

    @property
    def is_done(self) -> bool:
        return self.phase is Phase.DONE

    @property
    def sells(self) -> list[Order]:
        return [order for order in self.orders.values() if order.side is Side.SELL]

    @property
    def buys(self) -> list[Order]:
        return [order for order in self.orders.values() if order.side is Side.BUY]

    @property
    def proceeds(self) -> Decimal:
        """What the sells brought, before fees."""
        return sum((order.notional for order in self.sells), ZERO)

    @property
    def sell_fees(self) -> Decimal:
        return sum((order.fees for order in self.sells), ZERO)

    @property
    def has_unresolved_sell(self) -> bool:
        """A sell was parked at any time in this cycle: no buy follows, even if it was found later."""
        return any(order.ever_quarantined for order in self.sells)

    @property
    def expected_spendable(self) -> Decimal:
        """Spendable that covers the booked proceeds, less one cent for rounding at the broker."""
        return self.opened.spendable + self.proceeds - self.sell_fees - Decimal("0.01")

    def sells_are_finished(self) -> bool:
        """Guard of ``sells_closed``: nothing of the sells can still happen, or it is parked."""
        return len(self.sells) == len(self.opened.sells) and all(o.is_finished_for_cycle for o in self.sells)

    def adopted_sells_are_closed(self) -> bool:
        """Guard of ``buys_revalidated``: a sell found late is followed to its end first."""
        return all(order.is_finished_for_cycle for order in self.sells)

    def buys_are_finished(self) -> bool:
        """Guard of ``buys_closed``."""
        return len(self.buys) == len(self.opened.buys) and all(o.is_finished_for_cycle for o in self.buys)

    def apply(self, event: CycleEvent | FundsObserved, at: datetime) -> None:
        """Take in one fact.

        Raises:
            ImpossibleFact: the fact does not belong to this cycle or not at this place.
        """
        if event.cycle_id != self.cycle_id:
            raise ImpossibleFact(f"{event.kind} of cycle {event.cycle_id} offered to cycle {self.cycle_id}")
        if isinstance(event, OrderEvent):
            self._apply_order(event, at)
        else:
            self._apply_own(event, at)
        self.version += 1

    def _apply_order(self, event: OrderEvent, at: datetime) -> None:
        if isinstance(event, OrderPlanned):
            if event.cl_ord_id in self.orders:
                raise ImpossibleFact(f"{event.cl_ord_id} is planned a second time")
            self.orders[event.cl_ord_id] = lifecycle.planned(event, at)
            return
        before = self.orders.get(event.cl_ord_id)
        if before is None:
            raise ImpossibleFact(f"{event.kind} for {event.cl_ord_id}, which cycle {self.cycle_id} does not hold")
        after = lifecycle.apply(before, event, at)
        self.orders[event.cl_ord_id] = after
        if after.side is Side.SELL and after.cum_qty != before.cum_qty:
            self.readings = ()

    def _apply_own(self, event: CycleEvent | FundsObserved, at: datetime) -> None:
        match event:
            case FundsObserved():
                self.readings = (*self.readings, event)
            case CycleResumed():
                self.resumed += 1
                self.resumed_at = at
                self.planned_earlier = frozenset(self.orders)
                self.fence = event.fence
            case CycleAborted():
                self.aborted = self.aborted or event
            case SellsClosed():
                self._move(event, at)
                self.sells_over = event
                self.readings = ()
            case FundsSettled():
                self._move(event, at)
                self.settled = event
            case BuysRevalidated():
                self._move(event, at)
                self.revalidated = event
            case BuysClosed():
                self._move(event, at)
                self.outcome = event.outcome
                self.closed_at = at
            case _:
                raise ImpossibleFact(f"a cycle knows no {event.kind}")

    def _move(self, event: CycleEvent, at: datetime) -> None:
        before = self.state
        try:
            # A guard that refuses answers False and raises nothing.
            moved = MACHINE.events[event.kind].trigger(self)
        except Exception as error:
            raise ImpossibleFact(f"{event.kind} while {before} in cycle {self.cycle_id}: {error}") from error
        if not moved:
            raise ImpossibleFact(f"{event.kind} while {before} in cycle {self.cycle_id}: its guard refuses")
        self.phase_since = at
