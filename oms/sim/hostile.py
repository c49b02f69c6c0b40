"""The broker's door in bad weather: what the wire loses, delays and garbles, and what the reads do not show."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from oms import crashpoints
from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused
from oms.model.account import Funds, Position, Quote
from oms.model.order import ZERO, BrokerOrder, BrokerState, OrderRequest
from oms.ports import Broker, Capabilities, OrdersRead
from oms.sim.exchange import CENT, Exchange, Orders, Resting
from oms.sim.faults import Fault
from oms.sim.sky import Sky
from oms.sim.timeline import Timeline, micros

ODD_WORDS = ("SUSPENDED_BY_EXCHANGE", "", "7", "Filled ")
LIST_LAG = 1_500_000
"""Microseconds."""


class HostileBroker(Broker):
    """One exchange behind a wire that cannot be trusted."""

    name = "sim"

    def __init__(self, exchange: Exchange, timeline: Timeline, sky: Sky, refuses_repeats: timedelta | None) -> None:
        self.capabilities = Capabilities(
            reserves_numbers=True, refuses_repeats=refuses_repeats, reports_executions=True, currency="USD"
        )
        self._exchange = exchange
        self._timeline = timeline
        self._sky = sky
        self._window = refuses_repeats
        self._down_until = 0
        self._slow = 0.0
        self._odd: dict[str, int] = {}
        """Order id to the instant until which its status word is one nobody knows."""
        self._hidden: dict[str, int] = {}
        self._under_way: dict[int, Callable[[], None]] = {}
        self._lied_about_funds = False
        self._strangers = 0
        """Deeds of strangers before this cycle."""
        self.is_known = False
        """The journal has its opening balance, which no later fact could tell to be a lie."""

    # What the world does to it

    def go_down(self, seconds: float) -> None:
        """Nothing answers for so long."""
        self._down_until = max(self._down_until, self._timeline.us + micros(seconds))

    def heal(self) -> None:
        """The weather clears: what is under way arrives, and everything is shown as it is."""
        self._down_until = 0
        self._odd.clear()
        self._hidden.clear()
        for deliver in list(self._under_way.values()):
            deliver()

    def new_cycle(self) -> None:
        """At most one reading of the funds in a cycle is too high, and none once a stranger has moved money in it.

        Else the one reading that could show what he took would be the lie, and nobody could know.
        """
        self._lied_about_funds = False
        self._strangers = self._exchange.strangers
        self.is_known = True

    def is_under_way(self, order_no: str | None) -> bool:
        """Whether a request with this number may still arrive."""
        return any(getattr(deliver, "order_no", None) == order_no for deliver in self._under_way.values())

    def slowness(self) -> float:
        """Seconds by which the answer of the call that has just run is held back."""
        slow, self._slow = self._slow, 0.0
        return slow

    # Orders

    def reserve(self, count: int) -> list[str]:
        self._read("reserve")
        numbers = self._exchange.reserve(count)
        if self._sky.strikes(Fault.BAD_NUMBERS):
            used = sorted(self._exchange.taken)
            return self._chance(Fault.BAD_NUMBERS).choice(
                [numbers[:-1], ["" for _ in numbers], [numbers[0]] * (count + 1), [*numbers[:-1], *(used[:1] or [""])]]
            )
        return numbers

    def place(self, order: OrderRequest) -> str:
        self._sky.trace.note(f"> place {order.order_no} {order.side} {order.order_qty} {order.symbol} at {order.price}")
        left_at = self._timeline.tick()
        self._lost_on_the_way(order, left_at)
        crashpoints.point("paper.place.before_accept")
        if self._sky.strikes(Fault.REFUSED, "SENDING"):
            raise self._exchange.refuse(order, "restricted")
        taken = self._arrive(order, left_at)
        crashpoints.point("paper.place.after_accept")
        if self._sky.strikes(Fault.REPLY_LOST, "SENDING"):
            raise InDoubt("timeout", "the reply was lost")
        if self._sky.strikes(Fault.GARBAGE, "SENDING"):
            return cast("str", self._garbage())
        if self._sky.strikes(Fault.SLOW_REPLY, "SENDING"):
            self._slow = 95.0
        return taken.order_id

    def _lost_on_the_way(self, order: OrderRequest, left_at: int) -> None:
        """End the call where the request does not arrive in time."""
        sky = self._sky
        if self._timeline.us < self._down_until:
            if self._chance("outage").random() < 0.6:
                raise NotSent("connection_refused", "the broker is down")
            raise InDoubt("reset", "the connection was reset")
        if sky.strikes(Fault.NOT_SENT, "SENDING"):
            raise NotSent("connection_refused", "nothing left this machine")
        if sky.strikes(Fault.REQUEST_LOST, "SENDING"):
            raise InDoubt("timeout", "no reply")
        for fault, shortest, longest in ((Fault.LATE, 1, 600), (Fault.VERY_LATE, 3_600, 86_400)):
            if sky.strikes(fault, "SENDING"):
                chance = self._chance(fault)
                delay = shortest * (longest / shortest) ** chance.random()
                if self._window is not None:
                    # A broker is certified to refuse repeats for longer than its network keeps anything.
                    delay = min(delay, self._window.total_seconds() / 2)
                self._deliver_later(order, left_at, micros(delay))
                raise InDoubt("timeout", "no reply")

    def _deliver_later(self, order: OrderRequest, left_at: int, delay: int) -> None:
        key = len(self._under_way) + self._timeline.us

        def deliver() -> None:
            if self._under_way.pop(key, None) is None:
                return
            self._sky.trace.note(f"> {order.order_no} arrives late")
            try:
                self._arrive(order, left_at)
            except Refused as refusal:
                self._sky.trace.note(f"< {refusal}")

        deliver.order_no = order.order_no  # type: ignore[attr-defined]  # whose request it is
        self._under_way[key] = deliver
        self._timeline.after(delay, deliver)

    def _arrive(self, order: OrderRequest, left_at: int) -> Resting:
        taken = self._exchange.place(order, self._fate(order), left_at=left_at)
        if self._sky.strikes(Fault.UNKNOWN_STATUS, "SENDING"):
            lasts = self._chance(Fault.UNKNOWN_STATUS).choice([1.0, 6.0, 100_000.0])
            self._odd[taken.order_id] = self._timeline.us + micros(lasts)
        if self._sky.strikes(Fault.HIDDEN, "SENDING"):
            lasts = self._chance(Fault.HIDDEN).choice([0.5, 4.0, 40.0])
            self._hidden[taken.order_id] = self._timeline.us + micros(lasts)
        return taken

    def _fate(self, order: OrderRequest) -> Orders:
        """How the order will trade."""
        sky, now = self._sky, self._timeline.us
        if sky.strikes(Fault.STUCK, "SENDING"):
            return Orders(due=[(now + micros(10_000_000), order.order_qty)])
        delay = micros(10 ** self._chance("slow").uniform(-1, 1.3)) if sky.strikes(Fault.SLOW_FILL, "SENDING") else 0
        due = [(now + delay, order.order_qty)]
        if order.order_qty > 1 and sky.strikes(Fault.PARTIAL, "SENDING"):
            cut = self._chance("cut").randint(1, order.order_qty - 1)
            rest = micros(10 ** self._chance("cut").uniform(-1, 1.5))
            due = [(now + delay, cut), (now + delay + rest, order.order_qty - cut)]
        if sky.strikes(Fault.ASYNC_REJECT, "SENDING"):
            part = [(now + delay, due[0][1])] if len(due) > 1 else []
            return Orders(due=part, reject_at=now + delay + micros(0.3))
        return Orders(due=due)

    def _garbage(self) -> Any:
        kind = self._chance(Fault.GARBAGE).randrange(6)
        if kind == 0:
            raise ValueError("Expecting value: line 1 column 1 (char 0)")
        if kind == 1:
            raise KeyError("id")
        if kind == 2:
            raise OSError("tlsv1 alert internal error")
        return ("", None, 0)[kind - 3]

    def cancel(self, order_no: str, order_id: str | None) -> None:  # noqa: ARG002  # the number is enough here
        self._sky.trace.note(f"> cancel {order_no}")
        if self._timeline.us < self._down_until:
            raise NotSent("connection_refused", "the broker is down")
        lost = self._sky.strikes(Fault.CANCEL_LOST, "PENDING_CANCEL")
        if lost and self._chance("lost").random() < 0.5:
            raise InDoubt("timeout", "no reply")
        found = self._exchange.find(order_no)
        if not found:
            self._exchange.cancel_unknown(order_no)
            raise Refused("unknown_order", order_no)
        for order in found:
            self._cancel(order)
        if lost:
            raise InDoubt("timeout", "the reply was lost")

    def _cancel(self, order: Resting) -> None:
        sky, at, after = self._sky, self._timeline.us, 0
        if sky.strikes(Fault.CANCEL_RACE, "PENDING_CANCEL"):
            self._exchange.fill_now(order)
        if sky.strikes(Fault.SLOW_CANCEL, "PENDING_CANCEL"):
            at += micros(2.5)
        if sky.strikes(Fault.FILL_AFTER_CANCEL, "PENDING_CANCEL"):
            after = max(order.leaves // 2, 1)
        if not self._exchange.cancel(order, at=at, fill_after=after):
            raise Refused("already_closed", order.order_id)

    # Reads

    def stirred(self) -> bool:
        """A push that is as often wrong as right: it says so where nothing changed, and says nothing where much did."""
        return self._sky.strikes(Fault.STIRRED)

    def _read(self, what: str) -> None:
        """Trouble that every read may meet."""
        if self._timeline.us < self._down_until or self._sky.strikes(Fault.READ_FAILS):
            raise BrokerUnavailable(f"{what} failed")
        if self._sky.strikes(Fault.READ_SLOW):
            self._slow = self._chance(Fault.READ_SLOW).choice([2.0, 20.0, 70.0])
        self._exchange.advance()

    def orders(self, since: datetime) -> OrdersRead:
        self._read("orders")
        began = micros(since.timestamp())
        # Orders carry true instants and ``since`` the machine's: one that is wrong shows more, or all.
        shown = [
            report
            for order in self._exchange.orders
            if (report := self._shown(order)) is not None and (order.shown[0][0] >= began or began > self._timeline.us)
        ]
        complete = True
        if self._sky.strikes(Fault.INCOMPLETE):
            chance = self._chance(Fault.INCOMPLETE)
            shown = [report for report in shown if chance.random() < 0.5]
            complete = False
        return OrdersRead(orders=tuple(shown), complete=complete, asked_at=since)

    def order(self, order_no: str) -> BrokerOrder | None:
        self._read("order")
        found = [report for order in self._exchange.find(order_no) if (report := self._shown(order)) is not None]
        return found[0] if found else None

    def _shown(self, order: Resting) -> BrokerOrder | None:
        """What reads show of an order now; None where they do not show it."""
        now = self._timeline.us
        if self._hidden.get(order.order_id, 0) > now:
            return None
        until = now - (LIST_LAG if self._sky.is_so(Fault.LIST_LAG) else 0)
        report = next((report for at, report in reversed(order.shown) if at <= until), None)
        if report is None:
            return None
        if self._sky.is_so(Fault.MARK_LOST):
            report = replace(report, user_mark=None)
        if self._odd.get(order.order_id, 0) > now:
            return replace(report, state=BrokerState.UNKNOWN, raw_status=ODD_WORDS[order.id % len(ODD_WORDS)])
        is_long = len(report.fills) > 1 and report.state is BrokerState.FILLED
        if is_long and self._sky.strikes(Fault.FILLED_SHORT, "PARTIALLY_FILLED"):
            return _short(report)
        return report

    def funds(self) -> Funds:
        self._read("funds")
        exchange, late = self._exchange, self._exchange.late
        cash, available = exchange.cash - late, exchange.available
        wrong = ZERO
        if self.is_known and self._sky.strikes(Fault.FUNDS_LOW):
            wrong = -self._amount()
        elif self.is_known and self._may_exaggerate() and self._sky.strikes(Fault.FUNDS_HIGH):
            self._lied_about_funds = True
            wrong = self._amount()
        if self._sky.strikes(Fault.FUNDS_NOT_FINITE):
            wrong = self._chance(Fault.FUNDS_NOT_FINITE).choice(
                [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")]
            )
        return Funds(
            currency="USD",
            cash=cash + wrong,
            settled_cash=cash + wrong - max(exchange.unsettled - late, ZERO),
            available=available + wrong,
            locked=exchange.locked,
            buying_power=available + wrong,
            at=self._timeline.now(),
        )

    def _may_exaggerate(self) -> bool:
        return not self._lied_about_funds and self._strangers == self._exchange.strangers

    def _amount(self) -> Decimal:
        return Decimal(self._chance("funds").randint(1, 2_000_000)) * CENT

    def positions(self) -> list[Position]:
        self._read("positions")
        return [
            Position(symbol=symbol, qty=qty, sellable=self._exchange.sellable(symbol), avg_cost=Decimal(50))
            for symbol, qty in sorted(self._exchange.positions.items())
            if qty
        ]

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        self._read("quotes")
        wanted: Sequence[str] = [symbol for symbol in symbols if symbol in self._exchange.prices]
        if wanted and self._sky.strikes(Fault.PRICE_JUMP):
            self.jump_price(self._chance(Fault.PRICE_JUMP).choice(wanted))
        found = {}
        for symbol in wanted:
            if self._sky.strikes(Fault.NO_QUOTE):
                continue
            quote = self._exchange.quote(symbol)
            old = timedelta(minutes=3) if self._sky.strikes(Fault.OLD_QUOTE) else timedelta(0)
            found[symbol] = replace(quote, at=quote.at - old)
        return found

    def jump_price(self, symbol: str) -> None:
        """Move a price, mostly a little."""
        chance = self._chance("jump")
        factor = Decimal(round(chance.choice([1.002, 0.998, 1.01, 0.99, 1.05, 0.95, 1.5, 0.5]), 3))
        self._exchange.prices[symbol] = max((self._exchange.prices[symbol] * factor).quantize(CENT), Decimal(10))

    def close(self) -> None:
        """Nothing is open."""

    def _chance(self, name: str) -> random.Random:
        return self._sky.stream(f"{name}+")


def _short(report: BrokerOrder) -> BrokerOrder:
    """Called filled, with the last execution missing."""
    kept = report.fills[:-1]
    return replace(
        report,
        fills=kept,
        cum_qty=Decimal(sum(fill.last_qty for fill in kept)),
        notional=sum((fill.last_qty * fill.last_px for fill in kept), ZERO),
        fees=sum((fill.fee for fill in kept), ZERO),
    )
