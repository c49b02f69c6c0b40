"""Whether it lives: ``/healthz`` for this server, ``/readyz`` for the whole, ``/metrics`` for those who count."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from oms.errors import OmsError
from oms.questions import account
from oms.questions.asking import Desk
from oms.web.api.answering import shape
from oms.web.shapes.figures import Shape


class Pulse(Shape):
    """Whether all is well."""

    status: str
    why: str | None = None


def router(desk: Desk) -> APIRouter:
    """The three addresses that machines ask again and again."""
    pulse = APIRouter()

    @pulse.get("/healthz", summary="Whether this server answers", responses=shape(Pulse))
    def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @pulse.get(
        "/readyz",
        summary="Whether the journal can be read, an engine runs and nothing is unhealthy",
        responses=shape(Pulse) | {503: {"model": Pulse, "description": "it is not, and why"}},
    )
    def readyz() -> Response:
        try:
            answer = account.status(desk)
        except OmsError:
            return _not_ready("the journal cannot be read")
        if not answer["running"]:
            return _not_ready("no engine is running")
        if account.ailing(answer):
            return _not_ready("something is not healthy")
        return JSONResponse({"status": "ready"})

    @pulse.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        from oms.observe.metrics import MEDIA_TYPE, exposition  # prometheus_client, for those who count only

        return Response(exposition(desk), media_type=MEDIA_TYPE)

    return pulse


def _not_ready(why: str) -> Response:
    return JSONResponse({"status": "not ready", "why": why}, HTTPStatus.SERVICE_UNAVAILABLE)
