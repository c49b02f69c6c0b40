"""The API's description of itself, OpenAPI: for whoever has a token."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def router() -> APIRouter:
    """``/api/openapi.json``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    def openapi(request: Request) -> Response:
        app: FastAPI = request.app
        return JSONResponse(described(app))

    return router


def described(app: FastAPI) -> dict[str, object]:
    """The description, with the two ways to say who one is."""
    found = dict(app.openapi())
    found["security"] = [{"token": []}, {"session": []}]
    found["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "`serve --token` prints it"},
        "session": {"type": "apiKey", "in": "cookie", "name": "oms_session_PORT", "description": "set by /login"},
    }
    return found
