"""Continuous reconciliation as a task: looks at the broker between two cycles, books what came late, shows what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from oms.engine.comparing import differences
from oms.engine.driver import Driver
from oms.engine.errands import Errand
from oms.engine.reads import READ_LIMIT_S
from oms.model.account import Position
from oms.model.difference import Difference
from oms.model.event import AttentionRaised, Event, OrderFilled, Reconciled
from oms.model.task import RECONCILIATION
from oms.ports import OrdersRead

AGREED = "broker and journal agree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at the broker."""

    orders: OrdersRead
    positions: dict[str, Position]
    cycle_id: str | None
    """The last cycle when it was begun."""


class Reconciling(Errand):
    """Compares every ``interval`` while no cycle is open; a cycle looks for itself.

    What a broker shows late, as positions after a fill, must not be taken for a difference: one is journaled only when two
    looks in a row have found the same.
    """

    name = RECONCILIATION
    limit = timedelta(seconds=READ_LIMIT_S)

    def __init__(self, driver: Driver, interval: timedelta) -> None:
        self.interval = interval
        self._driver = driver
        self._before: frozenset[tuple[str, str, str, str]] = frozenset()
        """What the look before this one found."""

    def is_wanted(self) -> bool:
        return False

    def begin(self) -> Callable[[], Seen] | str:
        state = self._driver.state
        if state.open_cycle is not None:
            return "a cycle is open, which looks for itself"
        if not state.seq:
            return "the journal has not begun"
        cycle_id = None if state.cycle is None else state.cycle.cycle_id
        read, broker = self._driver.reading(), self._driver.broker

        def look() -> Seen:
            orders = read()  # before the positions: a fill between the two is in both or in the positions only
            positions = {position.symbol: position for position in broker.positions()}
            return Seen(orders=orders, positions=positions, cycle_id=cycle_id)

        return look

    def take(self, answer: Seen) -> str:
        state = self._driver.state
        cycle_id = None if state.cycle is None else state.cycle.cycle_id
        if cycle_id != answer.cycle_id:
            return "a cycle has begun meanwhile and looked for itself"
        booked = sum(isinstance(event, OrderFilled) for event in self._driver.book(answer.orders))
        found = differences(state, answer.positions, answer.orders)
        seen_twice = tuple(d for d in found if d.key in self._before)
        self._before = frozenset(d.key for d in found)
        self._journal(seen_twice)
        late = f"{booked} late {'fill' if booked == 1 else 'fills'} booked; " if booked else ""
        return late + said(found)

    def failed(self, error: Exception) -> None:  # noqa: ARG002 - whatever it was, nothing was seen
        self._before = frozenset()

    def _journal(self, found: Sequence[Difference]) -> None:
        """What is new among the differences, and what is over; nothing where all is as it was."""
        known = {difference.key for difference in self._driver.state.differences}
        if known != {difference.key for difference in found}:
            self._driver.append([*_news(found, known), Reconciled(differences=tuple(found))])


def said(found: Sequence[Difference]) -> str:
    """What a comparison found, in one line."""
    if not found:
        return AGREED
    names = ", ".join(f"{difference.symbol} {difference.kind.value.replace('_', ' ')}" for difference in found)
    return f"{len(found)} {'difference' if len(found) == 1 else 'differences'}: {names}; see `reconcile show`"


def _news(found: Sequence[Difference], known: set[tuple[str, str, str, str]]) -> Iterator[Event]:
    for difference in found:
        if difference.key not in known:
            yield AttentionRaised(
                symbol=difference.symbol,
                rule=f"reconciliation_{difference.kind.value}",
                text=f"{difference.text}. {difference.proposal}" if difference.proposal else difference.text,
            )
