"""Which trading day a process is in: that of its cycle, or the day on which the money that the cycle waits for settles."""

from __future__ import annotations

from datetime import date, datetime

from oms.engine.money import waits_for_settlement
from oms.engine.orders import Seen
from oms.model.changing import replace
from oms.model.cycle import Phase
from oms.model.rules import Rules
from oms.model.state import AccountState
from oms.ports import Market


def entered(market: Market, state: AccountState, seen: Seen, last_day: date | None) -> Seen:
    """The session to trade now: that of the open cycle, or the first after ``last_day``; None in it where there is none."""
    cycle = state.open_cycle
    session = market.enter(last_day, cycle.day if cycle is not None else None)
    return replace(seen, session=session, plays_days=market.skips_nights)


def next_day(market: Market, seen: Seen) -> Seen:
    """The next day of a market that only plays them; where there is none, this one goes on, and none is asked for again."""
    session = market.enter(seen.session.day if seen.session is not None else None, None)
    if session is None:
        return replace(seen, plays_days=False)
    # Everything that was read is of another day.
    return replace(seen, session=session, funds=None, quotes={}, quotes_at=None, positions=None, positions_at=None)


def looked(now: datetime, market: Market, state: AccountState, seen: Seen, rules: Rules) -> Seen:
    """The time of the world and of the market; and a live market's next session where a cycle waits over night for money."""
    seen = replace(seen, now=now, market_time=market.time())
    cycle, session = state.open_cycle, seen.session
    if cycle is None or session is None or market.skips_nights or seen.market_time < session.closes:
        return seen
    if cycle.phase not in (Phase.SETTLING, Phase.REVALIDATING) or not waits_for_settlement(cycle, seen, rules):
        return seen
    return replace(seen, session=market.enter(session.day, None) or session)
