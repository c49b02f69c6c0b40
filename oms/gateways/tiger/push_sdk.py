"""The SDK's push client, hardened: it verifies whom it talks to, in silence, and leaves the rest of the process alone.

Each measure answers a behaviour of ``tigeropen`` 3.8.0, found in its source and held by the tests:

- its TLS does not verify the gateway's certificate; here the system's trust, or a given file, is required;
- it replaces ``ssl.SSLContext.wrap_socket`` for the whole process, with a pause in it; here it does not;
- it logs to the root logger, which installs a handler on standard error, whole login frames included, and prints what
  it cannot parse to standard output; here it says nothing;
- it makes 60 attempts to connect inside one call, reconnects on its own without subscribing again, and leaves a thread
  behind with every lost connection; here one client is one connection, and :mod:`.push` makes the next;
- its callbacks run in threads that keep a process from ending; here they run where the frame was read.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oms.gateways.tiger.endpoint import Endpoint

CONNECT_TIMEOUT_S = 30
"""For connecting, and for the longest silence; the gateway's heartbeats come every ten seconds."""
MOST_FRAME_BYTES = 1 << 20
"""A longer frame is no message about an account."""

SYSTEM_TRUST = "the system's own certificates"
"""In place of a file's name."""

_SILENCE = SimpleNamespace(**dict.fromkeys(("debug", "info", "warning", "error"), lambda *_, **__: None))
"""Stands where the SDK's modules have ``logging``."""


class Line:
    """One connection to the push gateway by the SDK's client; when it is lost it is over.

    Args:
        heard: called with the account that a message is about, from the thread that read it.
        logged_in: called when the gateway has taken the login.
        refused: called with code and text of an error of the gateway's, such as 4001 for "logged in elsewhere".
        lost: called when the connection has ended, whoever ended it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        ca_file: Path | None,
        heartbeat_s: float,
        heard: Callable[[str], None],
        logged_in: Callable[[], None],
        refused: Callable[[int, str], None],
        lost: Callable[[], None],
    ) -> None:
        _harden()
        from tigeropen.push.push_client import PushClient

        beat = int(heartbeat_s * 1000)
        self._client = PushClient(
            endpoint.host,
            endpoint.port,
            use_ssl=endpoint.tls,
            connection_timeout=CONNECT_TIMEOUT_S,
            heartbeats=(beat, beat),
            callback_executor=_AtOnce(SYSTEM_TRUST if ca_file is None else str(ca_file)),
        )
        self._client.client.logger = _SILENCE
        for topic in ("order_changed", "position_changed", "asset_changed", "transaction_changed"):
            setattr(self._client, topic, lambda message: heard(str(message.account)))
        self._client.connect_callback = lambda _: logged_in()
        self._client.error_callback = self._client.kickout_callback = lambda frame: refused(frame.code, frame.msg)
        self._client.disconnect_callback = lost

    def connect(self, tiger_id: str, private_key: str) -> bool:
        """Connect and send the login; False where no connection could be made."""
        try:
            self._client.connect(tiger_id, private_key)
        except Exception:  # noqa: BLE001 - whatever the SDK raises means that there is no connection
            return False
        return True

    def subscribe(self, account: str) -> None:
        """Ask for the changes of one account: orders, positions, money, executions."""
        with contextlib.suppress(Exception):  # a connection that has just ended; its end is told by itself
            self._client.subscribe_order(account)
            self._client.subscribe_position(account)
            self._client.subscribe_asset(account)
            self._client.subscribe_transaction(account)

    def close(self) -> None:
        """End the connection without waiting for the other side."""
        connection = self._client.client._connection  # noqa: SLF001 - its own disconnect waits for the gateway for ever
        if connection is None:
            return
        with contextlib.suppress(Exception):
            connection.disconnect_politely()
        transport = connection.transport
        transport.running = False
        with contextlib.suppress(OSError, AttributeError):
            transport.socket.shutdown(socket.SHUT_RDWR)
        transport.cleanup()
        connection.on_disconnected()  # the SDK never says this to itself, and its thread of heartbeats goes on for ever


class _AtOnce:
    """Runs a callback where it stands; the SDK's pool has threads that outlive the program.

    It also carries the certificates to the connection, to which the SDK hands nothing else of ours.
    """

    def __init__(self, ca_file: str) -> None:
        self.ca_file = ca_file

    def submit(self, call: Callable[..., Any], *args: Any, key: object = None) -> None:  # noqa: ARG002 - the SDK's form
        call(*args)

    def shutdown(self) -> None:
        """Nothing runs."""


_hardening = threading.Lock()


def _harden() -> None:
    """Change the SDK's modules for push, once in a process; those for orders are left as they are."""
    with _hardening:
        from tigeropen.push import protobuf_push_client as client
        from tigeropen.push.network import connect, exception, listener, protocal, transport

        if getattr(client, "oms_hardened", False):
            return
        for module, name in (
            (client, "_patch_ssl"),
            (client, "PushConnection"),
            (transport, "decode_varint"),
            (transport, "ProtoMessageUtil"),
            (transport, "ssl"),
        ):
            if not hasattr(module, name):
                raise AssertionError(f"this tigeropen has no {module.__name__}.{name}: its push cannot be hardened")
        client._patch_ssl = lambda: None  # noqa: SLF001 - what it would do to the whole process
        for module in (transport, listener, protocal, connect):
            module.logging = _SILENCE
        transport.decode_varint = _bounded(transport.decode_varint, exception.ConnectionClosedException)
        transport.ProtoMessageUtil = _strict(transport.ProtoMessageUtil, exception.ConnectionClosedException)
        transport.ssl = SimpleNamespace(**{**vars(ssl), "SSLContext": _Verifying})
        client.PushConnection = _hardened(client.PushConnection)
        client.oms_hardened = True


class _Verifying(ssl.SSLContext):
    """Takes :data:`SYSTEM_TRUST` for a file of certificates."""

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        if cafile == SYSTEM_TRUST:
            self.load_default_certs()
        else:
            super().load_verify_locations(cafile, capath, cadata)


def _bounded(decode: Callable[[bytes], int], ended: type[Exception]) -> Callable[[bytes], int]:
    """A frame's length within bounds; of length 0 the SDK would wait for ever, and a long one fill the memory."""

    def length(header: bytes) -> int:
        found = decode(header) if len(header) <= 5 else 0
        if not 0 < found <= MOST_FRAME_BYTES:
            raise ended
        return found

    return length


def _strict(messages: Any, ended: type[Exception]) -> Any:
    """A frame that cannot be parsed ends the connection; the SDK would print it and go on with an empty one."""

    class Strict(messages):  # type: ignore[misc]  # an untyped base class
        @classmethod
        def parse_response_message(cls, data: bytes) -> Any:
            from tigeropen.push.pb import Response_pb2

            response = Response_pb2.Response()
            try:
                response.ParseFromString(data)
            except Exception:  # noqa: BLE001 - any failure to parse
                raise ended from None
            return response

    return Strict


def _hardened(kind: Any) -> Any:
    """This kind of connection: one attempt, a verified peer, threads that end quietly."""

    class Hardened(kind):  # type: ignore[misc]  # an untyped base class
        def __init__(self, **how: Any) -> None:
            self._ca_file = how["callback_executor"].ca_file
            super().__init__(**{**how, "reconnect_attempts_max": 1, "try_loopback_connect": False})
            self.transport.override_threading(_quiet_thread)

        def set_ssl(self, for_hosts: Any) -> None:
            super().set_ssl(for_hosts, ca_certs=self._ca_file)

        def disconnect_politely(self) -> None:
            from tigeropen.push.pb.util import ProtoMessageUtil

            if self.transport.is_connected():
                self.send_frame(ProtoMessageUtil.build_disconnect_message())

    return Hardened


def _quiet_thread(run: Callable[[], None]) -> threading.Thread:
    def quietly() -> None:
        with contextlib.suppress(Exception):  # the end of a connection, which is told by the callback
            run()

    thread = threading.Thread(target=quietly, daemon=True, name="tiger-push-reader")
    thread.start()
    return thread
