"""The whole program on Yahoo's prices: the paper broker trades an exchange that never closes, at prices of this second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from oms import cli
from oms.gateways.yahoo.pace import Pace
from tests.yahood import server as yahood
from tests.yahood.house import TOLERATED, forget_yahoo
from tests.yahood.server import Yahood

pytestmark = TOLERATED
SYMBOLS = ("AA", "BB", "CC", "DD", "EE")
CONFIG = """\
market: {{source: yahoo, exchange: "24/7", no_buys_before_close: 0s, yahoo: {{base_url: "{url}"}}}}
selection: {{universe: symbols.txt, min_score: 60, sell_below: 50}}
broker: {{paper: {{cash: 20000, positions: {{AA: 10}}, settle_after: 0ms, funds_lag: 0ms, fill_delay: 0ms}}}}
settlement: {{poll: 10ms}}
execution: {{grace: 0ms}}
"""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Yahoo minds no haste; tests/yahood/test_pace_and_crew.py looks at the pace."""
    monkeypatch.setattr("oms.gateways.yahoo.market.Pace", partial(Pace, rate=1_000.0))


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


@pytest.fixture
def folder(tmp_path: Path, server: Yahood) -> Path:
    (tmp_path / "symbols.txt").write_text("\n".join(SYMBOLS), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=server.url), encoding="utf-8")
    return tmp_path


def run(folder: Path) -> tuple[object, str]:
    done = CliRunner().invoke(cli.oms, ["run", "--config", str(folder / "config.yaml")], standalone_mode=False)
    return done.exception or done.return_value, done.output


def events(folder: Path) -> list[dict[str, object]]:
    asked = ["journal", "query", "--json", "--config", str(folder / "config.yaml")]
    found: list[dict[str, object]] = json.loads(CliRunner().invoke(cli.oms, asked, standalone_mode=False).stdout)[
        "events"
    ]
    return found


def test_a_cycle_on_yahoo_s_prices(folder: Path, server: Yahood) -> None:
    """A cycle selects from Yahoo's bars, sells and buys at Yahoo's last prices, and ends complete."""
    ended, told = run(folder)
    assert ended == 0, told
    assert "5 of 5 symbols scored" in told
    assert "SELL AA 10 filled 10 at " in told
    assert "DONE          complete" in told


def test_a_yahoo_that_refuses_opens_no_cycle(folder: Path, server: Yahood) -> None:
    """On stale prices nothing is traded: the reason is journaled, and the program says to try again later."""
    server.answer = lambda ask: yahood.REFUSED if ask.symbol and ask.query["interval"] == "1d" else None
    ended, told = run(folder)
    assert getattr(ended, "exit_code", None) == 75, told
    assert "0 of 5 symbols have prices up to" in str(ended)
    kinds = [event["kind"] for event in events(folder)]
    assert kinds == ["account_opened", "attention_raised"]
