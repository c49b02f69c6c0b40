"""A wire between the journal and its server that can be cut at any message, in either direction."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path


class Wire:
    """Listens on loopback and carries bytes to the server's socket; cuts once, where it is told to."""

    def __init__(self, socket_file: Path) -> None:
        self._file = socket_file
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.sent = 0
        """Messages that came from the client since the last :meth:`arm`."""
        self._cut_at: int | None = None
        self._cut_answer = False
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut_at: int | None, *, answer: bool = False) -> None:
        """Cut before this message of the client reaches the server; with ``answer``, after it did, before the answer."""
        with self._lock:
            self.sent, self._cut_at, self._cut_answer = 0, cut_at, answer

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._file))
            self._open += [client, server]
            for source, target, is_client in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._carry, args=(source, target, is_client), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_client and self._is_the_one():
                    if self._cut_answer:
                        # The server gets it, and nobody is there any more when it answers.
                        source.shutdown(socket.SHUT_RDWR)
                        target.sendall(data)
                        target.shutdown(socket.SHUT_WR)
                        return
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_the_one(self) -> bool:
        with self._lock:
            self.sent += 1
            return self.sent == self._cut_at

    def close(self) -> None:
        self._door.close()
        for each in self._open:
            each.close()
