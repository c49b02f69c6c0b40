"""The Broker port on the paper broker's book.

It stands in for a remote broker: its book is another file than the journal and shares no transaction with it, so a
process that dies between "accepted" and "acknowledged" leaves the same doubt as a lost reply of a real broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from oms import crashpoints
from oms.errors import BrokerUnavailable, InDoubt, NotSent, OmsError, Refused, RefusedError
from oms.gateways.paper import reads, schema
from oms.gateways.paper.book import Book
from oms.gateways.paper.deeds import Asked, Desk, Look, Terms
from oms.gateways.paper.glimpse import Glimpses
from oms.gateways.paper.log import LogKind
from oms.gateways.paper.matching import FillModel
from oms.model.account import Funds, Position, Quote, Session
from oms.model.order import BrokerOrder, OrderRequest
from oms.ports import Broker, Capabilities, Clock, Market, OrdersRead

REPEATS_REFUSED_FOR = timedelta(days=7)
"""What the broker promises; its book keeps every number for ever."""

MOST_NUMBERS = 1000
"""Numbers handed out in one call."""

NO_MONEY: Mapping[str, Decimal] = {}


_BLIND = Look(day=None, is_open=False, settles=None, quotes={}, ranges={})
"""No look at the market: the book stands still but for what time alone settles."""


class PaperBroker(Broker):
    """A cash account at a broker that fills against a market's quotes, as :mod:`.matching` says.

    Opening cash and positions are written when the file is new; an existing book keeps its own. ``used`` says, for a new
    one, up to which number an earlier book counted orders and executions: their names never come again. Money in the
    account's ``currency``, fractions as fractions (``slippage`` 0.0005 is 0.05 %); ``others`` is money in other currencies,
    which pays for nothing here. Orders are good for the day. The book moves when it is used: each call first lets expire,
    trade and settle what was due by then.

    ``session`` answers the session of the market's present day: outside it orders are refused (``market_closed``) and
    nothing trades; proceeds count as settled from its settlement date on. Without it the day is that of the market's time in
    UTC, and always open, and proceeds settle with ``settle_after``.

    Reads wait for the market no longer than ``patience``, where there is one: the book stands still meanwhile, and trades
    with the next read after the market has answered.

    With ``watching`` nothing but settlement follows from this object's calls: it shows the book as the trading process
    left it, asks the market nothing, and takes no order. It is for commands that only look.

    Refusals: ``unknown_number``, ``duplicate_number`` (a repeat), ``bad_quantity``, ``bad_price``, ``market_closed``,
    ``unknown_symbol``, ``insufficient_funds``, ``insufficient_shares``; of a cancel ``unknown_order``, ``already_closed``.

    Raises BrokerUnavailable where the file cannot be opened, DamagedError where it holds no book or a newer one,
    RefusedError where the book is one of another currency.
    """

    name = "paper"

    def __init__(
        self,
        path: Path,
        market: Market,
        clock: Clock,
        *,
        cash: Decimal,
        positions: Mapping[str, Decimal | int],
        settle_after: timedelta = timedelta(seconds=1),
        funds_lag: timedelta = timedelta(milliseconds=500),
        list_lag: timedelta = timedelta(0),
        fee_per_share: Decimal = Decimal("0.005"),
        slippage: Decimal = Decimal("0.0005"),
        partial_fills: Decimal = Decimal(0),
        fill_delay: timedelta = timedelta(seconds=1),
        seed: int = 1,
        session: Callable[[], Session | None] | None = None,
        watching: bool = False,
        currency: str = "USD",
        others: Mapping[str, Decimal] = NO_MONEY,
        patience: timedelta | None = None,
        used: Callable[[], int] = int,
    ) -> None:
        self.capabilities = Capabilities(
            reserves_numbers=True, refuses_repeats=REPEATS_REFUSED_FOR, reports_executions=True, currency=currency
        )
        model = FillModel(slippage=slippage, partial_fills=partial_fills, fee_per_share=fee_per_share, seed=seed)
        self._terms = Terms(
            settle_after=settle_after, funds_lag=funds_lag, list_lag=list_lag, fill_delay=fill_delay, model=model
        )
        self._market = market
        self._clock = clock
        self._session = session
        self._watching = watching
        self._glimpses = None if patience is None else Glimpses(self._see, patience.total_seconds())
        self._book = Book(path, model)
        try:
            self._open_account(cash, positions, others, used)
        except BaseException:
            self._book.close()
            raise

    def _open_account(
        self,
        cash: Decimal,
        positions: Mapping[str, Decimal | int],
        others: Mapping[str, Decimal],
        used: Callable[[], int],
    ) -> None:
        currency = self.capabilities.currency
        if self._book.version() < schema.VERSION:
            taken = used() if self._book.version() == 0 else 0
            with self._reading():
                if self._book.version() == 0:  # nobody else made it meanwhile
                    self._book.create(cash, positions, self._clock.now(), currency, others, used=taken)
                self._book.move_up()
        with self._reading("BEGIN"):
            kept = self._book.currency()
        if kept != currency:
            raise RefusedError(
                f"the paper broker's book {self._book.path} trades in {kept}, the configuration in {currency} "
                "(market.exchange, market.currency): give that market an account with a book and a journal of its own"
            )

    def reserve(self, count: int) -> list[str]:
        """Hand out ``count`` numbers that no other call gets; they are never forgotten."""
        if not 0 < count <= MOST_NUMBERS:
            raise ValueError(f"asked for {count} order numbers; expected 1 to {MOST_NUMBERS}")
        with self._reading():
            now = self._clock.now()
            numbers = [self._book.reserve(now) for _ in range(count)]
            self._book.log(LogKind.RESERVE_RECEIVED, now, qty=Decimal(count), text=f"{numbers[0]} to {numbers[-1]}")
        return numbers

    def place(self, order: OrderRequest) -> str:
        """Take one order; the part that trades at once has traded when this answers."""
        asked = Asked(
            order_no=order.order_no,
            user_mark=order.cl_ord_id,
            symbol=order.symbol,
            side=order.side,
            ord_type=order.ord_type,
            order_qty=Decimal(order.order_qty),
            price=order.price,
        )
        crashpoints.point("paper.place.before_accept")
        order_id = self._place(asked)
        crashpoints.point("paper.place.after_accept")
        return order_id

    def _place(self, asked: Asked) -> str:
        try:
            look = self._look(asked.symbol, must_see=True)
            with self._book.transaction():
                desk = self._desk(look)
                desk.advance(may_go_back=True)
                answer = desk.accept(asked)
        except BrokerUnavailable as exc:  # nothing was kept, so nothing was received
            raise NotSent("paper_unavailable", str(exc)) from exc
        if isinstance(answer, Refused):
            raise answer
        return answer.order_id

    def cancel(self, order_no: str, order_id: str | None) -> None:
        """Cancel the rest of an order at once; reads show it after ``list_lag``."""
        self._cancel(order_no, order_id)

    def _cancel(self, order_no: str | None, order_id: str | None) -> None:
        try:
            look = self._look()
            with self._book.transaction():
                desk = self._desk(look)
                desk.advance()
                refusal = desk.cancel(order_no, order_id)
        except BrokerUnavailable as exc:
            raise NotSent("paper_unavailable", str(exc)) from exc
        if refusal is not None:
            raise refusal

    def orders(self, since: datetime) -> OrdersRead:
        """Every order made at or after ``since``, as it was ``list_lag`` ago."""
        with self._advanced() as now:
            shown = reads.orders(self._book, since, now, self._terms.list_lag)
        return OrdersRead(orders=shown, complete=True, asked_at=now)

    def order(self, order_no: str) -> BrokerOrder | None:
        """The order with this number as it was ``list_lag`` ago."""
        with self._advanced() as now:
            return reads.order(self._book, order_no, now, self._terms.list_lag)

    def funds(self) -> Funds:
        with self._advanced() as now:
            return reads.funds(self._book, now)

    def positions(self) -> list[Position]:
        with self._advanced():
            return reads.positions(self._book)

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        return self._market.quotes(symbols)

    def close(self) -> None:
        self._book.close()

    @contextmanager
    def _advanced(self) -> Iterator[datetime]:
        """A transaction on the book as it stands now; answers the instant it was advanced to."""
        look = self._look()
        with self._reading("BEGIN" if self._watching else "BEGIN IMMEDIATE"):
            desk = self._desk(look)
            desk.advance()
            yield desk.now

    def _desk(self, look: Look) -> Desk:
        return Desk(self._book, self._terms, look, self._clock.now())

    @contextmanager
    def _reading(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """A transaction whose caller may simply ask again: a failed commit is no doubt to it."""
        try:
            with self._book.transaction(begin):
                yield
        except InDoubt as exc:
            raise BrokerUnavailable(str(exc)) from exc

    def _look(self, symbol: str | None = None, *, must_see: bool = False) -> Look:
        """See the market for every symbol that the book may need, outside any transaction.

        A market that cannot be seen lets the book stand still, which is no reason not to show it; with ``must_see`` it is.
        """
        if self._watching:
            return _BLIND
        with self._reading("BEGIN"):
            wanted = {order.symbol for order in self._book.open_orders()}
            wanted.update(held for held, _ in self._book.unpriced())
        if symbol is not None:
            wanted.add(symbol)
        if must_see or self._glimpses is None:
            return self._see(frozenset(wanted), must_see=must_see)
        return self._glimpses.look(frozenset(wanted)) or _BLIND

    def _see(self, wanted: frozenset[str], *, must_see: bool = False) -> Look:
        try:
            day, is_open, settles = self._today()
            quotes = self._market.quotes(sorted(wanted)) if wanted and day is not None else {}
            seen = {name: self._market.day_range(name) for name in sorted(quotes)}
        except (OmsError, RuntimeError) as exc:  # RuntimeError: a replay whose first day was not entered yet
            if must_see:
                raise BrokerUnavailable(f"the paper broker does not see the market: {exc}") from exc
            return _BLIND
        ranges = {name: low_high for name, low_high in seen.items() if low_high is not None}
        return Look(day=day, is_open=is_open, settles=settles, quotes=quotes, ranges=ranges)

    def _today(self) -> tuple[date | None, bool, date | None]:
        market_time = self._market.time()
        if self._session is None:
            return market_time.date(), True, None
        session = self._session()
        if session is None:
            return None, False, None
        return session.day, session.is_open(market_time), session.settles
