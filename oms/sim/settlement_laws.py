"""The law of cash accounts: nothing is sold that unsettled money bought, reckoned from the broker's log alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from oms.gateways.paper.log import LogEntry, LogKind
from oms.model.account import Funds
from oms.model.order import ZERO, Side
from oms.sim.evidence import Evidence, cash_moved, shares_moved
from oms.sim.law import Finding, law

LONG_AGO = date.min


@dataclass(slots=True)
class _Bought:
    """Shares of one execution, and the day on which the last money that paid for them settles."""

    row: LogEntry
    qty: Decimal
    frees: date


@law("I43")
def nothing_is_sold_that_unsettled_money_bought(evidence: Evidence) -> Iterator[Finding]:
    """I43: in a cash account, first in and first out; not where strangers traded, an order was in quarantine, or the
    broker told of money that was not there.

    What the journal could not know when the sell was planned (a fill that the broker showed later) is no violation.
    """
    if any(not evidence.rules_of(cycle).keeps_faith for cycle in evidence.cycles.values()) or _is_unclear(evidence):
        return
    settles = {cycle.opened.trading_day: cycle.opened.settles for cycle in evidence.cycles.values()}
    money: dict[date, Decimal] = {}
    shares: dict[str, deque[_Bought]] = {}
    for row in evidence.log:
        due = settles.get(row.day or LONG_AGO) or (row.day or LONG_AGO) + timedelta(days=1)
        moved = cash_moved(row)
        if moved > 0:
            day = due if row.kind is LogKind.FILL else LONG_AGO
            money[day] = money.get(day, ZERO) + moved
        if row.symbol is None or not shares_moved(row):
            continue
        held = shares.setdefault(row.symbol, deque())
        if shares_moved(row) > 0:
            held.append(_Bought(row, shares_moved(row), _paid(money, -moved, due)))
        else:
            yield from _sold(evidence, row, held)


def _is_unclear(evidence: Evidence) -> bool:
    """Somebody else moved money or shares, or an order of ours is or was beyond anybody's knowledge."""
    began = evidence.began_at
    strange = any(
        (cash_moved(row) or shares_moved(row)) and evidence.key(row) is None and (began is None or row.at >= began)
        for row in evidence.log
    )
    quarantined = any(intent.order.ever_quarantined for intent in evidence.intents.values())
    return strange or quarantined or any(_is_misled(evidence, cycle.opened.funds) for cycle in evidence.cycles.values())


def _is_misled(evidence: Evidence, told: Funds) -> bool:
    """Whether the broker told of more money than its own book had: the journal pays with that first."""
    there = [row.cash for row in evidence.log if row.at <= told.at]
    return bool(there) and told.cash > there[-1]


def _paid(money: dict[date, Decimal], cost: Decimal, due: date) -> date:
    """Pay with what settles soonest; answers the day on which the last of it does."""
    last = LONG_AGO
    for day in sorted(money):
        part = min(money[day], cost)
        if part > 0:
            money[day] -= part
            cost -= part
            last = day
    return last if cost <= 0 else max(last, due)


def _sold(evidence: Evidence, row: LogEntry, held: deque[_Bought]) -> Iterator[Finding]:
    left = -shares_moved(row)
    while left > 0 and held:
        lot = held[0]
        part = min(lot.qty, left)
        left -= part
        lot.qty -= part
        if not lot.qty:
            held.popleft()
        if row.side is Side.SELL and lot.frees > (row.day or LONG_AGO) and _was_known(evidence, lot.row, row):
            paid = f"bought in row {lot.row.id} with money that settles on {lot.frees}"
            yield evidence.key(row) or "", f"{part} {row.symbol} was sold on {row.day}, {paid}"


def _was_known(evidence: Evidence, bought: LogEntry, sold: LogEntry) -> bool:
    """Whether the journal held the purchase, and every fill before it, when the sell was planned."""
    intent = evidence.intents.get(evidence.key(sold) or "")
    if intent is None:
        return False
    earlier = [row for row in evidence.log if row.kind is LogKind.FILL and row.id <= bought.id and evidence.key(row)]
    booked = [evidence.booked.get(row.exec_id or "") for row in earlier]
    return all(found is not None and found[0].seq < intent.planned.seq for found in booked)
