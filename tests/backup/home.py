"""A fast account in a folder of its own, for the tests of backup and restore, and processes that really die."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from oms import app, crashpoints
from oms.backup import shelf
from oms.backup.deciding import finish
from oms.backup.making import Made, Order, make
from oms.backup.planning import Plan, make_plan
from oms.backup.restoring import Restored, clean_up, restore
from oms.config import LoadedConfig, load_config
from oms.engine.driver import Ending
from oms.gateways.signals import read_signals
from oms.journal.connection import reader_engine
from oms.journal.inbox import Inbox
from oms.journal.loading import load
from oms.model.state import AccountState
from oms.places import places

CONFIG = """\
# The account of these tests.   Comments, and odd   spacing, come back as they are.
account: paper-main
broker: {paper: {settle_after: 0ms, funds_lag: 0ms, fill_delay: 0ms, cash: 1000, positions: {AAA: 100}}}
settlement: {poll: 10ms}     # fast
execution:
  grace: 0ms
  max_position_value: 9000   # dollars; a comment that stays
  collar: 0.5%
market: {replay: {data: bars.csv}}
selection: {universe: symbols.txt, min_history: 2, top: 7}
risk:
  blacklist: [ZZZ, "ON"]     # quoted, since YAML would misread it
backup: {keep: 3}
"""
DAYS = ("04", "05", "06", "07", "08", "11", "12", "13")
ENV: Mapping[str, str] = {}


class Home:
    """One account: its configuration, its journal, its backups."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config_file = folder / "config.yaml"
        self.config_file.write_text(config, "utf-8")
        self.universe = folder / "symbols.txt"
        self.universe.write_text("AAA  # the first\nBBB\n", "utf-8")
        rows = ["Date,Symbol,Open,High,Low,Close,Volume"]
        for day in DAYS:
            rows += [f"2024-03-{day},AAA,50,51,49,50,1000000", f"2024-03-{day},BBB,20,21,19,20,1000000"]
        (folder / "bars.csv").write_text("\n".join(rows) + "\n", "utf-8")

    @property
    def loaded(self) -> LoadedConfig:
        return load_config(self.config_file, ENV)

    @property
    def journal(self) -> Path:
        return places(self.loaded).journal

    @property
    def state(self) -> AccountState:
        engine = reader_engine(self.journal)
        try:
            with engine.connect() as connection:
                return load(connection, "paper-main").state
        finally:
            engine.dispose()

    @property
    def texts(self) -> tuple[bytes, bytes]:
        """config.yaml and the universe as they are."""
        return self.config_file.read_bytes(), self.universe.read_bytes()

    def run(self, sell: int = 10, *, open_new: bool = True) -> Ending:
        """One whole cycle of the real engine at the real paper broker: sell some AAA, buy some BBB."""
        plan = self.folder / "plan.csv"
        plan.write_text(f"side,symbol,quantity,price,score\nsell,AAA,{sell},,\nbuy,BBB,5,,\n", "utf-8")
        signals = read_signals(str(plan))
        engine = app.Engine(self.loaded, signals=lambda: signals, open_new=open_new)
        with closing(engine):
            return engine.run()

    def post(self, command: str, **arguments: str) -> None:
        """Leave an operator's command; the next run obeys it."""
        with closing(Inbox(places(self.loaded).inbox)) as inbox:
            inbox.post("tester", command, arguments)

    def back_up(self, *, with_journal: bool = False, note: str = "") -> Made:
        return make(self.loaded, Order(note=note, with_journal=with_journal), ENV)

    def plan(self, archive: Path, *, other_account: bool = False) -> Plan:
        return make_plan(archive, self.config_file, ENV, other_account=other_account)

    def restore(self, archive: Path, *, other_account: bool = False) -> Restored:
        plan = self.plan(archive, other_account=other_account)
        try:
            return restore(plan, ENV)
        finally:
            clean_up(plan)

    def finish(self) -> str | None:
        """What the next command does first."""
        return finish(self.folder)

    def latest(self) -> Path:
        return shelf.find(self.loaded, "latest")

    def kinds(self) -> list[str]:
        """The kinds of all facts in the journal, in order."""
        return [kind for kind, _ in self.facts()]

    def facts(self) -> list[tuple[str, dict[str, Any]]]:
        engine = reader_engine(self.journal)
        try:
            with engine.connect() as connection:
                rows = connection.exec_driver_sql("SELECT kind, data FROM events ORDER BY seq").fetchall()
                return [(kind, json.loads(data)) for kind, data in rows]
        finally:
            engine.dispose()


def dies_at(point: str, passage: int, call: Callable[[], object]) -> bool:
    """Run ``call`` in a process that a real SIGKILL ends at the point; False where it ended before it came there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has no threads that hold locks
        pid = os.fork()
    if pid == 0:
        crashpoints._target, crashpoints._passages = (point, passage), 0
        try:
            call()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
