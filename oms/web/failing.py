"""What an error of this program means over HTTP: a status and a code; the sentence itself goes to the log."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from oms.errors import (
    DamagedError,
    LeaseHeldError,
    OmsError,
    RefusedError,
    TryAgainError,
    UnknownName,
    UsageError,
    WrongDatabase,
)
from oms.web.gate import ANSWERED, a_bug
from oms.web.refusing import Refusal

Problem = Callable[[Request, int, str], Response]
"""Shows a person what went wrong, as a page."""

MEANINGS: tuple[tuple[type[OmsError], HTTPStatus, str, str], ...] = (
    (UnknownName, HTTPStatus.NOT_FOUND, "not_found", "there is nothing of this name"),
    (
        WrongDatabase,
        HTTPStatus.CONFLICT,
        "wrong_database",
        "only a journal on PostgreSQL has a fleet, and only one in a file has archives",
    ),
    (UsageError, HTTPStatus.BAD_REQUEST, "not_understood", "this question cannot be asked"),
    (RefusedError, HTTPStatus.CONFLICT, "refused", "refused for safety; see the log"),
    (LeaseHeldError, HTTPStatus.CONFLICT, "held", "another process works on this account"),
    (TryAgainError, HTTPStatus.SERVICE_UNAVAILABLE, "try_again", "this cannot be answered now; try again"),
    (DamagedError, HTTPStatus.SERVICE_UNAVAILABLE, "damaged", "the journal cannot be used; run `journal verify`"),
    (OmsError, HTTPStatus.SERVICE_UNAVAILABLE, "failed", "this failed; see the log"),
)
"""The first class that fits. The sentences of the errors themselves name files and accounts, and stay here."""


def install(app: FastAPI, problem: Problem, log: Callable[[str], None]) -> None:
    """Let every failure of a route end in one shape: a page for a person, else ``{"error": {code, message, id}}``."""

    def answer(request: Request, refusal: Refusal) -> Response:
        if wants_page(request):
            return problem(request, refusal.status, f"{refusal.message} ({refusal.code} {refusal.reference})")
        return refusal.response()

    def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, OmsError)
        refusal = refusal_of(error)
        log(f"oms: web: {refusal.reference}: {type(error).__name__}: {error}")
        return answer(request, refusal)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        where = sorted({".".join(str(part) for part in each["loc"][1:] or each["loc"]) for each in error.errors()})
        refusal = Refusal(
            status=HTTPStatus.UNPROCESSABLE_ENTITY, code="not_valid", message=f"not valid: {', '.join(where)[:200]}"
        )
        return answer(request, refusal)

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        refusal = Refusal(
            status=status, code=status.name.lower(), message=status.phrase.lower(), headers=dict(error.headers or {})
        )
        return answer(request, refusal)

    def unforeseen(request: Request, error: Exception) -> Response:
        refusal = a_bug(error, log)
        request.scope[ANSWERED] = refusal  # Starlette raises the error again behind this answer
        return answer(request, refusal)

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(OmsError, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def refusal_of(error: OmsError) -> Refusal:
    """What an error of ours means to whoever asked."""
    for kind, status, code, message in MEANINGS:
        if isinstance(error, kind):
            return Refusal(status=status, code=code, message=message)
    raise AssertionError  # OmsError is the last row


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks for a page."""
    path = request.url.path
    machine = path.startswith(("/api/", "/static/")) or path.endswith((".json", ".csv"))
    return not machine and "text/html" in request.headers.get("accept", "")
