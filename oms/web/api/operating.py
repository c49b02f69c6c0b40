"""The operators' commands as JSON: what stops or releases trading, and nothing that orders, arms or changes the mode."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from oms.web import commands
from oms.web.api.answering import Responses, answered, shape
from oms.web.commands import MOST_REASON, Command, Teller
from oms.web.shapes.figures import Problem
from oms.web.shapes.operating import CommandAnswered
from oms.web.viewer import viewer_of

ANSWERS: Responses = shape(CommandAnswered) | {
    409: {"model": Problem, "description": "refused for safety"},
    413: {"model": Problem, "description": "too large"},
    415: {"model": Problem, "description": "not JSON"},
}
Reason = Annotated[str, Field(min_length=1, max_length=MOST_REASON, description="it is journaled with who asked")]


class Body(BaseModel):
    """What a command says."""

    model_config = ConfigDict(extra="forbid")


class Why(Body):
    """A command that needs only its reason."""

    reason: Reason


class Halt(Body):
    """Stop buys at once, or every order."""

    scope: Literal["buys", "all"] = "buys"
    reason: Annotated[str, Field(max_length=MOST_REASON)] = ""


class OfSymbol(Why):
    """A command about one symbol."""

    symbol: Annotated[str, Field(min_length=1, max_length=32)]


class Bar(OfSymbol):
    """Buy a symbol no more."""

    until: Annotated[str | None, Field(max_length=40, description="as for lists; for ever where it is left out")] = None


class Resolve(Why):
    """The word of a person that an order in doubt never reached the broker."""

    cl_ord_id: Annotated[str, Field(min_length=1, max_length=64)]


def router(teller: Teller) -> APIRouter:
    """``halt``, ``release``, ``blacklist``, ``resolve`` and ``run``."""
    router = APIRouter(tags=["commands"])

    def give(request: Request, command: Command, body: Body) -> Response:
        peer = request.client.host if request.client is not None else ""
        return answered(teller.give(command, body.model_dump(), viewer_of(request), peer))

    @router.post("/halt", responses=ANSWERS)
    def halt(request: Request, body: Halt) -> Response:
        return give(request, commands.HALT, body)

    @router.post("/release", responses=ANSWERS)
    def release(request: Request, body: Why) -> Response:
        return give(request, commands.RELEASE, body)

    @router.post("/blacklist/add", responses=ANSWERS)
    def blacklist_add(request: Request, body: Bar) -> Response:
        return give(request, commands.BLACKLIST_ADD, body)

    @router.post("/blacklist/remove", responses=ANSWERS)
    def blacklist_remove(request: Request, body: OfSymbol) -> Response:
        return give(request, commands.BLACKLIST_REMOVE, body)

    @router.post("/orders/resolve", responses=ANSWERS, summary="Void an order in doubt, on a person's word")
    def resolve(request: Request, body: Resolve) -> Response:
        return give(request, commands.RESOLVE, body)

    @router.post("/run", responses=ANSWERS, summary="Let the next cycle begin at once; needs a running engine")
    def run_now(request: Request, body: Why) -> Response:
        return give(request, commands.RUN_NOW, body)

    return router
