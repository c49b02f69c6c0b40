"""What the program goes by, and what is kept of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from oms.questions import configuration, prices
from oms.questions.asking import Desk
from oms.web.api.answering import CSV, answered, shape, sheet
from oms.web.api.asking import Asked, Name
from oms.web.shapes import configuration as shapes

BACKUPS = ("id", "at", "reason", "note", "config_hash", "seq", "size", "account", "mode", "with_journal")
PRICES = ("symbol", "bars", "first", "last", "asked_at", "status", "detail")


class Origins(Asked):
    """Whether each value's origin is wanted."""

    origins: bool = False


class Two(Asked):
    """Two configurations by their hashes, or their first letters."""

    old: Name
    new: Name = "current"


def router(desk: Desk) -> APIRouter:
    """``config``, ``backups``, ``db`` and ``history status``."""
    router = APIRouter(tags=["configuration"])

    @router.get("/config", responses=shape(shapes.Settings))
    def show(asked: Annotated[Origins, Query()]) -> Response:
        return answered(configuration.show(desk.loaded, origins=asked.origins))

    @router.get("/config/check", responses=shape(shapes.Checked))
    def check() -> Response:
        return answered(configuration.check(desk.loaded))

    @router.get("/config/history", responses=shape(shapes.Versions))
    def history() -> Response:
        return answered(configuration.history(desk.loaded))

    @router.get("/config/diff", responses=shape(shapes.Difference))
    def diff(asked: Annotated[Two, Query()]) -> Response:
        return answered(configuration.diff(desk.loaded, asked.old, asked.new))

    @router.get("/backups", responses=shape(shapes.Backups))
    def backups() -> Response:
        return answered(configuration.backups(desk.loaded))

    @router.get("/backups.csv", responses=CSV)
    def backups_csv() -> Response:
        return sheet("backups", BACKUPS, configuration.backups(desk.loaded)["backups"])

    @router.get("/database", responses=shape(shapes.Database))
    def database() -> Response:
        return answered(configuration.database(desk))

    @router.get("/prices", responses=shape(shapes.Prices))
    def kept_prices() -> Response:
        return answered(prices.kept(desk.loaded))

    @router.get("/prices.csv", responses=CSV)
    def kept_prices_csv() -> Response:
        return sheet("prices", PRICES, prices.kept(desk.loaded)["symbols"])

    return router
