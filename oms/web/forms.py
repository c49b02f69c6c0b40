"""The buttons of the pages: ordinary forms, which work without any script, each answered by the page it came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from oms.errors import OmsError, UsageError
from oms.web import commands
from oms.web.commands import Command, Teller
from oms.web.entrance import local, read_form
from oms.web.failing import refusal_of
from oms.web.gate import FORMS, Doors, bad_word, is_word_of
from oms.web.viewer import Viewer, viewer_of

Act = Callable[[Mapping[str, str], Viewer, str], str]
"""Form, viewer, the address that they come from; answers what was done, or raises an OmsError."""

TARGETS = {
    "halt": commands.HALT,
    "release": commands.RELEASE,
    "blacklist-add": commands.BLACKLIST_ADD,
    "blacklist-remove": commands.BLACKLIST_REMOVE,
    "resolve": commands.RESOLVE,
    "run": commands.RUN_NOW,
}


def router(teller: Teller, doors: Doors) -> APIRouter:
    """One target for each command; the outcome is the notice of the next page."""
    router = APIRouter(include_in_schema=False)
    for name, command in TARGETS.items():
        router.add_api_route(f"{FORMS}{name}", pressed(doors, _given(teller, command)), methods=["POST"])
    return router


def pressed(doors: Doors, act: Act, back: str = "/") -> Callable[[Request], Awaitable[Response]]:
    """What answers a form: only one that this session's own page sent is acted on; the outcome is the next page's notice."""

    async def target(request: Request) -> Response:
        viewer = viewer_of(request)
        form = await read_form(request)
        if not viewer.session or not is_word_of(viewer, form.get("csrf", "")):
            return bad_word().response()
        peer = request.client.host if request.client is not None else ""
        try:
            notice = await run_in_threadpool(act, form, viewer, peer)
        except UsageError as error:  # it speaks of what was typed, and of nothing else
            notice = f"nothing was done: {error}"
        except OmsError as error:
            refusal = refusal_of(error)
            doors.log(f"oms: web: {refusal.reference}: {type(error).__name__}: {error}")
            notice = f"{refusal.message} ({refusal.code} {refusal.reference})"
        doors.sessions.tell(viewer, notice)
        return RedirectResponse(local(form.get("back", back)), HTTPStatus.SEE_OTHER)

    return target


def _given(teller: Teller, command: Command) -> Act:
    def act(form: Mapping[str, str], viewer: Viewer, peer: str) -> str:
        answer = teller.give(command, form, viewer, peer)
        return answer["answer"] or f"{command.name} is in the mailbox and counts from now: {answer['waits']}"

    return act
