"""Every control of the catalogue on both sides of its limit: one table, which must name each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.engine.limiter import MessageRate
from oms.engine.refusals import brake
from oms.model import controls, risk
from oms.model.detail import HaltScope
from oms.model.event import Halted
from oms.model.order import Side
from oms.model.rules import Rules
from oms.model.state import AccountState
from tests.fakes.clock import START, FakeClock
from tests.model.test_liquidity import BUY, PLAIN, inputs, one
from tests.model.test_risk import BACK, CASES

PROTOCOL = Path(__file__).parent.parent.parent / "docs" / "risk.md"


def stopped(side: Side, scope: HaltScope | None) -> str | None:
    state = AccountState("one")
    state.halt = None if scope is None else Halted(scope=scope, reason="test", author="me")
    return brake(state, side, Rules(), START)


def smallest(floor: int) -> str | None:
    """What becomes of 100 shares at 10 when no order may be smaller than ``floor``."""
    answer = one(BUY, inputs(), replace(PLAIN, min_order_value=Decimal(floor)))
    return None if answer.quantity else answer.rule


def sent_at_once(messages: int) -> str | None:
    """Whether so many of the three messages of a minute may leave at once: more wait, and none is refused."""
    rate = MessageRate(FakeClock(), per_minute=3, burst=3)
    return None if all(rate.take() for _ in range(messages)) else "message_rate"


def named(check: Callable[[Any], risk.Refusal | None]) -> Callable[[Any], str | None]:
    return lambda value: None if (refused := check(value)) is None else refused.rule


Sides = tuple[str, Callable[[Any], str | None], Any, Any]
TABLE: list[Sides] = [
    # rule, the check, the last that is let through, the first that is not
    *((rule, named(check), edge, beyond) for rule, check, _, edge, beyond in CASES),
    ("halted", lambda scope: stopped(Side.BUY, scope), None, HaltScope.BUYS),
    ("halted", lambda scope: stopped(Side.SELL, scope), HaltScope.BUYS, HaltScope.ALL),
    ("blacklist", named(lambda listed: risk.not_listed("AAA", is_listed=listed)), False, True),
    ("symbol_frozen", named(lambda reason: risk.frozen("AAA", reason)), None, "its books do not agree"),
    ("duplicate_symbol", named(lambda n: risk.once_in_the_plan(n, Side.BUY, {"AAA": {Side.BUY}})), "AAB", "AAA"),
    ("both_sides", named(lambda n: risk.once_in_the_plan(n, Side.BUY, {"AAA": {Side.SELL}})), "AAB", "AAA"),
    ("free_riding", named(lambda n: risk.good_faith(n, replace(BACK, rule="free_riding"), 0)), 30, 31),
    ("min_order_value", smallest, 1000, 1001),
    ("message_rate", sent_at_once, 3, 4),
]


@pytest.mark.parametrize(
    ("rule", "check", "within", "beyond"), TABLE, ids=[f"{rule}-{beyond}" for rule, _, _, beyond in TABLE]
)
def test_each_control_lets_through_and_stops(
    rule: str, check: Callable[[Any], str | None], within: Any, beyond: Any
) -> None:
    """At its limit an order passes; a step beyond it is stopped under the control's own name."""
    assert check(within) is None
    assert check(beyond) == rule


def test_the_table_names_every_control_of_the_catalogue() -> None:
    """A control without a test on both sides of its limit is not there, and no test is of one that nobody is shown."""
    assert {rule for rule, *_ in TABLE} == {rule.name for rule in controls.CATALOGUE}
    assert len({rule.name for rule in controls.CATALOGUE}) == len(controls.CATALOGUE)


def test_the_docs_name_every_control() -> None:
    """``docs/risk.md`` lists each by its name."""
    told = PROTOCOL.read_text(encoding="utf-8")
    assert [rule.name for rule in controls.CATALOGUE if f"`{rule.name}`" not in told] == []


def test_a_message_over_the_rate_waits_and_then_leaves() -> None:
    """The fourth of three a minute is told how long it waits, and leaves then."""
    clock = FakeClock()
    rate = MessageRate(clock, per_minute=3, burst=3)
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    clock.advance(timedelta(seconds=rate.wait()))
    assert rate.take()
