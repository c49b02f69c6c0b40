"""How fast a cycle goes at a gateway whose calls are slow: the real engine, journal and SDK; figures, nothing asserted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from oms.engine.driver import Driver, Settings
from oms.engine.worker import Assignment, Worker
from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from oms.journal.inbox import Inbox
from oms.journal.store import open_journal
from oms.model.order import Side
from oms.model.rules import Rules
from oms.model.signal import Signal, Signals
from tests.fakes.clock import START
from tests.fakes.market import FixedMarket
from tests.tigerd.book import Book
from tests.tigerd.desk import open_desk
from tests.tigerd.gateway import Call, Gateway
from tests.tigerd.pushd import Pushd

PRICE = Decimal(50)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """One cycle, in seconds as the gateway saw it."""

    sell_round: float
    """From the first sell received to the last one answered."""
    buy_round: float
    slowest_call: float
    """Of those, as the gateway answered it."""
    sold_to_money: float
    """From the last sell's answer to the end of the first reading of the funds that showed the money."""
    money_to_bought: float
    """From the end of that reading to the first buy received."""
    sold_to_bought: float
    """From the last sell's answer to the first buy received."""
    calls: int


def pace(folder: Path, *, orders: int, delay: float, settle_s: float, poll_s: float, push: bool) -> Pace:
    """One cycle of so many sells and so many buys, whose money shows ``settle_s`` after the last sell."""
    symbols = [f"S{number:03d}" for number in range(2 * orders)]
    sells, buys = symbols[:orders], symbols[orders:]
    market, clock = FixedMarket(dict.fromkeys(symbols, PRICE), START.date()), SystemClock()
    pushd = Pushd() if push else None
    desk = open_desk(
        folder,
        clock=clock,
        prices=market.prices,
        market_time=market.time,
        cash=Decimal(1000),
        positions=dict.fromkeys(sells, 10),
        pushd=pushd,
    )
    desk.book.terms.settle_after = timedelta(seconds=settle_s)
    rules = Rules(poll=timedelta(seconds=poll_s), grace=timedelta(0), max_trades_per_day=10_000)
    signals = Signals(
        signals=(
            *(Signal(side=Side.SELL, symbol=symbol, quantity=None) for symbol in sells),
            *(Signal(side=Side.BUY, symbol=symbol, quantity=5) for symbol in buys),
        ),
        source="bench",
        digest="0",
    )
    hands = ThreadHands(28)
    with (
        closing(hands),
        _moving(desk.book),
        closing(desk),
        closing(Inbox(folder / "inbox.db")) as inbox,
        closing(open_journal(f"sqlite:///{(folder / 'oms.db').as_posix()}", "bench", "paper", clock)) as journal,
    ):
        driver = Driver(journal, desk.broker, market, clock, hands, inbox, rules, Settings())
        assignment = Assignment(mode="paper", config_hash="c", canonical="{}", version="bench", loop=False)
        desk.broker.funds()  # the first connection is not what is measured
        desk.gateway.delay = delay
        worker = Worker(driver, assignment, wishes=lambda _: signals, new_cycle_id=lambda: "c-bench")
        ending = worker.run()
        if ending.exit_code or len(desk.book.orders) != 2 * orders:
            raise AssertionError(f"the bench's cycle did not go as planned: {ending}")
        found = _pace(desk.gateway)
    if pushd is not None:
        pushd.close()
    return found


@contextmanager
def _moving(book: Book) -> Iterator[None]:
    """The broker goes on by itself, as a broker does, and pushes what changed."""
    over = threading.Event()

    def move() -> None:
        while not over.wait(0.01):
            book.move()

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _pace(gateway: Gateway) -> Pace:
    placed = [call for call in gateway.calls if call.method == "place_order"]
    sold = [call for call in placed if call.biz["action"] == "SELL"]
    bought = [call for call in placed if call.biz["action"] == "BUY"]
    last_sold, first_bought = max(call.ended for call in sold), min(call.began for call in bought)
    readings = [
        c for c in gateway.calls if c.method == "prime_assets" and last_sold <= c.began and c.ended <= first_bought
    ]
    money = sorted(readings, key=lambda call: call.ended)[-2]  # the buys need two equal readings that cover the money
    return Pace(
        sell_round=_span(sold),
        buy_round=_span(bought),
        slowest_call=max(call.ended - call.began for call in placed),
        sold_to_money=money.ended - last_sold,
        money_to_bought=first_bought - money.ended,
        sold_to_bought=first_bought - last_sold,
        calls=len(gateway.calls),
    )


def _span(calls: list[Call]) -> float:
    return max(call.ended for call in calls) - min(call.began for call in calls)
