"""One cycle as its facts tell it up to any of them: phases, orders from intent to fill, silences, cuts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from oms.journal.answers import Answer, day, instant, money, number, order_answer
from oms.journal.loading import fold_cycle
from oms.journal.stages import BEGINS, Linked, phases_of, silences
from oms.model.cycle import Cycle
from oms.model.event import BuysRevalidated, CycleOpened, FundsObserved, OrderFilled
from oms.model.order import Order


def story(facts: Sequence[Linked], at_seq: int | None, now: datetime) -> Answer:
    """The cycle after fact ``at_seq`` (None: now), and every fact of it with its link.

    ``orders``, ``phases``, ``gaps``, ``money`` and ``revalidation`` are as they stood then; ``events`` are all there are.
    """
    first, last = facts[0].fact.seq, facts[-1].fact.seq
    shown = last if at_seq is None else min(max(at_seq, first), last)
    then = [linked for linked in facts if linked.fact.seq <= shown]
    is_past = shown < last
    moment = then[-1].fact.at if is_past else now
    cycle = fold_cycle(linked.fact for linked in then)
    assert cycle is not None
    starts = [(BEGINS[linked.kind], linked.fact.at) for linked in then if linked.kind in BEGINS]
    fills = _fills(then)
    return {
        "schema": "oms.cycle-page/1",
        "cycle": _cycle(cycle),
        "at_seq": shown,
        "first_seq": first,
        "last_seq": last,
        "link": facts[-1].hash,
        "is_past": is_past,
        "at": instant(moment),
        "phases": phases_of(starts, moment),
        "gaps": silences([linked.fact for linked in then]),
        "planned": _planned(cycle),
        "orders": [{**order_answer(order), "fills": fills.get(order.cl_ord_id, [])} for order in _in_order(cycle)],
        "money": money_of(cycle, then),
        "revalidation": _revalidation(cycle),
        "readings": readings(then),
        "events": [
            {
                "seq": linked.fact.seq,
                "at": instant(linked.fact.at),
                "kind": linked.kind,
                "symbol": linked.symbol,
                "cl_ord_id": linked.cl_ord_id,
                "data": linked.data,
                "hash": linked.hash,
            }
            for linked in facts
        ],
    }


def _cycle(cycle: Cycle) -> dict[str, Any]:
    opened = cycle.opened
    deadline = None
    match cycle.state:
        case "SELLING":
            deadline = opened.deadline
        case "SETTLING" if cycle.sells_over is not None:
            deadline = cycle.sells_over.deadline
        case "BUYING" if cycle.revalidated is not None:
            deadline = cycle.revalidated.deadline
    return {
        "cycle_id": cycle.cycle_id,
        "phase": cycle.state,
        "outcome": None if cycle.outcome is None else cycle.outcome.value,
        "opened_at": instant(cycle.opened_at),
        "closed_at": instant(cycle.closed_at),
        "phase_since": instant(cycle.phase_since),
        "deadline": instant(deadline),
        "resumed": cycle.resumed,
        "trading_day": day(opened.trading_day),
        "settles": day(opened.settles),
        "config_hash": opened.config_hash,
        "version": opened.version,
        "source": opened.source,
        "sells": len(opened.sells),
        "buys": len(opened.buys),
        "aborted": None if cycle.aborted is None else {"rule": cycle.aborted.rule, "reason": cycle.aborted.reason},
    }


def _in_order(cycle: Cycle) -> list[Order]:
    return [*sorted(cycle.sells, key=lambda o: o.index), *sorted(cycle.buys, key=lambda o: o.index)]


def _planned(cycle: Cycle) -> list[Answer]:
    """Intents of the plan that no order exists for yet."""
    opened = cycle.opened
    return [
        {"side": each.side.value, "symbol": each.symbol, "quantity": each.quantity, "limit": money(each.limit)}
        for each in (*opened.sells, *opened.buys)
        if each.cl_ord_id not in cycle.orders
    ]


def _fills(facts: Sequence[Linked]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for linked in facts:
        event = linked.fact.event
        if isinstance(event, OrderFilled):
            fill = {
                "at": instant(linked.fact.at),
                "qty": event.last_qty,
                "px": money(event.last_px),
                "fee": money(event.fee),
                "late": event.late,
            }
            found.setdefault(event.cl_ord_id, []).append(fill)
    return found


def money_of(cycle: Cycle, facts: Sequence[Linked]) -> Answer:
    """Where the cycle's money came from and went to; null where that is not known yet."""
    bought = sum((order.notional + order.fees for order in cycle.buys), Decimal(0))
    expected = cycle.opened.spendable + cycle.proceeds - cycle.sell_fees
    revalidated = cycle.revalidated
    newest = cycle.settled or next(
        (f.fact.event for f in reversed(facts) if isinstance(f.fact.event, FundsObserved)), None
    )
    credited = None if newest is None else max(newest.spendable - cycle.opened.spendable, Decimal(0))
    return {
        "before": money(cycle.opened.spendable),
        "proceeds": money(cycle.proceeds),
        "sell_fees": money(cycle.sell_fees),
        "net_proceeds": money(cycle.proceeds - cycle.sell_fees),
        "credited": money(credited),
        "expected": money(expected),
        "spendable": None if revalidated is None else money(revalidated.inputs.spendable),
        "reserved": None if revalidated is None else money(revalidated.inputs.reserved),
        "budget": None if revalidated is None else money(revalidated.budget),
        "bought": money(bought),
        "settled_by": None if cycle.settled is None else cycle.settled.by.value,
    }


def _revalidation(cycle: Cycle) -> list[Answer]:
    """Every planned buy, with what revalidation left of it."""
    if cycle.revalidated is None:
        return []
    limits = {intent.cl_ord_id: intent for intent in cycle.opened.buys}
    return [
        {
            "symbol": buy.symbol,
            "cl_ord_id": buy.cl_ord_id,
            "score": number(limits[buy.cl_ord_id].score) if buy.cl_ord_id in limits else None,
            "planned": buy.original,
            "quantity": buy.quantity,
            "limit": money(buy.limit),
            "value": money(buy.worst_px * buy.quantity),
            "planned_value": money(limits[buy.cl_ord_id].worst_px * buy.original) if buy.cl_ord_id in limits else None,
            "rule": buy.rule,
            "reason": buy.reason,
        }
        for buy in cycle.revalidated.buys
    ]


def readings(facts: Sequence[Linked]) -> list[Answer]:
    """What could be spent at each reading of the funds, beside what the booked fills say should be there by then."""
    found: list[Answer] = []
    expected = Decimal(0)
    for linked in facts:
        event = linked.fact.event
        match event:
            case CycleOpened():
                expected = event.spendable
                spendable = event.spendable
            case OrderFilled():
                value = event.last_qty * event.last_px
                expected += value - event.fee if event.side.value == "SELL" else -(value + event.fee)
                found.append({"at": instant(linked.fact.at), "spendable": None, "expected": money(expected)})
                continue
            case FundsObserved():
                spendable = event.spendable
            case BuysRevalidated():
                spendable = event.inputs.spendable
            case _:
                continue
        found.append({"at": instant(linked.fact.at), "spendable": money(spendable), "expected": money(expected)})
    return found
