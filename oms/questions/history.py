"""What happened, and why: ``cycle list|show|explain``, ``order list|show|explain``, ``explain``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oms.errors import UnknownName, UsageError
from oms.model.cycle import Phase
from oms.model.detail import Outcome
from oms.model.order import OrdStatus
from oms.model.symbol import canonical_symbol
from oms.questions.asking import Desk

if TYPE_CHECKING:
    from oms.journal.reader import Reader
    from oms.model.rules import Rules

LATEST = "latest"
"""In the place of a cycle's name: the newest one."""


def cycles(
    desk: Desk,
    *,
    limit: int = 20,
    is_open: bool | None = None,
    outcome: str | None = None,
    state: str | None = None,
    resumed: bool | None = None,
    cut: bool | None = None,
    symbol: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: str | None = None,
) -> dict[str, Any]:
    """Cycles, newest first; ``before`` names the cycle after which the list goes on, as ``next`` of the page before it.

    Raises:
        UsageError: no such phase, outcome or symbol.
        UnknownName: ``before`` names no cycle.
    """
    from oms.journal import history

    phase = None if state is None else phase_of(state)
    ended = None if outcome is None else outcome_of(outcome)
    name = None if symbol is None else symbol_of(symbol)
    return desk.ask(
        lambda reader: history.cycle_list(
            reader,
            limit=limit,
            is_open=is_open,
            outcome=ended,
            phase=phase,
            resumed=resumed,
            cut=cut,
            symbol=name,
            since=since,
            until=until,
            before=before,
        ),
        {"schema": "oms.cycle-list/1", "cycles": [], "next": None},
    )


def cycle(desk: Desk, cycle_id: str) -> dict[str, Any]:
    """One cycle: its orders, its facts, the funds it saw and the buys it cut; ``latest`` names the newest.

    Raises:
        UnknownName: there is no such cycle, or none yet.
    """
    from oms.journal import history

    def question(reader: Reader) -> dict[str, Any]:
        newest = history.cycle_list(reader, limit=1)["cycles"] if cycle_id == LATEST else []
        if cycle_id == LATEST and not newest:
            raise UnknownName("there is no cycle yet; `run` opens one")
        return history.cycle_show(reader, newest[0]["cycle_id"] if newest else cycle_id)

    return desk.ask_for_one(question)


def orders(
    desk: Desk,
    *,
    limit: int = 100,
    unresolved: bool = False,
    statuses: tuple[str, ...] = (),
    cycle_id: str | None = None,
    symbol: str | None = None,
    before: str | None = None,
) -> dict[str, Any]:
    """Orders, those of the newest cycle first; ``before`` goes on after an order, as ``next`` of the page before it.

    Raises:
        UsageError: no such status or symbol.
        UnknownName: ``before`` names no order.
    """
    from oms.journal import history

    wanted = tuple(status_of(word) for word in statuses)
    name = None if symbol is None else symbol_of(symbol)
    return desk.ask(
        lambda reader: history.order_list(
            reader,
            limit=limit,
            unresolved=unresolved,
            cycle_id=cycle_id,
            symbol=name,
            statuses=wanted,
            before=before,
        ),
        {"schema": "oms.order-list/1", "orders": [], "next": None},
    )


def order(desk: Desk, cl_ord_id: str) -> dict[str, Any]:
    """One order with its facts and its executions.

    Raises:
        UnknownName: there is no such order, or none yet.
    """
    from oms.journal import history

    return desk.ask_for_one(lambda reader: history.order_show(reader, cl_ord_id))


def explain(desk: Desk, kind: str | None, name: str) -> dict[str, Any]:
    """Why a ``cycle``, an ``order`` or a ``symbol`` came out as it did; None as ``kind`` finds out what the name names.

    Raises:
        UnknownName: there is no such thing, or nothing has run yet.
        UsageError: it is not even a symbol.
    """
    from oms.audit import explain as room

    def question(reader: Reader) -> dict[str, Any]:
        chosen = kind or room.kind_of(reader, name)
        if chosen == "cycle":
            return room.explain_cycle(reader, name, _rules_of())
        if chosen == "order":
            return room.explain_order(reader, name, _rules_of())
        try:
            symbol = symbol_of(name)
        except UsageError as error:
            if kind is not None:
                raise
            raise UnknownName(
                f"there is no cycle and no order {name!r} in {reader.where} (`cycle list`, `order list` show those there "
                f"are), nor a symbol: {error}"
            ) from None
        return room.explain_symbol(reader, symbol, _rules_of())

    return desk.ask_for_one(question)


def _rules_of() -> Callable[[str], Rules]:
    from oms.app import rules_of
    from oms.config import config_from_canonical

    return lambda canonical: rules_of(config_from_canonical(canonical))


def phase_of(word: str) -> Phase:
    """A phase by its name in any case. Raises UsageError for what is none."""
    try:
        return Phase(word.upper())
    except ValueError:
        raise UsageError(f"--state {word!r} is no phase; expected {', '.join(Phase)}") from None


def outcome_of(word: str) -> str:
    """An outcome by its name. Raises UsageError for what is none."""
    if word not in set(Outcome):
        raise UsageError(f"--outcome {word!r} is no outcome; expected {', '.join(Outcome)}")
    return word


def status_of(word: str) -> OrdStatus:
    """A status by its name in any case. Raises UsageError for what is none."""
    try:
        return OrdStatus(word.upper())
    except ValueError:
        raise UsageError(f"--status: {word.upper()!r} is no status; expected one of {', '.join(OrdStatus)}") from None


def symbol_of(text: str) -> str:
    """A symbol in its one spelling. Raises UsageError for what is none."""
    try:
        return canonical_symbol(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
