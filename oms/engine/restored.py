"""The first start after a journal was restored: ask the broker what the journal cannot know, before anything is sent.

The journal ends at the backup; the broker went on. Its orders since then are read completely. Those that carry a number
or mark of this journal are adopted with their fills. Any other may be an order of the chain that was lost: it is
counted as external, a person is asked to look, and the account is halted until that person releases it. A cycle that
was open in the backup sends nothing more, because its later orders may have been sent already.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass

from oms.engine.reconciliation import facts
from oms.engine.standing import AUTHOR
from oms.errors import BrokerUnavailable
from oms.model.detail import HaltScope
from oms.model.event import (
    AttentionRaised,
    CommandAnswered,
    CycleAborted,
    Event,
    ExternalOrderSeen,
    Halted,
    OrderInDoubt,
)
from oms.model.order import Order, OrdStatus
from oms.model.restoration import Restoration
from oms.model.state import AccountState
from oms.ports import OrdersRead

RULE = "beyond_backup"


@dataclass(frozen=True, slots=True)
class Unproved:
    """A restored journal, and how to say that the broker was asked."""

    mark: Restoration
    lift: Callable[[], None]


def facts_after_restore(
    state: AccountState,
    read: OrdersRead,
    mark: Restoration,
    *,
    executions: bool,
    known: Container[str],
    older: Mapping[str, Order],
) -> list[Event]:
    """What follows from the broker's orders for a journal that ends at its backup.

    Raises:
        BrokerUnavailable: the reading is not complete, so it proves nothing.
    """
    if not read.complete:
        raise BrokerUnavailable("the broker did not show all its orders; after a restore nothing is sent without them")
    adopted = list(facts(state, read, executions=executions, known=known, older=older))
    strangers = [event for event in adopted if isinstance(event, ExternalOrderSeen)]
    return [
        *_doubts(state, mark),
        *adopted,
        *_abort(state, mark),
        *_beyond(state, strangers, mark),
        _asked(strangers, mark),
    ]


def _doubts(state: AccountState, mark: Restoration) -> Iterator[Event]:
    """An order that had its number at the backup may have been sent under it since; in doubt until the broker shows it."""
    cycle = state.open_cycle
    for order in cycle.orders.values() if cycle is not None else ():
        if order.ord_status in (OrdStatus.RESERVED, OrdStatus.SENDING):
            reason = f"it had its number in backup {mark.backup_id}: what became of it since is not in this journal"
            yield OrderInDoubt(cycle_id=order.cycle_id, cl_ord_id=order.cl_ord_id, symbol=order.symbol, reason=reason)


def _abort(state: AccountState, mark: Restoration) -> Iterator[Event]:
    cycle = state.open_cycle
    if cycle is not None and cycle.aborted is None:
        reason = f"open in backup {mark.backup_id}; its orders may have been sent since, so nothing more is sent"
        yield CycleAborted(cycle_id=cycle.cycle_id, rule=RULE, reason=reason)


def _beyond(state: AccountState, strangers: list[ExternalOrderSeen], mark: Restoration) -> Iterator[Event]:
    for order in strangers:
        text = (
            f"{order.side.value} {order.order_qty} {order.symbol}, {order.cum_qty} filled: the broker holds order "
            f"{order.order_id}, which the restored journal does not know; it is counted as external"
        )
        yield AttentionRaised(symbol=order.symbol, rule=RULE, text=text)
    if strangers and (state.halt is None or state.halt.scope is not HaltScope.ALL):
        reason = (
            f"{len(strangers)} orders at the broker are not in the journal restored from {mark.backup_id}; compare "
            "positions and orders with the broker, then `release`"
        )
        yield Halted(scope=HaltScope.ALL, reason=reason, author=AUTHOR)


def _asked(strangers: list[ExternalOrderSeen], mark: Restoration) -> CommandAnswered:
    known = f"{len(strangers)} unknown orders" if strangers else "no unknown order"
    answer = f"the broker was asked for everything since {mark.horizon:%Y-%m-%d %H:%M:%S} UTC: {known}"
    return CommandAnswered(command="reconcile", accepted=True, answer=answer, author=AUTHOR)
