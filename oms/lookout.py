"""A look at the broker beside the journal, without the lease: nothing is journaled, nothing is sent."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta

from oms.app import broker_of, market_of, read_state
from oms.config import LoadedConfig
from oms.engine.comparing import differences
from oms.engine.reconciliation import facts
from oms.errors import UsageError
from oms.gateways.system_clock import SystemClock
from oms.journal.reader import open_reader
from oms.journal.recalling import known_numbers
from oms.journal.statements import statements
from oms.model.difference import Difference
from oms.model.event import Recorded
from oms.places import places

LOOK_BACK = timedelta(days=8)
"""Orders are asked for from so far back: over a week with holidays."""


def compare_now(loaded: LoadedConfig, *, dry_run: bool = False) -> tuple[datetime, tuple[Difference, ...]]:
    """When the broker was asked, and where it and the journal do not agree.

    What the broker's orders add to the journal, such as a late fill, is counted in first, in memory only.

    Raises:
        UsageError: nothing has run yet.
        BrokerUnavailable: the broker could not be read.
    """
    where, clock = places(loaded, dry_run=dry_run), SystemClock()
    state = read_state(where, loaded.config.account)
    if not state.seq:
        raise UsageError("nothing has run yet, so there is no journal to compare the broker with")
    market = market_of(loaded)
    market.enter(state.trading_day, state.open_cycle.opened.trading_day if state.open_cycle else None)
    with closing(broker_of(loaded, market, clock, where, watching=True)) as broker:
        at = clock.now()
        read = broker.orders(at - LOOK_BACK)
        positions = {position.symbol: position for position in broker.positions()}
        executions = broker.capabilities.reports_executions
    numbers = {report.order_no for report in read.orders if report.order_no is not None}
    with closing(open_reader(where.journal_url)) as reader, reader.asking("looking orders up") as connection:
        known = known_numbers(statements(connection), loaded.config.account, numbers)
    for event in facts(state, read, executions=executions, known=known):
        state.apply(Recorded(seq=state.seq + 1, at=at, event=event))
    return at, differences(state, positions, read)
