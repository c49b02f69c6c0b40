"""A whole engine, as ``run --loop`` wires it, on a Yahoo that does everything wrong, and then recovers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from oms import app
from oms.config import load_config
from oms.gateways.yahoo.pace import Pace
from oms.journal import views
from oms.journal.reader import open_reader
from oms.model.task import SELECTION, TRADING
from tests.yahood import server as yahood
from tests.yahood.house import TOLERATED, forget_yahoo
from tests.yahood.server import Reply, Yahood

pytestmark = TOLERATED
SYMBOLS = ("AA", "BB", "CC", "DD", "EE")
CONFIG = """\
market: {{source: yahoo, exchange: "24/7", no_buys_before_close: 0s, yahoo: {{base_url: "{url}"}}}}
selection: {{universe: symbols.txt, interval: 10s}}
broker: {{paper: {{cash: 20000, positions: {{AA: 10}}, settle_after: 0ms, funds_lag: 0ms, fill_delay: 0ms}}}}
settlement: {{poll: 10ms}}
execution: {{grace: 0ms}}
worker: {{interval: 100ms, reconciliation: 1s}}
backup: {{daily: false}}
"""
TROUBLES = {
    "broken": yahood.BROKEN,
    "empty": yahood.EMPTY,
    "malformed": yahood.MALFORMED,
    "down": yahood.DOWN,
    "hanging": yahood.HANGS,
    "refusing": yahood.REFUSED,
}
"""What Yahoo does to every request, cookies included, one after the other."""
LACKS = "0 of 5 symbols have prices"
BEATS = 3
"""Beats that each trouble is lived through, once the engine has said what it lacks."""
GIVE_UP_S = 120


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Yahoo minds no haste, no reply is waited for long, and it is asked again soon after it failed."""
    monkeypatch.setattr("oms.gateways.yahoo.market.Pace", partial(Pace, rate=1_000.0))
    monkeypatch.setattr("oms.gateways.yahoo.pace.OUTAGE_S", 0.05)
    monkeypatch.setattr("oms.gateways.yahoo.pace.REFUSED_S", (0.05,))


@pytest.fixture
def server() -> Iterator[Yahood]:
    now = datetime.now(UTC)
    forget_yahoo()
    days = [now.date() - timedelta(days=n) for n in range(300, -1, -1)]
    with Yahood(days, SYMBOLS, now) as running:
        for number, symbol in enumerate(SYMBOLS):  # AA is the worst of them, EE the best
            share = running.shares[symbol]
            share.rows = [yahood.Row(day, 50.0 + step * 0.05 * number) for step, day in enumerate(days)]
        yield running


class Troublemaker:
    """Looks on from within the engine's own thread, at each of its glances: the next trouble, then none, then the end."""

    def __init__(self, server: Yahood) -> None:
        self.engine: app.Engine | None = None
        self.lived_through: list[str] = []
        self._server = server
        self._to_come = list(TROUBLES.items())
        self._name = ""
        self._runs = self._beats = 0
        self._until = time.monotonic() + GIVE_UP_S

    def __call__(self) -> int | None:
        if self.engine is None:
            return None
        if time.monotonic() > self._until:
            return 75
        for desk in self.engine._tasks.errands._desks:
            desk.due = 0.0  # what failed is tried again now, not after a minute
        if not self._name or (self._name != "none" and self._is_lived_through()):
            self._go_on()
        return 143 if self.engine._worker.cycles else None

    def _is_lived_through(self) -> bool:
        """A selection of this trouble has failed and said so, and the beat went on."""
        assert self.engine is not None
        register = self.engine._tasks.register
        selection = register.task(SELECTION)
        if selection.failures and selection.runs > self._runs and LACKS in selection.last_error:
            self._beats = self._beats or register.task(TRADING).runs
        return bool(self._beats) and register.task(TRADING).runs >= self._beats + BEATS

    def _go_on(self) -> None:
        assert self.engine is not None
        if self._name:
            self.lived_through.append(self._name)
        reply: Reply | None = None
        if self._to_come:
            self._name, reply = self._to_come.pop(0)
        else:
            self._name, self._beats = "none", 0
        self._server.answer = lambda _ask: reply
        # A run that is under way began in the trouble before: the one after it counts.
        self._runs, self._beats = self.engine._tasks.register.task(SELECTION).runs + 1, 0


def test_the_beat_is_kept_through_every_trouble_and_what_is_lacking_is_said(tmp_path: Path, server: Yahood) -> None:
    """In one process: broken, empty, malformed, down, hanging and refusing in turn; each time beats go on and the task says
    what it lacks. When Yahoo answers again, a cycle is traded, the only one.
    """
    (tmp_path / "symbols.txt").write_text("\n".join(SYMBOLS), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=server.url), encoding="utf-8")
    watch = Troublemaker(server)
    watch.engine = app.Engine(load_config(tmp_path / "config.yaml", {}), loop=True, stopping=watch)
    watch.engine.market._deadline_s = 1.0  # type: ignore[attr-defined]  # it is Yahoo's
    try:
        ending = watch.engine.run()
    finally:
        watch.engine.close()
    assert ending.exit_code == 143, (
        watch.lived_through,
        watch._name,
        watch.engine._tasks.register.task(SELECTION).last_error,
    )
    assert watch.lived_through == list(TROUBLES), watch.engine._tasks.register.task(SELECTION)
    assert ending.exit_code == 143
    reader = open_reader(f"sqlite:///{(tmp_path / 'var' / 'oms.db').as_posix()}")
    orders = views.order_list(reader)["orders"]
    cycles = views.cycle_list(reader)["cycles"]
    reader.close()
    assert len(cycles) == 1, "a cycle was opened on prices that were not there"
    assert "FILLED" in {order["ord_status"] for order in orders}, "it did not trade after Yahoo had recovered"
