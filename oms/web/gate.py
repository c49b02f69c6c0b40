"""The gate before every route: whose pages may ask, who asks, what they may do, how much they may send, what goes back.

It stands outside the application, so that no route can be added that forgets it. In order: the name by which we are
called (DNS rebinding), the page that calls (cross-site requests), the pace, the token or session, the scope and the
session's own word for everything that changes something, and the size of what is sent.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Asgi

from oms.errors import place_of
from oms.web.address import Address
from oms.web.keys import Keys, Scope
from oms.web.limiter import Limiter
from oms.web.refusing import Refusal
from oms.web.sessions import Sessions
from oms.web.viewer import Viewer, seen_by

MOST_BODY = 64 * 1024
"""Bytes that a request may send."""
BODY_S = 10.0
"""Seconds within which it must have sent them."""

OPEN = frozenset({"/login", "/healthz", "/readyz", "/favicon.ico"})
"""Paths for strangers, beside those below ``/static/``."""
FORMS = "/do/"
"""Below it lie the targets of the pages' own forms, which send the session's word as a field."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content security policy: nothing inline, nothing from elsewhere, in no frame."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser sends `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(kw_only=True)
class Doors:
    """What the gate goes by."""

    address: Address
    keys: Keys
    sessions: Sessions
    cookie: str
    """Name of the session's cookie; with the port in it, for cookies do not keep ports apart."""
    strangers: frozenset[str] = frozenset()
    """Further paths that strangers may read, by the configuration's word."""
    pace: Limiter = field(default_factory=lambda: Limiter(burst=400, every_s=0.01))
    """Requests of one peer."""
    wrong: Limiter = field(default_factory=lambda: Limiter(burst=10, every_s=6.0))
    """Wrong tokens, sessions and passwords of one peer."""
    wrong_all: Limiter = field(default_factory=lambda: Limiter(burst=50, every_s=1.0))
    """The same of everybody together."""
    log: Callable[[str], None] = lambda text: print(text, file=sys.stderr)

    def must_wait(self, peer: str) -> Refusal | None:
        """Whether somebody has guessed too often to be heard now."""
        wait = max(self.wrong.wait_s(peer), self.wrong_all.wait_s(""))
        return too_fast("too_many_attempts", "too many wrong tokens; wait", wait) if wait else None

    def was_wrong(self, peer: str) -> None:
        """Count a wrong token, session or password."""
        self.wrong.count(peer)
        self.wrong_all.count("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the gate looks at in a request."""

    method: str
    path: str
    peer: str
    headers: Headers
    navigates: bool
    """A person's browser goes to a page, rather than a script fetching something."""

    @property
    def is_open(self) -> bool:
        """Strangers may have it."""
        return self.path in OPEN or self.path.startswith("/static/")

    @property
    def changes(self) -> bool:
        """It may change something."""
        return self.method not in ("GET", "HEAD")


ANSWERED = "oms.answered"
"""In a request's scope: what was answered to a bug already, before the error went on to the gate."""


class Gate:
    """An ASGI application around another."""

    def __init__(self, inside: ASGIApp, doors: Doors) -> None:
        self.inside = inside
        self.doors = doors

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.inside(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no web socket here; closing it before the handshake answers 403
            await send({"type": "websocket.close", "code": 1008})
            return
        asked = _asked(scope)
        started = _Started(send, no_store=not asked.path.startswith("/static/"))
        try:
            refused = self._admit(scope, asked)
            if refused is not None:
                await refused(scope, receive, started)
                return
            body = await _whole_body(receive)
            if isinstance(body, Refusal):
                await body.response()(scope, receive, started)
                return
            await self.inside(scope, _replayed(body, receive), started)
        except Exception as error:  # noqa: BLE001 - nothing of an unforeseen error may reach the other side
            refusal = scope.get(ANSWERED) or a_bug(error, self.doors.log)
            if not started.yes:  # else it breaks off here, and the reader sees that it is cut
                await refusal.response()(scope, receive, started)

    def _admit(self, scope: Asgi, asked: Asked) -> Response | None:
        """None where the request may pass; else what to answer."""
        refusal = self._called_rightly(asked) or self._calm(asked)
        if refusal is not None:
            return refusal.response()
        length = asked.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MOST_BODY:
            return too_large().response()
        if asked.is_open:
            return None
        viewer = self._viewer(asked)
        if isinstance(viewer, Refusal):
            return viewer.response()
        if viewer is None:
            return None if asked.path in self.doors.strangers and not asked.changes else self._stranger(asked)
        refusal = self._may(asked, viewer)
        if refusal is not None:
            return refusal.response()
        if asked.navigates and viewer.session:
            viewer = replace(viewer, notice=self.doors.sessions.told(viewer))
        seen_by(scope, viewer)
        return None

    def _called_rightly(self, asked: Asked) -> Refusal | None:
        """Called by our own name, and by nobody else's page."""
        address = self.doors.address
        names = asked.headers.getlist("host")
        if len(names) != 1 or names[0] not in address.hosts:
            return Refusal(
                status=HTTPStatus.MISDIRECTED_REQUEST, code="unknown_host", message="this name is not served here"
            )
        origins = asked.headers.getlist("origin")
        if len(origins) > 1 or any(origin not in address.origins for origin in origins):
            return foreign()
        site = asked.headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and (asked.changes or not asked.navigates):
            return foreign()
        return None

    def _calm(self, asked: Asked) -> Refusal | None:
        wait = self.doors.pace.wait_s(asked.peer)
        if wait:
            return too_fast("too_fast", "too many requests; wait", wait)
        self.doors.pace.count(asked.peer)
        return None

    def _viewer(self, asked: Asked) -> Viewer | Refusal | None:
        """Who asks; None for a stranger. A wrong token or a forged session counts as a guess."""
        given = asked.headers.get("authorization")
        cookie = cookie_parser(asked.headers.get("cookie", "")).get(self.doors.cookie)
        if given is None and cookie is None:
            return None
        waits = self.doors.must_wait(asked.peer)
        if given is not None:
            kind, _, token = given.partition(" ")
            scope = self.doors.keys.scope_of_token(token.strip()) if kind.lower() == "bearer" else None
            if scope is not None:
                return Viewer(scope=scope)
        elif cookie is not None:
            viewer = self.doors.sessions.read(cookie)
            if viewer is not None:
                return viewer
            return None  # an old cookie is no guess: 256 bits of signature cannot be guessed
        if waits is not None:
            return waits
        self.doors.was_wrong(asked.peer)
        return None

    @staticmethod
    def _stranger(asked: Asked) -> Response:
        if asked.navigates and not asked.changes:
            target = "/login" if asked.path == "/" else f"/login?next={quote(asked.path, safe='/')}"
            return RedirectResponse(target, HTTPStatus.SEE_OTHER)
        return Refusal(
            status=HTTPStatus.UNAUTHORIZED,
            code="no_token",
            message="a token is needed: Authorization: Bearer …; `serve --token` shows it",
            headers={"WWW-Authenticate": "Bearer"},
        ).response()

    @staticmethod
    def _may(asked: Asked, viewer: Viewer) -> Refusal | None:
        """Whether the viewer may change something, and whether it is their own page that asks for it."""
        if not asked.changes:
            return None
        leaves = asked.path == "/logout"
        if viewer.scope is not Scope.OPERATE and not leaves:
            return Refusal(
                status=HTTPStatus.FORBIDDEN, code="read_only", message="this token may read, and give no command"
            )
        kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
        if asked.path.startswith(FORMS) or leaves:
            return None  # the form's own field is compared where the form is read
        if kind != "application/json":
            return Refusal(
                status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, code="not_json", message="expected application/json"
            )
        if viewer.session and not is_word_of(viewer, asked.headers.get("x-csrf-token", "")):
            return bad_word()
        return None


def a_bug(error: Exception, log: Callable[[str], None]) -> Refusal:
    """What is said of an unforeseen error; the log has its place, for its text may quote what it choked on."""
    refusal = Refusal(
        status=HTTPStatus.INTERNAL_SERVER_ERROR, code="a_bug", message="something went wrong here; see the log"
    )
    log(f"oms: web: {refusal.reference}: a bug: {type(error).__name__} in {place_of(error)}")
    return refusal


def is_word_of(viewer: Viewer, given: str) -> bool:
    """Whether a form was made for this very session."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), viewer.csrf.encode())


def foreign() -> Refusal:
    """Another site's page asks."""
    return Refusal(status=HTTPStatus.FORBIDDEN, code="foreign_page", message="only pages from here may ask this")


def bad_word() -> Refusal:
    """A form that was not made for this session."""
    return Refusal(status=HTTPStatus.FORBIDDEN, code="stale_form", message="this form is old; load the page again")


def too_large() -> Refusal:
    """More bytes than a request may send."""
    return Refusal(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="too_large", message=f"at most {MOST_BODY} bytes are taken"
    )


def too_fast(code: str, sentence: str, wait_s: float) -> Refusal:
    """Somebody asks, or guesses, too often."""
    seconds = max(1, round(wait_s + 0.5))
    return Refusal(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code=code,
        message=f"{sentence} {seconds} s",
        headers={"Retry-After": str(seconds)},
    )


def _asked(scope: Asgi) -> Asked:
    headers = Headers(scope=scope)
    client = scope.get("client")
    mode = headers.get("sec-fetch-mode")
    navigates = mode == "navigate" if mode is not None else "text/html" in headers.get("accept", "")
    return Asked(
        method=scope["method"],
        path=scope["path"],
        peer=client[0] if client else "",
        headers=headers,
        navigates=navigates,
    )


async def _whole_body(receive: Receive) -> bytes | Refusal:
    """What a request sends, read before any route begins, so that none waits for a sender who dawdles."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return Refusal(status=HTTPStatus.BAD_REQUEST, code="cut_off", message="the request was cut off")
                parts.append(message.get("body", b""))
                if sum(map(len, parts)) > MOST_BODY:
                    return too_large()
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        return Refusal(status=HTTPStatus.REQUEST_TIMEOUT, code="too_slow", message="the request came too slowly")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The same request for the application; after the body it hears when the other side leaves."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


class _Started:
    """The way back: puts the headers of safety on every answer, and knows whether one has begun."""

    def __init__(self, send: Send, *, no_store: bool) -> None:
        self._send = send
        self._no_store = no_store
        self.yes = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.yes = True
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in HEADERS.items():
                headers[name] = value
            if self._no_store:
                headers.setdefault("Cache-Control", "no-store")
            message["headers"] = headers.raw
        await self._send(message)
