"""Brings messages to people, through apprise, and calls the addresses that count on being called."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 10.0


class NotDelivered(Exception):
    """It did not go out, or nobody knows whether it did; the text names no secret."""


def address_of(kind: str, place: str, env: Mapping[str, str], resolve: Callable[[str], Path]) -> str:
    """The secret address that a variable or the first line of a file holds.

    Raises:
        NotDelivered: there is none, or others may read the file.
    """
    if kind == "env":
        found = env.get(place, "").strip()
        if not found:
            raise NotDelivered(f"the environment variable {place} is not set")
        return found
    path = resolve(place)
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise NotDelivered(f"{path} can be read by others; chmod 600 {path}")
        found = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotDelivered(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from None
    if not found:
        raise NotDelivered(f"{path} is empty; it should hold the address")
    return found.splitlines()[0].strip()


def send(address: str, title: str, body: str) -> None:
    """Send one message to one address in apprise's notation, such as ``tgram://token/chat``.

    Raises:
        NotDelivered: the address is none, or the service did not take the message.
    """
    import apprise  # loads its many services lazily, but itself costs a tenth of a second

    asked = apprise.Apprise()
    if not asked.add(address):
        raise NotDelivered("what it holds is no address that apprise knows, such as tgram://token/chat or mailto://…")
    try:
        arrived = asked.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:  # noqa: BLE001 - a service's own errors are of any kind, and their texts may hold the address
        raise NotDelivered(f"the service failed ({type(error).__name__})") from None
    if not arrived:
        raise NotDelivered(f"the service behind {urlsplit(address).scheme}:// did not take the message")


def ping(address: str, *, well: bool, text: str) -> None:
    """Call an address as the services of dead man's switches want it; ``/fail`` behind it where not all is well.

    Raises:
        NotDelivered: it is no web address, or did not answer well.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise NotDelivered("what it holds is no http:// or https:// address")
    where = address if well else address.rstrip("/") + "/fail"
    request = urllib.request.Request(where, data=text.encode("utf-8")[:1_000], method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked above
            answer.read(1_000)
    except urllib.error.HTTPError as error:
        raise NotDelivered(f"it answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise NotDelivered(f"it did not answer ({type(error).__name__})") from None
