"""``history fetch`` and ``history status``, against the Yahoo on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oms import cli
from oms.cli import prices
from oms.errors import StorageError
from oms.gateways.yahoo.pace import Pace
from tests.yahood import server as yahood
from tests.yahood.house import TOLERATED, days_to, forget_yahoo
from tests.yahood.server import Yahood

pytestmark = TOLERATED
SYMBOLS = ("GE", "OXY", "XOM")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Yahoo minds no haste."""
    monkeypatch.setattr("oms.gateways.yahoo.market.Pace", partial(Pace, rate=1_000.0))


@pytest.fixture
def server() -> Iterator[Yahood]:
    """Yahoo of today: a command's clock is the machine's."""
    now = datetime.now(UTC)
    forget_yahoo()
    with Yahood(days_to(now), SYMBOLS, now) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: Yahood) -> Path:
    (tmp_path / "universe.txt").write_text("\n".join(SYMBOLS), encoding="utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(f"market: {{yahoo: {{base_url: '{server.url}'}}}}", encoding="utf-8")
    return file


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.oms, [*arguments, "--config", str(config)], standalone_mode=False)


def test_fetch_and_status(config: Path, server: Yahood) -> None:
    """A fetch fills the store for the universe, says so, and the status shows what is kept without asking anybody."""
    before = call(config, "history", "status")
    assert before.stdout == "no prices are kept; `history fetch` brings them\n"
    fetched = call(config, "history", "fetch")
    assert fetched.exception is None
    assert fetched.stdout.startswith("all 3 symbols have a usable year up to 20")
    assert fetched.return_value == 0
    server.asked.clear()
    lines = call(config, "history", "status").stdout.splitlines()
    assert lines[0].startswith("3 of 3 symbols of the universe reach up to 20")
    assert lines[-1].endswith("bars of 3 symbols are kept")
    answer = json.loads(call(config, "history", "status", "--json").stdout)
    assert answer["schema"] == "oms.history.status/1"
    assert [(row["symbol"], row["status"]) for row in answer["symbols"]] == [(symbol, "ok") for symbol in SYMBOLS]
    assert (answer["universe"], answer["fresh"], answer["never_asked"]) == (3, 3, [])
    assert server.asked == []


def test_fetch_of_some_symbols(config: Path, server: Yahood) -> None:
    """Only the named symbols are fetched, in our spelling; each that Yahoo lacks is said with its reason."""
    answer = call(config, "history", "fetch", "--symbols", "OXY, BRK.B", "--json")
    found = json.loads(answer.stdout)
    assert found["schema"] == "oms.history.fetch/1"
    assert (found["symbols"], found["usable"]) == (2, 1)
    assert found["problems"] == [
        {"symbol": "BRK.B", "problem": "missing: Yahoo has no prices: No data found, symbol may be delisted"}
    ]
    assert "1 of 2 symbols have prices up to" in found["too_stale"]
    assert answer.return_value == 75
    text = call(config, "history", "status").stdout
    assert "never asked for: GE, XOM" in text
    assert "missing: Yahoo has no prices" in text


def test_fetch_from_a_yahoo_that_refuses(config: Path, server: Yahood) -> None:
    """A refusal is said for each symbol, and the command ends with 75: try again later."""
    server.answer = lambda ask: yahood.REFUSED if ask.symbol else None
    refused = call(config, "history", "fetch")
    assert refused.return_value == 75
    assert "0 of 3 symbols have a usable year" in refused.stdout
    assert refused.stdout.count("rate_limited: ") == 3
    assert "a selection would choose nothing now" in refused.stdout


def test_a_symbol_that_is_none(config: Path) -> None:
    """A symbol that cannot be one is a mistake of the command line."""
    refused = call(config, "history", "fetch", "--symbols", "oxy")
    assert "--symbols: 'oxy' is not a symbol" in str(refused.exception)


def test_a_store_that_cannot_be_written(config: Path, tmp_path: Path) -> None:
    """A store that cannot be made ends the command with the reason."""
    (tmp_path / "var").write_text("a file where a folder should be")
    refused = call(config, "history", "fetch")
    assert isinstance(refused.exception, StorageError)


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar moves and goes away; elsewhere one line says what is asked for."""
    shown: list[str] = []
    monkeypatch.setattr("oms.cli.printer.Printer.put", lambda _self, text, *, err: shown.append(text))
    plain = prices._Bar()
    plain.move(0, 118)
    plain.move(1, 118)
    plain.close()
    assert shown == ["asking Yahoo for 118 symbols\n"]
    shown.clear()
    monkeypatch.setattr("oms.cli.progress.terminal", lambda: True)
    moving = prices._Bar()
    moving.move(0, 118)
    moving.move(59, 118)
    moving.close()
    assert "0" in shown[0]
    assert "118 symbols asked for" in shown[0]
    assert shown[-1] == "\r\x1b[2K"
