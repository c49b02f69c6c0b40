"""What the account waits for, in one sentence for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oms.journal.answers import Answer
from oms.model.cycle import Phase
from oms.model.order import Order, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What the sentence is made from."""

    cycle: dict[str, Any] | None
    """Row of the open or the last cycle."""
    halted: Answer | None
    unclosed: list[Order]
    running: bool
    """A process holds the lease."""


def waiting_for(seen: Now, now: datetime) -> str:
    """The next thing that must happen, and who or what makes it happen."""
    if seen.halted is not None:
        stopped = "every order" if seen.halted["scope"] == "all" else "buys"
        return f"`release`: {seen.halted['author']} halted {stopped} ({seen.halted['reason'] or 'no reason given'})"
    cycle = seen.cycle
    is_open = cycle is not None and cycle["phase"] != Phase.DONE.value
    if not seen.running:
        return "`run`: a cycle is open and no process works on it" if is_open else "`run`: no process is running"
    if cycle is None or not is_open:
        return "the next cycle"
    sentence = _of_phase(cycle, seen)
    doubtful = sum(order.is_unresolved and not order.quarantined for order in seen.unclosed)
    if doubtful:
        sentence += f", {doubtful} of them in doubt: the broker is being asked"
    deadline = cycle["deadline"]
    if deadline is None:
        return sentence
    left = (deadline - now).total_seconds()
    return f"{sentence}; at most {left:.0f} s more" if left > 0 else f"{sentence}; the deadline has passed"


def _of_phase(cycle: dict[str, Any], seen: Now) -> str:
    match cycle["phase"]:
        case Phase.SELLING.value:
            return _orders(seen, cycle, Side.SELL, cycle["sells"])
        case Phase.SETTLING.value:
            return "the proceeds of the sells to become spendable"
        case Phase.REVALIDATING.value:
            return "fresh quotes, to cut the buys to the money that is there"
        case _:
            return _orders(seen, cycle, Side.BUY, cycle["buys"])


def _orders(seen: Now, cycle: dict[str, Any], side: Side, planned: int) -> str:
    mine = [o for o in seen.unclosed if o.cycle_id == cycle["cycle_id"] and o.side is side]
    working = sum(not order.quarantined for order in mine)
    word = "sell" if side is Side.SELL else "buy"
    return f"{working} of {planned} {word}{'' if planned == 1 else 's'} to close"
