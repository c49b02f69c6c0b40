"""Where the API is reached: the names it answers to, and the origins its own pages have."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The allow-lists of one listening socket; every name is exact, letter by letter."""

    scheme: str
    hosts: frozenset[str]
    """What a request may carry as ``Host``: against pages of other names that resolve to this machine."""
    origins: frozenset[str]

    @property
    def is_secure(self) -> bool:
        """Whether the browser speaks TLS to us, or to the proxy in front of us."""
        return self.scheme == "https"


def address_of(listens: str, port: int, *, names: Iterable[str] = (), tls: bool = False) -> Address:
    """The address of a socket on ``listens``: the names of loopback, the address itself, and names that people gave."""
    scheme = "https" if tls else "http"
    own = [f"[{listens}]" if ":" in listens else listens]
    bare = [*LOOPBACK, *own, *names]
    hosts = {f"{name}:{port}" for name in bare}
    if port == (443 if tls else 80):
        hosts |= set(bare)
    # A name that people gave may have a proxy in front of us, on the usual port of its own scheme.
    given = {name for name in names if ":" not in name}
    origins = {f"{scheme}://{host}" for host in hosts} | {f"https://{name}" for name in given}
    return Address(scheme=scheme, hosts=frozenset(hosts | given), origins=frozenset(origins))


def is_loopback(host: str) -> bool:
    """Whether a socket on this address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
