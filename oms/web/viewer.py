"""Who looks at a page, and what the page may show them."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection
from starlette.types import Scope as Asgi

from oms.web.keys import Scope

_KEY = "oms.viewer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """One request's bearer of a token or of a session."""

    scope: Scope
    session: str = ""
    """Name of the session; empty where the request came with a token of its own."""
    csrf: str = field(repr=False, default="")
    """What a form of this session must send along; empty where there is no session."""
    notice: str | None = None
    """What became of the form that was sent last; shown once."""

    @property
    def can_operate(self) -> bool:
        """Whether the buttons that give commands are for this viewer."""
        return self.scope is Scope.OPERATE


def seen_by(scope: Asgi, viewer: Viewer) -> None:
    """Remember for the rest of the request who asks."""
    scope[_KEY] = viewer


def viewer_of(request: HTTPConnection) -> Viewer:
    """Who asks; only requests that passed the gate have a viewer."""
    found = request.scope.get(_KEY)
    assert isinstance(found, Viewer), "this page is open to strangers, and has no viewer"
    return found
