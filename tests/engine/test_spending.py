"""What may be spent on which day, and what is told of money that does not agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.engine.money import checked, differences, settlement_day, waits_for_settlement
from oms.model.account import Funds
from oms.model.currencies import Ledgers
from oms.model.event import CycleAborted
from oms.model.liquidity import NotFinite
from oms.model.rules import FundsPolicy, Rules
from oms.model.settlement import Ledger
from tests.engine.glance import glance
from tests.model.story import DAY, SESSION, Story, funds, intent

SETTLED = Rules(funds=FundsPolicy.SETTLED_CASH)
TOMORROW = replace(
    SESSION,
    day=DAY + timedelta(days=1),
    opens=SESSION.opens + timedelta(days=1),
    closes=SESSION.closes + timedelta(days=1),
)


def sold() -> Story:
    return Story().opens(intent("S0", "AAA"), intent("B0", "CCC")).sends("S0").acknowledges("S0").fills("S0")


def test_a_day_begins_with_its_opening_bell() -> None:
    """Before it the day before is what has come; at it the day itself; without a session the cycle's own."""
    story = sold()
    early, at = TOMORROW.opens - timedelta(microseconds=1), TOMORROW.opens
    assert settlement_day(story.cycle, glance(story, session=TOMORROW, market_time=early)) == DAY
    assert settlement_day(story.cycle, glance(story, session=TOMORROW, market_time=at)) == TOMORROW.day
    assert settlement_day(story.cycle, glance(story, session=None)) == DAY


def test_only_the_money_of_sells_under_settled_cash_is_waited_for() -> None:
    """Until the morning of its day; not under another policy, not where nothing was sold, not by an aborted cycle."""
    story = sold()
    seen = glance(story)
    assert waits_for_settlement(story.cycle, seen, SETTLED)
    morning = glance(story, session=TOMORROW, market_time=TOMORROW.opens)
    assert not waits_for_settlement(story.cycle, morning, SETTLED)
    assert not waits_for_settlement(story.cycle, seen, Rules())
    nothing = Story().opens(intent("S0", "AAA")).sends("S0").rejects("S0")
    assert not waits_for_settlement(nothing.cycle, glance(nothing), SETTLED)
    story.tell(CycleAborted(cycle_id="c-1", rule="stale_on_resume", reason="told"))
    assert not waits_for_settlement(story.cycle, seen, SETTLED)


@pytest.mark.parametrize("figure", ["cash", "settled_cash"])
@pytest.mark.parametrize("bad", ["NaN", "Infinity"])
def test_a_day_does_not_begin_with_a_figure_that_is_no_number(figure: str, bad: str) -> None:
    """Either of the two that a ledger rests on."""
    changes: dict[str, Any] = {figure: Decimal(bad)}
    spoilt = replace(funds(1000), **changes)
    with pytest.raises(NotFinite, match="no finite number"):
        checked(spoilt, "USD")
    assert checked(funds(1000), "USD") == funds(1000)
    with pytest.raises(NotFinite, match="in USD, the account's in HKD"):
        checked(funds(1000), "HKD")


def told(before: str, now: str, settled_cash: str = "700") -> list[str]:
    """Rules of what is told where the broker withholds so much now, and withheld so much before."""
    reading: Funds = funds(1000, settled_cash=settled_cash)
    one, other = (Ledgers(own=Ledger(currency="USD", withheld=Decimal(amount))) for amount in (before, now))
    return [event.rule for event in differences(one, other, reading)]


@pytest.mark.parametrize(
    ("before", "now", "settled_cash", "is_told"),
    [
        ("0", "0.01", "700", False),
        ("0", "0.02", "700", True),
        ("0.01", "300", "700", True),
        ("0.02", "300", "700", False),
        ("0", "300", "0", False),
        ("0", "300", "0.50", True),
        ("300", "0", "700", False),
    ],
)
def test_money_that_the_broker_does_not_call_settled_is_told_when_that_begins(
    before: str, now: str, settled_cash: str, is_told: bool
) -> None:
    """By more than a cent, once, and not by a broker that tells of no settled cash at all."""
    assert told(before, now, settled_cash) == (["settled_cash_differs"] if is_told else [])
