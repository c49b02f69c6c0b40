"""Whether it lives: ``/healthz`` for this server, ``/readyz`` for the whole, ``/metrics`` for those who count."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import JSONResponse, PlainTextResponse, Response

from oms.errors import OmsError
from oms.questions import account
from oms.questions.asking import Answer, Desk
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
        text = "".join(f"{line}\n" for line in _metrics(account.status(desk)))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return pulse


def _not_ready(why: str) -> Response:
    return JSONResponse({"status": "not ready", "why": why}, HTTPStatus.SERVICE_UNAVAILABLE)


def _metrics(answer: Answer) -> Iterator[str]:
    figures = {
        "oms_running": ("An engine holds the account's lease.", int(bool(answer["running"]))),
        "oms_halted": ("An operator has halted the account.", int(answer["halted"] is not None)),
        "oms_trades_today": ("Orders acknowledged on this trading day.", answer["trades_today"] or 0),
        "oms_orders_unresolved": ("Orders of which nobody knows whether they exist.", answer["unresolved"] or 0),
        "oms_journal_seq": ("Last row of the journal.", answer["journal"]["seq"]),
    }
    for name, (meaning, value) in figures.items():
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
        yield f"{name} {value}"
