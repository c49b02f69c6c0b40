"""Where Tiger's push gateway is."""

from __future__ import annotations

from dataclasses import dataclass

from oms.errors import RefusedError, UsageError
from oms.gateways.tiger.loopback import is_local_host
from oms.model.foreign import printable


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host and port of the push gateway, and whether it speaks TLS."""

    host: str
    port: int
    tls: bool = True


STANDARD = Endpoint("openapi.tigerfintech.com", 9883)
TRADE_UP = Endpoint("openapi.tradeup.com", 9983)
"""Of the licence TBUS (``SOCKET_HOST_PORT`` and ``US_SOCKET_HOST_PORT`` in the SDK's ``tiger_open_config.py``)."""


def endpoint_of(text: str | None, license: str) -> Endpoint:  # noqa: A002 - Tiger's own word
    """The endpoint that ``socket_host_port`` names, as its users write it: ``ssl,host,port``; else that of the licence.

    Raises:
        UsageError: the text is no such triple.
        RefusedError: it is without TLS and not on this machine.
    """
    if not text:
        return TRADE_UP if license == "TBUS" else STANDARD
    parts = [part.strip() for part in text.split(",")]
    if (
        len(parts) != 3
        or not parts[1]
        or not (parts[2].isascii() and parts[2].isdigit() and 0 < int(parts[2]) < 65_536)
    ):
        raise UsageError(f"socket_host_port: found {printable(text)[:80]!r}; expected ssl,host,port")
    endpoint = Endpoint(parts[1], int(parts[2]), tls=parts[0].lower() == "ssl")
    if not endpoint.tls and not is_local_host(endpoint.host):
        raise RefusedError(f"socket_host_port: {printable(text)[:80]} is without TLS and not on this machine")
    return endpoint
