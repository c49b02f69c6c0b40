"""Rows that spare questions a long walk: which rules a fact names, and what was held every so many facts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from oms.journal.scalars import from_micro, storable, to_micro
from oms.journal.tables import BOOKED_EVERY
from oms.model.event import AttentionRaised, BuysRevalidated, CycleAborted, Event, OrderBlocked
from oms.model.state import AccountState, Holding

RULE_KINDS = ("order_blocked", "attention_raised", "cycle_aborted", "buys_revalidated")
"""Kinds of facts in which a rule decided something; a test compares them with the model."""

BookRow = tuple[str, int, int, str]
"""account, seq, cash in micro-units, holdings as canonical JSON."""


def rules_of(event: Event) -> frozenset[str]:
    """Names of the rules that decided something in this fact, about itself or about one of its orders.

    ``cycle_opened`` names the rules that refused a wish of the plan; each of them comes again as ``order_blocked``.
    """
    match event:
        case BuysRevalidated():
            return frozenset(storable(buy.rule) for buy in event.buys)
        case OrderBlocked() | AttentionRaised() | CycleAborted():
            return frozenset((storable(event.rule),))
        case _:
            return frozenset()


def book_row(state: AccountState, seq: int) -> BookRow | None:
    """Cash and shares after fact ``seq``, the one just applied; None between two of the places where they are kept."""
    if seq % BOOKED_EVERY:
        return None
    held = {
        symbol: [to_micro(book.qty), to_micro(book.cost), to_micro(book.realised)]
        for symbol, book in state.holdings.items()
    }
    return state.account, seq, to_micro(state.cash), json.dumps(held, sort_keys=True, separators=(",", ":"))


def holdings_of(held: str) -> Mapping[str, Holding]:
    """The shares that a row of ``books`` keeps."""
    return {
        symbol: Holding(qty=from_micro(qty), cost=from_micro(cost), realised=from_micro(realised))
        for symbol, (qty, cost, realised) in json.loads(held).items()
    }
