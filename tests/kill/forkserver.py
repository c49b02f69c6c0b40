"""Real processes without the price of their imports: a parent that has imported the program forks one for each start.

Run as a program of its own, for it must have no threads. Each line of stdin is a start, as JSON; each line of stdout is
how it ended. The child runs ``oms.cli.main`` as ``cli.py`` does, and dies by a real SIGKILL.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from oms import app, cli, crashpoints
from oms.cli import journal, options, running, status
from oms.config import load_config
from oms.configuration.document import parse_document
from oms.errors import InDoubt
from oms.gateways.paper import PaperBroker
from oms.journal import history, machine, migration, store, views
from oms.model.order import OrderRequest

IMPORTED = (app, history, journal, migration, options, running, status, store, views)

# What the program imports only when it needs it: a child that is somebody else may not find it any more.
parse_document("mode: paper\n", "nowhere")
with suppress(ImportError):  # where its driver is installed
    importlib.import_module("oms.journal.postgres.journal")
load_config(None, {})  # what checks a configuration is put together by the first one
create_engine("sqlite://").connect().close()

LONGEST_S = 240.0
"""A start that runs longer hangs."""


def lose_replies(count: int) -> None:
    """Let the first replies of the broker be lost after it accepted."""
    place = PaperBroker.place
    left = [count]

    def deaf(self: PaperBroker, order: OrderRequest) -> str:
        order_id = place(self, order)
        if left[0] > 0:
            left[0] -= 1
            raise InDoubt("timeout", "the reply was lost")
        return order_id

    PaperBroker.place = deaf  # type: ignore[method-assign]


def child(start: dict[str, Any]) -> None:
    """Be one process; does not return."""
    os.chdir(start["folder"])
    for handle, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), handle)
    if start.get("at"):
        crashpoints._target = (start["at"][0], start["at"][1])
    passed: list[str] = []
    if start.get("count"):
        crashpoints.strike = passed.append
    if start.get("boot"):
        machine.restart_token = lambda: start["boot"]  # type: ignore[assignment]  # this life of the machine is another
    lose_replies(start.get("lost_replies", 0))
    if start.get("user"):
        os.setuid(start["user"])  # to be refused what root is never refused
    code: object = 1
    try:
        cli.main(start["arguments"])
    except SystemExit as ended:
        code = ended.code
    if start.get("count"):
        Path("passed.json").write_text(json.dumps(passed), "utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def ended(pid: int, kill_after: float) -> int:
    """Wait for a child, killing it when its time is over; its exit code, or minus the signal that ended it."""

    def strike(*_: object) -> None:
        # The child may end by itself between its last instant and the end of its alarm.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    # An alarm and not a loop of looks: on two cores those would take the child's own time.
    signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, max(kill_after, 1e-6))
    _, state = os.waitpid(pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return os.waitstatus_to_exitcode(state)


def serve() -> None:
    """Start what stdin asks for, one at a time."""
    gc.freeze()  # what is imported is never looked through again, so a child has few pages of its own
    for line in sys.stdin:
        start = json.loads(line)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            child(start)
        code = ended(pid, start.get("kill_after", LONGEST_S))
        print(json.dumps({"code": code, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    serve()
