"""From a configuration to a Tiger account: what is wired, and what is refused before anything can be sent."""

from __future__ import annotations

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
from oms.gateways.tiger import TigerBroker
from oms.model.signal import Signals
from oms.places import places
from tests.engine.house import buy, sell
from tests.gateways.test_tiger_properties import write
from tests.tigerd.book import PRIME_ACCOUNT, Book
from tests.tigerd.gateway import Gateway

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
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    write(tmp_path)

    def make(mode: str = "paper", *, url: str | None = None, **tiger: Any) -> LoadedConfig:
        lines = [f"    {name}: {value}" for name, value in {"server_url": url or gateway.url, **tiger}.items()]
        text = [f"mode: {mode}", "broker:", "  kind: tiger", "  tiger:", *lines, "settlement: {poll: 100ms}"]
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


def test_real_account_under_mode_paper(load: Load, gateway: Gateway, tmp_path: Path) -> None:
    """A real account is refused with exit code 5 before a single call."""
    write(tmp_path, account=PRIME_ACCOUNT)
    with pytest.raises(RefusedError, match="is a real one"):
        wired(load())
    assert gateway.connections == 0


def test_live_without_being_armed(load: Load, gateway: Gateway, tmp_path: Path) -> None:
    """Mode live never sends in a release that cannot arm; a paper account under it is refused as well."""
    with pytest.raises(RefusedError, match="is a paper account"):
        wired(load("live"))
    write(tmp_path, account=PRIME_ACCOUNT)
    with pytest.raises(RefusedError, match="not armed"):
        wired(load("live"))
    assert gateway.connections == 0


def test_dry_run_sends_nothing(load: Load, gateway: Gateway) -> None:
    """A dry run at Tiger is refused, by flag or by mode, rather than sent."""
    with pytest.raises(UsageError, match="dry run"):
        wired(load("dry_run"))
    with pytest.raises(UsageError, match="dry run"):
        Engine(load(), dry_run=True)
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
