"""Whatever a reply holds: figures within the law, or one of our own refusals, and never another exception."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.figures import global_funds, positions_of, prime_funds, quotes_of, steps_of
from oms.gateways.tiger.wire import items_of, order_of
from oms.model.account import Funds
from oms.model.liquidity import NotFinite, spendable
from oms.model.order import BrokerState, Side
from oms.model.rules import FundsPolicy
from tests.gateways.test_tiger_parsing import ITEM, assets
from tests.volume import examples

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.lists(st.integers(), max_size=2),
    st.sampled_from([0, -1, 1e999, "NaN", "Infinity", "1e5", "", "Filled", "BUY", "USD", {}, [], 10**400, 0.1, "ÄÖ\x00"]),
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.randoms(use_true_random=False), st.booleans(), HOSTILE), min_size=1, max_size=4)
FUNDS: dict[str, Any] = assets()["data"]
POSITION = {
    "symbol": "AAA", "secType": "STK", "currency": "USD", "position": 10, "positionScale": 0, "averageCost": 20.5,
    "salableQty": 10, "latestPrice": 21.0,
}  # fmt: skip
QUOTE = {
    "symbol": "AAA", "latestPrice": 20.5, "askPrice": 20.6, "bidPrice": 20.4, "latestTime": 1_772_463_600_000,
    "status": "NORMAL",
}  # fmt: skip
CONTRACT = {
    "symbol": "AAA", "lotSize": 1, "minTick": 0.01,
    "tickSizes": [{"begin": "0", "end": "1", "tickSize": 0.0001}, {"begin": "1", "end": "Infinity", "tickSize": 0.01}],
}  # fmt: skip


def spoiled(good: Any, changes: list[tuple[Any, bool, Any]]) -> Any:
    """The reply with some of its values taken away or replaced, however deep they lie."""
    reply = copy.deepcopy(good)
    for chance, is_gone, value in changes:
        inside = reply
        while True:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            if not keys:
                break
            key = chance.choice(sorted(keys, key=str))
            if isinstance(inside[key], dict | list) and inside[key] and chance.random() < 0.8:
                inside = inside[key]
                continue
            if is_gone:
                del inside[key]
            else:
                inside[key] = value
            break
    return reply


def read(parse: Callable[[], Any]) -> Any:
    """What was read; None where it was refused in a printable sentence."""
    try:
        return parse()
    except BrokerUnavailable as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 500
    return None


many = settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
patient = pytest.mark.timeout(7_200)


def assert_funds_are_sound(funds: Funds | None) -> None:
    if funds is None:
        return
    for policy in FundsPolicy:
        try:
            assert spendable(funds, policy).is_finite()
        except NotFinite:
            continue


@patient
@many
@given(CHANGES)
def test_any_funds_are_refused_or_finite(changes: list[tuple[Any, bool, Any]]) -> None:
    """Money that is no number is never spendable."""
    reply = spoiled(FUNDS, changes)
    assert_funds_are_sound(read(lambda: prime_funds(reply, NOW)))
    assert_funds_are_sound(read(lambda: global_funds(reply, "U1", NOW)))


@patient
@many
@given(CHANGES)
def test_any_position_is_refused_or_a_number_of_shares(changes: list[tuple[Any, bool, Any]]) -> None:
    """Shares are finite, and never more can be sold than the figure says."""
    reply = {"items": [spoiled(POSITION, changes)]}
    for position in read(lambda: positions_of(reply, "U1")) or []:
        assert position.qty.is_finite()
        assert position.sellable.is_finite()
        assert position.symbol


@patient
@many
@given(CHANGES)
def test_any_order_is_refused_or_within_its_own_figures(changes: list[tuple[Any, bool, Any]]) -> None:
    """Filled is finite and not below zero, a status nobody knows is UNKNOWN with its raw text, a side is a side."""
    item = spoiled(ITEM, changes)
    order = read(lambda: order_of(item))
    if order is None:
        return
    assert order.state in BrokerState
    assert order.side in Side
    assert Decimal(order.cum_qty).is_finite()
    assert order.cum_qty >= 0
    assert order.order_id


def test_a_price_below_a_millionth_is_none() -> None:
    """It was kept as zero, at which no buy can be counted; a side that is so low takes the last price."""
    assert quotes_of([{**QUOTE, "latestPrice": 1e-7}], {}, delayed=False) == {}
    assert quotes_of([{**QUOTE, "bidPrice": 1e-7}], {}, delayed=False)["AAA"].bid == Decimal("20.5")


@patient
@many
@given(CHANGES, CHANGES)
def test_any_quote_is_left_out_or_above_zero(
    changes: list[tuple[Any, bool, Any]], steps: list[tuple[Any, bool, Any]]
) -> None:
    """A price is finite and positive, and so is its tick."""
    contract = {"items": [spoiled(CONTRACT, steps)]}
    known = read(lambda: steps_of(contract)) or {}
    for quote in (read(lambda: quotes_of([spoiled(QUOTE, changes)], known, delayed=False)) or {}).values():
        assert quote.last.is_finite()
        assert quote.last > 0
        assert quote.tick > 0
        assert quote.lot >= 1


@patient
@many
@given(
    st.recursive(
        HOSTILE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    )
)
def test_anything_at_all_is_refused_or_read(reply: Any) -> None:
    """A reply that looks like nothing we know."""
    for parse in (
        lambda: prime_funds(reply, NOW),
        lambda: global_funds(reply, "U1", NOW),
        lambda: positions_of(reply, "U1"),
        lambda: steps_of(reply),
        lambda: items_of(reply, "orders"),
    ):
        read(parse)
    json.dumps(str(reply))
