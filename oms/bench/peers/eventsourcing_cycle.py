"""A trading cycle as an aggregate of the ``eventsourcing`` library on SQLite, saved after each event as its tutorial does.

``cycles FILE`` answers as ``oms bench cycle --serve`` does.
"""

from __future__ import annotations

import json
import sys
import time

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

SELLS = BUYS = 10


class Cycle(Aggregate):
    """Each send and each fill is an event; so is each change of phase."""

    def __init__(self, sells: int, buys: int) -> None:
        self.sells, self.buys = sells, buys
        self.sent: list[str] = []
        self.filled: list[str] = []
        self.phase = "SELLING"

    @event("Sent")
    def send(self, symbol: str, side: str, quantity: int, price: str) -> None:  # noqa: ARG002  # they are what the event holds
        """Write down an intent, before it leaves."""
        self.sent.append(symbol)

    @event("Filled")
    def fill(self, symbol: str, quantity: int, price: str) -> None:  # noqa: ARG002  # they are what the event holds
        """Write down what the broker answered."""
        self.filled.append(symbol)

    @event("PhaseChanged")
    def enter(self, phase: str, funds: str) -> None:  # noqa: ARG002  # they are what the event holds
        """Enter the next phase."""
        self.phase = phase


class Cycles(Application):
    """Where cycles are kept."""

    def run(self) -> None:
        """One cycle of sells and buys at a broker that costs nothing."""
        cycle = Cycle(sells=SELLS, buys=BUYS)
        self.save(cycle)
        for side, count, after in (("SELL", SELLS, ("SETTLING", "REVALIDATING", "BUYING")), ("BUY", BUYS, ("DONE",))):
            for number in range(count):
                symbol = f"{side[0]}{number:04d}"
                cycle.send(symbol, side, 100, "10")
                self.save(cycle)
                cycle.fill(symbol, 100, "10")
                self.save(cycle)
            for phase in after:
                cycle.enter(phase, "1000000000")
                self.save(cycle)


def main(task: str, file: str) -> None:
    """Run what the arguments ask for."""
    if task != "cycles":
        raise ValueError(task)
    cycles = Cycles(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": file})
    print("READY", flush=True)
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            began = time.perf_counter()
            cycles.run()
            took.append(time.perf_counter() - began)
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
