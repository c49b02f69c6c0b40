"""Tiger's raw replies at their edges: the last figure that is believed, the first that is not, each field by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.wire import (
    identity,
    instant,
    items_of,
    money,
    number,
    order_of,
    quantity,
    reserved_number,
    state_of,
)
from oms.model.order import BrokerState, Fill, OrdType
from tests.gateways.test_tiger_parsing import item

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_3000_MS = 32_503_680_000_000


class TestFigures:
    """Amounts, quantities and instants."""

    def test_largest_amount(self) -> None:
        """A million millions is an amount; a millionth more is nobody's."""
        assert money(Decimal(10) ** 12) == Decimal(10) ** 12
        assert money(-(Decimal(10) ** 12)) == -(Decimal(10) ** 12)
        for beyond in (Decimal(10) ** 12 + Decimal("0.000001"), -(Decimal(10) ** 12) - 1):
            with pytest.raises(BrokerUnavailable, match="beyond any amount"):
                money(beyond)

    def test_nothing_has_no_sign(self) -> None:
        """Less than half a millionth below nothing is nothing, and is not written -0."""
        assert str(money(Decimal("-0.0000004"))) == "0"

    def test_largest_scale_of_a_quantity(self) -> None:
        """Ten places are believed, eleven are not."""
        assert quantity({"q": 15, "qScale": 10}, "q") == Decimal("0.0000000015")
        with pytest.raises(BrokerUnavailable, match="qScale is 11"):
            quantity({"q": 15, "qScale": 11}, "q")

    def test_instants_end_where_the_calendar_of_anybody_ends(self) -> None:
        """The first millisecond of 1970 and the last of 2999 are instants; nothing, and the year 3000, are none."""
        assert instant({"t": 1}, "t") == EPOCH + timedelta(milliseconds=1)
        assert instant({"t": YEAR_3000_MS - 1}, "t") == EPOCH + timedelta(milliseconds=YEAR_3000_MS - 1)
        for none in (0, -1, YEAR_3000_MS, 10**17, None):
            assert instant({"t": none}, "t") is None

    def test_first_instant_that_is_one_counts(self) -> None:
        """A field that is missing or zero leaves the word to the next."""
        assert instant({"a": 0, "c": 5_000, "d": 9_000}, "a", "b", "c", "d") == EPOCH + timedelta(seconds=5)

    def test_digits_of_other_scripts_are_no_figure(self) -> None:
        """Python's own int() and Decimal() would read them."""
        for text in ("١٢", "１２", "1_2", " 12", "12 "):
            with pytest.raises(BrokerUnavailable, match="not a finite number"):
                number({"x": text}, "x")


class TestLists:
    """A list of orders holds orders."""

    @pytest.mark.parametrize("strange", [None, 1, "x", ["id"], True])
    def test_item_that_is_no_object_spoils_the_list(self, strange: object) -> None:
        """One strange item and nothing is concluded from the others."""
        for data in ([item(), strange], {"items": [strange, item()]}):
            with pytest.raises(BrokerUnavailable, match="tiger orders: a reply without a list"):
                items_of(data, "orders")

    def test_list_in_either_place(self) -> None:
        """The data is the list, or holds it as its items."""
        assert items_of([item()], "orders") == items_of({"items": [item()]}, "orders") == [item()]
        assert items_of([], "orders") == []


class TestNames:
    """Ids and numbers."""

    def test_smallest_id(self) -> None:
        """One is an id, as a number and as a text."""
        assert identity({"id": 1}) == "1"
        assert identity({"id": "40000000000000001"}) == "40000000000000001"

    @pytest.mark.parametrize("strange", ["١٢", "１２", "-1", "1.0", True, False, 1.0])
    def test_what_looks_like_an_id_and_is_none(self, strange: object) -> None:
        """Digits of other scripts, signs, fractions and truth values name no order."""
        with pytest.raises(BrokerUnavailable, match="without an id"):
            identity({"id": strange})

    def test_smallest_reserved_number(self) -> None:
        """One is a number; nothing, however many zeros it is written with, is none."""
        assert reserved_number({"orderId": 1}) == "1"
        assert reserved_number({"externalId": "1"}) == "1"
        assert reserved_number({"orderId": 0, "externalId": "7"}) is None
        assert reserved_number({"externalId": "000"}) is None

    @pytest.mark.parametrize("strange", ["١٢", "１２", "-5", "948.5", "x", "", True, 948.0, [9], {}])
    def test_what_looks_like_a_number_and_is_none(self, strange: object) -> None:
        """It is no number that we reserved, in either field."""
        assert reserved_number({"orderId": strange}) is None
        assert reserved_number({"externalId": strange}) is None

    def test_number_longer_than_python_converts(self) -> None:
        """Five thousand digits are a name that is not ours, and not a ValueError."""
        assert reserved_number({"externalId": "9" * 5_000}) == "9" * 5_000
        assert reserved_number({"externalId": "0" * 5_000}) is None

    @pytest.mark.parametrize("raw", [6.0, True, False, {}, {"Filled": 1}])
    def test_status_of_another_type_is_unknown(self, raw: object) -> None:
        """6.0 is not the 6 that means filled, though Python finds them equal."""
        assert state_of(raw) is BrokerState.UNKNOWN


class TestReports:
    """Each field of an order by itself."""

    def test_unfilled_order_has_cost_nothing(self) -> None:
        """No quantity filled, or none told: nothing bought, nothing paid, no executions."""
        for report in (order_of(item()), order_of(item(filledQuantity=None))):
            assert (report.cum_qty, report.notional, report.fees) == (Decimal(0), Decimal(0), Decimal(0))
            assert report.fills == ()

    def test_limit(self) -> None:
        """That of the order; none where none is told, or where it is an order at the market."""
        assert order_of(item()).price == Decimal("20.01")
        assert (order_of(item(limitPrice=None)).price, order_of(item(limitPrice=None)).ord_type) == (
            None,
            OrdType.LIMIT,
        )
        assert order_of(item(orderType="MKT")).price is None

    def test_fees_are_commission_and_tax(self) -> None:
        """Together, and each where the other is not told."""
        assert order_of(item(commission=1.25, gst=0.11)).fees == Decimal("1.36")
        assert order_of(item(commission=1.25)).fees == Decimal("1.25")
        assert order_of(item(gst=0.11)).fees == Decimal("0.11")

    def test_executions_outrank_the_order(self) -> None:
        """Where they are told, quantity, value and fees are their sums, whatever the order says."""
        at = datetime(2026, 3, 2, 15, tzinfo=UTC)
        fills = tuple(
            Fill(exec_id=name, last_qty=qty, last_px=Decimal(px), fee=Decimal(fee), transact_time=at)
            for name, qty, px, fee in (("E1", 3, "20.00", "0.02"), ("E2", 4, "20.01", "0.03"))
        )
        report = order_of(item(filledQuantity=9, avgFillPrice=1.0, commission=5.0), fills)
        assert (report.cum_qty, report.notional, report.fees) == (Decimal(7), Decimal("140.04"), Decimal("0.05"))
        assert report.fills == fills

    def test_texts_end(self) -> None:
        """Each text is kept to its own length, so that no reply fills the journal."""
        long = "x" * 1_000
        report = order_of(item(userMark=long, symbol=long, status=long, remark=long))
        assert report.user_mark is not None
        lengths = [len(each) for each in (report.user_mark, report.symbol, report.raw_status, report.text)]
        assert lengths == [64, 20, 40, 300]
