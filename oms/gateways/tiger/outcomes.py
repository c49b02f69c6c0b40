"""What an exception of the SDK means: not sent, refused, or in doubt.

The table is measured on tigeropen 3.8.0 with urllib3's retries off. Its texts hold the whole request, signature and
secrets included, so no word of them goes on; only codes, names and the broker's own cleaned message do.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oms.errors import InDoubt, NotSent, Refused, SendError

Clean = Callable[[str], str]
"""Makes a foreign text fit to be shown: short, on one line, without secrets."""

BEFORE_THE_ORDER_SYSTEM = frozenset({4, 5, 1000, 1010, 2400, 40013})
"""Access or rate limit, parameters, token, signature: refused by the gateway in front of the order system."""
BUSINESS = frozenset({1100, 1200, 1300, *range(2100, 2200)})
"""Refused by the order system, with a reason: global, prime and paper accounts, quotes of stocks."""

_REPEAT = re.compile(
    r"duplicat\w*\W+order|order\W*id\W.*\b(?:duplicat\w*|exist(?:s|ed)? already|already exist)", re.IGNORECASE
)
"""The code list names only *TRADE DUPLICATE ORDER ID*; underscores count as the blanks of such names."""
_SIGNING = re.compile(r"\[[^\]]*\]request sign failed\.")
_NEVER_SENT = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
"""urllib3's words for a connection that was never made, so nothing was written to it."""


def api_error(error: BaseException) -> tuple[int | None, str] | None:
    """Code and message of the broker's own error; None for any other exception.

    The SDK's text of such an error raises ``TypeError`` where the broker sent no message, so its fields are read instead.
    """
    if not _is(error, "tigeropen", "ApiException"):
        return None
    code, message = getattr(error, "code", None), getattr(error, "msg", None)
    known = code if isinstance(code, int) and not isinstance(code, bool) else None
    return known, message if isinstance(message, str) else ""


def was_never_sent(error: BaseException) -> bool:
    """Proof that nothing left this machine: no connection was made, or the request could not even be signed.

    Only the transport's own exception counts, the one that the SDK's was raised from; what lies further back may
    belong to an earlier call.
    """
    if not _is(error, "tigeropen", "RequestException"):
        return False
    if _SIGNING.match(str(error)):
        return True
    cause = error.__context__
    if _is(cause, "urllib3", "MaxRetryError"):
        cause = getattr(cause, "reason", None)
    return _is(cause, "urllib3", *_NEVER_SENT)


def _is(error: object, package: str, *names: str) -> bool:
    """Whether it is one of these exceptions of a package; by name, so that the package need not be imported to ask."""
    return type(error).__name__ in names and type(error).__module__.partition(".")[0] == package


def outcome_of(error: BaseException, clean: Clean) -> SendError:
    """How a request to place or to cancel ended that raised ``error``; whatever is not proven is doubt."""
    answer = api_error(error)
    if answer is not None:
        return _answered(*answer, clean)
    if was_never_sent(error):
        return NotSent("not_sent", transport(error))
    return InDoubt("no_answer", transport(error))


def _answered(code: int | None, message: str, clean: Clean) -> SendError:
    """A refusal needs a code that is on the list."""
    text = clean(message) or "no reason given"
    if code is not None and _REPEAT.search(message.replace("_", " ")):
        # Tiger lists this answer under one code only; under whichever it comes, an order has that number.
        return Refused(f"tiger_{code}", text, repeat=True)
    if code in BUSINESS or code in BEFORE_THE_ORDER_SYSTEM:
        return Refused(f"tiger_{code}", text)
    return InDoubt(f"tiger_{code}", text)


_ON_THE_WAY = {
    "NewConnectionError": "the gateway could not be reached",
    "NameResolutionError": "the gateway's name could not be resolved",
    "ConnectTimeoutError": "the gateway let nobody in before the time-out",
    "ReadTimeoutError": "no answer before the time-out",
    "ProtocolError": "the connection broke off",
    "SSLError": "TLS failed",
}
"""The transport's exceptions as sentences."""


def transport(error: BaseException) -> str:
    """What happened on the way: a sentence of ours, and names of exceptions; never their texts."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return f"HTTP status {status}"
    if _SIGNING.match(str(error)) and _is(error, "tigeropen", "RequestException"):
        return "the request could not be signed with this key"
    cause = error.__context__ if _is(error, "tigeropen", "RequestException") else None
    names = " from ".join(type(each).__name__ for each in (error, cause) if each is not None)
    known = _ON_THE_WAY.get(type(cause).__name__) if cause is not None else None
    return f"{known} ({type(cause).__name__})" if known else f"the answer could not be used ({names})"
