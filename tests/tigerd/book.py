"""An account at Tiger as the gateway keeps it: orders, matching, settlement, and a log of its own, which is the judge.

Answers have the fields and types that Tiger's own have: floats for money, scaled integers for quantities, milliseconds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.gateways.paper.log import LogEntry, LogKind
from oms.model.order import OrdType, Side
from oms.ports import Clock

FIRST_ID = 40_000_000_000_000_000
"""Global ids exceed 2^53."""
NOTHING = Decimal(0)
OPEN = ("Initial", "PendingSubmit")
PAPER_ACCOUNT = "20260302150000123"
PRIME_ACCOUNT = "5012345"


class ApiError(Exception):
    """The broker's no."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Kept:
    """One order in the broker's books."""

    id: int
    order_id: int
    mark: str | None
    symbol: str
    action: str
    order_type: str
    qty: Decimal
    limit: Decimal | None
    made_at: datetime
    updated_at: datetime
    status: str = "PendingSubmit"
    remark: str = ""
    executions: list[tuple[int, Decimal, Decimal, datetime]] = field(default_factory=list)
    rest_at: datetime | None = None
    dies_at: datetime | None = None
    external_id: str = ""

    @property
    def filled(self) -> Decimal:
        return sum((qty for _, qty, _, _ in self.executions), NOTHING)

    @property
    def value(self) -> Decimal:
        return sum((qty * price for _, qty, price, _ in self.executions), NOTHING)

    @property
    def leaves(self) -> Decimal:
        return self.qty - self.filled if self.status in OPEN else NOTHING


@dataclass
class Terms:
    """How this broker behaves; a test changes what it is about."""

    refuses_repeats: bool = True
    parts: bool = False
    """A marketable order trades in two parts, the second after ``fill_delay``."""
    fill_delay: timedelta = timedelta(seconds=1)
    settle_after: timedelta = timedelta(seconds=1)
    fee_per_share: Decimal = NOTHING
    hidden_for: timedelta = timedelta(0)
    """For so long after its acceptance no list shows an order."""
    funds_lag: timedelta = timedelta(0)
    positions_lag: timedelta = timedelta(0)
    is_open: bool = True
    reject_next: int = 0
    """So many orders are acknowledged and then turn Inactive, a second later."""
    fills_win: bool = False
    """A cancel of a partly filled order is acknowledged, and its rest trades all the same."""
    echoes_mark: bool = True
    shown_as: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda item: item
    """What the lists make of an order; None: they do not show it."""
    asks_by_number: bool = True
    forgets_after: timedelta | None = None
    """A repeated number is refused for so long only; None: for ever."""
    returns_first: bool = False
    """A repeated number is answered with the id of its first order, and makes no second one."""
    page: int = 300
    real_time_quotes: bool = True
    state: str | None = None
    """What the market's state is called; None: TRADING or MARKET_CLOSED, by ``is_open``."""


class Book:
    """One account, moved by the questions it is asked, as the paper broker's is."""

    def __init__(
        self,
        clock: Clock,
        prices: dict[str, Decimal],
        *,
        account: str = PAPER_ACCOUNT,
        cash: Decimal = Decimal(10_000),
        positions: dict[str, int] | None = None,
        market_time: Callable[[], datetime] | None = None,
    ) -> None:
        self.account = account
        self.prices = prices
        self.terms = Terms()
        self.orders: list[Kept] = []
        """Every order that was ever accepted."""
        self.hong_kong_dollars = 0.0
        self.refused: Counter[int] = Counter()
        self.log: list[LogEntry] = []
        """What it did, row by row, in the words of every broker's log: what the laws are judged from."""
        self.history: dict[str, list[dict[str, Any]]] = {}
        """Daily bars by symbol, as the gateway writes them, oldest first."""
        self.announce: Callable[[str], None] = lambda _: None
        """Told the topic of each change, for a push gateway to pass on."""
        self._clock = clock
        self._market_time = market_time or clock.now
        self._lock = threading.RLock()
        self._cash = cash
        self._shares = {symbol: Decimal(qty) for symbol, qty in (positions or {}).items()}
        self._settling: list[tuple[datetime, Decimal]] = []
        self._number = 100
        self._execution = 7000
        self._history: list[tuple[datetime, dict[str, Any], list[dict[str, Any]]]] = []
        self._open_the_log()

    # The judge.

    def accepted(self) -> Counter[str]:
        """Orders accepted, by our mark: no count may ever exceed 1."""
        return Counter(order.mark or "" for order in self.orders)

    def _open_the_log(self) -> None:
        cash, self._cash = self._cash, NOTHING
        self._note(LogKind.OPENED, price=cash)
        self._cash = cash
        for symbol, qty in self._shares.items():
            self._note(LogKind.OPENED_POSITION, symbol=symbol, qty=qty)

    def _note(self, kind: LogKind, order: Kept | None = None, **fields: Any) -> None:
        """One row; what it does not say about its order is taken from the order."""
        own: dict[str, Any] = {}
        if order is not None:
            own = {
                "order_no": str(order.order_id) if order.order_id else None,
                "order_id": str(order.id),
                "user_mark": order.mark,
                "symbol": order.symbol,
                "side": Side(order.action),
                "ord_type": OrdType.MARKET if order.order_type == "MKT" else OrdType.LIMIT,
                "qty": order.qty,
                "price": order.limit,
            }
        empty = dict.fromkeys(
            ("order_no", "order_id", "exec_id", "user_mark", "symbol", "side", "ord_type", "qty", "price", "fee")
        )
        self.log.append(
            LogEntry(
                id=len(self.log) + 1,
                at=self._clock.now(),
                kind=kind,
                day=self._market_time().date(),
                cash=self._cash,
                available=self._available() if self.log else NOTHING,
                locked=NOTHING,
                **{**empty, "text": "", **own, **fields},
            )
        )

    def arrived(self, biz: dict[str, Any]) -> None:
        """A request to place an order is here as a whole, whatever becomes of it."""
        with self._lock:
            limit = biz.get("limit_price")
            self._note(
                LogKind.PLACE_RECEIVED,
                order_no=str(biz["order_id"]) if biz.get("order_id") else None,
                user_mark=biz.get("user_mark"),
                symbol=biz["symbol"],
                side=Side(biz["action"]),
                ord_type=OrdType.MARKET if biz["order_type"] == "MKT" else OrdType.LIMIT,
                qty=Decimal(biz["total_quantity"]),
                price=None if limit is None else Decimal(repr(limit)),
            )

    # The gateway's door.

    def answer(self, method: str, biz: dict[str, Any]) -> Any:
        """The data of a reply.

        Raises ApiError for a no.
        """
        with self._lock:
            self._advance()
            if biz.get("account") not in (self.account, None):
                raise ApiError(4, "forbidden")
            try:
                answer = getattr(self, f"_do_{method}", None)
                if answer is None:
                    raise ApiError(1000, "unknown method")
                return answer(biz)
            except ApiError as error:
                self.refused[error.code] += 1
                self._note_refusal(method, biz, error)
                raise
            finally:
                self._remember()

    def _note_refusal(self, method: str, biz: dict[str, Any], error: ApiError) -> None:
        kinds = {"place_order": LogKind.REFUSED, "cancel_order": LogKind.CANCEL_REFUSED}
        if method in kinds:
            number = biz.get("order_id")
            text = f"tiger_{error.code}: {error.message}"
            self._note(kinds[method], order_no=str(number) if number else None, symbol=biz.get("symbol"), text=text)

    def outsider(self, symbol: str, action: str, qty: Decimal, limit: Decimal) -> int:
        """An order made in the broker's app: without a number of its own."""
        with self._lock:
            self._advance()
            order = self._keep({"symbol": symbol, "action": action, "order_type": "LMT"}, 0, qty, limit)
            order.external_id = f"{order.id}.app"
            self._match(order)
            return order.id

    def _do_order_no(self, biz: dict[str, Any]) -> Any:
        self._number += 1
        self._note(LogKind.RESERVE_RECEIVED, qty=Decimal(1), text=str(self._number))
        return {"orderId": self._number}

    def _do_place_order(self, biz: dict[str, Any]) -> Any:
        number = biz.get("order_id") or 0
        first = next((order for order in self.orders if number and order.order_id == number), None)
        if first is not None and self._remembers(first):
            if self.terms.returns_first:
                return {"id": first.id, "orderId": first.order_id}
            raise ApiError(self._refusal_code, "TRADE_DUPLICATE_ORDER_ID: an order with this id exists")
        qty = Decimal(str(biz.get("total_quantity"))).scaleb(-(biz.get("total_quantity_scale") or 0))
        limit = Decimal(repr(biz["limit_price"])) if biz.get("limit_price") is not None else None
        self._check(biz, qty, limit)
        order = self._keep(biz, number, qty, limit)
        if self.terms.reject_next > 0:
            self.terms.reject_next -= 1
            order.dies_at = order.made_at + timedelta(seconds=1)
        else:
            self._match(order)
        return {"id": order.id, "orderId": order.order_id}

    def _remembers(self, first: Kept) -> bool:
        """Whether the number of this order is still taken."""
        age, limit = self._clock.now() - first.made_at, self.terms.forgets_after
        return self.terms.refuses_repeats and (limit is None or age < limit)

    @property
    def _refusal_code(self) -> int:
        return 1300 if len(self.account) == 17 else 1200

    def _check(self, biz: dict[str, Any], qty: Decimal, limit: Decimal | None) -> None:
        code = self._refusal_code
        if biz["symbol"] not in self.prices:
            raise ApiError(1010, "symbol is not known")
        if not self.terms.is_open:
            raise ApiError(code, "orders cannot be placed at this moment")
        if biz.get("outside_rth") is not False or biz.get("time_in_force") != "DAY" or biz.get("sec_type") != "STK":
            raise ApiError(1010, "this gateway takes day orders of stock in regular hours only")
        if qty < 1 or qty % 1 or (limit is not None and (not limit.is_finite() or limit <= 0)):
            raise ApiError(1010, "bad quantity or price")
        if biz["action"] == "SELL" and qty > self._sellable(biz["symbol"]):
            raise ApiError(code, "the quantity exceeds the position")
        worst = limit if limit is not None else self.prices[biz["symbol"]] * Decimal("1.05")
        if biz["action"] == "BUY" and qty * (worst + self.terms.fee_per_share) > self._available():
            raise ApiError(code, "insufficient funds")

    def _keep(self, biz: dict[str, Any], number: int, qty: Decimal, limit: Decimal | None) -> Kept:
        now = self._clock.now()
        order = Kept(
            id=FIRST_ID + len(self.orders) * 1024 + 1,
            order_id=number,
            mark=biz.get("user_mark"),
            symbol=biz["symbol"],
            action=biz["action"],
            order_type=biz["order_type"],
            qty=qty,
            limit=limit,
            made_at=now,
            updated_at=now,
            external_id=str(number),
        )
        self.orders.append(order)
        self._note(LogKind.ACCEPTED, order)
        return order

    # Matching and settlement.

    def _advance(self) -> None:
        now = self._clock.now()
        settling = [(at, amount) for at, amount in self._settling if at > now]
        if settling != self._settling:
            self._settling = settling
            self.announce("Asset")
        for order in self.orders:
            if order.dies_at is not None and order.dies_at <= now and order.status in OPEN:
                order.status, order.remark, order.updated_at = "Inactive", "rejected by the exchange", order.dies_at
                self._note(LogKind.REJECTED, order, text=order.remark)
                self.announce("OrderStatus")
            elif order.rest_at is not None and order.rest_at <= now and order.status in OPEN:
                self._fill(order, order.leaves)
            elif order.status in OPEN and not order.executions and order.dies_at is None:
                self._match(order)
        self._remember()

    def _match(self, order: Kept) -> None:
        price = self.prices[order.symbol]
        crosses = order.limit is None or (price <= order.limit if order.action == "BUY" else price >= order.limit)
        if not crosses or not self.terms.is_open:
            return
        first = (order.qty / 2).to_integral_value() if self.terms.parts and order.qty > 1 else order.qty
        self._fill(order, first)
        if order.leaves:
            order.rest_at = order.updated_at + self.terms.fill_delay

    def _fill(self, order: Kept, qty: Decimal) -> None:
        now, price = self._clock.now(), self.prices[order.symbol]
        self._execution += 1
        cost = qty * self.terms.fee_per_share
        self._note(LogKind.FILL, order, exec_id=str(self._execution), qty=qty, price=price, fee=cost)
        order.executions.append((self._execution, qty, price, now))
        order.updated_at = now
        if order.filled == order.qty:
            order.status, order.rest_at = "Filled", None
        for topic in ("OrderStatus", "OrderTransaction", "Position", "Asset"):
            self.announce(topic)
        fee = qty * self.terms.fee_per_share
        if order.action == "BUY":
            self._cash -= qty * price + fee
            self._shares[order.symbol] = self._shares.get(order.symbol, NOTHING) + qty
            return
        self._cash += qty * price - fee
        self._shares[order.symbol] -= qty
        self._settling.append((now + self.terms.settle_after, qty * price - fee))

    def _locked(self) -> Decimal:
        buys = [order for order in self.orders if order.action == "BUY" and order.leaves]
        return sum(
            (order.leaves * (order.limit or self.prices[order.symbol] * Decimal("1.05")) for order in buys), NOTHING
        )

    def _unsettled(self) -> Decimal:
        return sum((amount for _, amount in self._settling), NOTHING)

    def _available(self) -> Decimal:
        return self._cash - self._unsettled() - self._locked()

    def _sellable(self, symbol: str) -> Decimal:
        promised = sum((o.leaves for o in self.orders if o.action == "SELL" and o.symbol == symbol), NOTHING)
        return self._shares.get(symbol, NOTHING) - promised

    def _do_cancel_order(self, biz: dict[str, Any]) -> Any:
        self._note(LogKind.CANCEL_RECEIVED, order_no=str(biz["order_id"]) if biz.get("order_id") else None)
        order = next(
            (o for o in self.orders if o.id == biz.get("id") or o.order_id == (biz.get("order_id") or -1)), None
        )
        if order is None:
            raise ApiError(self._refusal_code, "order does not exist")
        if order.status not in OPEN:
            raise ApiError(self._refusal_code, "the order can no longer be cancelled")
        if self.terms.fills_win:
            self._fill(order, order.leaves)
        else:
            order.status, order.remark, order.updated_at = "Cancelled", "cancelled by the user", self._clock.now()
            self._note(LogKind.CANCELED, order, qty=order.qty - order.filled, text=order.remark)
            self.announce("OrderStatus")
        return {"id": order.id}

    def move(self) -> None:
        """Let happen what only takes time, without being asked."""
        with self._lock:
            self._advance()

    def end(self, order: Kept, status: str, remark: str) -> None:
        """The broker ends an order by itself, whatever of it has traded."""
        with self._lock:
            order.status, order.remark, order.updated_at, order.rest_at = status, remark, self._clock.now(), None
            kind = LogKind.CANCELED if order.executions else LogKind.REJECTED
            self._note(kind, order, qty=order.qty - order.filled, text=remark)

    def fill_late(self, order: Kept, qty: Decimal) -> None:
        """Shares of an order trade although it was ended; its status stays."""
        with self._lock:
            status = order.status
            self._fill(order, qty)
            order.status = status

    # Lists.

    def _do_orders(self, biz: dict[str, Any]) -> Any:
        if "order_id" not in biz:
            return self._page(biz, self.orders)
        found = [order for order in self.orders if order.order_id == biz["order_id"]]
        if not found or not self.terms.asks_by_number:
            raise ApiError(self._refusal_code, "order does not exist")
        return self._shown(found[0])

    def _do_filled_orders(self, biz: dict[str, Any]) -> Any:
        return self._page(biz, [order for order in self.orders if order.executions])

    def _do_inactive_orders(self, biz: dict[str, Any]) -> Any:
        return self._page(biz, [order for order in self.orders if order.status not in (*OPEN, "Filled")])

    def _do_active_orders(self, biz: dict[str, Any]) -> Any:
        return self._page(biz, [order for order in self.orders if order.status in OPEN])

    def _page(self, biz: dict[str, Any], orders: list[Kept]) -> Any:
        """Newest first, start inclusive, end exclusive, and a token for what comes next."""
        shown_until = self._clock.now() - self.terms.hidden_for
        begin, end = biz["start_date"], biz["end_date"]
        found = [o for o in reversed(orders) if begin <= millis(o.made_at) < end and o.made_at <= shown_until]
        start = int((biz.get("page_token") or "0").removeprefix("page-"))
        size = min(biz.get("limit", 100), self.terms.page)
        more = start + size < len(found)
        shown = [self.terms.shown_as(self._shown(order)) for order in found[start : start + size]]
        items = [item for item in shown if item is not None]
        return {"items": items, "nextPageToken": f"page-{start + size}" if more else ""}

    def _shown(self, order: Kept) -> dict[str, Any]:
        scale = 5 if order.qty % 1 or order.filled % 1 else 0
        return {
            "account": self.account,
            "id": order.id,
            "orderId": order.order_id,
            "externalId": order.external_id,
            "symbol": order.symbol,
            "secType": "STK",
            "currency": "USD",
            "market": "US",
            "action": order.action,
            "orderType": order.order_type,
            "totalQuantity": int(order.qty.scaleb(scale)),
            "totalQuantityScale": scale,
            "filledQuantity": int(order.filled.scaleb(scale)),
            "filledQuantityScale": scale,
            "avgFillPrice": float(order.value / order.filled) if order.filled else 0.0,
            "limitPrice": None if order.limit is None else float(order.limit),
            "status": order.status,
            "remark": order.remark,
            "commission": float(order.filled * self.terms.fee_per_share),
            "userMark": order.mark if self.terms.echoes_mark else None,
            "openTime": millis(order.made_at),
            "latestTime": millis(order.updated_at),
            "updateTime": millis(order.updated_at),
            "timeInForce": "DAY",
            "outsideRth": False,
        }

    def _do_order_transactions(self, biz: dict[str, Any]) -> Any:
        items = [
            {
                "id": execution,
                "accountId": self.account,
                "orderId": order.id,
                "symbol": order.symbol,
                "action": order.action,
                "filledQuantity": int(qty),
                "filledQuantityScale": 0,
                "filledPrice": float(price),
                "filledAmount": float(qty * price),
                "transactionTime": millis(at),
            }
            for order in self.orders
            if order.id == biz["order_id"]
            for execution, qty, price, at in order.executions
        ]
        return {"items": items, "nextPageToken": ""}

    # Figures.

    def _remember(self) -> None:
        """Keep what is shown while it lags behind what is."""
        self._history.append((self._clock.now(), self._assets(), self._held()))
        del self._history[:-400]

    def _as_of(self, lag: timedelta, which: int) -> Any:
        if not lag:
            return self._assets() if which == 1 else self._held()
        until = self._clock.now() - lag
        shown = [entry for entry in self._history if entry[0] <= until]
        return (shown[-1] if shown else self._history[0])[which]

    def _assets(self) -> dict[str, Any]:
        available = float(self._available())
        worth = sum((qty * self.prices[symbol] for symbol, qty in self._shares.items()), NOTHING)
        return {
            "accountId": self.account,
            "updateTimestamp": millis(self._clock.now()),
            "segments": [
                {
                    "category": "S",
                    "currency": "USD",
                    "capability": "CASH",
                    "cashBalance": float(self._cash),
                    "cashAvailableForTrade": available,
                    "cashAvailableForWithdrawal": available,
                    "lockedFunds": float(self._locked()),
                    "uncollected": float(self._unsettled()),
                    "buyingPower": available,
                    "grossPositionValue": float(worth),
                    "netLiquidation": float(self._cash + worth),
                    "consolidatedSegTypes": ["SEC", "FUND"],
                    "currencyAssets": [
                        {"currency": "HKD", "cashBalance": self.hong_kong_dollars, "cashAvailableForTrade": 0.0},
                        {"currency": "USD", "cashBalance": float(self._cash), "cashAvailableForTrade": available},
                    ],
                }
            ],
        }

    def _held(self) -> list[dict[str, Any]]:
        return [
            {
                "account": self.account,
                "symbol": symbol,
                "secType": "STK",
                "currency": "USD",
                "market": "US",
                "position": int(qty),
                "positionScale": 0,
                "positionQty": float(qty),
                "salableQty": float(self._sellable(symbol)),
                "averageCost": 18.5,
            }
            for symbol, qty in self._shares.items()
            if qty
        ]

    def _do_prime_assets(self, biz: dict[str, Any]) -> Any:
        return self._as_of(self.terms.funds_lag, 1)

    def _do_positions(self, biz: dict[str, Any]) -> Any:
        return {"items": self._as_of(self.terms.positions_lag, 2)}

    def _do_accounts(self, biz: dict[str, Any]) -> Any:
        kind = "PAPER" if len(self.account) == 17 else "STANDARD"
        if biz.get("account") and kind == "PAPER":
            raise ApiError(1010, "this question takes no paper account")
        profile = {"account": self.account, "capability": "CASH", "status": "Funded", "accountType": kind}
        return {"items": [profile]}

    def _do_assets(self, biz: dict[str, Any]) -> Any:
        figures = {"cashValue": float(self._cash), "availableFunds": float(self._available())}
        return {"items": [{"account": self.account, "currency": "USD", "buyingPower": 4.0, **figures}]}

    def _do_user_license(self, biz: dict[str, Any]) -> Any:
        return {"license": "TBNZ"}

    # The market.

    def _do_quote_real_time(self, biz: dict[str, Any]) -> Any:
        if not self.terms.real_time_quotes:
            raise ApiError(4, "permission denied(Current user and device do not have permissions in the US market)")
        at = millis(self._market_time())
        return [
            {
                "symbol": symbol,
                "latestPrice": float(self.prices[symbol]),
                "bidPrice": float(self.prices[symbol]),
                "askPrice": float(self.prices[symbol]),
                "latestTime": at,
                "preClose": 1.0,
                "status": "NORMAL",
            }
            for symbol in biz["symbols"]
            if symbol in self.prices
        ]

    def _do_quote_delay(self, biz: dict[str, Any]) -> Any:
        at = millis(self._market_time() - timedelta(minutes=15))
        known = [symbol for symbol in biz["symbols"] if symbol in self.prices]
        return [{"symbol": s, "close": float(self.prices[s]), "time": at, "halted": 0.0} for s in known]

    def _do_contracts(self, biz: dict[str, Any]) -> Any:
        bands = [
            {"begin": "0", "end": "1", "type": "CLOSED", "tickSize": 0.0001},
            {"begin": "1", "end": "Infinity", "type": "OPEN", "tickSize": 0.01},
        ]
        known = [symbol for symbol in biz["symbols"] if symbol in self.prices]
        return {"items": [{"symbol": symbol, "lotSize": 1.0, "tickSizes": bands} for symbol in known]}

    def _do_market_state(self, biz: dict[str, Any]) -> Any:
        word = "TRADING" if self.terms.is_open else "MARKET_CLOSED"
        return [{"market": "US", "marketStatus": "Shown to people", "status": self.terms.state or word}]

    def _do_kline(self, biz: dict[str, Any]) -> Any:
        if (biz["period"], biz["right"]) != ("day", "br") or len(biz["symbols"]) > 50:
            raise ApiError(1010, "bad parameter")
        if not self.terms.real_time_quotes:
            raise ApiError(4, "permission denied(Current user and device do not have permissions in the US market)")
        known = [symbol for symbol in biz["symbols"] if symbol in self.history]
        return [{"symbol": s, "period": "day", "nextPageToken": None, "items": self._bars(s, biz)} for s in known]

    def _bars(self, symbol: str, biz: dict[str, Any]) -> list[dict[str, Any]]:
        """Begin inclusive, end exclusive, the newest ones where there are too many."""
        bars = [bar for bar in self.history[symbol] if biz["begin_time"] <= bar["time"] < biz["end_time"]]
        return bars[-biz["limit"] :]


def millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)
