"""Sessions of a browser: a signed cookie that says what its bearer may do, so that a restart logs nobody out."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from oms.web.keys import Scope
from oms.web.viewer import Viewer

Kept = TypeVar("Kept")

LIFETIME = timedelta(days=7)
MOST_REMEMBERED = 1000
"""Notices and ended sessions that are kept in memory; the oldest are forgotten first."""


class Sessions:
    """Opens, recognises and ends sessions; safe to use from several threads."""

    def __init__(self, signing: bytes, now: Callable[[], datetime]) -> None:
        self._signing = signing
        self._now = now
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._notices: OrderedDict[str, str] = OrderedDict()

    def open(self, scope: Scope) -> str:
        """A new session's cookie."""
        expires = int((self._now() + LIFETIME).timestamp())
        text = f"{scope.value}.{expires}.{secrets.token_urlsafe(18)}"
        return f"{text}.{self._signature('session', text)}"

    def read(self, cookie: str) -> Viewer | None:
        """Whose cookie this is; None where it was not made here, is too old, or was ended."""
        text, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature("session", text).encode()):
            return None
        word, expires, name = text.split(".")
        if int(expires) <= self._now().timestamp() or name in self._ended:
            return None
        return Viewer(scope=Scope(word), session=name, csrf=self._signature("csrf", name))

    def goes_on(self, viewer: Viewer) -> bool:
        """Whether this viewer may still be answered: nobody logged out meanwhile."""
        return viewer.session not in self._ended

    def end(self, viewer: Viewer) -> None:
        """Log out: the cookie opens nothing any more, wherever else it is kept."""
        _remember(self._ended, viewer.session, None)

    def tell(self, viewer: Viewer, notice: str) -> None:
        """Leave a notice for the next page of this session."""
        _remember(self._notices, viewer.session, notice)

    def told(self, viewer: Viewer) -> str | None:
        """The notice that was left, once."""
        return self._notices.pop(viewer.session, None)

    def _signature(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self._signing, f"{purpose} {text}".encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _remember(kept: OrderedDict[str, Kept], name: str, value: Kept) -> None:
    kept[name] = value
    while len(kept) > MOST_REMEMBERED:
        kept.popitem(last=False)
