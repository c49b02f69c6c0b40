"""Which market a configuration asks for, and what it says where that cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oms.app import market_of
from oms.config import LoadedConfig, load_config
from oms.errors import UsageError
from oms.places import bars_file

ROOT = Path(__file__).parents[2]


def configured(folder: Path, text: str) -> LoadedConfig:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, {})


def test_simulated_market_of_the_universe(tmp_path: Path) -> None:
    """The simulated market prices the universe and what the paper account holds, and no other symbol."""
    (tmp_path / "universe.txt").write_text("AAPL\nGE\n", encoding="utf-8")
    market = market_of(configured(tmp_path, "market: {source: simulated}\nbroker: {paper: {positions: {OXY: 5}}}"))
    assert market.name == "simulated"
    assert [symbol for symbol in ("AAPL", "GE", "OXY", "XOM") if market.knows(symbol)] == ["AAPL", "GE", "OXY"]


def test_simulated_market_of_another_list(tmp_path: Path) -> None:
    """The simulated market can price another list of symbols, for as many days as are asked for."""
    (tmp_path / "list.txt").write_text("AA\n", encoding="utf-8")
    loaded = configured(tmp_path, "market: {source: simulated, simulated: {symbols: list.txt, days: 3, seed: 9}}")
    market = market_of(loaded)
    assert market.knows("AA")
    assert not market.knows("MSFT")
    days, last = 0, None
    while session := market.enter(last, None):
        last, days = session.day, days + 1
    assert days == 3


def test_a_list_of_symbols_that_is_not_there(tmp_path: Path) -> None:
    """A list of symbols that is not there is said with its key and path."""
    market = market_of(configured(tmp_path, "market: {source: simulated, simulated: {symbols: nowhere.txt}}"))
    with pytest.raises(UsageError, match=r"market\.simulated\.symbols: .*nowhere\.txt does not exist"):
        market.knows("AA")


@pytest.mark.parametrize("bad", ["days: 0", "days: 2521", "seed: -1", "seed: 1.5", "symbols: null"])
def test_bounds_of_the_simulated_market(tmp_path: Path, bad: str) -> None:
    """A simulated market of no day, of more than ten years, or without a seed is refused by its key."""
    with pytest.raises(UsageError, match="market.simulated." + bad.partition(":")[0]):
        configured(tmp_path, f"market: {{source: simulated, simulated: {{{bad}}}}}")


def test_yahoo_market_costs_nothing_until_it_is_asked(tmp_path: Path) -> None:
    """The Yahoo market is wired without importing yfinance or pandas, and without making its store."""
    configured(tmp_path, "market: {source: yahoo}")
    ask = (
        "import sys; from pathlib import Path; from oms.app import market_of; from oms.config import load_config\n"
        "market = market_of(load_config(Path('config.yaml'), {}))\n"
        "print(market.name, bool({'yfinance', 'pandas', 'exchange_calendars', 'curl_cffi'} & set(sys.modules)))"
    )
    told = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, env=told, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["yahoo", "False"]
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_bars_are_kept_beside_the_journal(tmp_path: Path) -> None:
    """Fetched bars lie beside the journal, and in ``var`` where the journal is on PostgreSQL."""
    here = configured(tmp_path, f"journal: {{url: 'sqlite:///{(tmp_path / 'data' / 'oms.db').as_posix()}'}}")
    assert bars_file(here) == tmp_path / "data" / "bars.db"
    elsewhere = configured(tmp_path, "journal: {url: 'postgresql+psycopg://user@host/oms'}")
    assert bars_file(elsewhere) == tmp_path / "var" / "bars.db"


def test_tiger_needs_its_properties_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiger's prices come with a developer id: without its file the refusal names the file."""
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    with pytest.raises(UsageError, match=r"tiger_openapi_config\.properties"):
        market_of(configured(tmp_path, "market: {source: tiger}"))
