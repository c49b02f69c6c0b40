"""Logging in and out: the token or the password for a session's cookie."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from oms.web import site
from oms.web.gate import Doors, bad_word, is_word_of
from oms.web.keys import Scope
from oms.web.sessions import LIFETIME
from oms.web.viewer import viewer_of


def router(doors: Doors) -> APIRouter:
    """``/login`` and ``/logout``."""
    entrance = APIRouter(include_in_schema=False)

    @entrance.get("/login")
    def login_form(request: Request) -> Response:
        return site.login_page(request, None)

    @entrance.post("/login")
    async def login(request: Request) -> Response:
        form = await read_form(request)
        peer = request.client.host if request.client is not None else ""
        waits = doors.must_wait(peer)
        if waits is not None:
            page = site.login_page(request, waits.message)
            page.status_code = waits.status
            page.headers.update(waits.headers)
            return page
        given = form.get("token", "")
        scope = doors.keys.scope_of_token(given)
        if scope is None and await run_in_threadpool(doors.keys.is_password, given):
            scope = Scope.OPERATE
        if scope is None:
            doors.was_wrong(peer)
            doors.log(f"oms: web: a wrong token or password from {peer}")
            page = site.login_page(request, "this is not the token, nor the password")
            page.status_code = HTTPStatus.FORBIDDEN
            return page
        response = RedirectResponse(local(form.get("next", "/")), HTTPStatus.SEE_OTHER)
        _give(response, doors, doors.sessions.open(scope), int(LIFETIME.total_seconds()))
        return response

    @entrance.post("/logout")
    async def logout(request: Request) -> Response:
        viewer = viewer_of(request)
        form = await read_form(request)
        if viewer.session and not is_word_of(viewer, form.get("csrf", "")):
            return bad_word().response()
        doors.sessions.end(viewer)
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        _give(response, doors, "", 0)
        return response

    return entrance


def _give(response: Response, doors: Doors, cookie: str, seconds: int) -> None:
    response.set_cookie(
        doors.cookie,
        cookie,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=doors.address.is_secure,
    )


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an ordinary form; of one that comes twice, the first. Anything else is an empty form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind != "application/x-www-form-urlencoded":
        return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[0] for name, values in fields.items()}


def local(target: str) -> str:
    """A path of this site to go to; anything that could lead elsewhere becomes the first page."""
    plain = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    return target if plain and target.isascii() and len(target) <= 1000 else "/"
