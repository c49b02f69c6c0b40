"""A fleet for each test: a database of its own, a configuration, and workers that are ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from oms.config import LoadedConfig, load_config
from oms.fleet import task_queue
from oms.fleet.database import Database, database_of
from oms.fleet.registry import Member
from tests.postgres.server import Server, the_server

ROOT = Path(__file__).parents[2]
QUICK = """\
account: fleet
journal: {{url: "{url}"}}
broker:
  paper: {{settle_after: 0s, funds_lag: 0s, list_lag: 0s, fill_delay: 0s, cash: 20000, positions: {{AMGN: 80, OXY: 60}}}}
settlement: {{poll: 100ms}}
execution: {{grace: 0s}}
selection: {{universe: universe.txt, top: 3}}
worker: {{interval: 1s, lease: 6s}}
"""
SYMBOLS = "AMGN\nOXY\nBA\nGD\nABT\nF\nPG\nCOST\n"


@pytest.fixture(scope="session")
def server() -> Server:
    return the_server()


@pytest.fixture
def place(server: Server) -> Iterator[str]:
    """The database: one that tests use one after the other."""
    yield server.shared
    server.clear(server.shared)


@pytest.fixture
def loaded(server: Server, place: str, tmp_path: Path) -> LoadedConfig:
    (tmp_path / "config.yaml").write_text(QUICK.format(url=server.url(place)), encoding="utf-8")
    (tmp_path / "universe.txt").write_text(SYMBOLS, encoding="utf-8")
    return load_config(tmp_path / "config.yaml", {})


@pytest.fixture
def database(loaded: LoadedConfig) -> Database:
    found = database_of(loaded)
    task_queue.prepare(found)
    return found


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(loaded: LoadedConfig) -> Iterator[Start]:
    """Starts a worker in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def call(name: str, lanes: int = 3, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "cli.py"), "fleet", "worker", "--name", name, "--lanes", str(lanes)]
        process = subprocess.Popen(
            command,
            cwd=loaded.base,
            env={**os.environ, **env, "OMS_NO_SETUP": "1"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def many(answer: dict[str, Any], key: str) -> list[Any]:
    """One column of the accounts of a status."""
    return [each[key] for each in answer["accounts"]]


def member(
    account: str, overlay: Mapping[str, str] | None = None, secret: str | None = None, every_s: float = 1.0
) -> Member:
    """One account, as `fleet add` makes it."""
    return Member(account=account, overlay=overlay or {}, secret=secret, every_s=every_s)
