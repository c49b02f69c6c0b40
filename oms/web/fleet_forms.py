"""The buttons of the page *Fleet*: halting and pausing are one press; releasing and going on are asked for with a form.

What they press is imported when one is pressed: a trader with a journal in SQLite has no driver of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter

from oms.questions.asking import Desk
from oms.web.commands import HALT, RELEASE, Command, author, checked
from oms.web.forms import Act, pressed
from oms.web.gate import FORMS, Doors
from oms.web.viewer import Viewer

if TYPE_CHECKING:
    from oms.fleet.database import Database

Deed = Callable[["Database", Mapping[str, str], str], str]
"""Database, form, who gives the command; answers what was done."""
PAUSE = Command(name="pause", needs_reason=False)


def _halt(database: Database, form: Mapping[str, str], by: str) -> str:
    from oms.fleet import brake

    asked = checked(HALT, form)
    account = form.get("account", "")
    if account:
        brake.tell(database, account, by, HALT.name, asked)
        return f"{account} is halted from now on; its next turn journals it"
    return f"halted: {brake.halt(database, by, asked['scope'], asked['reason'])} accounts"


def _release(database: Database, form: Mapping[str, str], by: str) -> str:
    from oms.fleet import brake

    asked = checked(RELEASE, form)
    account = form.get("account", "")
    if account:
        brake.tell(database, account, by, RELEASE.name, asked)
        return f"{account} is released; its next turn journals it"
    return f"released: {brake.release(database, by, asked['reason'])} accounts"


def _pause(database: Database, form: Mapping[str, str], by: str) -> str:
    from oms.fleet import registry

    reason = checked(PAUSE, form)["reason"]
    registry.pause(database, form.get("account", ""), f"{by}: {reason}" if reason else by)
    return f"{form['account']} is paused; a turn under way ends as it would"


def _unpause(database: Database, form: Mapping[str, str], by: str) -> str:
    from oms.fleet import registry

    del by  # the registry keeps why an account is paused, and nothing of those that are not
    registry.go_on(database, form.get("account", ""))
    return f"{form['account']} is traded again"


DEEDS: Mapping[str, Deed] = {
    "fleet-halt": _halt,
    "fleet-release": _release,
    "fleet-pause": _pause,
    "fleet-unpause": _unpause,
}


def router(desk: Desk, doors: Doors) -> APIRouter:
    """One target for each deed; the outcome is the notice of the next page."""
    router = APIRouter(include_in_schema=False)
    for name, deed in DEEDS.items():
        router.add_api_route(f"{FORMS}{name}", pressed(doors, _done(desk, deed), back="/fleet"), methods=["POST"])
    return router


def _done(desk: Desk, deed: Deed) -> Act:
    def act(form: Mapping[str, str], viewer: Viewer, peer: str) -> str:
        from oms.fleet import refuse_file

        refuse_file(desk.loaded)
        from oms.fleet.database import database_of

        return deed(database_of(desk.loaded), form, author(viewer, peer))

    return act
