"""The application: the gate, the entrance, the API and the pages, put together for one configuration."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from oms import __version__, amounts
from oms.questions.asking import Desk
from oms.web import entrance, failing, fleet_forms, forms, pulse, site
from oms.web.api import account, configuration, description, events, history, operating, standing
from oms.web.api.answering import PROBLEMS
from oms.web.commands import Teller
from oms.web.gate import Doors, Gate
from oms.web.stream import Tide


def make_app(desk: Desk, doors: Doors, tide: Tide) -> Gate:
    """An ASGI application; no interactive documentation, no debug pages, nothing outside of the gate."""
    amounts.write_in(desk.loaded.config.market.trades_in)
    app = FastAPI(
        title="oms", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    failing.install(app, site.problem_page, doors.log)
    teller = Teller(desk)
    app.include_router(api(desk, doors, tide, teller))
    app.include_router(forms.router(teller, doors))
    app.include_router(fleet_forms.router(desk, doors))
    app.include_router(pulse.router(desk))
    app.include_router(entrance.router(doors))
    app.include_router(site.router(desk))
    return Gate(app, doors)


def api(desk: Desk, doors: Doors, tide: Tide, teller: Teller) -> APIRouter:
    """Everything below ``/api``."""
    below = APIRouter(prefix="/api", responses=PROBLEMS)
    below.include_router(account.old_status(desk))
    below.include_router(events.router(tide, doors))
    for room in (account, history, standing, configuration):
        below.include_router(room.router(desk), prefix="/v1")
    below.include_router(operating.router(teller), prefix="/v1")
    below.include_router(description.router())
    return below
