"""Cycles of the production engine on Tiger's SDK, timed at the gateway of the tests, whose every call takes its time."""

from __future__ import annotations

import importlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from oms.errors import UsageError

MEASURED = ("sell_round", "buy_round", "slowest_call", "sold_to_money", "money_to_bought", "sold_to_bought")


def bench(
    rounds: int, *, orders: int, delay_s: float, settle_s: float, poll_s: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Cycles by turns without and with push; the median, least and most of each span, seconds.

    Raises:
        UsageError: the tests, whose gateway this needs, are not beside the program.
    """
    found = rounds_by_turns(rounds, orders=orders, delay_s=delay_s, settle_s=settle_s, poll_s=poll_s, say=say)
    return {
        "rounds": rounds,
        "orders_a_side": orders,
        "call_s": delay_s,
        "settle_s": settle_s,
        "poll_s": poll_s,
        **{name: _summary(taken, delay_s) for name, taken in found.items()},
    }


def rounds_by_turns(
    rounds: int, *, orders: int, delay_s: float, settle_s: float, poll_s: float, say: Callable[[str], None]
) -> dict[str, list[dict[str, float]]]:
    """Each span of each cycle, seconds: ``polling`` and ``push`` by turns.

    Raises:
        UsageError: the tests, whose gateway this needs, are not beside the program.
    """
    try:
        pace = importlib.import_module("tests.tigerd.pace").pace
    except ModuleNotFoundError as missing:
        raise UsageError(f"bench tiger runs from the source tree, with the tests' packages: {missing}") from missing
    found: dict[str, list[dict[str, float]]] = {"polling": [], "push": []}
    for number in range(rounds):
        for name, taken in found.items():
            with tempfile.TemporaryDirectory(prefix="oms-bench-") as folder:
                one = pace(
                    Path(folder), orders=orders, delay=delay_s, settle_s=settle_s, poll_s=poll_s, push=name == "push"
                )
            taken.append(asdict(one))
        say(f"round {number + 1} of {rounds}")
    return found


def round_to_slowest_call(one: dict[str, float], delay_s: float) -> float:
    """The slower round of orders of a cycle, in its slowest calls."""
    return max(one["sell_round"], one["buy_round"]) / max(one["slowest_call"], delay_s)


def _summary(taken: list[dict[str, float]], delay_s: float) -> dict[str, Any]:
    spans = {name: _spread([one[name] for one in taken]) for name in MEASURED}
    ratios = [round_to_slowest_call(one, delay_s) for one in taken]
    return {"seconds": spans, "round_to_slowest_call": _spread(ratios), "calls": int(taken[-1]["calls"])}


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }
