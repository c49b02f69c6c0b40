"""``cycle watch``: one cycle as it goes, in a terminal: where it is, what it waits for, each order."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from oms.cli import options
from oms.cli.layout import count
from oms.cli.order_table import order_table
from oms.cli.reading import at_desk
from oms.errors import EXIT_DONE
from oms.model.cycle import Phase
from oms.questions import account, history
from oms.questions.asking import Answer

EVERY_S = 1.0
"""Seconds between two looks."""

CLEAR = "\x1b[H\x1b[2J"


@click.command(name="watch")
@options.common
@click.option("--dry-run", is_flag=True, help="Look into the dry run's own journal.")
@click.argument("cycle_id", metavar="CYCLE", default="latest")
def cycle_watch(*, dry_run: bool, cycle_id: str) -> int:
    """Follow one cycle to its end, a look each second: its phase, what it waits for, its orders.

    Without CYCLE, or with `latest`, the newest one. On a terminal the picture is drawn anew; elsewhere each change of phase
    or of an order is a new picture. Ends when the cycle is done, or at Ctrl-C.
    """
    desk, drawn = at_desk(dry_run=dry_run), ""
    on_terminal = sys.stdout.isatty()
    while True:
        answer = history.cycle(desk, cycle_id)
        picture = "\n".join(lines(answer, account.status(desk)))
        if picture != drawn:
            click.echo(f"{CLEAR}{picture}" if on_terminal else picture)
            drawn = picture
        if answer["cycle"]["phase"] == Phase.DONE.value:
            return EXIT_DONE
        cycle_id = answer["cycle"]["cycle_id"]
        time.sleep(EVERY_S)


def lines(answer: Answer, status: Answer) -> Iterator[str]:
    """The cycle for a person who watches it."""
    about = answer["cycle"]
    resumed = f", taken up again {count(about['resumed'], 'time')}" if about["resumed"] else ""
    yield f"{about['account']} · {about['cycle_id']} of {about['trading_day']}{resumed}"
    yield " → ".join(_phase(phase.value, about["phase"]) for phase in Phase)
    is_current = status["cycle_id"] == about["cycle_id"]
    if about["phase"] == Phase.DONE.value:
        yield f"done: {about['outcome']}"
    elif is_current:
        yield f"waiting for {status['waiting_for']}"
    yield _proceeds(answer["orders"])
    yield ""
    yield from order_table(answer["orders"])
    for each in answer["cuts"]:
        yield f"cut {each['symbol']} {each['from']} -> {each['to']} by {each['rule']}: {each['reason']}"


def _phase(name: str, current: str) -> str:
    return f"[{name}]" if name == current else name.lower()


def _proceeds(orders: list[dict[str, Any]]) -> str:
    done = {side: [order for order in orders if order["side"] == side] for side in ("SELL", "BUY")}
    filled = {side: sum(order["ord_status"] == "FILLED" for order in found) for side, found in done.items()}
    return f"sells {filled['SELL']}/{len(done['SELL'])} filled, buys {filled['BUY']}/{len(done['BUY'])} filled"
