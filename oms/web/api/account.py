"""What the account is doing, holds and earned."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from oms.questions import account, dashboard, history, limits, performance, planning
from oms.questions.asking import Desk
from oms.questions.selection import explained
from oms.web.api.answering import CSV, NOT_FOUND, OneAtATime, answered, shape, sheet
from oms.web.api.asking import Asked, Name, Period, Then, moment
from oms.web.shapes import account as shapes

POSITIONS = ("symbol", "qty", "avg_cost", "last_px", "market_value", "unrealized_pnl", "realized_pnl", "score")
SCORES = ("rank", "symbol", "score", "excluded_by", "close")
BLACKLIST = ("symbol", "author", "until", "reason")
LIMITS = ("rule", "side", "used", "limit", "unit", "share", "state", "blocked", "about", "key", "meaning")
DAYS = (
    *("day", "cycles", "buys_sent", "buys_filled", "buy_success_rate", "funds_used_share", "revalidated", "cut"),
    *("rejected", "liquidity_errors", "duplicates", "bought", "sold", "fees"),
)
BY_SYMBOL = (*("symbol", "qty", "avg_cost", "last_px", "market_value", "unrealised", "realised", "realised_today"),)


class Best(Asked):
    """How many of the ranked."""

    top: int | None = Query(default=None, ge=1, le=10_000, description="only the best so many")


def old_status(desk: Desk) -> APIRouter:
    """``/api/status``."""
    router = APIRouter()

    @router.get("/status", summary="The status for dashboards of earlier engines", responses=shape(shapes.Dashboard))
    def status_for_dashboards() -> Response:
        return answered(dashboard.dashboard(desk))

    return router


def router(desk: Desk) -> APIRouter:
    """``status``, ``funds``, ``positions``, ``select``, ``blacklist``, ``plan``, ``risk``, ``report`` and ``pnl``."""
    router = APIRouter(tags=["account"])
    plans = OneAtATime()

    @router.get("/status", responses=shape(shapes.Status))
    def status(asked: Annotated[Then, Query()]) -> Response:
        at = moment(asked.at, "at")
        return answered(account.status(desk) if at is None else account.status_at(desk, at))

    @router.get("/funds", responses=shape(shapes.Funds))
    def funds(asked: Annotated[Then, Query()]) -> Response:
        return answered(account.funds(desk, moment(asked.at, "at")))

    @router.get("/positions", responses=shape(shapes.Positions))
    def positions(asked: Annotated[Then, Query()]) -> Response:
        return answered(account.positions(desk, moment(asked.at, "at")))

    @router.get("/positions.csv", responses=CSV)
    def positions_csv(asked: Annotated[Then, Query()]) -> Response:
        return sheet("positions", POSITIONS, account.positions(desk, moment(asked.at, "at"))["positions"])

    @router.get("/selection", responses=shape(shapes.Selection))
    def selection(asked: Annotated[Best, Query()]) -> Response:
        return answered(account.selection(desk, asked.top))

    @router.get("/selection.csv", responses=CSV)
    def selection_csv(asked: Annotated[Best, Query()]) -> Response:
        return sheet("selection", SCORES, account.selection(desk, asked.top)["scores"])

    @router.get(
        "/selection/{symbol}/explain",
        responses=shape(shapes.ScoreExplained) | NOT_FOUND,
        summary="Every factor of one symbol's score, or why it has none",
    )
    def explain_score(symbol: Name) -> Response:
        return answered(explained(desk, history.symbol_of(symbol)))

    @router.get("/blacklist", responses=shape(shapes.Blacklist))
    def blacklist() -> Response:
        return answered(account.blacklist(desk))

    @router.get("/blacklist.csv", responses=CSV)
    def blacklist_csv() -> Response:
        return sheet("blacklist", BLACKLIST, account.blacklist(desk)["symbols"])

    @router.get("/plan", responses=shape(shapes.Plan), summary="What the next cycle would do; asks broker and market")
    def plan() -> Response:
        with plans.asking():
            return answered(planning.plan(desk.loaded))

    @router.get("/risk", responses=shape(shapes.Risk), summary="Every limit with what is used of it")
    def risk() -> Response:
        return answered(limits.risk(desk))

    @router.get("/risk.csv", responses=CSV)
    def risk_csv() -> Response:
        return sheet("risk", LIMITS, limits.risk(desk)["limits"])

    @router.get("/report", responses=shape(shapes.Report))
    def report(asked: Annotated[Period, Query()]) -> Response:
        return answered(performance.report(desk, *asked.times()))

    @router.get("/report.csv", responses=CSV)
    def report_csv(asked: Annotated[Period, Query()]) -> Response:
        return sheet("report", DAYS, performance.report(desk, *asked.times())["by_day"])

    @router.get("/pnl", responses=shape(shapes.Pnl))
    def pnl(asked: Annotated[Period, Query()]) -> Response:
        return answered(performance.pnl(desk, *asked.times()))

    @router.get("/pnl.csv", responses=CSV)
    def pnl_csv(asked: Annotated[Period, Query()]) -> Response:
        return sheet("pnl", BY_SYMBOL, performance.pnl(desk, *asked.times())["by_symbol"])

    return router
