"""The cycles of the bench with their journal on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from oms.bench.cycle import CycleBench
from oms.gateways.system_clock import SystemClock
from oms.journal.postgres.address import parse
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.postgres.journal import open_postgres


def made(folder: Path, url: str, account: str = "bench") -> CycleBench:
    """A bench on the journal of this account there."""
    address = parse(url)
    journal = open_postgres(address, account, "paper", SystemClock(), 600.0)
    return CycleBench(folder, journal=journal, mailbox=PostgresInbox(address, account, journal.connection))
