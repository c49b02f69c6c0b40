"""How far this machine's clock is from that of a server, by the ``Date`` header of one small request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from oms.errors import BrokerUnavailable
from oms.ports import Clock

TIMEOUT_S = 5.0
"""For connecting, and for the reply."""
HALF_A_SECOND = timedelta(milliseconds=500)
"""The header says whole seconds, cut off: on average half of one is missing (RFC 9110, section 6.6.1)."""


def clock_offset(url: str, clock: Clock) -> timedelta:
    """Our clock less the server's; exact to about a second. Sends a GET without any content to ``url``.

    Raises:
        BrokerUnavailable: there was no reply, or none with a date.
    """
    import urllib3  # late: only the doctor asks

    host = urlsplit(url).hostname
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT_S) as pool:
        before = clock.now()
        try:
            reply = pool.request("GET", url, redirect=False, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise BrokerUnavailable(f"{host} cannot be asked for its time: {type(error).__name__}") from None
        after = clock.now()
        told = reply.headers.get("Date", "")
        reply.release_conn()
    try:
        theirs = parsedate_to_datetime(told).astimezone(UTC)
    except (TypeError, ValueError):
        raise BrokerUnavailable(f"{host} does not say its time") from None
    return _middle(before, after) - (theirs + HALF_A_SECOND)


def _middle(before: datetime, after: datetime) -> datetime:
    return before + (after - before) / 2
