"""Everything an account's journal adds up to: the fold that the engine decides from and the tables show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from oms.model import lifecycle
from oms.model.account import Position
from oms.model.arming import AccountBound, LiveArmed, LiveDisarmed
from oms.model.changing import replace
from oms.model.currencies import Ledgers, ledgers_of_start
from oms.model.cycle import Cycle, ImpossibleFact
from oms.model.difference import Difference
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    Blacklisted,
    BuysRevalidated,
    CommandAnswered,
    CycleEvent,
    CycleOpened,
    Event,
    ExternalOrderSeen,
    FundsObserved,
    Halted,
    OrderAcknowledged,
    OrderEvent,
    OrderFilled,
    OrderQuarantined,
    OrderVoided,
    PositionAdopted,
    Reconciled,
    Recorded,
    Released,
    Selected,
    SymbolFrozen,
    SymbolUnfrozen,
    Unblacklisted,
)
from oms.model.order import ZERO, Order, Side
from oms.model.probing import BrokerProbed
from oms.model.settlement import HeldBack, Ledger, ledger_of_reading

NO_POSITIONS: Mapping[str, Position] = {}
MICRO = Decimal("0.000001")
"""Smallest amount of money that is kept."""


MOST_WITH_FEES = Decimal("1.05")
"""Fees of a buy are at most 5 % of its value: the ceiling of ``execution.fee_allowance``."""
SCREENS_KEPT = 3
"""Screens of different days that wishes depend on, the newest among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Shares of one symbol that the journal says are held."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO
    """What the shares held did cost in all, fees of buying included, exact to a millionth."""
    realised: Decimal = ZERO
    """Profit of all sales so far, fees included."""

    @property
    def avg_cost(self) -> Decimal:
        """Cost per share held; zero where nothing is."""
        return self.cost / self.qty if self.qty else ZERO

    def bought(self, qty: int, px: Decimal, fee: Decimal) -> Holding:
        return replace(self, qty=self.qty + qty, cost=self.cost + qty * px + fee)

    def sold(self, qty: int, px: Decimal, fee: Decimal) -> Holding:
        left = self.qty - qty
        cost = (self.cost * qty / self.qty).quantize(MICRO) if left > 0 else self.cost
        return replace(self, qty=left, cost=self.cost - cost, realised=self.realised + qty * px - fee - cost)


def ledgers_at(opened: CycleOpened) -> Ledgers:
    """The ledgers with which a cycle began."""
    own = opened.ledger or ledger_of_reading(opened.funds, opened.settles)
    return Ledgers(own=own, others=opened.other_ledgers)


def booked(ledgers: Ledgers | None, event: OrderFilled | BuysRevalidated) -> Ledgers | None:
    """The ledgers after an execution, or after the decision what to buy: both are in the currency that is traded in."""
    return None if ledgers is None else ledgers.with_own(_booked(ledgers.own, event))


def _booked(ledger: Ledger, event: OrderFilled | BuysRevalidated) -> Ledger:
    if isinstance(event, BuysRevalidated):
        cost = sum((buy.quantity * buy.worst_px for buy in event.buys), ZERO)
        settles = event.inputs.settles
        return ledger if settles is None else ledger.promised(cost * MOST_WITH_FEES, settles)
    value = event.last_qty * event.last_px
    if event.side is Side.BUY:
        return ledger.bought(event.symbol, event.last_qty, value + event.fee, event.settles)
    return ledger.sold(value - event.fee, event.settles)


_QUARANTINE = ("order ", " is in quarantine")


def quarantine_reason(cl_ord_id: str) -> str:
    """Why the symbol of an order in quarantine is frozen."""
    return cl_ord_id.join(_QUARANTINE)


def order_in(reason: str) -> str | None:
    """The order whose quarantine is the reason; None where it is another."""
    begin, end = _QUARANTINE
    return reason.removeprefix(begin).removesuffix(end) if reason.startswith(begin) and reason.endswith(end) else None


RUN_NOW = "run_now"
"""The operators' command that lets the next cycle begin at once."""


class AccountState:
    """The fold of one account's chain; ``apply`` is the only way it changes."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.seq = 0
        self.opened: AccountOpened | None = None
        self.cycle: Cycle | None = None
        """The open cycle, or the last one: its orders are read once more at the next start."""
        self.parked: dict[str, Order] = {}
        """Orders of earlier cycles that are still unresolved or live, and those that a late fact reached since the
        current cycle opened."""
        self.recall: Callable[[str], Order | None] | None = None
        """How the journal finds a closed order of an earlier cycle again, for a fact that comes very late."""
        self.holdings: dict[str, Holding] = {}
        self.cash = ZERO
        """Cash by the journal's own account: opening balance, fills and fees."""
        self.halt: Halted | None = None
        self.bound: AccountBound | None = None
        """The account at the broker; None where the broker is on this machine, or nobody has looked yet."""
        self.armed: LiveArmed | None = None
        """The newest word that let real money be traded, until a disarming; its expiry is looked at on use."""
        self.probed: BrokerProbed | None = None
        """The newest trial of the broker; for how long it counts is looked at on use."""
        self.disarmed: LiveDisarmed | None = None
        """The newest disarming, until a person arms anew."""
        self.blacklist: dict[str, Blacklisted] = {}
        self.frozen: dict[str, str] = {}
        """Symbol to the reason why it takes no new order."""
        self.trading_day: date | None = None
        """Day of the last cycle."""
        self.trades_today = 0
        """Orders acknowledged on ``trading_day``."""
        self.realised_today = ZERO
        self.inbox_id = 0
        """Last operator's command taken from the mailbox."""
        self.external: dict[str, ExternalOrderSeen] = {}
        self.screens: tuple[Selected, ...] = ()
        """The screens of the last three days, newest first: a share that all of them find ineligible is sold."""
        self.differences: tuple[Difference, ...] = ()
        """What the last comparison with the broker found, less what an operator has adopted since."""
        self.ledgers: Ledgers | None = None
        """Settled and unsettled money, by currency, by the journal's own account; None before the first fact."""
        self.attention = 0
        """Times a person was asked to look."""
        self.asked_to_run = 0
        """Number of the last command that asked for a cycle at once, in this process; 0 where there was none."""

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of the currency that is traded in; None before the first fact."""
        return None if self.ledgers is None else self.ledgers.own

    @property
    def open_cycle(self) -> Cycle | None:
        return None if self.cycle is None or self.cycle.is_done else self.cycle

    def order(self, cl_ord_id: str) -> Order | None:
        if self.cycle is not None and cl_ord_id in self.cycle.orders:
            return self.cycle.orders[cl_ord_id]
        return self.parked.get(cl_ord_id)

    @property
    def orders(self) -> list[Order]:
        """Every order in memory: those of the current cycle and those parked from earlier ones."""
        current = list(self.cycle.orders.values()) if self.cycle is not None else []
        return [*self.parked.values(), *current]

    @property
    def unresolved(self) -> list[Order]:
        return [order for order in self.orders if order.is_unresolved]

    def is_blacklisted(self, symbol: str, at: datetime) -> bool:
        """Whether an operator's word bars buys of this symbol at an instant of real time."""
        listed = self.blacklist.get(symbol)
        return listed is not None and (listed.until is None or at < listed.until)

    def in_transit(self, day: date) -> Decimal:
        """Proceeds that have not settled by the morning of ``day``."""
        return ZERO if self.ledger is None else self.ledger.in_transit(day)

    def held_back(self, day: date, there: Mapping[str, Position] = NO_POSITIONS) -> dict[str, HeldBack]:
        """Shares that may not be sold on ``day``, because the money that bought them has not settled.

        Where the broker (``there``) holds fewer shares than the journal, the oldest are those that are gone.
        """
        if self.ledger is None:
            return {}
        held = self.held_of_tagged(there)
        found = (self.ledger.held_back(symbol, qty, day) for symbol, qty in held.items())
        return {back.symbol: back for back in found if back is not None}

    @property
    def shares(self) -> dict[str, Decimal]:
        """Shares that the journal says are held, of every symbol that it ever held."""
        return {symbol: holding.qty for symbol, holding in self.holdings.items()}

    def held_of_tagged(self, there: Mapping[str, Position] = NO_POSITIONS) -> dict[str, Decimal]:
        """Shares held of each symbol that unsettled money bought, by the journal and by the broker where that has fewer."""
        held: dict[str, Decimal] = {}
        for tagged in () if self.ledger is None else self.ledger.tagged:
            here, position = self.holdings.get(tagged.symbol, Holding()).qty, there.get(tagged.symbol)
            held[tagged.symbol] = here if position is None else min(here, position.qty)
        return held

    def apply(self, recorded: Recorded) -> None:
        """Take in the next fact of the chain.

        Raises:
            ImpossibleFact: the fact is not next, or does not belong where it stands.
        """
        if recorded.seq != self.seq + 1:
            raise ImpossibleFact(f"row {recorded.seq} of {self.account} offered after row {self.seq}")
        event = recorded.event
        if isinstance(event, CycleEvent):
            self._apply_cycle(event, recorded)
        else:
            self._apply_account(event, recorded)
        self.seq = recorded.seq

    def _apply_cycle(self, event: CycleEvent, recorded: Recorded) -> None:
        if isinstance(event, CycleOpened):
            self._open(event, recorded)
            return
        cycle = self.cycle
        before = self._known(event) if isinstance(event, OrderEvent) else None
        if isinstance(event, OrderEvent) and (cycle is None or event.cycle_id != cycle.cycle_id):
            self._apply_parked(event, recorded)
        elif cycle is not None:
            cycle.apply(event, recorded.at)
            if isinstance(event, BuysRevalidated):
                self.ledgers = booked(self.ledgers, event)
        else:
            raise ImpossibleFact(f"{event.kind} of cycle {event.cycle_id}, which is not open")
        self._count(event, before)

    def _open(self, event: CycleOpened, recorded: Recorded) -> None:
        if self.open_cycle is not None:
            raise ImpossibleFact(f"cycle {event.cycle_id} opened while {self.open_cycle.cycle_id} is open")
        self.parked = {o.cl_ord_id: o for o in self.orders if not o.is_closed}
        if event.trading_day != self.trading_day:
            self.trades_today = self.trades_on(event.trading_day)
            self.trading_day = event.trading_day
            self.realised_today = ZERO
        self.ledgers = ledgers_at(event)
        self.cycle = Cycle(event, recorded.at)

    def trades_on(self, day: date) -> int:
        """Trades made on a trading day, the last one or the next.

        Those of the next are the buys of a cycle that waited for settled cash until then.
        """
        if day == self.trading_day:
            return self.trades_today
        last = self.cycle
        if last is None or last.revalidated is None or last.revalidated.inputs.day != day:
            return 0
        return sum(1 for order in last.buys if order.acknowledged_at is not None)

    def _known(self, event: OrderEvent) -> Order | None:
        """The order of any age that this is about; one of an earlier cycle is looked up and parked."""
        found = self.order(event.cl_ord_id)
        is_earlier = self.cycle is None or event.cycle_id != self.cycle.cycle_id
        if found is None and is_earlier and self.recall is not None:
            found = self.recall(event.cl_ord_id)
            if found is not None:
                self.parked[event.cl_ord_id] = found
        return found

    def _apply_parked(self, event: OrderEvent, recorded: Recorded) -> None:
        order = self.parked.get(event.cl_ord_id)
        if order is None:
            raise ImpossibleFact(f"{event.kind} for {event.cl_ord_id}, which is not parked")
        after = lifecycle.apply(order, event, recorded.at)
        self.parked[event.cl_ord_id] = after

    def _count(self, event: CycleEvent, before: Order | None) -> None:
        """Facts about orders that touch the whole account: trades of the day, positions, cash, frozen symbols."""
        match event:
            case OrderAcknowledged():
                if before is not None and before.acknowledged_at is None:
                    self.trades_today += 1
                if self.frozen.get(event.symbol) == quarantine_reason(event.cl_ord_id):
                    del self.frozen[event.symbol]
            case OrderQuarantined():
                self.frozen[event.symbol] = quarantine_reason(event.cl_ord_id)
            case OrderVoided() if self.frozen.get(event.symbol) == quarantine_reason(event.cl_ord_id):
                del self.frozen[event.symbol]
            case OrderFilled():
                self._book(event)
            case _:
                pass

    def _book(self, event: OrderFilled) -> None:
        held = self.holdings.get(event.symbol, Holding())
        value = event.last_qty * event.last_px
        if event.side is Side.BUY:
            after = held.bought(event.last_qty, event.last_px, event.fee)
            self.cash -= value + event.fee
        else:
            after = held.sold(event.last_qty, event.last_px, event.fee)
            self.cash += value - event.fee
            self.realised_today += after.realised - held.realised
        self.holdings[event.symbol] = after
        self.ledgers = booked(self.ledgers, event)

    def _apply_account(self, event: Event, recorded: Recorded) -> None:
        inbox_id = getattr(event, "inbox_id", None)
        if inbox_id is not None:
            self.inbox_id = max(self.inbox_id, inbox_id)
        match event:
            case FundsObserved():
                if event.cycle_id is not None and self.cycle is not None:
                    self.cycle.apply(event, recorded.at)
            case AttentionRaised():
                self.attention += 1
                if event.cycle_id is not None and self.cycle is not None and self.cycle.cycle_id == event.cycle_id:
                    self.cycle.version += 1
            case Halted():
                self.halt = event
            case Released():
                self.halt = None
            case Blacklisted():
                self.blacklist[event.symbol] = event
            case Unblacklisted():
                self.blacklist.pop(event.symbol, None)
            case SymbolFrozen():
                self.frozen[event.symbol] = event.reason
            case SymbolUnfrozen():
                self.frozen.pop(event.symbol, None)
            case ExternalOrderSeen():
                self.external[event.order_id] = event
            case Selected():
                self._remember_screen(event)
            case Reconciled():
                self.differences = event.differences
            case PositionAdopted():
                self._adopt(event)
            case AccountOpened():
                self._open_account(event)
            case CommandAnswered():
                self._hear(event)
            case _:
                self._apply_licence(event)

    def _hear(self, event: CommandAnswered) -> None:
        if event.command == RUN_NOW and event.accepted:
            self.asked_to_run = event.inbox_id or 0

    def _apply_licence(self, event: Event) -> None:
        match event:
            case AccountBound():
                self._bind(event)
            case LiveArmed():
                self.armed, self.disarmed = event, None
            case LiveDisarmed():
                self.armed, self.disarmed = None, event
            case BrokerProbed():
                self.probed = event
            case _:
                raise ImpossibleFact(f"an account knows no {event.kind}")

    def _remember_screen(self, event: Selected) -> None:
        """A screen of the same day as the last one takes its place: three screens in a row speak of three days."""
        before = self.screens[1:] if self.screens and self.screens[0].as_of == event.as_of else self.screens
        self.screens = (event, *before)[:SCREENS_KEPT]

    def _adopt(self, event: PositionAdopted) -> None:
        held = self.holdings.get(event.symbol, Holding())
        self.holdings[event.symbol] = replace(held, qty=event.qty, cost=event.cost)
        self.differences = tuple(d for d in self.differences if d.cost is None or d.symbol != event.symbol)

    def _bind(self, event: AccountBound) -> None:
        if self.bound is not None and self.bound.fingerprint != event.fingerprint:
            raise ImpossibleFact(f"a journal of account {self.bound.shown} cannot go on with {event.shown}")
        self.bound = event

    def _open_account(self, event: AccountOpened) -> None:
        if self.seq:
            raise ImpossibleFact("account_opened is the first row of a chain, and only that")
        self.opened = event
        self.cash = event.cash
        self.ledgers = ledgers_of_start(event.currency, event.cash, event.others)
        self.holdings = {
            p.symbol: Holding(qty=p.qty, cost=(p.qty * p.avg_cost).quantize(MICRO)) for p in event.positions
        }
