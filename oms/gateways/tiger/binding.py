"""Which Tiger account a journal is about, told so that two are never taken for one and no number is shown whole."""

from __future__ import annotations

from oms.gateways.tiger.properties import fingerprint, kind_of, masked
from oms.model.arming import AccountBound


def binding(account: str) -> AccountBound:
    """The fact that a journal is about this account.

    Raises:
        RefusedError: the number has no shape that Tiger documents.
    """
    return AccountBound(
        broker="tiger",
        account_kind=kind_of(account).value,
        shown=masked(account),
        fingerprint=fingerprint(account),
    )
