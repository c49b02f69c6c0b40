"""The socket that the API listens on: bound before anything else starts, and refused where it would be open to strangers."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from oms.config import LoadedConfig
from oms.errors import RefusedError, TryAgainError, UsageError
from oms.web.address import Address, address_of, is_loopback
from oms.web.keys import Keys

QUEUE = 100
"""Connections that may wait before they are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A certificate with its chain, and its private key, as PEM files."""

    certificate: Path
    key: Path


def tls_of(loaded: LoadedConfig) -> Tls | None:
    """The files of the configuration; None where it names none.

    Raises:
        UsageError: only one of the two is named, or one is not there.
    """
    api = loaded.config.api
    if api.tls_certificate is None and api.tls_key is None:
        return None
    if api.tls_certificate is None or api.tls_key is None:
        raise UsageError("api.tls_certificate and api.tls_key belong together; name both, or neither")
    tls = Tls(certificate=loaded.resolve(api.tls_certificate), key=loaded.resolve(api.tls_key))
    for key, path in (("tls_certificate", tls.certificate), ("tls_key", tls.key)):
        if not path.is_file():
            raise UsageError(f"api.{key}: {path} is not there; expected a PEM file")
    return tls


def refuse_strangers(host: str, keys: Keys, tls: Tls | None, *, expose: bool) -> None:
    """Beyond this machine only with a password and TLS, or by an explicit word.

    Raises:
        RefusedError: neither.
    """
    if is_loopback(host) or expose or (tls is not None and keys.password is not None):
        return
    missing = [
        *(["a password (`serve --set-password`)"] if keys.password is None else []),
        *(["TLS (api.tls_certificate and api.tls_key)"] if tls is None else []),
    ]
    raise RefusedError(
        f"api.host: {host} can be reached from other machines, and that needs {' and '.join(missing)}; nothing was "
        "started. Where a proxy or a private network already does both, say so with --expose"
    )


def listen(loaded: LoadedConfig) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: the address is none of this machine, or may not be used.
        TryAgainError: another program listens there.
    """
    api = loaded.config.api
    try:
        found = socket.getaddrinfo(api.host, api.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"api.host: {api.host} is no address of this machine") from None
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows would let a second program share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(QUEUE)  # from now on whoever comes waits, and is not refused
    except OSError as error:
        listening.close()
        raise _not_bound(api.host, api.port, error) from None
    return listening


def _not_bound(host: str, port: int, error: OSError) -> Exception:
    import errno

    if error.errno in (errno.EADDRINUSE, errno.EACCES) and port:
        why = "another program listens there" if error.errno == errno.EADDRINUSE else "it needs more rights"
        kind = TryAgainError if error.errno == errno.EADDRINUSE else UsageError
        return kind(f"api.port: {host}:{port} cannot be used, {why}; stop it, or set OMS_API__PORT to another")
    return UsageError(f"api.host: {host} cannot be listened on: {error.strerror or error}")


def own_address(loaded: LoadedConfig, listening: socket.socket, tls: Tls | None) -> Address:
    """The names under which this socket may be called."""
    host, port = listening.getsockname()[:2]
    return address_of(host, port, names=loaded.config.api.names, tls=tls is not None)


def link_of(listening: socket.socket, address: Address, token: str) -> str:
    """What a person opens: the token stands behind ``#``, which no browser sends and no log keeps."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"{address.scheme}://{shown}:{port}/login#token={token}"
