"""The traps of Tiger's replies: each figure and word is read by us, and what is missing or strange is never guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.figures import Steps, steps_of
from oms.gateways.tiger.wire import number, order_of, quantity, state_of
from oms.model.liquidity import spendable
from oms.model.order import BrokerState, OrdType, Side
from oms.model.rules import FundsPolicy
from tests.tigerd.book import PRIME_ACCOUNT
from tests.tigerd.desk import Desk, open_desk

ITEM: dict[str, Any] = {
    "id": 40_000_000_000_000_001,
    "orderId": 948,
    "externalId": "948",
    "symbol": "AAA",
    "secType": "STK",
    "currency": "USD",
    "action": "BUY",
    "orderType": "LMT",
    "totalQuantity": 10,
    "totalQuantityScale": 0,
    "filledQuantity": 0,
    "limitPrice": 20.01,
    "status": "PendingSubmit",
    "updateTime": 1_772_463_600_000,
}


def item(**changes: Any) -> dict[str, Any]:
    return {**ITEM, **changes}


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = open_desk(Path(tmp_path_factory.getbasetemp()))
    yield desk
    desk.close()


def assets(**changes: Any) -> dict[str, Any]:
    """A reply to ``prime_assets``; a value of ... leaves the field out, ``usd_`` is for that of US dollars."""
    dollars = {"currency": "USD", "cashBalance": 900.0, "cashAvailableForTrade": 800.0}
    segment: dict[str, Any] = {
        "category": "S",
        "currency": "USD",
        "cashBalance": 1000.0,
        "cashAvailableForTrade": 850.0,
        "cashAvailableForWithdrawal": 500.0,
        "lockedFunds": 100.0,
        "uncollected": 300.0,
        "buyingPower": 4000.0,
        "grossPositionValue": 0.0,
        "currencyAssets": [dollars],
    }
    for name, value in changes.items():
        target = dollars if name.startswith("usd_") else segment
        target[name.removeprefix("usd_")] = value
    for target in (dollars, segment):
        for name in [name for name, value in target.items() if value is ...]:
            del target[name]
    return {"code": 0, "data": {"accountId": "x", "updateTimestamp": 1_755_078_296_228, "segments": [segment]}}


class TestStatus:
    """Statuses by raw word only."""

    @pytest.mark.parametrize(
        ("raw", "state"),
        [
            ("Initial", BrokerState.PENDING_NEW),
            (-1, BrokerState.PENDING_NEW),
            ("PendingSubmit", BrokerState.NEW),
            ("Submitted", BrokerState.NEW),
            (2, BrokerState.NEW),
            (5, BrokerState.NEW),
            (8, BrokerState.NEW),
            ("PendingCancel", BrokerState.PENDING_CANCEL),
            (3, BrokerState.PENDING_CANCEL),
            ("Filled", BrokerState.FILLED),
            (6, BrokerState.FILLED),
            ("Cancelled", BrokerState.CANCELED),
            (4, BrokerState.CANCELED),
            ("Inactive", BrokerState.REJECTED),
            (7, BrokerState.REJECTED),
            ("Invalid", BrokerState.EXPIRED),
            (-2, BrokerState.EXPIRED),
        ],
    )
    def test_known_word(self, raw: str | int, state: BrokerState) -> None:
        """Each documented word and number has its one meaning."""
        assert state_of(raw) is state

    @pytest.mark.parametrize(
        "raw", ["PartiallyFilled", "PendingNew", "Expired", "filled", "Filled ", "", None, 1, 99, True, 6.5, ["Filled"]]
    )
    def test_unknown_word_is_unknown_with_its_text(self, raw: object) -> None:
        """What the SDK would take for an active order is UNKNOWN here, and the raw text is kept."""
        report = order_of(item(status=raw))
        assert report.state is BrokerState.UNKNOWN
        assert report.raw_status == ("" if raw is None else str(raw))

    def test_terminal_word_keeps_its_fills(self) -> None:
        """Fills are booked from the filled field whatever the status says."""
        for status in ("Cancelled", "Inactive", "Invalid"):
            report = order_of(item(status=status, filledQuantity=7, avgFillPrice=20.0, commission=0.07))
            assert (report.cum_qty, report.notional, report.fees) == (Decimal(7), Decimal(140), Decimal("0.07"))

    def test_fraction_is_not_taken_for_filled(self) -> None:
        """0.3 of 0.5 shares is what it is, with different scales aligned."""
        report = order_of(
            item(totalQuantity=5, totalQuantityScale=1, filledQuantity=30, filledQuantityScale=2, avgFillPrice=10.0)
        )
        assert (report.order_qty, report.cum_qty, report.state) == (Decimal("0.5"), Decimal("0.3"), BrokerState.NEW)

    def test_order_for_an_amount_of_cash_is_not_taken_for_filled(self) -> None:
        """Without a quantity the order's size is what it has become; a cancelled one stays cancelled."""
        report = order_of(item(totalQuantity=None, filledQuantity=2, avgFillPrice=5.0, status="Cancelled"))
        assert (report.order_qty, report.cum_qty, report.state) == (Decimal(2), Decimal(2), BrokerState.CANCELED)


class TestNumbers:
    """Finite numbers only, exactly as written."""

    @pytest.mark.parametrize("raw", [float("inf"), float("-inf"), float("nan"), "inf", "NaN", "", "1e5", True, [], {}])
    def test_what_is_no_finite_number_is_refused(self, raw: object) -> None:
        """Neither infinity nor NaN nor a text that is no number enters the program."""
        with pytest.raises(BrokerUnavailable):
            number({"x": raw}, "x")

    def test_missing_and_null_are_refused(self) -> None:
        """The SDK would fill them with infinity, or raise AttributeError."""
        for found in ({}, {"x": None}):
            with pytest.raises(BrokerUnavailable, match="x is missing"):
                number(found, "x")

    def test_floats_are_read_as_they_are_written(self) -> None:
        """20.01 is 20.01 and not its nearest binary neighbour."""
        assert number({"x": 20.01}, "x") == Decimal("20.01")
        assert number({"x": "20.01"}, "x") == Decimal("20.01")
        assert number(json.loads('{"x": 1234567.89}'), "x") == Decimal("1234567.89")

    def test_scaled_quantity(self) -> None:
        """773 with scale 5 is 0.00773 shares; a scale that is none is refused."""
        assert quantity({"q": 773, "qScale": 5}, "q") == Decimal("0.00773")
        for scale in (-1, 11, 0.5):
            with pytest.raises(BrokerUnavailable):
                quantity({"q": 773, "qScale": scale}, "q")

    @pytest.mark.parametrize("price", [None, float("nan"), float("inf")])
    def test_fill_without_a_price_is_refused(self, price: float | None) -> None:
        """A quantity that was filled at no known price is no reading."""
        with pytest.raises(BrokerUnavailable):
            order_of(item(filledQuantity=5, avgFillPrice=price))

    def test_money_is_kept_to_the_millionth(self) -> None:
        """An average that does not end is rounded to what the journal can keep."""
        report = order_of(item(filledQuantity=3, avgFillPrice=20.333333333333332))
        assert report.notional == Decimal(61)


class TestIdentity:
    """The reserved number, as ``orderId`` or ``externalId``."""

    def test_number_in_either_place(self) -> None:
        """``orderId`` counts first; ``externalId`` where the other is missing."""
        assert order_of(item()).order_no == "948"
        assert order_of(item(orderId=None)).order_no == "948"
        assert order_of(item(orderId="950", externalId="948")).order_no == "950"

    def test_order_of_the_app_has_no_number(self) -> None:
        """``orderId`` 0 is an order made elsewhere, whatever its ``externalId`` looks like."""
        for foreign in ("948", "948.5", "", None):
            assert order_of(item(orderId=0, externalId=foreign)).order_no is None

    @pytest.mark.parametrize("order_id", [None, 0, -3, True, 1.5, "x", ""])
    def test_order_without_an_id_is_refused(self, order_id: object) -> None:
        """An order that cannot be named is no reading."""
        with pytest.raises(BrokerUnavailable):
            order_of(item(id=order_id))

    def test_fields_of_a_report(self) -> None:
        """Everything else is taken over as it stands, on one line."""
        report = order_of(item(remark="no\r\nfunds", userMark="m-1", orderType="MKT", action="SELL"))
        assert (report.side, report.ord_type, report.price) == (Side.SELL, OrdType.MARKET, None)
        assert (report.text, report.user_mark) == (r"no\r\nfunds", "m-1")
        assert report.transact_time == datetime(2026, 3, 2, 15, tzinfo=UTC)

    def test_mark_that_is_not_echoed(self, desk: Desk) -> None:
        """An account that does not keep the mark shows the order under its number all the same."""
        desk.book.terms.echoes_mark = False
        request = desk.request()
        desk.broker.place(request)
        found = desk.broker.order(request.order_no)
        assert found is not None
        assert (found.order_no, found.user_mark) == (request.order_no, None)


class TestLists:
    """All pages, or no list."""

    def test_all_pages_are_read(self, desk: Desk) -> None:
        """Seven orders on pages of two are seven orders, oldest first, and both ends of the window are given."""
        desk.book.terms.page = 2
        made = [desk.broker.place(desk.request(1)) for _ in range(7)]
        read = desk.broker.orders(desk.clock.now() - timedelta(hours=1))
        assert [order.order_id for order in read.orders] == made
        assert read.complete
        assert desk.gateway.posts["orders"] == 4
        asked = json.loads(desk.gateway.requests[-1]["biz_content"])
        assert asked["start_date"] < asked["end_date"]
        assert (asked["sec_type"], asked["limit"], asked["page_token"]) == ("STK", 300, "page-6")

    def test_pages_in_a_circle_are_no_list(self, desk: Desk) -> None:
        """A token that comes back ends the reading; nothing is concluded from it."""
        page = {"code": 0, "data": {"items": [ITEM], "nextPageToken": "again"}}
        desk.gateway.answer_with("orders", page, page, page)
        with pytest.raises(BrokerUnavailable, match="circle"):
            desk.broker.orders(desk.clock.now())

    def test_one_bad_page_spoils_the_list(self, desk: Desk) -> None:
        """A second page that does not come makes the whole reading fail, rather than look complete."""
        desk.book.terms.page = 1
        for _ in range(2):
            desk.broker.place(desk.request(1))
        desk.gateway.answer_with("orders", {"code": 0, "data": {"items": [ITEM], "nextPageToken": "page-1"}})
        desk.gateway.answer_with("orders", *[{"code": 0, "data": {"nextPageToken": "x"}}] * 3)
        with pytest.raises(BrokerUnavailable, match="without a list"):
            desk.broker.orders(desk.clock.now())

    def test_other_instruments_are_left_out(self, desk: Desk) -> None:
        """Options, and stocks in other currencies, are none of this program's business."""
        others = [item(id=1, secType="OPT"), item(id=2, currency="HKD"), item(id=3)]
        desk.gateway.answer_with("orders", {"code": 0, "data": {"items": others}})
        assert [order.order_id for order in desk.broker.orders(desk.clock.now()).orders] == ["3"]

    def test_data_as_a_text_of_json(self, desk: Desk) -> None:
        """The data may come as a JSON text, as some of Tiger's replies do."""
        desk.gateway.answer_with("orders", {"code": 0, "data": json.dumps({"items": [ITEM]})})
        assert len(desk.broker.orders(desk.clock.now()).orders) == 1

    def test_sweep_over_many_numbers_costs_one_reading(self, desk: Desk) -> None:
        """Numbers that are asked for at once share one search; a send in between ends that."""
        requests = [desk.request(1) for _ in range(5)]
        for request in requests:
            assert desk.broker.order(request.order_no) is None
        assert desk.gateway.posts["orders"] == 1
        desk.broker.place(requests[0])
        assert desk.broker.order(requests[0].order_no) is not None


class TestExecutions:
    """Of a prime account."""

    def test_order_is_not_closed_before_its_last_execution_shows(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """An order whose executions lag is shown open, with the shares that are accounted for; then as it is."""
        desk = open_desk(Path(tmp_path_factory.getbasetemp()), account=PRIME_ACCOUNT)
        request = desk.request(10, Decimal(20))
        desk.broker.place(request)
        desk.gateway.answer_with("order_transactions", {"code": 0, "data": {"items": []}})
        (early,) = desk.broker.orders(desk.clock.now() - timedelta(hours=1)).orders
        (late,) = desk.broker.orders(desk.clock.now() - timedelta(hours=1)).orders
        assert (early.state, early.cum_qty, early.raw_status) == (BrokerState.NEW, Decimal(0), "Filled")
        assert (late.state, late.cum_qty, late.fills[0].last_qty) == (BrokerState.FILLED, Decimal(10), 10)
        desk.broker.orders(desk.clock.now() - timedelta(hours=1))
        assert desk.gateway.posts["order_transactions"] == 2
        desk.close()

    def test_executions_are_asked_for_together_and_within_the_limit(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Forty fills at once: the permits of the minute are used at once, and the rest shows as the limit allows."""
        desk = open_desk(Path(tmp_path_factory.getbasetemp()), account=PRIME_ACCOUNT)
        for order_no in range(1001, 1041):
            request = replace(desk.request(1, Decimal(20)), order_no=str(order_no))
            desk.clock.sleep(1)
            desk.broker.place(request)
        desk.gateway.delay = 0.05
        since = desk.clock.now() - timedelta(hours=1)
        shown = [sum(order.state is BrokerState.FILLED for order in desk.broker.orders(since).orders)]
        assert 34 <= shown[0] <= 36
        assert desk.gateway.most_at_once["order_transactions"] >= 12
        desk.clock.sleep(20)
        shown.append(sum(order.state is BrokerState.FILLED for order in desk.broker.orders(since).orders))
        assert (shown[1], desk.gateway.posts["order_transactions"]) == (40, 40)
        desk.close()


class TestFunds:
    """Field by field, as the facts sheet recommends."""

    def test_each_policy_has_the_lowest_of_its_figures(self, desk: Desk) -> None:
        """The expected figures of all three policies, from one reading that is kept raw for the journal."""
        desk.gateway.answer_with("prime_assets", assets())
        funds = desk.broker.funds()
        assert (funds.cash, funds.available, funds.locked) == (Decimal(900), Decimal(800), Decimal(100))
        assert spendable(funds, FundsPolicy.CASH) == 800
        assert spendable(funds, FundsPolicy.SETTLED_CASH) == 500
        assert spendable(funds, FundsPolicy.BUYING_POWER) == 4000
        assert funds.raw is not None
        assert funds.raw["S.uncollected"] == "300.0"
        assert funds.raw["USD.cashAvailableForTrade"] == "800.0"
        assert funds.raw["updateTimestamp"] == "1755078296228"

    @pytest.mark.parametrize(
        "name", ["cashBalance", "cashAvailableForTrade", "lockedFunds", "usd_cashAvailableForTrade", "currencyAssets"]
    )
    @pytest.mark.parametrize("value", [..., None, float("inf"), float("nan"), "a lot"], ids=str)
    def test_required_figure_must_be_there(self, desk: Desk, name: str, value: object) -> None:
        """Without a finite figure there is no reading; infinity never reaches the sizing."""
        desk.gateway.answer_with("prime_assets", assets(**{name: value}))
        with pytest.raises(BrokerUnavailable):
            desk.broker.funds()

    def test_withdrawal_figure_may_be_absent(self, desk: Desk) -> None:
        """Settled cash is then cash less what is in transit; without that as well, nothing is known to be settled."""
        desk.gateway.answer_with("prime_assets", assets(cashAvailableForWithdrawal=...))
        assert spendable(desk.broker.funds(), FundsPolicy.SETTLED_CASH) == 500
        desk.gateway.answer_with("prime_assets", assets(cashAvailableForWithdrawal=..., uncollected=...))
        assert spendable(desk.broker.funds(), FundsPolicy.SETTLED_CASH) < 0

    def test_money_in_other_currencies_is_told_apart(self, desk: Desk) -> None:
        """The dollars alone are the account's cash; the rest stands beside, none of it known to be settled or ever spent. A
        figure that is no number is not told of, and stops no reading.
        """
        reply = assets(cashBalance=10_000.0, cashAvailableForTrade=10_000.0, usd_cashAvailableForTrade=900.0)
        reply["data"]["segments"][0]["currencyAssets"] += [
            {"currency": "SGD", "cashBalance": 12.5},
            {"currency": "HKD", "cashBalance": 70_000.25},
            {"currency": "EUR", "cashBalance": float("inf")},
            {"currency": "CNH"},
            {"currency": "<b>", "cashBalance": 1.0},
            "nothing",
        ]
        desk.gateway.answer_with("prime_assets", reply)
        funds = desk.broker.funds()
        assert (funds.currency, funds.cash) == ("USD", Decimal(900))
        assert spendable(funds, FundsPolicy.CASH) == 800
        assert [(each.currency, each.cash, each.settled_cash) for each in funds.others] == [
            ("HKD", Decimal("70000.25"), None),
            ("SGD", Decimal("12.5"), None),
        ]

    def test_debts_in_another_currency_lower_what_may_be_spent(self, desk: Desk) -> None:
        """900 dollars and a debt that leaves 300 in all: no more than the 200 that are not locked are spent."""
        desk.gateway.answer_with("prime_assets", assets(cashBalance=300.0))
        assert spendable(desk.broker.funds(), FundsPolicy.CASH) == 200

    def test_funds_in_another_currency_are_refused(self, desk: Desk) -> None:
        """Figures in Hong Kong dollars are no US dollars."""
        desk.gateway.answer_with("prime_assets", assets(currency="HKD"))
        with pytest.raises(BrokerUnavailable, match="expected USD"):
            desk.broker.funds()

    def test_negative_lock_is_refused(self, desk: Desk) -> None:
        """A negative lock would create money."""
        desk.gateway.answer_with("prime_assets", assets(lockedFunds=-5.0))
        with pytest.raises(BrokerUnavailable, match="lockedFunds"):
            desk.broker.funds()

    def test_global_account(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """A global account shows cash and available funds, and nothing that is settled."""
        desk = open_desk(Path(tmp_path_factory.getbasetemp()), account="U1234567")
        funds = desk.broker.funds()
        assert (funds.cash, funds.available, funds.settled_cash) == (Decimal(10_000), Decimal(10_000), Decimal(0))
        desk.close()


class TestPositions:
    """Exact quantities, and no empty list on trust."""

    def test_exact_quantity_counts(self, desk: Desk) -> None:
        """``positionQty`` and ``salableQty`` are taken; the scaled one where the first is missing."""
        held = {"account": desk.book.account, "symbol": "AAA", "secType": "STK", "currency": "USD", "salableQty": 0.005}
        scaled = {**held, "position": 773, "positionScale": 5}
        desk.gateway.answer_with("positions", {"code": 0, "data": {"items": [{**scaled, "positionQty": 0.00774}]}})
        desk.gateway.answer_with("positions", {"code": 0, "data": {"items": [scaled]}})
        assert [p.qty for _ in range(2) for p in desk.broker.positions()] == [Decimal("0.00774"), Decimal("0.00773")]

    def test_position_without_an_account_is_read(self, desk: Desk) -> None:
        """The SDK raises TypeError for such an item."""
        held = {"symbol": "AAA", "positionQty": 5.0, "salableQty": 5.0}
        desk.gateway.answer_with("positions", {"code": 0, "data": {"items": [held]}})
        assert [position.qty for position in desk.broker.positions()] == [5]

    def test_position_without_its_sellable_part_is_refused(self, desk: Desk) -> None:
        """How much may be sold is never guessed."""
        desk.gateway.answer_with("positions", {"code": 0, "data": {"items": [{"symbol": "AAA", "positionQty": 5.0}]}})
        with pytest.raises(BrokerUnavailable, match="salableQty"):
            desk.broker.positions()

    def test_empty_list_is_checked_against_the_assets(self, desk: Desk) -> None:
        """No positions while the assets say that some are held: no reading, rather than "all sold"."""
        desk.gateway.answer_with("positions", {"code": 0, "data": {"items": []}})
        with pytest.raises(BrokerUnavailable, match="the assets say that there are some"):
            desk.broker.positions()


class TestQuotes:
    """Real time, or delayed and saying so."""

    def test_delayed_quotes_where_real_time_is_not_permitted(self, desk: Desk) -> None:
        """They bear the time they are of, fifteen minutes ago, so that no rule takes them for fresh."""
        assert desk.broker.quotes(["AAA"])["AAA"].at == desk.clock.now()
        assert not desk.broker.quoting.are_delayed
        desk.book.terms.real_time_quotes = False
        assert desk.broker.quotes(["AAA"])["AAA"].at == desk.clock.now() - timedelta(minutes=15)
        assert desk.broker.quoting.are_delayed

    def test_question_for_quotes_names_no_account(self, desk: Desk) -> None:
        """Quotes belong to the developer id; neither account nor secret key travels with them."""
        desk.broker.quotes(["AAA"])
        asked = json.loads(desk.gateway.requests[-1]["biz_content"])
        assert asked == {"lang": "en_US", "symbols": ["AAA"]}

    @pytest.mark.parametrize(
        "changes", [{"status": "HALTED"}, {"latestPrice": 0.0}, {"latestPrice": None}, {"latestTime": None}]
    )
    def test_unusable_quote_is_absent(self, desk: Desk, changes: dict[str, Any]) -> None:
        """What is halted, or has no price or no time, prices nothing."""
        quote = {"symbol": "AAA", "latestPrice": 20.0, "latestTime": 1_772_463_600_000, "status": "NORMAL", **changes}
        desk.gateway.answer_with("quote_real_time", {"code": 0, "data": [quote]})
        assert desk.broker.quotes(["AAA"]) == {}

    def test_steps_come_from_the_contract(self, desk: Desk) -> None:
        """Tick by price band and lot, asked for once; the US rule where nothing is known."""
        steps = steps_of(
            {"items": [{"symbol": "X", "lotSize": 100, "tickSizes": [{"begin": 0, "end": 1, "tickSize": 0.5}]}]}
        )
        assert (steps["X"].lot, steps["X"].tick(Decimal("0.5")), steps["X"].tick(Decimal(5))) == (
            100,
            Decimal("0.5"),
            Decimal("0.01"),
        )
        assert Steps(()).tick(Decimal("0.99")) == Decimal("0.0001")
        desk.broker.quotes(["AAA"])
        desk.broker.quotes(["AAA", "BBB"])
        desk.broker.quotes(["AAA", "BBB"])
        assert desk.gateway.posts["contracts"] == 2

    def test_market_state_is_asked_for_seldom(self, desk: Desk) -> None:
        """The gateway allows ten such questions a minute, so an answer is kept for a while."""
        for _ in range(5):
            assert desk.broker.market_state() == "TRADING"
        assert desk.gateway.posts["market_state"] == 1
        desk.book.terms.is_open = False
        desk.clock.sleep(31)
        assert desk.broker.market_state() == "MARKET_CLOSED"


def test_what_travels_is_what_was_asked_for(desk: Desk) -> None:
    """Day order in regular hours, number and mark set, float prices, no field that the server would fill in."""
    request = desk.request(7, Decimal("47.37"))
    desk.broker.place(request)
    sent = json.loads(next(r for r in desk.gateway.requests if r["method"] == "place_order")["biz_content"])
    assert sent == {
        "account": desk.book.account,
        "action": "BUY",
        "currency": "USD",
        "lang": "en_US",
        "limit_price": 47.37,
        "order_id": int(request.order_no),
        "order_type": "LMT",
        "outside_rth": False,
        "sec_type": "STK",
        "symbol": "BBB",
        "time_in_force": "DAY",
        "total_quantity": 7,
        "user_mark": request.cl_ord_id,
    }
