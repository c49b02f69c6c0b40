"""A paper account tried out: what Tiger does with a repeated number, how late its lists are, what it echoes.

It places two orders to buy one share each, and sells the one that was bought. Whatever happens, what it placed and did not
fill is cancelled at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from oms.errors import BrokerUnavailable, InDoubt, NotSent, Refused, RefusedError, SendError, TryAgainError
from oms.gateways.tiger.broker import TigerBroker
from oms.gateways.tiger.client import TigerClient
from oms.gateways.tiger.market import TRADING
from oms.gateways.tiger.properties import AccountKind
from oms.gateways.tiger.wire import Item, identity, order_of, reserved_number
from oms.model.account import Quote
from oms.model.order import CLOSED_AT_BROKER, BrokerOrder, BrokerState, OrderRequest, OrdType, Side
from oms.ports import Clock

AGES_S = (15, 60, 180)
"""Ages at which a number is sent again, seconds; the engine keeps 60 s away from the end of what is proven."""
LIST_LIMIT_S = 60.0
"""So long an order is waited for in a list, seconds."""
FILL_LIMIT_S = 60.0
"""So long a marketable order is waited for."""
LOOKS_S = (0.2, 0.3, 0.5, 1.0, 1.0, 2.0)
"""Pauses between two looks, seconds; the last is repeated. Tiger allows two looks a second at a list."""
RESTS_AT, CROSSES_AT = Decimal("0.80"), Decimal("1.02")
"""Limits of the two buys, as parts of the quote: one that rests, and one that trades at once."""
BACK = timedelta(minutes=10)
"""How far back the lists are read."""


class Finding(NamedTuple):
    """One thing that was tried, in the words of the doctor's checks."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came out."""

    findings: tuple[Finding, ...]
    refused_for_s: int
    """Age of the last repeat that made no second order; 0 where a single one of them did, or might have."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """An order of the probe's, as it was first sent."""

    request: OrderRequest
    order_id: str
    at: float
    """Seconds on the clock that only goes forward."""

    @property
    def order_no(self) -> str:
        return self.request.order_no


class Probe:
    """One run of the trial.

    Args:
        symbol: a share that the account does not hold, and that trades now.
        say: told what is being done, for it takes three minutes.
        beat: called at least once a second, so that the journal's lease does not run out.
    """

    def __init__(
        self,
        client: TigerClient,
        broker: TigerBroker,
        clock: Clock,
        symbol: str,
        *,
        say: Callable[[str], None] = lambda _: None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        if client.kind is not AccountKind.PAPER:
            raise RefusedError("a probe places orders, so it is for a paper account only; nothing was sent")
        self._client = client
        self._broker = broker
        self._clock = clock
        self._symbol = symbol
        self._say = say
        self._beat = beat
        self._findings: list[Finding] = []
        self._numbers: list[str] = []
        """Every number that was sent."""
        self._problems: list[str] = []
        """Why the repeats prove nothing; none: they do."""

    def run(self) -> Proof:
        """Try everything.

        Raises:
            TryAgainError: the market is closed, the symbol has no quote, or an order was not taken.
            BrokerUnavailable: the gateway did not answer.
            RefusedError: the account holds the symbol, or has an order for it; nothing was sent.
        """
        quote = self._quote()
        try:
            ages = self._trials(quote)
        finally:
            self._cancel_all()
        proven = min(ages) if not self._problems else 0
        found = f"no second order for {proven} s after the first" if proven else "; ".join(self._problems)
        remedy = "" if proven else "an order in doubt is quarantined and never sent again, which is the safe way"
        self._findings.insert(0, Finding("repeated number", bool(proven), found, remedy))
        return Proof(findings=tuple(self._findings), refused_for_s=proven)

    def _quote(self) -> Quote:
        """The price to start from, if the account and the market are fit for the trial."""
        state = self._broker.market_state() or "in an unknown state"
        if state != TRADING:
            raise TryAgainError(f"the US market is {state}; probe while it trades; nothing was sent")
        quote = self._broker.quotes([self._symbol]).get(self._symbol)
        if quote is None:
            raise TryAgainError(f"{self._symbol} has no quote now; name another with --symbol; nothing was sent")
        held = any(position.symbol == self._symbol for position in self._broker.positions())
        open_orders = [order for order in self._seen() if order.state not in CLOSED_AT_BROKER]
        if held or any(order.symbol == self._symbol for order in open_orders):
            raise RefusedError(
                f"the account holds {self._symbol} or has an order for it; name another with --symbol; nothing was sent"
            )
        return quote

    def _trials(self, quote: Quote) -> list[int]:
        """One order that rests and one that trades, their numbers repeated; the ages of the last repeats, seconds."""
        resting = self._send(Side.BUY, _stepped(quote.last * RESTS_AT, quote.tick, ROUND_FLOOR), "which rests")
        self._appears("orders", resting, resting.at)
        self._appears("active_orders", resting, resting.at)
        self._by_number(resting)
        self._echo(resting)
        open_age = self._repeat(resting, "while it rests")
        traded = self._traded(quote)
        for age in () if self._problems else AGES_S:
            self._wait(resting.at + age - self._clock.elapsed())
            open_age = self._repeat(resting, "while it rests")
        ages = [open_age] if traded is None else [open_age, self._repeat(traded, "long after its fill")]
        asked_at = self._clock.elapsed()
        self._note_cancel("cancel of an open order", resting)
        self._appears("inactive_orders", resting, asked_at)
        self._repeat(resting, "after its cancel")
        return ages

    def _traded(self, quote: Quote) -> _Trial | None:
        """Buy one share, see what a cancel of a filled order answers, sell it; None where it did not trade."""
        bought = self._send(
            Side.BUY, _stepped(quote.ask * CROSSES_AT, quote.tick, ROUND_CEILING), "which trades at once"
        )
        if not self._until_filled(bought):
            self._problems.append(f"the order that was to trade did not within {FILL_LIMIT_S:.0f} s")
            return None
        self._appears("filled_orders", bought, bought.at)
        self._note_cancel("cancel of a filled order", bought)
        self._repeat(bought, "after its fill")
        self._sell_what_is_held(quote)
        return bought

    def _sell_what_is_held(self, quote: Quote) -> None:
        """One share; two where the repeat bought another."""
        count = sum(int(position.sellable) for position in self._broker.positions() if position.symbol == self._symbol)
        price = _stepped(quote.bid * (2 - CROSSES_AT), quote.tick, ROUND_FLOOR)
        sold = count > 0 and self._until_filled(self._send(Side.SELL, price, "to be rid of it", count))
        left = "" if sold else f"sell {max(count, 1)} {self._symbol} by hand"
        self._findings.append(Finding("share that was bought", sold, "sold again" if sold else "not sold", left))

    # Sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _send(self, side: Side, price: Decimal, what: str, count: int = 1) -> _Trial:
        """One order, for one share as a rule."""
        number = self._broker.reserve(1)[0]
        request = OrderRequest(
            cl_ord_id=f"probe-{number}"[:32],
            order_no=number,
            symbol=self._symbol,
            side=side,
            ord_type=OrdType.LIMIT,
            order_qty=count,
            price=price,
        )
        self._say(f"{side.value} {count} {self._symbol} at {price}, {what}, as number {number}")
        self._numbers.append(number)
        at = self._clock.elapsed()
        try:
            return _Trial(request, self._broker.place(request), at)
        except SendError as error:
            raise TryAgainError(f"the probe's order {number} was not taken: {error}; nothing is proven") from error

    def _repeat(self, trial: _Trial, when: str) -> int:
        """Send the same order under the same number, and count what there is of it; answers its age, whole seconds."""
        age = int(self._clock.elapsed() - trial.at)
        if self._problems:  # it is disproved already; every further repeat might be one more order
            return age
        self._say(f"sending number {trial.order_no} again, {when}, {age} s after the first")
        try:
            again = self._broker.place(trial.request)
            is_proof = again == trial.order_id
            answer = f"answered with {'the id of the first' if is_proof else f'another id, {again}'}"
        except Refused as refused:
            is_proof = refused.repeat
            answer = f"refused: {refused}" + ("" if is_proof else ", which does not say that the number is taken")
        except (InDoubt, NotSent) as error:
            answer, is_proof = f"no answer: {error}", False
        self._wait(1.0)
        count = len({order.order_id for order in self._with_number(trial.order_no)})
        found = f"{answer}; {count} order{'' if count == 1 else 's'} with the number"
        self._findings.append(Finding(f"repeat {when}, {age} s", is_proof and count == 1, found))
        if not is_proof or count != 1:
            self._problems.append(f"{when}, {age} s: {found}")
        return age

    def _note_cancel(self, name: str, trial: _Trial) -> None:
        try:
            self._broker.cancel(trial.order_no, trial.order_id)
            found = "taken"
        except SendError as error:
            found = f"{'refused' if isinstance(error, Refused) else 'no answer'}: {error}"
        self._findings.append(Finding(name, True, found))

    def _cancel_all(self) -> None:
        """Whatever of ours is still open, a second order under one number included, must not stay."""
        left: list[str] = []
        with contextlib.suppress(BrokerUnavailable):
            mine = [item for item in self._items("orders") if reserved_number(item) in self._numbers]
            left = [identity(item) for item in mine if order_of(item).state not in CLOSED_AT_BROKER]
        for order_id in left:
            with contextlib.suppress(SendError):
                self._broker.cancel("0", order_id)
        if left:
            self._say(f"cancelled what was left open: {', '.join(left)}")

    # Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _appears(self, method: str, trial: _Trial, since: float) -> None:
        """How long it takes until a list shows the order."""
        seen = self._until(lambda: self._is_in(method, trial.order_no), LIST_LIMIT_S)
        found = f"shown within {self._clock.elapsed() - since:.1f} s" if seen else f"not shown in {LIST_LIMIT_S:.0f} s"
        self._findings.append(Finding(f"list {method}", seen, found, "" if seen else "raise in_doubt.window"))

    def _by_number(self, trial: _Trial) -> None:
        """Whether an account of this kind has a question for one number; the engine does not rely on it."""
        try:
            data = self._client.read("orders", order_id=int(trial.order_no))
            answered = isinstance(data, dict) and reserved_number(data) == trial.order_no
            found = "answered" if answered else "answered with something else"
        except BrokerUnavailable as error:
            found = f"not answered: {error}"
        self._findings.append(Finding("question for one number", True, found))

    def _echo(self, trial: _Trial) -> None:
        marks = {order.user_mark for order in self._with_number(trial.order_no)}
        found = "echoed" if marks == {trial.request.cl_ord_id} else "not echoed"
        self._findings.append(Finding("mark", True, f"{found}; orders are told by their number in either case"))

    def _until_filled(self, trial: _Trial) -> bool:
        return self._until(
            lambda: any(order.state is BrokerState.FILLED for order in self._with_number(trial.order_no)), FILL_LIMIT_S
        )

    def _is_in(self, method: str, order_no: str) -> bool:
        return any(reserved_number(item) == order_no for item in self._items(method))

    def _with_number(self, order_no: str) -> list[BrokerOrder]:
        return [order for order in self._seen() if order.order_no == order_no]

    def _seen(self) -> list[BrokerOrder]:
        return [order_of(item) for item in self._items("orders")]

    def _items(self, method: str) -> list[Item]:
        return self._broker.items(method, self._clock.now() - BACK)

    def _until(self, true: Callable[[], bool], limit: float) -> bool:
        end = self._clock.elapsed() + limit
        looks = 0
        while not true():
            if self._clock.elapsed() >= end:
                return False
            self._wait(LOOKS_S[min(looks, len(LOOKS_S) - 1)])
            looks += 1
        return True

    def _wait(self, seconds: float) -> None:
        end = self._clock.elapsed() + seconds
        self._beat()
        while (left := end - self._clock.elapsed()) > 0:
            self._clock.sleep(min(left, 1.0))
            self._beat()


def _stepped(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    """The price on the symbol's steps."""
    return (price / tick).to_integral_value(rounding) * tick
