"""How long a process takes from its start until every cycle that a killed one left open is reconciled with the broker.

``open FOLDER N`` leaves N accounts' cycles in the middle of their buys, each with a broker's book beside it; ``resume
FOLDER N`` prints RECONCILED and the most commits that one of them needed, the lease's among them.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from oms import crashpoints
from oms.bench.cycle import CycleBench
from oms.gateways.threads import ThreadHands
from oms.ports import Handle

T = TypeVar("T")

SENT_BY_THEN = 15
"""Orders that the broker has when the process dies: all sells, and half of the buys."""
BOOK = "book.pickle"
COMMITS_OF_THE_LEASE = 1


class Died(BaseException):
    """The process ends here, as far as this account can tell."""


class Reconciled(BaseException):
    """The first barrier after the start has reached the disk: it holds all that asking taught."""


class Waited(ThreadHands):
    """Threads whose calls can be waited for: a request that left reaches the broker, whether or not its sender lives."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._started: list[Handle[Any]] = []

    def start(self, call: Callable[[], T]) -> Handle[T]:
        """As in the engine's own threads."""
        handle = super().start(call)
        self._started.append(handle)
        return handle

    def finish(self) -> None:
        """Return when every call has come to its end."""
        for handle in self._started:
            self.wait([handle], 60.0)


def leave_open(folder: Path, count: int) -> None:
    """Leave this many accounts in the middle of a cycle; the caller must end the process without closing anything."""
    for number in range(count):
        place = folder / str(number)
        place.mkdir(parents=True)
        hands = Waited(8)
        made = CycleBench(place, hands=hands)
        made.cycle()
        placed = made.broker.placed

        def strike(point: str, made: CycleBench = made, enough: int = placed + SENT_BY_THEN) -> None:
            if point == "journal.after_soft_commit" and made.broker.placed >= enough:
                raise Died

        crashpoints.strike = strike
        try:
            made.cycle()
        except Died:
            hands.finish()
            (place / BOOK).write_bytes(pickle.dumps(made.broker))
        else:
            raise AssertionError("the cycle came to its end, and nothing is left open")
        finally:
            crashpoints.strike = None


def resume(folder: Path, count: int) -> int:
    """Reconcile each of them; the most commits that one needed."""
    hands, most = ThreadHands(8), 0
    for number in range(count):
        place = folder / str(number)
        broker = pickle.loads((place / BOOK).read_bytes())  # noqa: S301  # written by the bench itself
        made = CycleBench(place, broker=broker, hands=hands)
        crashpoints.strike = _reconciled
        try:
            made.driver.run()
        except Reconciled:
            commits = made.journal.commits
            # A commit is counted when it has returned; the barrier that was just made has not.
            most = max(most, COMMITS_OF_THE_LEASE + commits.soft + commits.barrier + 1)
        else:
            raise AssertionError("nothing was left open")
        finally:
            crashpoints.strike = None
    return most


def _reconciled(point: str) -> None:
    if point == "journal.after_barrier":
        raise Reconciled


def main(task: str, folder: str, count: str) -> None:
    """Run what the arguments ask for; the process is killed by whoever started it."""
    if task == "open":
        leave_open(Path(folder), int(count))
        print("OPEN", flush=True)
    else:
        print("RECONCILED", resume(Path(folder), int(count)), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
