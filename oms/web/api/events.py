"""``/api/events``: the facts as they come."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from oms.errors import TryAgainError, UsageError
from oms.web.api.answering import Responses
from oms.web.gate import Doors
from oms.web.stream import Tide
from oms.web.viewer import viewer_of

STREAM: Responses = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "one event a row of the journal: its id is the row, its data what `journal query` shows",
    }
}


def router(tide: Tide, doors: Doors) -> APIRouter:
    """The stream."""
    router = APIRouter()

    @router.get("/events", responses=STREAM, summary="The facts as they come, from a row on or from now on")
    async def events(
        request: Request,
        after: Annotated[int | None, Query(ge=0, le=2**62)] = None,
        last_event_id: Annotated[
            str | None, Header(description="where a reader was cut off; counts before `after`")
        ] = None,
    ) -> Response:
        if tide.is_full:
            raise TryAgainError("as many read the stream as may")
        viewer = viewer_of(request)
        return StreamingResponse(
            tide.frames(place_of(last_event_id, after), lambda: doors.sessions.goes_on(viewer)),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return router


def place_of(last_event_id: str | None, after: int | None) -> int | None:
    """The row after which a reader goes on.

    Raises:
        UsageError: it is not one of our ids.
    """
    if last_event_id is None or not last_event_id.strip():
        return after
    text = last_event_id.strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise UsageError("Last-Event-ID is the number of a row")
    return int(text)
