"""From a configuration to a Tiger account: what is wired, and what is refused before anything can be sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.app import Engine, broker_of, market_of, next_cycle
from oms.config import LoadedConfig, load_config
from oms.errors import CredentialsError, OmsError, RefusedError, UsageError
from oms.gateways.system_clock import SystemClock
from oms.gateways.tiger import TigerBroker, TigerMarket
from oms.model.signal import Signals
from oms.places import places
from tests.engine.house import buy, sell
from tests.gateways.test_tiger_properties import leaks, write
from tests.tigerd.book import PRIME_ACCOUNT, Book
from tests.tigerd.faults import Fault, Way
from tests.tigerd.gateway import Gateway

ROOT = Path(__file__).parents[2]
PRICES = {"AAPL": Decimal(30), "MSFT": Decimal(28)}

Load = Callable[..., LoadedConfig]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway as a user's own program may run one: plain HTTP on this machine, replies without a signature."""
    book = Book(SystemClock(), dict(PRICES), positions={"AAPL": 100})
    gateway = Gateway(book)
    gateway.signs = False
    yield gateway
    gateway.close()


@pytest.fixture
def load(tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A maker of configurations of a Tiger account at the gateway."""
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL", "SOCKET_HOST_PORT"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    write(tmp_path)

    def make(
        mode: str = "paper", *, url: str | None = None, source: str = "replay", kind: str = "tiger", **tiger: Any
    ) -> LoadedConfig:
        lines = [f"    {name}: {value}" for name, value in {"server_url": url or gateway.url, **tiger}.items()]
        text = [f"mode: {mode}", "broker:", f"  kind: {kind}", "  tiger:", *lines]
        text += [f"market: {{source: {source}}}", "settlement: {poll: 100ms}"]
        (tmp_path / "config.yaml").write_text("\n".join(text) + "\n", "utf-8")
        return load_config(tmp_path / "config.yaml", {})

    return make


def wired(loaded: LoadedConfig) -> TigerBroker:
    broker = broker_of(loaded, market_of(loaded), SystemClock(), places(loaded))
    assert isinstance(broker, TigerBroker)
    return broker


def test_paper_account(load: Load) -> None:
    """Mode paper with 17 digits is logged in and shows the account; repeats are as the configuration claims."""
    for claimed, window in (("null", None), ("10m", timedelta(minutes=10))):
        broker = wired(load(refuses_repeats=claimed))
        assert broker.capabilities.refuses_repeats == window
        assert broker.funds().cash == 10_000
        broker.close()


def test_whole_run(load: Load, gateway: Gateway) -> None:
    """The program's own engine trades one cycle at the gateway, with its real journal and threads."""
    signals = Signals(signals=(sell("AAPL", 40), buy("MSFT", 10)), source="test", digest="0")
    engine = Engine(load(), signals=lambda: signals)
    ending = engine.run()
    engine.close()
    assert ending.exit_code == 0
    assert [(order.symbol, order.status) for order in gateway.book.orders] == [("AAPL", "Filled"), ("MSFT", "Filled")]


def test_time_out_of_the_configuration_counts_more(load: Load, tmp_path: Path) -> None:
    """The properties file's time-out holds where the configuration says nothing about it."""
    write(tmp_path, timeout="7")
    for given, seconds in (({}, 7), ({"timeout": "9s"}, 9)):
        broker = wired(load(**given))
        assert broker._client._sdk._TigerOpenClient__config.timeout == seconds
        broker.close()


def test_real_account_under_mode_paper(load: Load, gateway: Gateway, tmp_path: Path) -> None:
    """A real account is refused with exit code 5 before a single call."""
    write(tmp_path, account=PRIME_ACCOUNT)
    with pytest.raises(RefusedError, match="is a live Tiger account"):
        wired(load())
    assert gateway.connections == 0


def test_live_without_being_armed(load: Load, gateway: Gateway, tmp_path: Path) -> None:
    """Mode live never sends unarmed, and says how to arm; a paper account under it is refused as well."""
    with pytest.raises(RefusedError, match="is a Tiger paper account"):
        wired(load("live"))
    write(tmp_path, account=PRIME_ACCOUNT)
    with pytest.raises(RefusedError, match=r"not armed\n.*oms live arm --until"):
        wired(load("live"))
    assert gateway.connections == 0


def test_plan_only_reads(load: Load, gateway: Gateway) -> None:
    """``plan`` looks at the account and sends nothing."""
    signals = Signals(signals=(sell("AAPL", 40), buy("MSFT", 10)), source="test", digest="0")
    assert next_cycle(load(), signals) is not None
    assert not {"order_no", "place_order", "cancel_order"} & set(gateway.posts)


def test_day_of_the_past_at_a_gateway_elsewhere(load: Load) -> None:
    """A replayed day never trades at Tiger itself; the refusal comes before any call."""
    with pytest.raises(UsageError, match="is not today's market"):
        wired(load(url="https://tiger.invalid/gateway"))


class TestMarket:
    """``market.source: tiger``."""

    def test_shares_the_accounts_client(self, load: Load) -> None:
        """Tiger counts calls by developer id, so market and broker count them together."""
        loaded = load(source="tiger")
        market = market_of(loaded)
        assert isinstance(market, TigerMarket)
        broker = broker_of(loaded, market, SystemClock(), places(loaded))
        assert isinstance(broker, TigerBroker)
        assert broker._client is market.client
        broker.close()

    @pytest.mark.parametrize("kind", ["tiger", "paper"])
    def test_no_permission_for_quotes(self, load: Load, gateway: Gateway, kind: str) -> None:
        """Without real-time quotes a run is refused before anything is opened, whichever broker it is for."""
        gateway.book.terms.real_time_quotes = False
        with pytest.raises(CredentialsError, match="no real-time quotes of US stocks"):
            Engine(load(source="tiger", kind=kind))
        assert not places(load()).journal.exists()

    def test_broker_alone_says_that_its_quotes_are_delayed(self, load: Load, gateway: Gateway) -> None:
        """With another source of prices the account's own are delayed: that is said once, with the reason."""
        gateway.book.terms.real_time_quotes = False
        said: list[str] = []
        loaded = load()
        broker = broker_of(loaded, market_of(loaded), SystemClock(), places(loaded), say=said.append)
        for _ in range(3):
            broker.quotes(["AAPL"])
        assert len(said) == 1
        assert "permission denied" in said[0]
        assert "price no order" in said[0]
        broker.close()


def test_login_that_is_refused(load: Load, gateway: Gateway) -> None:
    """A login refused ends with exit code 4."""
    gateway.answer_with("accounts", {"code": 40013, "message": "sign check failed"})
    with pytest.raises(CredentialsError) as refusal:
        wired(load())
    assert refusal.value.exit_code == 4


def test_gateway_that_is_down(load: Load, gateway: Gateway) -> None:
    """A gateway that does not answer ends with exit code 75."""
    loaded = load()
    gateway.close()
    with pytest.raises(OmsError) as failure:
        wired(loaded)
    assert failure.value.exit_code == 75


@pytest.mark.parametrize(
    ("point", "claimed"),
    [
        ("send.after_call", "null"),
        *(
            pytest.param(point, claimed, marks=pytest.mark.nightly)
            for point in ("send.after_call", "send.before_call:2", "send.before_outcome", "send.after_intent")
            for claimed in ("null", "10m")
            if (point, claimed) != ("send.after_call", "null")
        ),
    ],
)
def test_process_killed_around_a_send(load: Load, gateway: Gateway, tmp_path: Path, point: str, claimed: str) -> None:
    """The real program, killed with SIGKILL around a send and started again: never two orders for one wish."""
    gateway.book.terms.refuses_repeats = claimed != "null"
    load(refuses_repeats=claimed)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text() + "in_doubt: {reads: 1, window: 1s}\n")
    wishes = tmp_path / "signals.csv"
    wishes.write_text("side,symbol,quantity\nsell,AAPL,40\nbuy,MSFT,10\n")
    first = _program(config, "run", "--signals", str(wishes), OMS_CRASH_AT=point)
    assert first.returncode == -signal.SIGKILL
    second = _program(config, "resume")
    assert second.returncode in (0, 7), second.stderr
    assert set(gateway.book.accepted().values()) <= {1}
    assert len({order.order_id for order in gateway.book.orders}) == len(gateway.book.orders) <= 2
    assert (len(gateway.book.orders) == 2) == (second.returncode == 0)
    assert leaks(first.stdout + first.stderr + second.stdout + second.stderr) == []


@pytest.mark.nightly
@pytest.mark.parametrize("claimed", ["null", "10m"])
def test_process_killed_between_acceptance_and_reply(
    load: Load, gateway: Gateway, tmp_path: Path, claimed: str
) -> None:
    """The broker has the order and says nothing; the program is killed from outside; the next one adopts the order."""
    gateway.book.terms.refuses_repeats = claimed != "null"
    load(refuses_repeats=claimed)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text() + "in_doubt: {reads: 1, window: 1s}\n")
    wishes = tmp_path / "signals.csv"
    wishes.write_text("side,symbol,quantity\nsell,AAPL,40\nbuy,MSFT,10\n")
    gateway.fail("place_order", Fault(Way.SILENCE))
    command = [sys.executable, str(ROOT / "cli.py"), "--config", str(config), "run", "--signals", str(wishes)]
    first = subprocess.Popen(command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not gateway.book.orders and first.poll() is None:
        time.sleep(0.01)
    first.kill()
    assert first.wait(240) == -signal.SIGKILL
    second = _program(config, "resume")
    assert second.returncode == 0, second.stderr
    assert [(order.symbol, order.status) for order in gateway.book.orders] == [("AAPL", "Filled"), ("MSFT", "Filled")]
    assert set(gateway.book.accepted().values()) == {1}


def _environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TIGEROPEN_", "OMS_"))}
    return {**own, "OMS_NO_SETUP": "1", **more}


def _program(config: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "--config", str(config), *words]
    return subprocess.run(command, env=_environment(**env), capture_output=True, text=True, timeout=240, check=False)
