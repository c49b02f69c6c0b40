"""What happened, and why: cycles, orders and facts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from oms.errors import UsageError
from oms.journal.filters import EventFilter
from oms.questions import archives, history, journal
from oms.questions.asking import Desk
from oms.web.api.answering import CSV, NOT_FOUND, WRONG_DATABASE, OneAtATime, answered, shape, sheet
from oms.web.api.asking import CyclesAsked, FactsAsked, FactsPage, OrdersAsked
from oms.web.shapes import history as shapes

CYCLES = (
    *("cycle_id", "account", "trading_day", "phase", "outcome", "opened_at", "closed_at", "resumed", "sells", "buys"),
    *("cut", "config_hash", "source"),
)
ORDERS = (
    *("cl_ord_id", "cycle_id", "side", "symbol", "ord_type", "price", "order_qty", "cum_qty", "leaves_qty", "avg_px"),
    *("fees", "ord_status", "quarantined", "sends", "order_no", "order_id", "planned_at", "sent_at", "closed_at"),
    *("rule", "text"),
)
ARCHIVES = ("path", "there", "first_seq", "last_seq", "previous", "head", "bytes", "sha256", "at")
MOST_FACTS = 100_000
"""Rows of one CSV file of facts; `journal export` writes journals of any size."""

Named = Annotated[str, Path(min_length=1, max_length=200)]


def router(desk: Desk) -> APIRouter:
    """``cycle``, ``order``, ``explain`` and ``journal``."""
    router = APIRouter(tags=["history"])
    _cycles(router, desk)
    _orders(router, desk)
    _facts(router, desk)

    @router.get("/explain/{name}", responses=shape(shapes.Explained) | NOT_FOUND)
    def explain(name: Named) -> Response:
        return answered(history.explain(desk, None, name))

    return router


def _cycles(router: APIRouter, desk: Desk) -> None:
    @router.get("/cycles", responses=shape(shapes.Cycles) | NOT_FOUND)
    def cycles(asked: Annotated[CyclesAsked, Query()]) -> Response:
        return answered(_cycles_asked(desk, asked))

    @router.get("/cycles.csv", responses=CSV | NOT_FOUND)
    def cycles_csv(asked: Annotated[CyclesAsked, Query()]) -> Response:
        return sheet("cycles", CYCLES, _cycles_asked(desk, asked)["cycles"])

    @router.get(
        "/cycles/{cycle_id}",
        responses=shape(shapes.CycleShown) | NOT_FOUND,
        summary="One cycle; `latest` is the newest",
    )
    def cycle(cycle_id: Named) -> Response:
        return answered(history.cycle(desk, cycle_id))

    @router.get("/cycles/{cycle_id}/explain", responses=shape(shapes.Explained) | NOT_FOUND)
    def explain_cycle(cycle_id: Named) -> Response:
        return answered(history.explain(desk, "cycle", cycle_id))


def _cycles_asked(desk: Desk, asked: CyclesAsked) -> dict[str, Any]:
    since, until = asked.times()
    return history.cycles(
        desk,
        limit=asked.limit,
        is_open=asked.open,
        outcome=asked.outcome,
        state=asked.state,
        resumed=asked.resumed,
        cut=asked.cut,
        symbol=asked.symbol,
        since=since,
        until=until,
        before=asked.before,
    )


def _orders(router: APIRouter, desk: Desk) -> None:
    @router.get("/orders", responses=shape(shapes.Orders) | NOT_FOUND)
    def orders(asked: Annotated[OrdersAsked, Query()]) -> Response:
        return answered(_orders_asked(desk, asked))

    @router.get("/orders.csv", responses=CSV | NOT_FOUND)
    def orders_csv(asked: Annotated[OrdersAsked, Query()]) -> Response:
        return sheet("orders", ORDERS, _orders_asked(desk, asked)["orders"])

    @router.get("/orders/{cl_ord_id}", responses=shape(shapes.OrderShown) | NOT_FOUND)
    def order(cl_ord_id: Named) -> Response:
        return answered(history.order(desk, cl_ord_id))

    @router.get("/orders/{cl_ord_id}/explain", responses=shape(shapes.Explained) | NOT_FOUND)
    def explain_order(cl_ord_id: Named) -> Response:
        return answered(history.explain(desk, "order", cl_ord_id))


def _orders_asked(desk: Desk, asked: OrdersAsked) -> dict[str, Any]:
    return history.orders(
        desk,
        limit=asked.limit,
        unresolved=asked.unresolved,
        statuses=tuple(asked.status),
        cycle_id=asked.cycle,
        symbol=asked.symbol,
        before=asked.before,
    )


def _facts(router: APIRouter, desk: Desk) -> None:
    verifications = OneAtATime()

    @router.get("/journal", responses=shape(shapes.Facts))
    def facts(asked: Annotated[FactsPage, Query()]) -> Response:
        return answered(_facts_asked(desk, asked, asked.limit))

    @router.get("/journal.csv", responses=CSV)
    def facts_csv(asked: Annotated[FactsPage, Query()]) -> Response:
        most = asked.limit if "limit" in asked.model_fields_set else MOST_FACTS
        return sheet("journal", journal.COLUMNS, _facts_asked(desk, asked, most)["events"])

    @router.get("/journal/count", responses=shape(shapes.Count))
    def count(asked: Annotated[FactsAsked, Query()]) -> Response:
        return answered(journal.count(desk, _filter(asked)))

    @router.get(
        "/journal/verify", responses=shape(shapes.Verdict), summary="From the last row that was verified; not the whole"
    )
    def verify() -> Response:
        with verifications.asking():
            return answered(journal.verify(desk, full=False))

    @router.get("/journal/archives", responses=shape(shapes.Archives) | WRONG_DATABASE)
    def kept() -> Response:
        return answered(archives.archives(desk))

    @router.get("/journal/archives.csv", responses=CSV | WRONG_DATABASE)
    def kept_csv() -> Response:
        return sheet("archives", ARCHIVES, archives.archives(desk)["archives"])


def _facts_asked(desk: Desk, asked: FactsPage, limit: int) -> dict[str, Any]:
    if asked.after is not None and asked.before is not None:
        raise UsageError("after and before contradict each other; give one of them")
    wanted = _filter(asked)
    if asked.after is not None:
        return journal.onwards(desk, wanted, asked.after, limit)
    return journal.query(desk, wanted, limit, before=asked.before)


def _filter(asked: FactsAsked) -> EventFilter:
    since, until = asked.times()
    return EventFilter(
        cycle_id=asked.cycle,
        cl_ord_id=asked.order,
        symbol=None if asked.symbol is None else history.symbol_of(asked.symbol),
        kind=None if asked.kind is None else journal.kind_of(asked.kind),
        rule=asked.rule,
        text=asked.text,
        since=since,
        until=until,
    )
