"""How it stands: broker against journal, the word for real money, who is told, and what everything rests on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from oms.observe.wiring import outbox
from oms.questions import fleet, foreign, licence, reconciliation
from oms.questions.asking import Desk
from oms.web.api.answering import CSV, NOT_FOUND, WRONG_DATABASE, OneAtATime, answered, shape, sheet
from oms.web.api.asking import Asked
from oms.web.shapes import standing as shapes

FOREIGN = ("order_id", "symbol", "side", "order_qty", "cum_qty", "price", "raw_status", "open")
ADDRESSES = ("name", "ping", "topics", "seq", "behind", "sent_at", "error")
DIFFERENCES = ("kind", "symbol", "order", "broker", "journal", "cost", "text", "proposal")


class Open(Asked):
    """Which foreign orders."""

    open: bool = Query(default=False, description="only those that may still trade")


def router(desk: Desk) -> APIRouter:
    """``reconcile``, ``order foreign``, ``live show``, ``notify list``, ``fleet status`` and ``doctor``."""
    router = APIRouter(tags=["standing"])
    examinations = OneAtATime()

    @router.get("/reconcile", responses=shape(shapes.Reconciliation), summary="What the engine's last comparison found")
    def reconcile() -> Response:
        return answered(reconciliation.reconciliation(desk))

    @router.get("/reconcile.csv", responses=CSV)
    def reconcile_csv() -> Response:
        return sheet("reconcile", DIFFERENCES, reconciliation.reconciliation(desk)["differences"])

    @router.get("/foreign", responses=shape(shapes.Foreign), summary="Orders that others made in the same account")
    def foreign_orders(asked: Annotated[Open, Query()]) -> Response:
        return answered(foreign.foreign(desk, is_open=asked.open))

    @router.get("/foreign.csv", responses=CSV)
    def foreign_orders_csv(asked: Annotated[Open, Query()]) -> Response:
        return sheet("foreign", FOREIGN, foreign.foreign(desk, is_open=asked.open)["orders"])

    @router.get(
        "/live", responses=shape(shapes.Live), summary="Whether real money may be traded; only a terminal arms it"
    )
    def live() -> Response:
        return answered(licence.show(desk))

    @router.get("/notify", responses=shape(shapes.Outbox), summary="Who is told what, and how the messages stand")
    def notify() -> Response:
        return answered(outbox(desk))

    @router.get("/notify.csv", responses=CSV)
    def notify_csv() -> Response:
        return sheet("notify", ADDRESSES, outbox(desk)["addresses"])

    @router.get(
        "/fleet",
        responses=shape(shapes.Fleet) | NOT_FOUND | WRONG_DATABASE,
        summary="Every account and worker of the fleet, where the journal is on PostgreSQL",
    )
    def whole_fleet() -> Response:
        return answered(fleet.status(desk))

    @router.get("/doctor", responses=shape(shapes.Doctor), summary="Look at everything; asks broker and market")
    def doctor() -> Response:
        from oms.doctor.examination import answer, examination

        with examinations.asking():
            return answered(answer(list(examination(desk.loaded, dry_run=desk.dry_run))))

    return router
