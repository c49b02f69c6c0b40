"""Each worker of the tests has a fork server of its own, and its accounts lie where no disk is waited for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.lives import memory_folder
from tests.kill.account import Account, Server, Weather

if sys.platform == "win32":
    collect_ignore_glob = ["test_*"]  # nothing there is killed as these tests kill


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder


@pytest.fixture
def forked(folder: Path, server: Server) -> Callable[..., Account]:
    """Makes accounts whose processes are forked."""
    made = iter(range(10_000))

    def make(weather: Weather) -> Account:
        return Account(folder / str(next(made)), weather, server)

    return make


@pytest.fixture
def fresh(folder: Path) -> Callable[..., Account]:
    """Makes accounts whose processes are ``cli.py`` itself."""
    made = iter(range(10_000))

    def make(weather: Weather) -> Account:
        return Account(folder / f"fresh-{next(made)}", weather)

    return make
