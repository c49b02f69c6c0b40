"""What the tests of the API share: an account in a folder of its own, the real server over it, and browsers to ask it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.routing import BaseRoute

from oms.config import load_config
from oms.questions.asking import Desk
from oms.web.application import make_app
from oms.web.gate import Doors
from oms.web.keys import Keys, keys_from
from oms.web.listening import listen, own_address
from oms.web.serving import server_of
from oms.web.sessions import Sessions
from oms.web.stream import Tide

TOKEN = "t0ken-" + "x" * 40


@dataclass
class House:
    """One application behind a real socket of this machine, and what it says to its log."""

    folder: Path
    desk: Desk
    keys: Keys
    doors: Doors
    port: int
    said: list[str] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return self.doors.cookie

    def stranger(self) -> httpx.Client:
        """Somebody who has logged in nowhere."""
        return self.stack.enter_context(httpx.Client(base_url=self.origin, trust_env=False, timeout=60))

    def operator(self) -> httpx.Client:
        """A program with the token."""
        client = self.stranger()
        client.headers["Authorization"] = f"Bearer {self.keys.operate}"
        return client

    def reader(self) -> httpx.Client:
        """A program with the token for reading."""
        client = self.stranger()
        client.headers["Authorization"] = f"Bearer {self.keys.read}"
        return client

    def browser(self, secret: str | None = None) -> httpx.Client:
        """A person's browser that has logged in."""
        client = self.stranger()
        client.headers["Accept"] = "text/html"
        done = client.post("/login", data={"token": secret or self.keys.operate}, headers={"Origin": self.origin})
        assert done.status_code == 303
        return client


@contextmanager
def house_in(
    folder: Path, config: str = "", *, strangers: frozenset[str] = frozenset(), keys: Keys | None = None
) -> Iterator[House]:
    """The server over the account in ``folder``, on a free port."""
    file = folder / "config.yaml"
    if config or not file.exists():
        file.write_text(config or "account: paper-main\n", "utf-8")
    loaded = load_config(file, {}, {"api.port": 0})
    keys = keys or keys_from(TOKEN)
    desk = Desk(loaded=loaded, patience_s=60.0)
    with closing(listen(loaded)) as listening:
        port = listening.getsockname()[1]
        doors = Doors(
            address=own_address(loaded, listening, None),
            keys=keys,
            sessions=Sessions(keys.signing, desk.now),
            cookie=f"oms_session_{port}",
            strangers=strangers,
        )
        house = House(folder, desk, keys, doors, port)
        doors.log = house.said.append
        with running(server_of(make_app(desk, doors, Tide(desk))), listening), house.stack:
            yield house


@contextmanager
def running(server: uvicorn.Server, listening: socket.socket) -> Iterator[None]:
    """The server in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive()


def html(answer: httpx.Response) -> str:
    """The page of an answer that is one."""
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def app_of(house: House) -> FastAPI:
    """The application behind the gate of a house like this one, to look at its routes."""
    inside = make_app(house.desk, house.doors, Tide(house.desk)).inside
    assert isinstance(inside, FastAPI)
    return inside


def routes_of(house: House) -> Iterator[tuple[str, set[str], BaseRoute]]:
    """Every path of the application, with the methods that it takes."""
    return _walk(app_of(house).routes, "")


def _walk(routes: Iterable[BaseRoute], prefix: str) -> Iterator[tuple[str, set[str], BaseRoute]]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:  # FastAPI puts a router into another one only when it is asked
            yield from _walk(included.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]
        else:
            yield prefix + getattr(route, "path", ""), set(getattr(route, "methods", None) or ()), route
