"""A small Tiger gateway on loopback: HTTP or HTTPS, signed requests and replies, and faults on command."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
import time
from collections import Counter, defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from time import monotonic
from typing import Any

from tests.tigerd.book import ApiError, Book
from tests.tigerd.faults import Fault, Way
from tests.tigerd.secrets import key

PATIENCE_S = 30.0
"""After so many seconds a silent connection ends by itself."""
GATHERING_S = 60.0
"""So long calls wait for each other."""


@dataclass(frozen=True)
class Call:
    """One call as the gateway saw it, in seconds of its own clock."""

    method: str
    biz: dict[str, Any]
    began: float
    ended: float


class Gateway:
    """Serves one account's :class:`Book` on a port of 127.0.0.1; ``delay`` is how long it takes for each call, seconds."""

    def __init__(self, book: Book, tls: ssl.SSLContext | None = None) -> None:
        self.book = book
        self.delay = 0.0
        self.ahead_s = 0.0
        """So many seconds its clock is ahead, as the answer to a GET tells it."""
        self.signs = True
        """Replies are signed; without a signature the SDK does not ask for one."""
        self.posts: Counter[str] = Counter()
        """Whole requests that arrived, by method: the count that matters."""
        self.connections = 0
        self.most_at_once: Counter[str] = Counter()
        """By method, the most calls that were under way at the same time."""
        self.requests: list[dict[str, Any]] = []
        self.calls: list[Call] = []
        """Every call that was answered, in the order of the answers."""
        self._tls = tls
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._replies: dict[str, deque[bytes]] = defaultdict(deque)
        self._at_once: Counter[str] = Counter()
        self._gathering: dict[str, threading.Barrier] = {}
        self._late: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._start(self._accept)

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/gateway"

    # The script.

    def fail(self, method: str, *faults: Fault) -> None:
        """The next requests of this method meet these faults, one each."""
        self._faults[method].extend(faults)

    def answer_with(self, method: str, *bodies: object) -> None:
        """The next requests of this method are answered with these bodies, unsigned; bytes go out as they are."""
        raw = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        self._replies[method].extend(raw)

    def gather(self, method: str, count: int) -> None:
        """From now on answer this method only when ``count`` calls of it wait at the same time; else they break off."""
        self._gathering[method] = threading.Barrier(count, timeout=GATHERING_S)

    def lose_until_delivered(self) -> None:
        """The next order arrives when :meth:`deliver_late` is called; the client sees its connection closed."""
        self._faults["place_order"].append(LATE)

    def deliver_late(self) -> None:
        """Let the orders that were late arrive now."""
        late, self._late = self._late, []
        for biz in late:
            with suppress(ApiError):
                self.book.answer("place_order", biz)

    # The server.

    def _start(self, run: Any, *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        thread.start()
        with self._lock:
            self._threads.append(thread)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        with self._lock:
            self._open.add(connection)
        try:
            if self._tls is not None:
                plain, connection = connection, self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(connection)
            while not self._closing.is_set() and self._answer_one(connection):
                pass
        except (OSError, ValueError, threading.BrokenBarrierError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer_one(self, connection: socket.socket) -> bool:
        """One request and its reply; False when the connection is over."""
        body = _read_request(connection)
        if body is None:
            return False
        if not body:
            told = formatdate(time.time() + self.ahead_s, usegmt=True)
            return _send(connection, b"", "405 Method Not Allowed", {"Date": told})
        request = json.loads(body)
        method = request["method"]
        with self._lock:
            self.posts[method] += 1
            self.requests.append(request)
            self._at_once[method] += 1
            self.most_at_once[method] = max(self.most_at_once[method], self._at_once[method])
            fault = self._faults[method].popleft() if self._faults[method] else None
            fixed = self._replies[method].popleft() if self._replies[method] else None
        began = monotonic()
        try:
            if method in self._gathering:
                self._gathering[method].wait()
            if self.delay:
                self._closing.wait(self.delay)
            if fixed is not None:
                return _send(connection, fixed)
            return self._reply(connection, request, fault)
        finally:
            with self._lock:
                self._at_once[method] -= 1
                self.calls.append(Call(method, json.loads(request.get("biz_content") or "{}"), began, monotonic()))

    def _reply(self, connection: socket.socket, request: dict[str, Any], fault: Fault | None) -> bool:
        biz = json.loads(request.get("biz_content") or "{}")
        if request["method"] == "place_order":
            self.book.arrived(biz)
        if fault is LATE:
            self._late.append(biz)
            return False
        reply = self._result(request, biz) if fault is None or fault.accepts else {}
        if fault is None:
            if not self.signs:
                return _send(connection, json.dumps(reply).encode())
            reply["sign"] = key("gateway").sign(request["timestamp"])
            return _send(connection, json.dumps(reply).encode())
        return self._misbehave(connection, fault, reply, request)

    def _result(self, request: dict[str, Any], biz: dict[str, Any]) -> dict[str, Any]:
        content = "&".join(f"{name}={value}" for name, value in sorted(request.items()) if name != "sign")
        if not key("client").signed(_as_signed(content, request), request.get("sign", "")):
            return {"code": 40013, "message": "sign check failed"}
        try:
            return {"code": 0, "message": "success", "data": self.book.answer(request["method"], biz)}
        except ApiError as error:
            return {"code": error.code, "message": error.message}

    def _misbehave(
        self, connection: socket.socket, fault: Fault, reply: dict[str, Any], request: dict[str, Any]
    ) -> bool:
        good = json.dumps({**reply, "sign": key("gateway").sign(request["timestamp"])}).encode()
        forged = json.dumps({**reply, "sign": key("stranger").sign(request["timestamp"])}).encode()
        match fault.way:
            case Way.FIN:
                return False
            case Way.RST:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            case Way.SILENCE:
                self._wait_for_the_end(connection)
                return False
            case Way.DRIP:
                head = _head(len(good))
                for byte in head[:40]:
                    connection.sendall(bytes([byte]))
                self._wait_for_the_end(connection)
                return False
            case Way.DRIP_ON:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not self._closing.wait(0.02):
                    connection.sendall(b"x")
                return False
            case Way.STATUS:
                return _send(connection, b'{"error": "no"}', f"{fault.status} No", {"Retry-After": "0"})
            case Way.REDIRECT:
                return _send(connection, b"", f"{fault.status} Elsewhere", {"Location": self.url})
            case Way.TRUNCATED:
                connection.sendall(_head(len(good)) + good[: len(good) // 2])
                return False
            case Way.GARBAGE:
                connection.sendall(b"\x00\x01 neither HTTP nor anything else\r\n\r\n")
                return False
            case Way.TLS_ALERT:
                return _beneath(connection, b"\x15\x03\x03\x00\x02\x02\x50")
            case Way.TLS_CORRUPT:
                return _beneath(connection, b"\x17\x03\x03\x00\x40" + bytes(range(64)))
            case Way.TLS_PLAIN:
                status = "400 The plain HTTP request was sent to an HTTPS port"
                return _beneath(connection, _head(0, status, {"Connection": "close"}))
        return _send(connection, _bodies(fault.way, good, forged))

    def _wait_for_the_end(self, connection: socket.socket) -> None:
        """Say nothing until the client gives up or the gateway closes."""
        with suppress(OSError):
            while not self._closing.is_set() and connection.recv(1):
                pass

    def close(self) -> None:
        """Stop serving; every connection ends."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still_open, threads = list(self._open), list(self._threads)
        for connection in still_open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE_S + 1)


LATE = Fault(Way.FIN, accepts=False, status=-1)
"""The order arrives later."""


def _bodies(way: Way, good: bytes, forged: bytes) -> bytes:
    if way is Way.HUGE:
        return b"<html>" + b"x" * 10_000_000
    return {
        Way.MALFORMED: b'{"code": 0, "data": {"id": 12',
        Way.HTML: b"<html><body>Log in to the hotel's network</body></html>",
        Way.EMPTY: b"",
        Way.NOTHING: b"{}",
        Way.LIST: b"[]",
        Way.NO_ID: b'{"code": 0, "message": "success", "data": {}}',
        Way.ZERO_ID: b'{"code": 0, "message": "success", "data": {"id": 0}}',
        Way.TEXT_ID: b'{"code": 0, "message": "success", "data": {"id": "soon"}}',
        Way.NEGATIVE_ID: b'{"code": 0, "message": "success", "data": {"id": -5}}',
        Way.NAN_ID: b'{"code": 0, "message": "success", "data": {"id": NaN}}',
        Way.TWO_IDS: b'{"code": 0, "data": {"id": 5}, "data": {}}',
        Way.BAD_SIGN: forged,
        Way.SERVER_ERROR: b'{"code": 1, "message": "server error"}',
        Way.SERVER_TIMEOUT: b'{"code": 2, "message": "read time out"}',
        Way.UNLISTED: b'{"code": 7777, "message": "what is this"}',
        Way.MESSAGELESS: b'{"code": 1}',
    }.get(way, good)


def _as_signed(content: str, request: dict[str, Any]) -> str:
    """All fields of a request are texts, as the client signs them."""
    assert all(isinstance(value, str) for value in request.values()), request
    return content


def _beneath(connection: socket.socket, raw: bytes) -> bool:
    """Write past TLS, straight into the connection; then end it."""
    os.write(connection.fileno(), raw)
    return False


def _read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if head.startswith(b"GET "):
        return b""
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        part = connection.recv(65_536)
        if not part:
            return None
        body += part
    return body


def _head(length: int, status: str = "200 OK", more: dict[str, str] | None = None) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(length), **(more or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("ascii")


def _send(connection: socket.socket, body: bytes, status: str = "200 OK", more: dict[str, str] | None = None) -> bool:
    connection.sendall(_head(len(body), status, more) + body)
    return True
