"""How a request is answered that is not served: one shape, a code and a number to look up in the log, and nothing else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import JSONResponse, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not served, in words that tell a stranger nothing about this machine."""

    status: HTTPStatus
    code: str
    """A word for programs."""
    message: str
    """A sentence for people."""
    headers: dict[str, str] = field(default_factory=dict)
    reference: str = field(default_factory=lambda: secrets.token_hex(4))
    """Stands in the log beside what really happened."""

    def response(self) -> Response:
        """The answer, as JSON."""
        return JSONResponse(self.body(), self.status, headers=self.headers)

    def body(self) -> dict[str, object]:
        """What the answer says."""
        return {"error": {"code": self.code, "message": self.message, "id": self.reference}}
