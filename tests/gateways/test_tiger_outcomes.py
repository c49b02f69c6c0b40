"""What an exception of Tiger's SDK means for an order: a definite no, proof that nothing left, or doubt."""

from __future__ import annotations

import pytest
from tigeropen.common.exceptions import ApiException, RequestException, ResponseException
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from oms.errors import InDoubt, NotSent, Refused, SendError
from oms.gateways.tiger.outcomes import api_error, outcome_of, transport, was_never_sent

REFUSED = (4, 5, 1000, 1010, 2400, 40013, 1100, 1200, 1300, 2100, 2101, 2150, 2198, 2199)
NO_VERDICT = (None, True, "1200", 1200.0, -1, 0, 1, 2, 3, 6, 999, 1001, 1009, 1011, 1101, 1201, 1299, 1301, 2099, 2200)
NO_VERDICT_EITHER = (2300, 2399, 2401, 4001, 40012, 40014)


def shown(text: str) -> str:
    """Stands in for the cleaning of a foreign text."""
    return text.strip()


def outcome(error: BaseException) -> SendError:
    return outcome_of(error, shown)


def answered(code: object, message: object = "told") -> SendError:
    return outcome(ApiException(code, message))


def raised_from(cause: BaseException | None, text: str = "request failed") -> RequestException:
    """The SDK's exception as it raises it: while it handles the transport's."""
    error: RequestException = RequestException(text)
    error.__context__ = cause
    return error


def given_up(reason: Exception | None) -> MaxRetryError:
    return MaxRetryError(None, "/gateway", reason)  # type: ignore[arg-type]  # the pool is only shown


NEVER_SENT = (
    NewConnectionError(None, "refused"),  # type: ignore[arg-type]  # as above
    NameResolutionError("gateway", None, OSError()),  # type: ignore[arg-type]
    ConnectTimeoutError(None, "too long"),
)
PERHAPS_SENT = (ProtocolError("broken"), ReadTimeoutError(None, "/", "late"), SSLError("torn"), HTTPError("odd"))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", REFUSED)
def test_a_code_on_the_list_is_a_definite_no(code: int) -> None:
    """The broker's own code and reason go on, and nothing is claimed about a repeat."""
    found = answered(code, " too little money ")
    assert isinstance(found, Refused)
    assert (found.code, found.text, found.repeat) == (f"tiger_{code}", "too little money", False)


@pytest.mark.parametrize("code", [*NO_VERDICT, *NO_VERDICT_EITHER], ids=repr)
def test_any_other_code_leaves_the_order_in_doubt(code: object) -> None:
    """The neighbours of the list's codes too, and whatever is no whole number: nothing was answered about the order."""
    found = answered(code)
    assert isinstance(found, InDoubt)
    known = code if type(code) is int else None
    assert (found.code, found.text) == (f"tiger_{known}", "told")


@pytest.mark.parametrize("code", [1100, 1200, 1300, 2300, 7])
@pytest.mark.parametrize(
    "message", ["TRADE_DUPLICATE_ORDER_ID", "duplicated order", "the order id 17 already exists", "order_id: duplicate"]
)
def test_a_number_that_is_known_already_is_a_refused_repeat(code: int, message: str) -> None:
    """Under whatever code it comes, an order has that number."""
    found = answered(code, message)
    assert isinstance(found, Refused)
    assert (found.code, found.text, found.repeat) == (f"tiger_{code}", message, True)


@pytest.mark.parametrize("message", ["order does not exist", "you hold a duplicate", "", None, 17], ids=repr)
def test_other_words_are_no_refused_repeat(message: object) -> None:
    """And a reason that is missing, or no text, is said to be missing."""
    found = answered(1200, message)
    assert isinstance(found, Refused)
    assert not found.repeat
    assert found.text == (message if isinstance(message, str) and message else "no reason given")


def test_words_without_a_code_prove_nothing() -> None:
    """An answer that only speaks of a duplicate, with no code at all, is doubt."""
    assert isinstance(answered(None, "duplicate order"), InDoubt)


@pytest.mark.parametrize("cause", NEVER_SENT, ids=lambda cause: type(cause).__name__)
def test_a_connection_that_was_never_made_sent_nothing(cause: Exception) -> None:
    """By itself, or as the reason why urllib3 gave up."""
    for error in (raised_from(cause), raised_from(given_up(cause))):
        found = outcome(error)
        assert isinstance(found, NotSent)
        assert found.code == "not_sent"
    assert str(outcome(raised_from(cause))).endswith(f"({type(cause).__name__})")


@pytest.mark.parametrize("cause", PERHAPS_SENT, ids=lambda cause: type(cause).__name__)
def test_anything_that_may_come_after_the_first_byte_is_doubt(cause: Exception) -> None:
    """A broken line, a late answer, torn TLS: the request may have arrived."""
    for error in (raised_from(cause), raised_from(given_up(cause)), raised_from(given_up(None)), raised_from(None)):
        found = outcome(error)
        assert isinstance(found, InDoubt)
        assert found.code == "no_answer"


def test_only_the_exception_that_the_sdk_s_was_raised_from_counts() -> None:
    """What lies further back belongs to an earlier call, and what others raise is not the SDK's word."""
    refused = NEVER_SENT[0]
    behind = ProtocolError("broken")
    behind.__context__ = refused
    alike = type("NewConnectionError", (Exception,), {"__module__": "elsewhere"})()
    strange = type("RequestException", (Exception,), {"__module__": "requests"})()
    strange.__context__ = refused
    for error in (raised_from(behind), raised_from(alike), strange, refused, ResponseException("x")):
        assert was_never_sent(error) is False
        assert isinstance(outcome(error), InDoubt)


def test_a_request_that_could_not_be_signed_was_not_sent() -> None:
    """Only where the SDK says so, at the beginning of its text."""
    found = outcome(raised_from(None, "[place_order]request sign failed. no key"))
    assert isinstance(found, NotSent)
    assert found.text == "the request could not be signed with this key"
    for error in (raised_from(None, "told: [x]request sign failed."), ValueError("[x]request sign failed.")):
        assert was_never_sent(error) is False
        assert isinstance(outcome(error), InDoubt)
        assert "signed" not in transport(error)


def test_only_the_sdk_s_own_error_is_the_brokers_answer() -> None:
    """Another exception with the same fields, or of the same name from elsewhere, answers nothing."""
    alike = type("ApiException", (Exception,), {"__module__": "elsewhere", "code": 1200, "msg": "no"})()
    for error in (alike, RequestException("x"), ValueError("x")):
        assert api_error(error) is None
        assert isinstance(outcome(error), InDoubt)


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (NEVER_SENT[0], "the gateway could not be reached (NewConnectionError)"),
        (PERHAPS_SENT[1], "no answer before the time-out (ReadTimeoutError)"),
        (PERHAPS_SENT[0], "the connection broke off (ProtocolError)"),
        (PERHAPS_SENT[2], "TLS failed (SSLError)"),
        (ValueError("secret"), "the answer could not be used (RequestException from ValueError)"),
        (None, "the answer could not be used (RequestException)"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_happened_on_the_way_is_a_sentence_without_foreign_words(cause: Exception | None, sentence: str) -> None:
    """Names of exceptions are shown, their texts never are: those hold the whole request."""
    assert transport(raised_from(cause, "secret")) == sentence


def test_a_status_of_http_is_shown_and_what_is_none_is_not() -> None:
    """The number where there is one; an exception that is not the SDK's is named alone, whatever it was raised from."""
    assert transport(ResponseException("secret", status=502)) == "HTTP status 502"
    assert transport(ResponseException("secret", status="502")) == "the answer could not be used (ResponseException)"
    other = ValueError("secret")
    other.__context__ = NEVER_SENT[0]
    assert transport(other) == "the answer could not be used (ValueError)"
