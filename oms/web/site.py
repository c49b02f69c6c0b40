"""The pages of the dashboard."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from oms.questions import account
from oms.questions.asking import Desk


def router(desk: Desk) -> APIRouter:
    """Every page, with its twins in JSON and CSV."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/")
    def now() -> Response:
        answer = account.status(desk)
        sentence = f"{answer['mode']} {answer['account']}: waiting for {answer['waiting_for']}"
        return HTMLResponse(f"<!doctype html><title>oms</title><p>{escape(sentence)}</p>")

    return pages


def login_page(request: Request, problem: str | None) -> Response:
    """The form that asks for the token or the password."""
    target = escape(request.query_params.get("next", "/"), quote=True)
    said = "" if problem is None else f'<p role="alert">{escape(problem)}</p>'
    return HTMLResponse(
        f'<!doctype html><title>oms</title>{said}<form method="post" action="/login">'
        f'<input type="hidden" name="next" value="{target}"><label>Token or password '
        '<input type="password" name="token" autocomplete="current-password" required></label><button>Log in</button>'
        "</form>"
    )


def problem_page(_request: Request, status: int, sentence: str) -> Response:
    """What went wrong, for a person."""
    return HTMLResponse(f"<!doctype html><title>oms</title><p>{status}: {escape(sentence)}</p>", status)
