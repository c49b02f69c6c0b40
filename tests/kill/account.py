"""One account in a folder of its own, real processes that trade it, and the judge over what they left behind."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select

from oms.app import rules_of
from oms.config import load_config
from oms.gateways.paper.log import LogEntry, LogKind, read_log
from oms.journal import loading, tables
from oms.journal.connection import reader_engine
from oms.journal.reader import open_reader
from oms.journal.verify import verify
from oms.model.event import Recorded
from oms.sim.evidence import Evidence, fold
from oms.sim.laws import check

ROOT = Path(__file__).parent.parent.parent
MOST_RUNS = 10
"""Runs after which a life that does not end has failed."""

FAST = """\
account: kill
broker:
  paper:
    cash: 20000
    positions: {AAA: 500, BBB: 800}
    settle_after: 20ms
    funds_lag: 10ms
    fill_delay: 5ms
    list_lag: LIST_LAG
    partial_fills: 50%
market: {replay: {data: bars.csv}}
execution: {grace: 10ms, order_deadline: ORDER_DEADLINE}
settlement: {poll: 10ms, deadline: 10s}
in_doubt: {window: WINDOW, then: THEN}
worker: {lease: LEASE}
"""

SIGNALS = """\
side,symbol,quantity,price
sell,AAA,100,
sell,BBB,150,
buy,CCC,20,
buy,DDD,400,
"""
"""Two sells and two buys; the second buy is cut."""

PRICES = {"AAA": 50.0, "BBB": 20.0, "CCC": 100.0, "DDD": 40.0}


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What else is wrong in a life."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    signals: str = SIGNALS
    lost_replies: int = 0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one process ended."""

    code: int
    """Its exit code, or minus the signal that ended it."""
    out: str
    err: str
    seconds: float = 0.0


class Server:
    """A fork server; see ``forkserver.py``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "kill" / "forkserver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def start(self, **start: Any) -> dict[str, Any]:
        """Run one process to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(start) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


class Account:
    """One account; ``server`` starts its processes, or without one ``cli.py`` itself."""

    def __init__(self, folder: Path, weather: Weather, server: Server | None = None) -> None:
        self.folder = folder
        self.weather = weather
        self._server = server
        settings = {
            "LIST_LAG": "0ms",
            "ORDER_DEADLINE": "20s",
            "WINDOW": "60ms",
            "THEN": "resend",
            "LEASE": "15s",
            **weather.settings,
        }
        text = FAST
        for name, value in settings.items():
            text = text.replace(name, value)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(text, "utf-8")
        (folder / "signals.csv").write_text(weather.signals, "utf-8")
        (folder / "bars.csv").write_text(bars(), "utf-8")

    @property
    def journal(self) -> Path:
        return self.folder / "var" / "oms.db"

    @property
    def paper(self) -> Path:
        return self.folder / "var" / "paper.db"

    # Processes

    def run(self, *, at: tuple[str, int] | None = None, **how: Any) -> Ended:
        """``run --signals``, killed at a passage of a crash point or after some seconds."""
        return self.call("run", "--signals", "signals.csv", at=at, **how)

    def call(self, *arguments: str, at: tuple[str, int] | None = None, **how: Any) -> Ended:
        """Any command, to its end."""
        if self._server is not None:
            answer = self._server.start(
                folder=str(self.folder), arguments=arguments, at=at, lost_replies=self.weather.lost_replies, **how
            )
            # A child that died at once has not even opened them.
            out, err = (
                p.read_text("utf-8") if p.exists() else "" for p in (self.folder / "out.txt", self.folder / "err.txt")
            )
            return Ended(code=answer["code"], out=out, err=err, seconds=answer["seconds"])
        process = self.begin(*arguments, at=at)
        with suppress(subprocess.TimeoutExpired):
            process.wait(how.get("kill_after", 0))
        if "kill_after" in how:
            process.kill()
        out, err = process.communicate(timeout=240)
        return Ended(code=process.returncode, out=out, err=err)

    def begin(self, *arguments: str, at: tuple[str, int] | None = None, **popen: Any) -> subprocess.Popen[str]:
        """Start ``cli.py`` itself, and do not wait for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OMS_")}
        if at is not None:
            environment["OMS_CRASH_AT"] = f"{at[0]}:{at[1]}"
        return subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **popen,
        )

    def passages(self) -> list[tuple[str, int]]:
        """Every boundary that one undisturbed run passes, as name and number of the passage."""
        ended = self.run(count=True)
        assert ended.code in (0, 7), ended
        counted: dict[str, int] = {}
        found = []
        for name in json.loads((self.folder / "passed.json").read_text("utf-8")):
            counted[name] = counted.get(name, 0) + 1
            found.append((name, counted[name]))
        return found

    def finish(self) -> list[Ended]:
        """Run until a run ends well."""
        runs: list[Ended] = []
        for _ in range(MOST_RUNS):
            runs.append(self.run())
            if runs[-1].code == 0 or (runs[-1].code == 7 and not self.is_open()):
                return runs
            assert runs[-1].code in (7, 75), runs[-1]
        raise AssertionError(f"no end in sight: {runs[-1]}")

    def is_open(self) -> bool:
        """Whether a cycle is open; a run that ends with 7 and none was held for an order in quarantine."""
        return self.evidence().state.open_cycle is not None

    # The judge

    def facts(self) -> list[Recorded]:
        """Every fact of the journal, through an opening that can only read."""
        if not self.journal.exists():
            return []
        engine = reader_engine(self.journal)
        events = tables.events
        columns = (events.c[name] for name in ("seq", "at", "cycle_id", "cl_ord_id", "symbol", "kind", "data"))
        try:
            with engine.connect() as connection:
                if not inspect(connection).has_table(events.name):
                    return []  # its process died while it made the tables
                return [loading.recorded(row) for row in connection.execute(select(*columns).order_by(events.c.seq))]
        finally:
            engine.dispose()

    def log(self) -> list[LogEntry]:
        """The broker's log; empty where its process died while it made the book."""
        try:
            return read_log(self.paper)
        except sqlite3.OperationalError:
            assert not self.facts(), "a journal with facts has a broker with a book"
            return []

    def accepted(self) -> list[str]:
        """Keys of the orders the broker accepted, in its order."""
        return [row.user_mark for row in self.log() if row.kind is LogKind.ACCEPTED and row.user_mark is not None]

    def evidence(self) -> Evidence:
        facts = self.facts()
        rules = rules_of(load_config(self.folder / "config.yaml", {}).config)
        return Evidence(
            log=self.log(), facts=facts, state=fold(facts, "kill"), rules=rules, in_flight=timedelta(seconds=2)
        )

    def judge(self, story: str) -> None:
        """Check the laws, and that the journal verifies."""
        violations = check(self.evidence())
        assert not violations, story + "\n" + "\n".join(str(each) for each in violations)

    def verify(self, story: str) -> None:
        """Check the journal's chain, its tables and its anchors."""
        with closing(open_reader(f"sqlite:///{self.journal.as_posix()}")) as reader:
            verdict = verify(reader)
        assert verdict.ok, f"{story}\n{verdict}"


def bars() -> str:
    """Daily bars of four quiet symbols, of which the second half is traded."""
    rows = ["Date,Symbol,Open,High,Low,Close,Volume"]
    day = date(2010, 1, 4)
    while len(rows) <= 4 * 160:
        if day.weekday() < 5:
            for symbol, price in PRICES.items():
                at = price * (1 + 0.001 * (day.toordinal() % 7))
                rows.append(f"{day},{symbol},{at:.2f},{at * 1.02:.2f},{at * 0.98:.2f},{at * 1.01:.2f},1000000")
        day += timedelta(days=1)
    return "\n".join(rows) + "\n"


def live(account: Account, kills: Sequence[Mapping[str, Any]], story: str) -> int:
    """One life: it is killed in turn, then run to its end, and judged; answers how many kills struck."""
    struck = 0
    for kill in kills:
        ended = account.run(**kill)
        if ended.code != -9:
            assert ended.code in (0, 7, 75), f"{story}\n{ended}"
            continue
        struck += 1
        account.judge(f"{story}, after kill {struck}")
    account.finish()
    account.judge(story)
    account.verify(story)
    return struck


def some(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, evenly spread from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[n * (len(items) - 1) // (most - 1)] for n in range(most)]


def spread(items: Iterable[Any], part: int, parts: int) -> list[Any]:
    """Every ``parts``-th item, so that parallel tests share a list."""
    return list(items)[part::parts]
