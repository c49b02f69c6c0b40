"""What can go wrong with one request on its way: everything that the order manager must survive."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Way(Enum):
    """How the request ends that the client sees."""

    FIN = "the connection is closed"
    RST = "the connection is reset"
    SILENCE = "nothing more is said"
    DRIP = "the reply comes byte by byte, and stops"
    DRIP_ON = "the reply comes byte by byte, without an end"
    STATUS = "another HTTP status"
    REDIRECT = "a redirect to this same gateway"
    MALFORMED = "a body that is no JSON"
    HTML = "a page of a proxy, with status 200"
    TRUNCATED = "a body shorter than announced"
    EMPTY = "no body"
    NOTHING = "the body {}"
    LIST = "the body []"
    NO_ID = "code 0 without an id"
    ZERO_ID = "code 0 with the id 0"
    TEXT_ID = "code 0 with a text for an id"
    NEGATIVE_ID = "code 0 with an id below zero"
    NAN_ID = "code 0 with NaN for an id"
    TWO_IDS = "code 0 with data twice, the second one empty"
    HUGE = "ten megabytes that are no JSON"
    GARBAGE = "bytes that are no HTTP"
    BAD_SIGN = "a signature of somebody else"
    SERVER_ERROR = "code 1"
    SERVER_TIMEOUT = "code 2"
    UNLISTED = "a code that nobody has heard of"
    MESSAGELESS = "a code without a message"
    TLS_ALERT = "a TLS alert in the middle"
    TLS_CORRUPT = "a TLS record that was tampered with"
    TLS_PLAIN = "plain text inside TLS"


@dataclass(frozen=True)
class Fault:
    """One fault: whether the order was accepted before it, and how it ends."""

    way: Way
    accepts: bool = True
    status: int = 0

    @property
    def patience(self) -> float:
        """The time-out of a client that is to meet it: short only where nothing else ends the waiting, seconds."""
        return 0.5 if self.way in (Way.SILENCE, Way.DRIP) else 20.0


WIRE_FAULTS = {
    "accepted, then FIN": Fault(Way.FIN),
    "accepted, then RST": Fault(Way.RST),
    "dropped before acceptance, FIN": Fault(Way.FIN, accepts=False),
    "dropped before acceptance, RST": Fault(Way.RST, accepts=False),
    "accepted, read time-out": Fault(Way.SILENCE),
    "not accepted, read time-out": Fault(Way.SILENCE, accepts=False),
    "slow drip": Fault(Way.DRIP),
    "429 before acceptance": Fault(Way.STATUS, accepts=False, status=429),
    "401 before acceptance": Fault(Way.STATUS, accepts=False, status=401),
    "500 before acceptance": Fault(Way.STATUS, accepts=False, status=500),
    "500 after acceptance": Fault(Way.STATUS, status=500),
    "502 after acceptance": Fault(Way.STATUS, status=502),
    "503 before acceptance": Fault(Way.STATUS, accepts=False, status=503),
    "504 after acceptance": Fault(Way.STATUS, status=504),
    "malformed reply": Fault(Way.MALFORMED),
    "HTML with status 200": Fault(Way.HTML),
    "truncated reply": Fault(Way.TRUNCATED),
    "empty reply": Fault(Way.EMPTY),
    "reply {}": Fault(Way.NOTHING),
    "reply []": Fault(Way.LIST),
    "code 0 without an id": Fault(Way.NO_ID),
    "code 0 with the id 0": Fault(Way.ZERO_ID),
    "code 0 with a text for an id": Fault(Way.TEXT_ID),
    "code 0 with a negative id": Fault(Way.NEGATIVE_ID),
    "code 0 with NaN for an id": Fault(Way.NAN_ID),
    "data twice, the last without an id": Fault(Way.TWO_IDS),
    "ten megabytes": Fault(Way.HUGE),
    "garbage instead of HTTP": Fault(Way.GARBAGE),
    "bad signature": Fault(Way.BAD_SIGN),
    "code 1 after acceptance": Fault(Way.SERVER_ERROR),
    "code 2 after acceptance": Fault(Way.SERVER_TIMEOUT),
    "unlisted code": Fault(Way.UNLISTED),
    "a code without a message": Fault(Way.MESSAGELESS),
    "redirect 301": Fault(Way.REDIRECT, status=301),
    "redirect 302": Fault(Way.REDIRECT, accepts=False, status=302),
    "redirect 303": Fault(Way.REDIRECT, status=303),
    "redirect 307": Fault(Way.REDIRECT, accepts=False, status=307),
    "redirect 308": Fault(Way.REDIRECT, status=308),
    "TLS alert after the request": Fault(Way.TLS_ALERT),
    "TLS record corrupt": Fault(Way.TLS_CORRUPT),
    "plain text inside TLS": Fault(Way.TLS_PLAIN),
}
"""Every one of them leaves the order in doubt, and is answered by exactly one request."""
