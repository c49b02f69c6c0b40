"""The paper broker's own log, by which the laws are judged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.errors import Refused
from oms.gateways.paper.log import LogEntry, LogKind, read_log
from oms.model.order import Side
from tests.contract.broker_contract import PRICE
from tests.gateways.test_paper import PaperStage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[PaperStage]:
    stage = PaperStage(tmp_path / "paper.db", fee_per_share=Decimal("0.01"), partial_fills=Decimal(1))
    yield stage
    stage.close()


def last(stage: PaperStage, count: int) -> list[LogEntry]:
    return read_log(stage.path)[-count:]


def test_a_book_begins_with_its_opening_balance(stage: PaperStage) -> None:
    """The first rows tell opening cash and positions, so that cash can be added up from the log alone."""
    opened, position = read_log(stage.path)
    assert (opened.kind, opened.price, opened.cash) == (LogKind.OPENED, Decimal(10_000), Decimal(0))
    assert (position.kind, position.symbol, position.qty) == (LogKind.OPENED_POSITION, "AAA", Decimal(100))


def test_a_request_leaves_its_whole_story(stage: PaperStage) -> None:
    """Numbers, request, acceptance and both executions are rows, in order, with every field that travelled."""
    request = stage.request("AAA", Side.SELL, 50, Decimal("19.50"), mark="m1")
    order_id = stage.broker.place(request)
    stage.clock.advance(timedelta(seconds=1))
    stage.broker.orders(stage.now())
    reserved, received, accepted, first, second = last(stage, 5)
    assert (reserved.kind, reserved.qty) == (LogKind.RESERVE_RECEIVED, Decimal(1))
    assert reserved.text == f"{request.order_no} to {request.order_no}"
    assert (received.kind, received.order_id) == (LogKind.PLACE_RECEIVED, None)
    assert [row.kind for row in (accepted, first, second)] == [LogKind.ACCEPTED, LogKind.FILL, LogKind.FILL]
    for row in (received, accepted):
        assert (row.symbol, row.side, row.qty, row.price) == ("AAA", Side.SELL, Decimal(50), Decimal("19.50"))
    for row in (received, accepted, first, second):
        assert (row.order_no, row.user_mark, row.day) == (request.order_no, "m1", stage.market.day)
    assert {row.order_id for row in (accepted, first, second)} == {order_id}
    fills = stage.shown(request).fills
    assert [(row.exec_id, row.qty, row.price, row.fee) for row in (first, second)] == [
        (fill.exec_id, Decimal(fill.last_qty), fill.last_px, fill.fee) for fill in fills
    ]
    assert second.at - first.at == timedelta(seconds=1)


def test_refusals_and_repeats_are_rows(stage: PaperStage) -> None:
    """Each request that was refused is a row of its own, a repeat too, with the code first in its text."""
    request = stage.resting_buy()
    stage.broker.place(request)
    for again in (request, stage.request("AAA", Side.SELL, 101)):
        with pytest.raises(Refused):
            stage.broker.place(again)
    log = read_log(stage.path)
    assert [row.text.split(":")[0] for row in log if row.kind is LogKind.REFUSED] == [
        "duplicate_number",
        "insufficient_shares",
    ]
    assert sum(row.kind is LogKind.PLACE_RECEIVED for row in log) == 3
    assert sum(row.kind is LogKind.ACCEPTED for row in log) == 1


def test_cancels_and_expiries_tell_the_rest(stage: PaperStage) -> None:
    """CANCELED and EXPIRED carry the shares that trade no more; a cancel that came too late is a refused one."""
    cancelled, expired = stage.resting_buy(10), stage.resting_buy(20)
    for request in (cancelled, expired):
        stage.broker.place(request)
    stage.broker.cancel(cancelled.order_no, None)
    with pytest.raises(Refused):
        stage.broker.cancel(cancelled.order_no, None)
    stage.market.next_day()
    stage.broker.orders(stage.now())
    assert [(row.kind, row.qty) for row in last(stage, 5)] == [
        (LogKind.CANCEL_RECEIVED, Decimal(10)),
        (LogKind.CANCELED, Decimal(10)),
        (LogKind.CANCEL_RECEIVED, Decimal(0)),
        (LogKind.CANCEL_REFUSED, None),
        (LogKind.EXPIRED, Decimal(20)),
    ]


def test_a_mad_request_is_logged_all_the_same(stage: PaperStage) -> None:
    """A figure too large or too strange to store is left out of the row; the request and its refusal are in."""
    with pytest.raises(Refused):
        stage.broker.place(stage.request("AAA", Side.SELL, 10**40, Decimal("NaN")))
    received, refused = last(stage, 2)
    assert (received.kind, received.qty, received.price) == (LogKind.PLACE_RECEIVED, None, None)
    assert refused.kind is LogKind.REFUSED


def test_money_before_each_deed_is_told(stage: PaperStage) -> None:
    """A row carries the figures from before its deed: nothing locked at acceptance, the lock at the first execution."""
    stage.broker.place(stage.request("BBB", Side.BUY, 10, PRICE + 1))
    accepted, fill = last(stage, 2)
    assert (accepted.cash, accepted.locked, accepted.available) == (Decimal(10_000), Decimal(0), Decimal(10_000))
    assert (fill.cash, fill.locked, fill.available) == (Decimal(10_000), Decimal("210.1"), Decimal("9789.9"))


def test_cash_adds_up_from_the_log_alone(stage: PaperStage) -> None:
    """Opening cash, executions, fees and hand-made movements add up to the cash of the account."""
    for qty in (3, 7, 11):
        stage.broker.place(stage.request("AAA", Side.SELL, qty))
        stage.broker.place(stage.request("BBB", Side.BUY, qty, Decimal(21)))
    stage.somebody.external_cash(Decimal("-12.34"))
    stage.somebody.external_order("AAA", Side.SELL, Decimal("0.333"))
    stage.pass_time()
    cash = Decimal(0)
    for row in read_log(stage.path):
        if row.kind in (LogKind.OPENED, LogKind.CASH_MOVED):
            assert row.price is not None
            cash += row.price
        if row.kind is LogKind.FILL:
            assert None not in (row.qty, row.price, row.fee)
            sign = 1 if row.side is Side.SELL else -1
            cash += sign * (row.qty or 0) * (row.price or 0) - (row.fee or 0)
    assert cash == stage.broker.funds().cash


def test_foreign_rows_have_no_number_of_ours(stage: PaperStage) -> None:
    """What somebody else did is in the log without a reserved number; shares moved by hand are too."""
    stage.foreign_order("AAA", Side.SELL, Decimal("2.5"), PRICE * 2)
    stage.somebody.external_shares("NEW", Decimal("1.5"))
    received, accepted, moved = last(stage, 3)
    assert (received.order_no, accepted.order_no) == (None, None)
    assert (moved.kind, moved.symbol, moved.qty) == (LogKind.SHARES_MOVED, "NEW", Decimal("1.5"))


def test_log_is_append_only(stage: PaperStage) -> None:
    """Rows can be neither changed nor deleted, not even by replacing them."""
    connection = stage.paper._book._connection
    for sql in (
        "UPDATE log SET text = 'x'",
        "DELETE FROM log",
        "INSERT OR REPLACE INTO log (id, at, kind, text, cash, available, locked) VALUES (1, 0, 'fill', '', 0, 0, 0)",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(sql)
    assert [row.id for row in read_log(stage.path)] == [1, 2]


def test_log_is_readable_while_the_broker_works(stage: PaperStage) -> None:
    """The log can be read while a deed holds the book's write lock, and shows what was committed."""
    with stage.paper._book.transaction():
        stage.paper._book.log(LogKind.CASH_MOVED, stage.now(), price=Decimal(1))
        assert len(read_log(stage.path)) == 2
    assert len(read_log(stage.path)) == 3


def test_no_book_no_log(tmp_path: Path) -> None:
    """Reading the log of a missing book is an error and makes no file."""
    with pytest.raises(sqlite3.OperationalError):
        read_log(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
