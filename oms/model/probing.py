"""What a probe of the broker showed, and for how long it lets an order in doubt be sent again under its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from oms.model.event import Event

PROOF_GOOD_FOR = timedelta(days=90)
"""A broker may change what it does without a word: an older proof proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerProbed(Event):
    """A person had the broker tried out, with orders for one share on a paper account."""

    kind: ClassVar[str] = "broker_probed"
    broker: str
    account_kind: str
    """Class of the account that was probed; it proves nothing about another class."""
    fingerprint: str
    """SHA-256 over broker and account number, in hex."""
    adapter: str
    """What spoke to the broker, with its version: another one may send something else."""
    probed_at: datetime
    refused_for_s: int
    """Age of the last repeat of a number that made no second order, whole seconds; 0: not proven."""
    findings: Mapping[str, str]
    """What was looked at, and what was found."""
    author: str


def proven_window(
    probed: BrokerProbed | None, *, fingerprint: str, account_kind: str, adapter: str, now: datetime
) -> timedelta | None:
    """For how long after its first request a repeated number is proven to make no second order; None: not at all.

    The proof must be of this very account, class and adapter, not older than :data:`PROOF_GOOD_FOR`, and not from a
    future into which a clock was set by mistake.
    """
    if probed is None or probed.refused_for_s <= 0:
        return None
    is_same = (probed.fingerprint, probed.account_kind, probed.adapter) == (fingerprint, account_kind, adapter)
    if not is_same or not timedelta(0) <= now - probed.probed_at <= PROOF_GOOD_FOR:
        return None
    return timedelta(seconds=probed.refused_for_s)
