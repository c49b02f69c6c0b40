"""Operators and strangers: what people do to the account while the engine trades on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from oms.model.order import Side
from oms.model.state import AccountState
from oms.ports import Mailbox, Message
from oms.sim.exchange import CENT, Exchange, open_ours, request_of_stranger
from oms.sim.hostile import HostileBroker
from oms.sim.scenario import SYMBOLS, Visit
from oms.sim.sky import Sky
from oms.sim.timeline import MachineClock, Timeline, micros


class SimMailbox(Mailbox):
    """Commands that wait; they survive every death, as the real mailbox does."""

    def __init__(self, clock: MachineClock) -> None:
        self._clock = clock
        self._messages: list[Message] = []

    def post(self, command: str, **arguments: str) -> None:
        self._messages.append(
            Message(
                inbox_id=len(self._messages) + 1,
                at=self._clock.now(),
                author="ann",
                command=command,
                arguments=arguments,
            )
        )

    def unread(self, after: int) -> list[Message]:
        return self._messages[after:]

    def taken(self, inbox_id: int, answer: str) -> None:
        """The answer goes to nobody here."""

    def close(self) -> None:
        """Nothing is open."""


class People:
    """Everybody who does something to the account without being the engine."""

    def __init__(
        self,
        sky: Sky,
        timeline: Timeline,
        *,
        clock: MachineClock,
        exchange: Exchange,
        broker: HostileBroker,
        mailbox: SimMailbox,
        state: Callable[[], AccountState | None],
        is_idle: Callable[[], bool],
    ) -> None:
        self._sky = sky
        self._timeline = timeline
        self._clock = clock
        self._exchange = exchange
        self._broker = broker
        self._mailbox = mailbox
        self._state = state
        self._is_idle = is_idle
        """No process of ours is running."""
        self._chance = sky.stream("people")

    def expect(self, visits: tuple[Visit, ...]) -> None:
        """Let each of these happen at its instant."""
        for visit in visits:
            self._timeline.after(micros(visit.after), lambda visit=visit: self._come(visit))  # type: ignore[misc]

    def _come(self, visit: Visit) -> None:
        if self._sky.calm or not self._broker.is_known:
            # Nobody can tell what happens between the reading and the writing of the opening balance.
            return
        deed: Callable[[], bool] = getattr(self, f"_{visit.kind}")
        if deed():
            self._sky.happened(visit.kind, text=visit.name)

    def let_go(self) -> None:
        """At the end of the bad weather every brake is released and every order in doubt is settled by a person."""
        state = self._state()
        if state is None:
            return
        if state.halt is not None or any(m.command == "halt" for m in self._mailbox.unread(state.inbox_id)):
            self._mailbox.post("release", reason="the weather has cleared")
        self._resolve()

    # Operators

    def _halt(self) -> bool:
        self._brake("buys")
        return True

    def _halt_all(self) -> bool:
        self._brake("all")
        return True

    def _brake(self, scope: str) -> None:
        self._mailbox.post("halt", scope=scope, reason="simulated")
        wait = micros(10 ** self._chance.uniform(-1, 1.3))
        self._timeline.after(wait, lambda: self._mailbox.post("release", reason="simulated"))

    def _disarm(self) -> bool:
        self._mailbox.post("live_disarm", reason="simulated")
        return True

    def _blacklist(self) -> bool:
        symbol = self._chance.choice(SYMBOLS)
        self._mailbox.post("blacklist_add", symbol=symbol, reason="simulated")
        if self._chance.random() < 0.3:
            self._timeline.after(
                micros(5), lambda: self._mailbox.post("blacklist_remove", symbol=symbol, reason="simulated")
            )
        return True

    def _resolve(self) -> bool:
        """Having asked the broker by telephone, a person declares void what is not there and cannot come any more."""
        state = self._state()
        gone = [
            order
            for order in (state.unresolved if state is not None else [])
            # Whoever gives his word while the request is still in a thread of ours gives it too early.
            if order.in_doubt
            and not self._exchange.find(order.order_no or "")
            and not self._broker.is_under_way(order.order_no)
        ]
        for order in gone:
            self._mailbox.post("resolve", cl_ord_id=order.cl_ord_id, reason="asked by telephone")
        return bool(gone)

    # Strangers

    def _may_surprise(self) -> bool:
        """Between a reading and what is decided from it nobody can know of a deed; the next reading shows it."""
        state = self._state()
        cycle = state.open_cycle if state is not None else None
        return self._is_idle() if cycle is None else cycle.settled is None

    def _stranger_order(self) -> bool:
        if not self._may_surprise():
            return False
        price = (self._exchange.prices["ZZZ"] * Decimal("0.9")).quantize(CENT)
        request = request_of_stranger("ZZZ", Side.BUY, self._chance.randint(1, 50), price)
        return self._exchange.place_for_stranger(request, [(self._timeline.us + micros(1e6), request.order_qty)])

    def _stranger_trade(self) -> bool:
        state = self._state()
        cycle = state.open_cycle if state is not None else None
        if not self._may_surprise():
            return False
        planned = {order.symbol for order in cycle.opened.buys} if cycle is not None else set()
        symbols = [symbol for symbol in SYMBOLS if symbol not in planned] + ["ZZZ"]
        symbol = self._chance.choice(symbols)
        side = self._chance.choice([Side.BUY, Side.SELL])
        if side is Side.BUY and symbol != "ZZZ" and cycle is not None:
            side = Side.SELL
        request = request_of_stranger(symbol, side, self._chance.randint(1, 60), None)
        return self._exchange.place_for_stranger(request, [(self._timeline.us, request.order_qty)])

    def _cash_moved(self) -> bool:
        self._exchange.move_cash(Decimal(self._chance.choice([-5_000, -500, -20, 20, 3_000])))
        return True

    def _foreign_cancel(self) -> bool:
        found = list(open_ours(self._exchange))
        if found:
            order = self._chance.choice(found)
            self._exchange.cancel(order, at=self._timeline.us)
        return bool(found)

    # The world

    def _outage(self) -> bool:
        self._broker.go_down(10 ** self._chance.uniform(-0.5, 1.7))
        return True

    def _clock_jump(self) -> bool:
        """Back by up to a minute and a half, forward by up to a day; now and then somebody sets it right again."""
        seconds = self._chance.choice([-90, -10, -2, -0.3, 0.5, 5, 60, 3_600, 90_000])
        seconds += self._chance.uniform(0, 0.01)  # so that no instant is shown twice to the microsecond
        self._clock.jump(timedelta(seconds=seconds))
        if abs(seconds) <= 90 and self._chance.random() < 0.5:
            self._timeline.after(micros(3), lambda: self._clock.jump(timedelta(seconds=-seconds)))
        return True
