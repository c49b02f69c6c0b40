"""How fast the pages and the API answer over a journal of any length, and whether readers of the stream slow the engine.

The pages are measured at the server, inside the program: from the request's first byte to the answer's last, without a
network. The engine is measured in a process of its own, as ``serve`` runs it, with and without readers beside it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any

from oms.bench.journal import fill
from oms.bench.life import Life
from oms.config import load_config
from oms.questions.asking import Desk
from oms.web.address import address_of
from oms.web.application import make_app
from oms.web.gate import Doors, Gate
from oms.web.keys import keys_from
from oms.web.limiter import Limiter
from oms.web.sessions import Sessions
from oms.web.stream import Tide

REPEATS = 20
ROUND = 20
"""Cycles in one round of the engine; rounds with and without readers alternate."""
ROUNDS = 5
_CYCLES = (
    "from oms.bench.cycle import serve; import pathlib, sys; serve(pathlib.Path(sys.argv[1]), sys.stdin, sys.stdout)"
)
_TOKEN = "a-token-of-the-bench-" * 2


def pages(folder: Path, rows: int) -> dict[str, Any]:
    """Milliseconds of each path over a journal of so many rows, whose cycles have 40 orders.

    The cycle is finished: but for the first look at it, its parts come from the shelf (``oms.web.kept``).
    """
    made = fill(folder / "bench.db", rows, Life(sells=20, buys=20))
    app, desk, _ = _application(folder)
    newest = desk.ask_for_one(_newest)["cycle_id"]
    paths = [
        *("/", f"/cycles/{newest}", "/cycles", "/funds", "/positions", "/selection", "/risk", "/health", "/config"),
        *("/api/status", "/api/v1/status", f"/api/v1/cycles/{newest}", "/api/v1/orders", "/api/v1/journal"),
    ]
    found = {path: _timed(app, path) for path in paths}
    return {
        "rows": made.rows,
        "cycles": made.cycles,
        "orders_per_cycle": 40,
        "ms": {path.replace(newest, "CYCLE"): took for path, took in found.items()},
    }


def _newest(reader: Any) -> dict[str, Any]:
    from oms.journal.history import cycle_list

    cycle: dict[str, Any] = cycle_list(reader, limit=1)["cycles"][0]
    return cycle


def _application(folder: Path) -> tuple[Gate, Desk, Tide]:
    config = folder / "config.yaml"
    config.write_text("account: bench\njournal: {url: 'sqlite:///bench.db'}\n", "utf-8")
    desk = Desk(loaded=load_config(config, {}), patience_s=60.0)
    keys = keys_from(_TOKEN)
    doors = Doors(
        address=address_of("127.0.0.1", 8000),
        keys=keys,
        sessions=Sessions(keys.signing, desk.now),
        cookie="bench",
        pace=Limiter(burst=10**9, every_s=1e-9),
    )
    tide = Tide(desk)
    return make_app(desk, doors, tide), desk, tide


def _timed(app: Gate, path: str) -> dict[str, list[float]]:
    """Milliseconds of one request, by the clock and of this process alone: median, least, most."""
    took = asyncio.run(_repeated(app, path))[2:]  # the first two warm up
    return {
        name: [round(each * 1000, 2) for each in (median(seconds), min(seconds), max(seconds))]
        for name, seconds in zip(("clock", "process"), zip(*took, strict=True), strict=True)
    }


async def _repeated(app: Gate, path: str) -> list[tuple[float, float]]:
    return [await _asked(app, path) for _ in range(REPEATS + 2)]


async def _asked(app: Gate, path: str) -> tuple[float, float]:
    """One request from beginning to end: seconds by the clock, and of this process's own work."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = _scope(path)
    began, worked = time.perf_counter(), time.process_time()
    await app(scope, receive, send)
    took = time.perf_counter() - began, time.process_time() - worked
    if status != HTTPStatus.OK:
        raise AssertionError(f"{path} answered {status}")
    return took


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"authorization", b"Bearer " + _TOKEN.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


def readers(folder: Path, count: int) -> dict[str, Any]:
    """Seconds of a cycle of 20 orders, alone and with ``count`` readers of the stream beside the engine."""
    alone: list[float] = []
    beside: list[float] = []
    with _engine(folder) as ask:
        ask(ROUND)  # warms up
        for _ in range(ROUNDS):
            alone += ask(ROUND)
            with _read_by(folder, count) as received:
                beside += ask(ROUND)
    return {
        "readers": count,
        "cycles": len(alone),
        "alone_ms": round(median(alone) * 1000, 2),
        "beside_readers_ms": round(median(beside) * 1000, 2),
        "slower": round(median(beside) / median(alone) - 1, 4),
        "events_read": received[0],
    }


@contextmanager
def _engine(folder: Path) -> Iterator[Any]:
    """A process that runs cycles when it is asked to; its journal is ``folder``'s."""
    root = str(Path(__file__).parent.parent.parent)
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {root!r}); {_CYCLES}", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    with process:
        stdout.readline()

        def ask(cycles: int) -> list[float]:
            print(cycles, file=stdin, flush=True)
            seconds: list[float] = json.loads(stdout.readline())
            return seconds

        yield ask
        stdin.close()


@contextmanager
def _read_by(folder: Path, count: int) -> Iterator[list[int]]:
    """The server in a process of its own, and ``count`` readers of its stream; how many events they read."""
    root = str(Path(__file__).parent.parent.parent)
    script = f"import sys; sys.path.insert(0, {root!r}); from oms.bench.web import stand; stand(sys.argv[1])"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    received = [0]
    with process, ExitStack() as stack:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(count):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            head = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {_TOKEN}\r\n\r\n"
            line.sendall(head.encode())
            threading.Thread(target=_drain, args=(line, received), daemon=True).start()
        time.sleep(1.0)  # until each has its first answer
        yield received
        time.sleep(1.0)  # until the last rows have come
        process.stdin.close()


def _drain(line: socket.socket, received: list[int]) -> None:
    while True:
        try:
            part = line.recv(65_536)
        except OSError:
            return
        if not part:
            return
        received[0] += part.count(b"\nid: ") + part.startswith(b"id: ")


def stand(folder: str) -> None:
    """Serve the bench's journal until stdin ends; prints the port."""
    import uvicorn

    from oms.web.serving import server_of

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    gate, _, tide = _application(Path(folder))
    gate.doors.address = address_of("127.0.0.1", port)
    server: uvicorn.Server = server_of(gate)

    def ends() -> None:
        sys.stdin.read()
        tide.leave()
        server.should_exit = True

    threading.Thread(target=ends, daemon=True).start()
    print(port, flush=True)
    server.run(sockets=[listening])
