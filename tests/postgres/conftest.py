"""A server for the session and a database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from oms.journal.machine import this_process
from oms.journal.postgres.address import parse
from oms.journal.postgres.journal import PostgresJournal, open_postgres
from tests.contract.journal_contract import LEASE_S
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT
from tests.postgres.server import Server, the_server


@pytest.fixture(scope="session")
def server() -> Server:
    return the_server()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    yield server.shared
    server.clear(server.shared)


@pytest.fixture
def own_database(server: Server) -> Iterator[str]:
    """For a test that changes more than rows."""
    name = server.new_database()
    yield name
    server.drop(name)


@pytest.fixture
def url(server: Server, database: str) -> str:
    return server.url(database)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_one(server: Server, database: str, clock: FakeClock) -> Iterator[Callable[..., PostgresJournal]]:
    """Opens the journal as one more process; see JournalContract."""
    opened: list[PostgresJournal] = []
    here = this_process()
    address = parse(server.url(database))

    def opener(
        *, alive: bool = True, other_boot: bool = False, account: str = ACCOUNT, **options: Any
    ) -> PostgresJournal:
        if not alive and opened:
            server.execute("UPDATE oms.lease SET process_started = 'long ago'", database)
        if other_boot:
            # What the server does when it recovers from a crash.
            server.execute("DELETE FROM oms.restart_token", database)
        process = replace(here, restart_token="another boot") if other_boot else here
        journal = open_postgres(address, account, "paper", clock, LEASE_S, process=process, **options)
        opened.append(journal)
        return journal

    yield opener
    for journal in opened:
        journal._break("the test is over")


@pytest.fixture
def journal(open_one: Callable[..., PostgresJournal]) -> PostgresJournal:
    return open_one()
