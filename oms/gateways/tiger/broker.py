"""The Broker port on Tiger's gateway."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from oms.errors import BrokerUnavailable, NotSent, Refused
from oms.gateways.threads import ThreadHands
from oms.gateways.tiger.client import TigerClient
from oms.gateways.tiger.executions import Executions
from oms.gateways.tiger.figures import (
    CURRENCY,
    global_funds,
    holds_value,
    positions_of,
    prime_funds,
)
from oms.gateways.tiger.properties import AccountKind, fingerprint
from oms.gateways.tiger.push import TigerPush
from oms.gateways.tiger.quoting import Quoting
from oms.gateways.tiger.sdk import adapter
from oms.gateways.tiger.wire import Item, identity, is_us_stock, items_of, order_of, quantity, reserved_number
from oms.model.account import Funds, Position, Quote
from oms.model.order import CLOSED_AT_BROKER, BrokerOrder, BrokerState, OrderRequest
from oms.model.probing import BrokerProbed, proven_window
from oms.ports import Broker, Capabilities, Clock, OrdersRead

PAGE = 300
"""Orders on a page: the server's maximum."""
MOST_PAGES = 200
"""More pages are a loop."""
AHEAD = timedelta(minutes=10)
"""How far the end of a list lies ahead of our clock: the server's may be ahead as well, and the end is exclusive."""
LOOKUP_SPAN = timedelta(days=2)
"""How far back an order is searched by its number alone."""
LOOKUP_AHEAD = timedelta(days=1)
"""How far ahead: a broker's clock may be wrong by hours, and numbers do not depend on it."""
LOOKUP_AGE_S = 0.5
"""A search by number is good for the next one if it began so many seconds ago: a sweep over many costs one reading."""
MOST_NUMBERS = 1000
CALLS_AT_ONCE = 24
"""Order numbers are handed out, and executions shown, one to a call: so many calls at a time."""


class TigerBroker(Broker):
    """One Tiger account: US stocks, limit and market orders of the day, in regular hours only.

    Identity is the number from ``order_no``, echoed as ``orderId`` and ``externalId``; our mark is second and best
    effort. A prime account reports executions; paper and global accounts report cumulative figures. Never transfers
    funds, never changes currency, never modifies an order.

    Args:
        refuses_repeats: for how long after a send a repeated number is refused, where that is proven; else None.
        push: where the gateway says by itself that something changed; started by the caller, closed with the broker.
        quoting: what asks for prices, where a market of the same account has it already.
    """

    name = "tiger"

    def __init__(
        self,
        client: TigerClient,
        clock: Clock,
        *,
        refuses_repeats: timedelta | None = None,
        push: TigerPush | None = None,
        quoting: Quoting | None = None,
    ) -> None:
        self.capabilities = Capabilities(
            reserves_numbers=True,
            refuses_repeats=refuses_repeats,
            reports_executions=client.kind is AccountKind.PRIME,
            currency=CURRENCY,
        )
        self.push = push
        self.quoting = quoting or Quoting(client, clock)
        self._client = client
        self._clock = clock
        self._hands = ThreadHands(CALLS_AT_ONCE)
        self._executions = Executions(client.read, self._hands)
        self._lock = threading.Lock()
        self._lookup: tuple[float, dict[str, BrokerOrder]] | None = None

    @property
    def account_kind(self) -> AccountKind:
        """What the shape of the account's number says."""
        return self._client.kind

    def trust(self, probed: BrokerProbed | None) -> None:
        """Take a repeated number for refused where a trial of this very account proved it, and for as long.

        A proof on a paper account says nothing about a real one, and the user's own claim stands where there is one.
        """
        if self.capabilities.refuses_repeats is None:
            window = proven_window(
                probed,
                fingerprint=fingerprint(self._client.account),
                account_kind=self.account_kind.value,
                adapter=adapter(),
                now=self._clock.now(),
            )
            self.capabilities = replace(self.capabilities, refuses_repeats=window)

    # Deeds ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def reserve(self, count: int) -> list[str]:
        """Obtain numbers, many calls at a time; one that fails fails all, and what was handed out is left unused."""
        if not 0 < count <= MOST_NUMBERS:
            raise ValueError(f"asked for {count} order numbers; expected 1 to {MOST_NUMBERS}")
        if count == 1:
            return [self._number()]
        handles = [self._hands.start(self._number) for _ in range(count)]
        for handle in handles:
            while not handle.done():
                self._hands.wait([handle], 1.0)
        return [handle.result() for handle in handles]

    def _number(self) -> str:
        data = self._client.read("order_no")
        number = reserved_number(data) if isinstance(data, dict) else None
        if number is None:
            raise BrokerUnavailable("tiger order_no: a reply without a number")
        return number

    def place(self, order: OrderRequest) -> str:
        """Send one order, with one request; the answer means that it was submitted, not that it was accepted."""
        order_no = _whole(order.order_no)
        if order_no is None:
            raise Refused("bad_number", f"{order.order_no!r} is no number of Tiger's, which would invent one")
        price = None if order.price is None else _exact(order.price)
        self._forget_lookup()
        return str(self._client.place(order, order_no, price))

    def cancel(self, order_no: str, order_id: str | None) -> None:
        """Ask for the rest to be cancelled; a fill may still win."""
        own = None if order_id is None else _whole(order_id)
        number = _whole(order_no)
        if own is None and number is None:
            raise NotSent("no_order", "a cancel needs the broker's id or a number")
        self._forget_lookup()
        self._client.cancel(number if own is None else None, own)

    # Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def orders(self, since: datetime) -> OrdersRead:
        """Every order made at or after ``since``: all pages, all states."""
        asked_at = self._clock.now()
        reports = tuple(self._reports(self.items("orders", since, asked_at)))
        return OrdersRead(orders=reports, complete=True, asked_at=asked_at)

    def order(self, order_no: str) -> BrokerOrder | None:
        """The order with this number, from whichever of the broker's lists shows it.

        A prime account has no question for one number, so the lists are searched; they may not agree for a while.
        """
        began = self._clock.elapsed()
        with self._lock:
            recent = self._lookup if self._lookup and began - self._lookup[0] < LOOKUP_AGE_S else None
        if recent is None:
            found = {report.order_no: report for report in self._searched() if report.order_no is not None}
            recent = (began, found)
            with self._lock:
                self._lookup = recent
        return recent[1].get(order_no)

    def _forget_lookup(self) -> None:
        with self._lock:
            self._lookup = None

    def _searched(self) -> Iterator[BrokerOrder]:
        """The list of open orders, then that of all, whose word counts where both have one."""
        now = self._clock.now()
        for method in ("active_orders", "orders"):
            yield from self._reports(self.items(method, now - LOOKUP_SPAN, now + LOOKUP_AHEAD))

    def items(self, method: str, since: datetime, now: datetime | None = None) -> list[Item]:
        """All pages of one of Tiger's lists of orders, as they came, US stocks only, oldest first.

        Both ends are always given, for the window that the server takes otherwise is not documented.

        Raises:
            BrokerUnavailable: a page is missing, or the pages do not end.
        """
        found: dict[str, Item] = {}
        tokens: list[str] = []
        start, end = _millis(since), _millis((now or self._clock.now()) + AHEAD)
        for _ in range(MOST_PAGES):
            token = tokens[-1] if tokens else None
            data = self._client.read(
                method, sec_type="STK", limit=PAGE, page_token=token, start_date=start, end_date=end
            )
            found.update({identity(item): item for item in items_of(data, method) if is_us_stock(item)})
            following = data.get("nextPageToken") if isinstance(data, dict) else None
            if not following:
                return list(reversed(found.values()))
            if not isinstance(following, str) or following in tokens:
                raise BrokerUnavailable(f"tiger {method}: the pages go round in a circle")
            tokens.append(following)
        raise BrokerUnavailable(f"tiger {method}: the pages do not end")

    def _reports(self, items: list[Item]) -> Iterator[BrokerOrder]:
        if not self.capabilities.reports_executions:
            yield from map(order_of, items)
            return
        self._executions.refresh([item for item in items if _is_ours_and_whole(item)])
        for item in items:
            yield self._accounted(item) if _is_ours_and_whole(item) else order_of(item)

    def _accounted(self, item: Item) -> BrokerOrder:
        """The order as far as its executions go.

        One whose executions have not caught up with its quantity is shown as it was before: open, with the shares that
        are accounted for. So it is never closed without its last fill.
        """
        plain, report = order_of(item), order_of(item, self._executions.of(item))
        if report.cum_qty == plain.cum_qty or report.state not in CLOSED_AT_BROKER:
            return report
        return replace(report, state=BrokerState.NEW)

    # The account ─────────────────────────────────────────────────────────────────────────────────────────────────

    def funds(self) -> Funds:
        """The account's money, field by field in ``raw``."""
        at = self._clock.now()
        if self._client.kind is AccountKind.GLOBAL:
            return global_funds(self._client.read("assets"), self._client.account, at)
        return prime_funds(self._assets(), at)

    def _assets(self) -> object:
        return self._client.read("prime_assets", base_currency=CURRENCY, consolidated=True)

    def positions(self) -> list[Position]:
        """US stocks held; an empty list is believed only if the assets do not say otherwise.

        Raises:
            BrokerUnavailable: the two contradict each other, or one of them cannot be read.
        """
        data = self._client.read("positions", sec_type="STK", currency=CURRENCY)
        held = positions_of(data, self._client.account)
        if (
            not items_of(data, "positions")
            and self._client.kind is not AccountKind.GLOBAL
            and holds_value(self._assets())
        ):
            raise BrokerUnavailable("tiger positions: none are shown, but the assets say that there are some")
        return held

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Quotes in real time, or delayed where the account has no permission; their time says how old they are."""
        return self.quoting.quotes(symbols)

    def market_state(self) -> str:
        """The broker's word for the state of the US market, such as ``TRADING``; empty where it says none."""
        return self.quoting.market_state()

    def stirred(self) -> bool:
        """Whether a push said that something changed; False where there is none, and polling goes on by itself."""
        return self.push is not None and self.push.stirred()

    def close(self) -> None:
        if self.push is not None:
            self.push.close()
        self._hands.close()
        self._client.close()


def _is_ours_and_whole(item: Item) -> bool:
    """Whether an order has a number, and executions in whole shares, as every one of ours does."""
    filled = quantity(item, "filledQuantity") or Decimal(0)
    return reserved_number(item) is not None and filled == filled.to_integral_value()


def _whole(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and int(digits) > 0 else None


def _exact(price: Decimal) -> float:
    """The price as JSON writes it; NaN would travel as the bare word, so only what comes back the same may leave."""
    if not price.is_finite() or price <= 0 or Decimal(repr(float(price))) != price:
        raise Refused("bad_price", f"{price} cannot be written exactly")
    return float(price)


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)
