"""What a person is told about a fact: its topic, a title and a sentence; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oms.configuration.notices import Topic

Row = Mapping[str, Any]
"""One fact as ``journal query`` answers it."""

MOST = 600
"""Letters of a text that came from elsewhere; more of it stands in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message."""

    topic: Topic
    title: str
    body: str
    seq: int
    """The row of the journal that it is about; the newest one for a summary."""


def notice_of(row: Row) -> Notice | None:
    """The message about one fact; None where it is not one that people are told."""
    found = _WORDS.get(row["kind"])
    if found is None:
        return None
    topic, title, sentence = found
    body = sentence(row)
    if body is None:
        return None
    where = f"{row['account']}, {row['at']}, journal {row['seq']}"
    if row["cycle_id"]:
        where = f"{row['account']}, cycle {row['cycle_id']}, {row['at']}, journal {row['seq']}"
    return Notice(topic=topic, title=f"oms {row['account']}: {title}", body=f"{body}\n{where}", seq=row["seq"])


def _because(row: Row) -> str:
    reason = _said(row, "reason")
    return f": {reason}" if reason else ""


def _said(row: Row, name: str) -> str:
    return str(row["data"].get(name) or "")[:MOST]


def _by(row: Row) -> str:
    return f"by {_said(row, 'author') or 'somebody'}{_because(row)}"


def _order(row: Row) -> str:
    return f"{row['symbol']} ({row['cl_ord_id']})"


def _attention(row: Row) -> str:
    symbol = f"{row['symbol']}: " if row["symbol"] else ""
    return f"{symbol}{_said(row, 'text')} ({_said(row, 'rule')})"


def _halted(row: Row) -> str:
    stopped = "no order is sent" if row["data"].get("scope") == "all" else "no buy is sent"
    return f"{stopped}, {_by(row)}. `release` lets it go on."


def _quarantined(row: Row) -> str:
    return (
        f"{_order(row)}: nobody knows whether the broker has this order{_because(row)}. "
        "It is not sent again. Look at the broker, then `order resolve`."
    )


def _filled(row: Row) -> str:
    data = row["data"]
    return f"{data['side']} {data['last_qty']} {row['symbol']} at {data['last_px']}, {data['cum_qty']} of it in all"


def _foreign(row: Row) -> str:
    data = row["data"]
    return (
        f"an order that is not ours stands on the account: {data['side']} {data['order_qty']} {row['symbol']} "
        f"({data['raw_status']}, order {data['order_id']}). It is counted and never touched."
    )


def _reconciled(row: Row) -> str | None:
    count = len(row["data"].get("differences") or ())
    if not count:
        return None
    differences = "1 difference" if count == 1 else f"{count} differences"
    return f"broker and journal disagree: {differences}. `reconcile` shows and explains them."


_WORDS: Mapping[str, tuple[Topic, str, Callable[[Row], str | None]]] = {
    "attention_raised": (Topic.ATTENTION, "a person must look", _attention),
    "order_quarantined": (Topic.DOUBT, "an order in quarantine", _quarantined),
    "order_voided": (Topic.DOUBT, "an order was declared void", lambda row: f"{_order(row)}: {_said(row, 'evidence')}"),
    "halted": (Topic.HALT, "halted", _halted),
    "released": (Topic.HALT, "released", lambda row: f"trading goes on, {_by(row)}"),
    "live_armed": (Topic.LIVE, "real money is armed", lambda row: f"until {_said(row, 'until')}, {_by(row)}"),
    "live_disarmed": (Topic.LIVE, "real money is disarmed", _by),
    "external_order_seen": (Topic.FOREIGN, "a foreign order", _foreign),
    "reconciled": (Topic.FOREIGN, "the books differ", _reconciled),
    "position_adopted": (Topic.FOREIGN, "shares were adopted", lambda row: f"{row['symbol']}, {_by(row)}"),
    "cycle_resumed": (
        Topic.CYCLE,
        "a cycle was taken up again",
        lambda row: f"in {_said(row, 'phase')}, by process {row['data'].get('pid')} on {_said(row, 'host')}",
    ),
    "cycle_aborted": (Topic.CYCLE, "a cycle was given up", lambda row: f"{_said(row, 'rule')}{_because(row)}"),
    "buys_closed": (Topic.CYCLE, "a cycle is done", lambda row: f"outcome {_said(row, 'outcome').replace('_', ' ')}"),
    "order_rejected": (
        Topic.ORDER,
        "the broker rejected an order",
        lambda row: f"{_order(row)}: {_said(row, 'text') or _said(row, 'code')}",
    ),
    "order_expired": (Topic.ORDER, "an order expired", lambda row: f"{_order(row)}, {row['data']['cum_qty']} filled"),
    "order_filled": (Topic.FILL, "a fill", _filled),
    "order_blocked": (
        Topic.RISK,
        "an order was blocked",
        lambda row: f"{_order(row)} by {_said(row, 'rule')}{_because(row)}",
    ),
    "symbol_frozen": (Topic.RISK, "a symbol is frozen", lambda row: f"{row['symbol']}{_because(row)}"),
    "blacklisted": (Topic.RISK, "a symbol is on the blacklist", lambda row: f"{row['symbol']}, {_by(row)}"),
    "unblacklisted": (Topic.RISK, "a symbol is off the blacklist", lambda row: f"{row['symbol']}, {_by(row)}"),
}

TOLD_KINDS = frozenset(_WORDS)
"""Kinds of facts about which there is a message; a test compares them with the events that exist."""
