"""A cycle at a broker whose calls take their time (G12, G13)."""

from __future__ import annotations

from collections.abc import Collection
from statistics import median

from oms.bench import tiger
from oms.bench.figures import Setting, beside, found, missing
from oms.bench.record import Figure
from oms.errors import UsageError
from oms.model.rules import Rules

CALL_S, SETTLE_S, POLL_S, ORDERS = 0.1, 1.0, 1.0, 20
OWN_S = 0.2
"""What is allowed besides calls and settlement.confirm."""


def at_a_broker(setting: Setting, goals: Collection[str]) -> list[Figure]:
    """Those of G12 and G13 that are wanted, from the same cycles."""
    names = {"G12": "round", "G13": "delay"}
    setting.say(f"{', '.join(sorted(goals))}: {setting.rounds} cycles with and without push …")
    try:
        taken = tiger.rounds_by_turns(
            setting.rounds, orders=ORDERS, delay_s=CALL_S, settle_s=SETTLE_S, poll_s=POLL_S, say=lambda _: None
        )["polling"]
    except UsageError as error:
        return [figure for goal in sorted(goals) for figure in missing(goal, [names[goal]], str(error))]
    figures = []
    if "G12" in goals:
        ratios = [tiger.round_to_slowest_call(one, CALL_S) for one in taken]
        slowest = [max(one["slowest_call"], CALL_S) for one in taken]
        size = f"{ORDERS} sells, {ORDERS} buys, {CALL_S:g} s a call"
        figures.append(found("G12", "round", ratios, size, floor=beside("the slowest call", slowest, "s", None)))
    if "G13" in goals:
        needed = 3 * CALL_S + Rules().confirm.total_seconds()
        delays = [one["money_to_bought"] for one in taken]
        middle = median(delays)
        size = f"{middle:.3f} s of {OWN_S + needed:.3f} s, {CALL_S:g} s a call"
        floor = beside("three calls and settlement.confirm", [needed], "s", middle / needed)
        figures.append(found("G13", "delay", [delay / (OWN_S + needed) for delay in delays], size, floor=floor))
    return figures
