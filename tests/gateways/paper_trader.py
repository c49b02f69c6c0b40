"""A process that trades on a paper book, to be killed: ``paper_trader.py BOOK NUMBER…`` places one sell per number.

It prints ``READY`` when the book is open, then each number whose acknowledgement it has. With ``+N`` instead of numbers
it reserves N of its own.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path

from oms.gateways.paper import PaperBroker
from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from oms.model.order import OrderRequest, OrdType, Side
from tests.fakes.market import FixedMarket

SHARES = 1000


def open_book(path: Path) -> PaperBroker:
    return PaperBroker(
        path,
        FixedMarket({"AAA": "20"}),
        SystemClock(),
        cash=Decimal(0),
        positions={"AAA": SHARES},
        partial_fills=Decimal("0.5"),
    )


def sell(broker: PaperBroker, number: str) -> str:
    request = OrderRequest(
        cl_ord_id=f"m{number}",
        order_no=number,
        symbol="AAA",
        side=Side.SELL,
        ord_type=OrdType.LIMIT,
        order_qty=2,
        price=Decimal(19),
    )
    broker.place(request)
    os.write(1, f"{number}\n".encode())  # in one piece, for eight threads write here
    return number


def main(path: Path, numbers: list[str]) -> None:
    broker = open_book(path)
    print("READY", flush=True)
    if numbers[0].startswith("+"):
        numbers = broker.reserve(int(numbers[0]))
    hands = ThreadHands(8)
    handles = [hands.start(partial(sell, broker, number)) for number in numbers]
    for handle in handles:
        while not handle.done():
            hands.wait([handle], 60)
        handle.result()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
