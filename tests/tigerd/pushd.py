"""A small push gateway of Tiger's on loopback: logins, subscriptions, messages on command, and what can go wrong."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tigeropen.push.pb.OrderStatusData_pb2 import OrderStatusData
from tigeropen.push.pb.Request_pb2 import Request
from tigeropen.push.pb.Response_pb2 import Response
from tigeropen.push.pb.SocketCommon_pb2 import SocketCommon

from tests.tigerd.secrets import key

PATIENCE_S = 120.0


@dataclass
class Caller:
    """One connection of a client."""

    connection: socket.socket
    tiger_id: str = ""
    topics: list[tuple[str, str]] = field(default_factory=list)
    """Topic and account of each subscription."""


class Pushd:
    """Speaks the frames of the SDK's protobuf client: a length as varint, then one message.

    Every change of what it knows is told to :meth:`until`, so that a test waits for facts and not for time.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, heartbeat_ms: int = 10_000) -> None:
        self.logins: list[str] = []
        """Developer ids that logged in, in order."""
        self.frames: list[Request] = []
        """Everything that clients said."""
        self.takes_logins = True
        self.answers_logins = True
        self.beats = True
        """Heartbeats are answered."""
        self.connections = 0
        self._heartbeat_ms = heartbeat_ms
        self._tls = tls
        self._callers: list[Caller] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # The hand of the test.

    def until(self, true: Any, seconds: float = PATIENCE_S) -> None:
        """Wait until ``true()`` holds; the test fails where it never does."""
        end = monotonic() + seconds
        with self._changed:
            while not true():
                assert monotonic() < end, f"never came true: {vars(self)}"
                self._changed.wait(0.01)  # not all that a test waits for happens here

    def subscribed(self, count: int = 1) -> bool:
        """Whether the ``count``-th login has subscribed to all four topics."""
        topics = {topic for caller in self._callers for topic, _ in caller.topics}
        return len(self.logins) >= count and {"OrderStatus", "Position", "Asset", "OrderTransaction"} <= topics

    def tell(self, topic: str, account: str, **fields: Any) -> None:
        """Push one message about an account, such as ``tell("OrderStatus", account, id=5, status="Filled")``."""
        message = Response(command=SocketCommon.Command.MESSAGE)
        message.body.dataType = SocketCommon.DataType.Value(topic)
        names = {"OrderStatus": "orderStatusData", "OrderTransaction": "orderTransactionData"}
        data = getattr(message.body, names.get(topic, f"{topic.lower()}Data"))
        data.account = account
        for name, value in fields.items():
            setattr(data, name, value)
        self.send(_framed(message.SerializeToString()))

    def send(self, raw: bytes) -> None:
        """These very bytes, to everybody who is connected."""
        for caller in list(self._callers):
            with suppress(OSError):
                caller.connection.sendall(raw)

    def drop(self, *, reset: bool = False) -> None:
        """End every connection."""
        for caller in list(self._callers):
            with suppress(OSError):
                if reset:
                    caller.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                caller.connection.shutdown(socket.SHUT_RDWR)

    def kick_out(self) -> None:
        """Another program has logged in with the same developer id."""
        error = Response(command=SocketCommon.Command.ERROR, code=4001, msg="connection is kicked out")
        self.send(_framed(error.SerializeToString()))
        self.drop()

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    # The server.

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._note(lambda: setattr(self, "connections", self.connections + 1))
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _note(self, change: Any) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        caller = None
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            caller = Caller(connection)
            self._note(lambda: self._callers.append(caller))
            data = b""
            while part := connection.recv(4096):
                data = self._read_frames(caller, data + part)
        except (OSError, ValueError):
            pass
        finally:
            if caller is not None:
                self._note(lambda: self._callers.remove(caller))
            connection.close()

    def _read_frames(self, caller: Caller, data: bytes) -> bytes:
        while data:
            start = next((at for at, byte in enumerate(data, 1) if byte < 0x80), 0)
            length = sum((byte & 0x7F) << 7 * at for at, byte in enumerate(data[:start]))
            if not start or len(data) < start + length:
                return data
            request = Request.FromString(data[start : start + length])
            data = data[start + length :]
            self._hear(caller, request)
        return data

    def _hear(self, caller: Caller, request: Request) -> None:
        match request.command:
            case SocketCommon.Command.CONNECT:
                self._log_in(caller, request)
            case SocketCommon.Command.SUBSCRIBE:
                topic = SocketCommon.DataType.Name(request.subscribe.dataType)
                self._note(lambda: caller.topics.append((topic, request.subscribe.account)))
            case SocketCommon.Command.HEARTBEAT if self.beats:
                caller.connection.sendall(_framed(Response(command=SocketCommon.Command.HEARTBEAT).SerializeToString()))
        self._note(lambda: self.frames.append(request))

    def _log_in(self, caller: Caller, request: Request) -> None:
        said = request.connect
        if not self.takes_logins or not key("client").signed(said.tigerId, said.sign):
            error = Response(command=SocketCommon.Command.ERROR, code=4, msg="login refused\nfor a reason")
            caller.connection.sendall(_framed(error.SerializeToString()))
            return
        if self.answers_logins:
            beat = json.dumps({"version": "3", "heart-beat": f"{self._heartbeat_ms},{self._heartbeat_ms}"})
            taken = Response(command=SocketCommon.Command.CONNECTED, id=request.id, msg=beat)
            caller.connection.sendall(_framed(taken.SerializeToString()))
        caller.tiger_id = said.tigerId
        self._note(lambda: self.logins.append(said.tigerId))


def _framed(message: bytes) -> bytes:
    length, header = len(message), b""
    while length > 0x7F:
        header += bytes([0x80 | length & 0x7F])
        length >>= 7
    return header + bytes([length]) + message


def order_frame(account: str) -> bytes:
    """The frame of one message about an order, for tests that cut it to pieces."""
    message = Response(command=SocketCommon.Command.MESSAGE)
    message.body.dataType = SocketCommon.DataType.OrderStatus
    message.body.orderStatusData.CopyFrom(OrderStatusData(account=account, id=5, status="Filled"))
    return _framed(message.SerializeToString())
