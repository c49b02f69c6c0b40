"""The paper broker's fill model."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.gateways.paper.matching import FillModel, ceil_to_tick, floor_to_tick
from oms.model.account import Quote
from oms.model.order import Side

AT = datetime(2010, 3, 1, 15, 0, tzinfo=UTC)
TICK = Decimal("0.01")

ticks = st.sampled_from([TICK, Decimal("0.0001"), Decimal("0.05"), Decimal(1)])
prices = st.decimals(min_value=1, max_value=5000, places=4)
sides = st.sampled_from(list(Side))


def model(slippage: str = "0.0005", partial: str = "0", fee: str = "0.005", seed: int = 1) -> FillModel:
    return FillModel(slippage=Decimal(slippage), partial_fills=Decimal(partial), fee_per_share=Decimal(fee), seed=seed)


def quote(last: Decimal | str, tick: Decimal = TICK) -> Quote:
    last = Decimal(last)
    return Quote(symbol="AAA", bid=last, ask=last, last=last, at=AT, tick=tick)


@pytest.mark.parametrize(
    ("side", "limit", "day_range", "price"),
    [
        (Side.BUY, "21", None, "20.01"),  # slipped up, rounded up
        (Side.SELL, "19", None, "19.99"),  # slipped down, rounded down
        (Side.BUY, None, None, "20.01"),  # a market order
        (Side.BUY, "20.00", None, "20.00"),  # never beyond the limit
        (Side.SELL, "20.00", None, "20.00"),
        (Side.BUY, "19.99", None, None),  # not marketable
        (Side.SELL, "20.01", None, None),
        (Side.BUY, "21", ("19", "20"), "20"),  # nobody paid more that day
        (Side.SELL, "19", ("20", "21"), "20"),
        (Side.BUY, "21", ("19.996", "20.004"), "20.00"),  # onto the last tick inside
        (Side.BUY, "21", ("20.001", "20.004"), "20.001"),  # no tick inside
        (Side.BUY, "20", ("20.50", "21"), None),  # the quote lies outside the day and the limit does not reach into it
        (Side.BUY, "20.60", ("20.50", "21"), "20.50"),
        (Side.SELL, "20", ("19", "19.50"), None),
    ],
)
def test_price_of_an_execution(
    side: Side, limit: str | None, day_range: tuple[str, str] | None, price: str | None
) -> None:
    """An order quoted at 20 with 0.05 % slippage trades at the stated price, or rests."""
    bounds = None if day_range is None else (Decimal(day_range[0]), Decimal(day_range[1]))
    found = model().price(side, None if limit is None else Decimal(limit), quote("20"), bounds)
    assert found == (None if price is None else Decimal(price))


@given(side=sides, last=prices, limit=prices, bounds=st.tuples(prices, prices), tick=ticks)
def test_price_keeps_limit_and_range(
    side: Side, last: Decimal, limit: Decimal, bounds: tuple[Decimal, Decimal], tick: Decimal
) -> None:
    """Whatever the figures, an execution is inside the day's range and not beyond the limit."""
    low, high = min(bounds), max(bounds)
    price = model().price(side, limit, quote(last, tick), (low, high))
    if price is not None:
        assert low <= price <= high
        assert price <= limit if side is Side.BUY else price >= limit


@given(side=sides, last=prices, tick=ticks)
def test_slippage_is_never_a_gain(side: Side, last: Decimal, tick: Decimal) -> None:
    """Without limit and range the price is on the tick, positive, and not better than the quote."""
    price = model().price(side, None, quote(last, tick), None)
    assert price is not None
    assert price % tick == 0
    assert price > 0
    assert price >= last if side is Side.BUY else price <= max(last, tick)


@given(price=prices, tick=ticks)
def test_ticks_surround_the_price(price: Decimal, tick: Decimal) -> None:
    """Rounding down and up lands on the grid, less than a tick away."""
    below, above = floor_to_tick(price, tick), ceil_to_tick(price, tick)
    assert below <= price <= above
    assert above - below in (0, tick)
    assert below % tick == above % tick == 0


@given(qty=st.integers(2, 10_000), number=st.integers(1_000_001, 1_000_999), seed=st.integers(0, 5))
def test_parts_leave_something(qty: int, number: int, seed: int) -> None:
    """An order that trades in two parts trades at least one share in each, at a place that its number decides."""
    cut = model(partial="1", seed=seed).first_part(str(number), Decimal(qty))
    assert 1 <= cut < qty
    assert cut % 1 == 0
    assert cut == model(partial="1", seed=seed).first_part(str(number), Decimal(qty))


def test_share_of_parted_orders_is_as_stated() -> None:
    """Of many orders about the stated share trades in two parts; none without, all with certainty."""
    shares = {}
    for partial in ("0", "0.3", "1"):
        parted = [model(partial=partial).first_part(str(n), Decimal(100)) < 100 for n in range(2000)]
        shares[partial] = sum(parted) / 2000
    assert shares["0"] == 0
    assert 0.27 < shares["0.3"] < 0.33
    assert shares["1"] == 1


@pytest.mark.parametrize("qty", ["1", "0.5", "7.25"])
def test_what_cannot_be_cut_trades_whole(qty: str) -> None:
    """One share, and fractions, trade in one part."""
    assert model(partial="1").first_part("1000001", Decimal(qty)) == Decimal(qty)


@given(qty=st.integers(1, 10_000), cut=st.integers(0, 10_000), fee=st.decimals(0, 1, places=6))
def test_fees_of_parts_are_not_negative_and_add_up(qty: int, cut: int, fee: Decimal) -> None:
    """However an order is cut, its parts' fees are not negative and add up to the fee of the whole."""
    whole = model(fee=str(fee))
    first = whole.fee(Decimal(min(cut, qty)))
    assert 0 <= first <= whole.fee(Decimal(qty))


def test_market_buy_reaches_five_percent() -> None:
    """A market buy is counted at 5 % above its quote, rounded up to the tick."""
    assert model().reach(quote("19.99")) == Decimal("20.99")
