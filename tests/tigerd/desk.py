"""A gateway with an account, and the real adapter on the real SDK in front of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from oms.gateways.tiger import Credentials, Endpoint, TigerBroker, TigerClient, TigerPush
from oms.model.order import OrderRequest, OrdType, Side
from oms.ports import Clock
from tests.fakes.clock import FakeClock
from tests.tigerd.book import PAPER_ACCOUNT, Book
from tests.tigerd.gateway import Gateway
from tests.tigerd.pushd import Pushd
from tests.tigerd.secrets import certificate, key

PRICE = Decimal(20)
TIMEOUT_S = 20.0
"""Long, for a busy machine is no fault of the wire."""
TIGER_ID = "20150899"


def credentials(account: str = PAPER_ACCOUNT, **more: Any) -> Credentials:
    return Credentials(tiger_id=TIGER_ID, account=account, private_key=key("client").bare(pkcs8=False), **more)


@dataclass
class Desk:
    """The three of them; closed together."""

    clock: Clock
    book: Book
    gateway: Gateway
    client: TigerClient
    broker: TigerBroker

    def request(
        self, qty: int = 10, price: Decimal | None = PRICE / 2, side: Side = Side.BUY, symbol: str = "BBB"
    ) -> Any:
        """An order with a number of its own."""
        number = self.broker.reserve(1)[0]
        kind = OrdType.LIMIT if price is not None else OrdType.MARKET
        return OrderRequest(
            cl_ord_id=f"mark-{number}",
            order_no=number,
            symbol=symbol,
            side=side,
            ord_type=kind,
            order_qty=qty,
            price=price,
        )

    def close(self) -> None:
        self.broker.close()
        self.gateway.close()


def open_desk(
    folder: Path,
    *,
    tls: bool = False,
    account: str = PAPER_ACCOUNT,
    clock: Clock | None = None,
    refuses_repeats: timedelta | None = timedelta(hours=1),
    prices: dict[str, Decimal] | None = None,
    market_time: Callable[[], datetime] | None = None,
    timeout: float = TIMEOUT_S,
    cash: Decimal = Decimal(10_000),
    positions: dict[str, int] | None = None,
    secrets: dict[str, str] | None = None,
    pushd: Pushd | None = None,
) -> Desk:
    """An account of 10,000 and 100 AAA; AAA and BBB cost 20."""
    clock = clock or FakeClock()
    public, context = certificate(folder)
    book = Book(
        clock,
        prices if prices is not None else {"AAA": PRICE, "BBB": PRICE},
        account=account,
        cash=cash,
        positions={"AAA": 100} if positions is None else positions,
        market_time=market_time,
    )
    book.terms.refuses_repeats = refuses_repeats is not None
    gateway = Gateway(book, context if tls else None)
    client = TigerClient(
        credentials(account, **(secrets or {})),
        clock,
        server_url=gateway.url,
        timeout=timeout,
        public_key=key("gateway").public,
        ca_file=public,
    )
    push = None if pushd is None else connected(pushd, account, clock)
    if pushd is not None:
        book.announce = partial(pushd.tell, account=account)
    return Desk(clock, book, gateway, client, TigerBroker(client, clock, refuses_repeats=refuses_repeats, push=push))


def connected(pushd: Pushd, account: str, clock: Clock, *, kind: Any = TigerPush, **how: Any) -> Any:
    """The push of an account, logged in and subscribed; a lost connection is made again almost at once."""
    logins = len(pushd.logins)
    endpoint = Endpoint("127.0.0.1", pushd.port, tls="ca_file" in how)
    push = kind(credentials(account), endpoint, clock, **{"retry_waits": (0.01,), **how})
    push.start()
    pushd.until(lambda: pushd.subscribed(logins + 1))
    return push
