"""Facts about real money: whose account at the broker a journal is about, and by whose word it may be traded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from oms.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBound(Event):
    """The one account at the broker that this journal is about; it never goes on with another."""

    kind: ClassVar[str] = "account_bound"
    broker: str
    account_kind: str
    """What kind of account it is in the broker's own words, such as paper, prime or global."""
    shown: str
    """The account for a message: the end of its number."""
    fingerprint: str
    """SHA-256 over broker and account number, in hex: tells two accounts apart without telling what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveArmed(Event):
    """A person, at a terminal, let this program trade an account of real money within these limits until then."""

    kind: ClassVar[str] = "live_armed"
    fingerprint: str
    """That of the account, as in :class:`AccountBound`."""
    shown: str
    until: datetime
    """From this instant on nothing is sent any more, aware UTC."""
    limits: str
    """Every key that bounds risk with its value, as canonical JSON; see :mod:`oms.configuration.armed_limits`."""
    limits_hash: str
    """SHA-256 of ``limits`` in hex."""
    config_hash: str
    """The whole configuration at that time."""
    net_liquidation: str = ""
    """What the account was worth, as the broker said; empty where it did not say."""
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDisarmed(Event):
    """No order of real money may be sent until a person arms anew."""

    kind: ClassVar[str] = "live_disarmed"
    reason: str
    author: str
    inbox_id: int | None = None
