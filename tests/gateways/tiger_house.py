"""A whole engine over loopback: real driver, real SDK, and the gateway's own log for a judge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.engine.driver import Driver, Settings
from oms.model.cycle import Phase
from oms.model.order import Order, OrderRequest, Side
from oms.model.rules import Rules
from oms.ports import Broker, Clock, Hands
from oms.sim.evidence import Evidence
from oms.sim.laws import LAWS
from tests.engine.house import PRICES, House, TickingClock
from tests.fakes.clock import START
from tests.fakes.hands import SequentialHands
from tests.fakes.journal import MemoryJournal, MemoryMailbox
from tests.fakes.market import FixedMarket
from tests.tigerd.book import OPEN, PAPER_ACCOUNT
from tests.tigerd.desk import TIMEOUT_S, open_desk
from tests.tigerd.pushd import Pushd

BY_EXECUTION = ("a_fill_in_the_journal_is_a_fill_at_the_broker", "a_fill_at_the_broker_is_a_fill_in_the_journal")
"""Laws that compare executions by their names."""


class Death(BaseException):
    """The process is gone, at once and without a word."""


class TigerHouse(House):
    """One account of 20,000, 100 AAA at 50 and 200 BBB at 20 at the gateway, and its engine's processes."""

    def __init__(
        self,
        folder: Path,
        *,
        refuses_repeats: bool = True,
        rules: Rules | None = None,
        account: str = PAPER_ACCOUNT,
        clock: Clock | None = None,
        hands: Hands | None = None,
        prices: dict[str, Decimal | str] | None = None,
        positions: dict[str, int] | None = None,
        timeout: float = TIMEOUT_S,
        pushd: Pushd | None = None,
        tls: bool = False,
    ) -> None:
        self.rules = rules or Rules()
        self.clock = clock or TickingClock()  # type: ignore[assignment]
        self.market = FixedMarket(prices or PRICES, START.date())
        self.mailbox = MemoryMailbox()
        self.journal = MemoryJournal(self.clock)
        self.patient = False
        self.mode = "paper"
        self.stopping: Callable[[], int | None] = lambda: None
        self._hands = hands or SequentialHands()
        self._cycles = 0
        self.desk = open_desk(
            folder,
            account=account,
            clock=self.clock,
            refuses_repeats=timedelta(hours=1) if refuses_repeats else None,
            prices=self.market.prices,
            market_time=self.market.time,
            timeout=timeout,
            pushd=pushd,
            tls=tls,
            cash=Decimal(20_000),
            positions={"AAA": 100, "BBB": 200} if positions is None else positions,
        )
        self.tiger: Broker = self.desk.broker

    def driver(self) -> Driver:
        return Driver(
            self.journal,
            self.tiger,
            self.market,
            self.clock,
            self._hands,
            self.mailbox,
            self.rules,
            Settings(patient=self.patient),
            stopping=self.stopping,
        )

    @property
    def book(self) -> Any:
        return self.desk.book

    @property
    def terms(self) -> Any:
        return self.desk.book.terms

    def die_at_place(self, nth: int, *, after: bool) -> None:
        """The process dies at its ``nth`` place from now: after the broker accepted, or before the request left."""
        place, left = self.desk.client.place, [nth]

        def dying(request: OrderRequest, order_no: int, price: float | None) -> int:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Death
            answer = place(request, order_no, price)
            if left[0] == 0:
                raise Death
            return answer

        self.desk.client.place = dying  # type: ignore[method-assign]

    def live_again(self) -> None:
        """The next process starts with what is there."""
        if "place" in vars(self.desk.client):
            del self.desk.client.place
        self.reborn()

    @property
    def orders(self) -> list[Order]:
        return list(self.cycle.orders.values())

    def judge(self, *, known: bool = True) -> None:
        """The laws that must hold after every run, judged from the gateway's log.

        At most one order for an intent; what was accepted is what was journaled; one request for a number, but for
        re-sends where repeats are refused; buys only after every sell was done; and, with ``known``, none forgotten.
        """
        ours = [order for order in self.book.orders if order.order_id]
        assert all(count == 1 for count in Counter(order.order_id for order in ours).values())
        assert all(count == 1 for count in self.book.accepted().values())
        journaled = {intent.order.order_no: intent.order for intent in self.evidence.intents.values()}
        for kept in ours:
            order = journaled[str(kept.order_id)]
            assert (order.cl_ord_id, order.symbol, order.side.value) == (kept.mark, kept.symbol, kept.action)
            assert (Decimal(order.order_qty), order.price) == (kept.qty, kept.limit)
            assert order.sends >= 1
            if known:
                assert order.order_id == str(kept.id)
                assert Decimal(order.cum_qty) == kept.filled
                assert order.is_closed == (kept.status not in OPEN)
        self._judge_the_wire()
        broken = [
            str(violation) for name, law in LAWS.items() if self._applies(name) for violation in law(self.evidence)
        ]
        assert not broken, "\n".join(broken)

    @property
    def evidence(self) -> Evidence:
        """Both sides as they stand: the gateway's own log, and the journal's facts."""
        return Evidence(
            log=self.book.log,
            facts=self.journal.rows,
            state=self.journal.state,
            rules=self.rules,
            refuses_repeats=self.tiger.capabilities.refuses_repeats is not None,
            restart_token=self.journal.lease.restart_token,
            in_flight=timedelta(seconds=2),
        )

    def _applies(self, law: str) -> bool:
        """An account that shows cumulative figures only has no names of executions to compare; its sums are compared."""
        return law not in BY_EXECUTION or self.tiger.capabilities.reports_executions

    def _judge_the_wire(self) -> None:
        sent: Counter[int] = Counter()
        for request in self.desk.gateway.requests:
            if request["method"] == "place_order":
                sent[json.loads(request["biz_content"])["order_id"]] += 1
        most = self.rules.max_sends if self.terms.refuses_repeats else 1
        assert all(count <= most for count in sent.values()), sent

    @property
    def cycle_is_past_its_sells(self) -> bool:
        cycle = self.journal.state.cycle
        return cycle is not None and cycle.phase is not Phase.SELLING

    @property
    def bought(self) -> list[str]:
        return [order.symbol for order in self.book.orders if order.action == Side.BUY.value]
