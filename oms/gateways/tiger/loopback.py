"""Which addresses are on this machine, where nobody can listen in between."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_local_host(host: str) -> bool:
    """Whether a host is this machine by its loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return is_local_host(urlsplit(url).hostname or "")
