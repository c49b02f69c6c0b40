"""A trading cycle as a workflow of DBOS: each send and each reading is a step, as its documentation advises.

``cycles URL shipped|wal`` answers as ``oms bench cycle --serve`` does; ``open URL shipped|wal N`` leaves N workflows in
the middle of their buys and prints OPEN; ``resume URL shipped|wal N`` prints RECONCILED when DBOS has brought each of them
back to where it was.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

SELLS = BUYS = 10
ORDERS = {
    "sells": [{"symbol": f"S{n:04d}", "side": "SELL", "quantity": 100, "price": "10"} for n in range(SELLS)],
    "buys": [{"symbol": f"B{n:04d}", "side": "BUY", "quantity": 100, "price": "10"} for n in range(BUYS)],
}
HALTS_AT = 5
"""The buy at which a cycle that is left open stands."""

_halting = threading.Event()
_arrived: list[str] = []
_wanted = 0
_word = ""


@DBOS.step()
def send(order: dict[str, Any], number: int) -> dict[str, Any]:
    """The broker that costs nothing fills at once."""
    if _halting.is_set() and order["side"] == "BUY" and number == HALTS_AT:
        _stand_still()
    return {"order_id": f"N{number}", "status": "filled", "cum_qty": order["quantity"], "price": order["price"]}


@DBOS.step()
def funds() -> str:
    """Read the money."""
    return "1000000000"


@DBOS.workflow()
def cycle(plan: dict[str, Any]) -> str:
    """Sells, then the money twice as it must be equal, then buys."""
    for number, order in enumerate(plan["sells"]):
        send(order, number)
    if funds() != funds():
        return "partial"
    for number, order in enumerate(plan["buys"]):
        send(order, number)
    return "complete"


def _stand_still() -> None:
    _arrived.append(str(DBOS.workflow_id))
    if len(_arrived) == _wanted:
        print(_word, flush=True)
        sys.stdin.read()
        os._exit(0)
    threading.Event().wait()


def _launch(url: str, tuning: str) -> None:
    if tuning == "wal":
        raw = sqlite3.connect(url.removeprefix("sqlite:///"))
        raw.execute("PRAGMA journal_mode = WAL")  # the file keeps it; synchronous=FULL is SQLite's own default
        raw.close()
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "log_level": "ERROR",
        "application_version": "bench",
        "max_executor_threads": 128,
    }
    DBOS(config=config)
    DBOS.launch()


def main(task: str, url: str, tuning: str, count: str = "0") -> None:
    """Run what the arguments ask for."""
    global _wanted, _word  # one process does one thing
    if task != "cycles":
        _wanted, _word = int(count), "OPEN" if task == "open" else "RECONCILED"
        _halting.set()
    _launch(url, tuning)
    if task == "cycles":
        _serve()
        return
    for number in range(int(count) if task == "open" else 0):
        with SetWorkflowID(f"cycle-{number}"):
            DBOS.start_workflow(cycle, ORDERS)
    threading.Event().wait()


def _serve() -> None:
    print("READY", flush=True)
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            began = time.perf_counter()
            if cycle(ORDERS) != "complete":
                raise AssertionError("the cycle did not fill")
            took.append(time.perf_counter() - began)
        print(json.dumps(took), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main(*sys.argv[1:])
