"""From a trial of the broker to its consequence: the proof is journaled, and lets an order in doubt be sent again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.app import Engine
from oms.config import LoadedConfig, load_config
from oms.errors import LeaseHeldError, RefusedError, UsageError
from oms.gateways.tiger import Finding, TigerBroker, adapter, fingerprint
from oms.journal.access import open_account
from oms.model.probing import PROOF_GOOD_FOR, BrokerProbed, proven_window
from oms.model.signal import Signals
from oms.places import places
from oms.probing import probe
from tests.engine.house import buy, sell
from tests.fakes.clock import START, FakeClock
from tests.gateways.test_tiger_properties import write
from tests.gateways.tiger_house import TigerHouse
from tests.tigerd.book import PAPER_ACCOUNT, PRIME_ACCOUNT, Book
from tests.tigerd.faults import WIRE_FAULTS
from tests.tigerd.gateway import Gateway

PRICES = {"AAPL": Decimal(30), "MSFT": Decimal(28)}
PROOF = BrokerProbed(
    broker="tiger",
    account_kind="paper",
    fingerprint=fingerprint(PAPER_ACCOUNT),
    adapter=adapter(),
    probed_at=START,
    refused_for_s=170,
    findings={},
    author="test",
)
Load = Callable[..., LoadedConfig]


@pytest.fixture
def clock() -> FakeClock:
    """Starts an hour ago: a proof grows old, and one from the future is none."""
    return FakeClock(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))


@pytest.fixture
def gateway(clock: FakeClock) -> Iterator[Gateway]:
    gateway = Gateway(Book(clock, dict(PRICES), positions={"AAPL": 100}))
    gateway.signs = False
    yield gateway
    gateway.close()


@pytest.fixture
def load(tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Load:
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL", "SOCKET_HOST_PORT"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    write(tmp_path)
    (tmp_path / "universe.txt").write_text("AAPL\nMSFT\n")

    def make(text: str = "mode: paper", kind: str = "tiger", **tiger: str) -> LoadedConfig:
        lines = [f"    {name}: {value}" for name, value in {"server_url": gateway.url, **tiger}.items()]
        whole = [text, "broker:", f"  kind: {kind}", "  tiger:", *lines]
        (tmp_path / "config.yaml").write_text("\n".join(whole) + "\n", "utf-8")
        return load_config(tmp_path / "config.yaml", {})

    return make


def window_of(loaded: LoadedConfig) -> timedelta | None:
    """What a new engine takes for proven."""
    nothing = Signals(signals=(), source="test", digest="0")
    with closing(Engine(loaded, signals=lambda: nothing)) as engine:
        assert engine.driver.seen.capabilities == engine.broker.capabilities
        return engine.broker.capabilities.refuses_repeats


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


class TestProbe:
    """``doctor --probe``, with the real journal."""

    def test_proof_is_journaled_and_switches(self, load: Load, gateway: Gateway, clock: FakeClock) -> None:
        """Before it nothing is proven; after it a new engine may send a number again, for as long as was tried."""
        assert window_of(load()) is None
        said: list[str] = []
        findings = by_name(probe(load(), say=said.append, clock=clock))
        assert findings["repeated number"].ok
        window = window_of(load())
        assert window is not None
        assert timedelta(seconds=150) <= window <= timedelta(seconds=180)
        assert [order.symbol for order in gateway.book.orders] == ["MSFT"] * 3  # AAPL is held
        assert any("sending number" in line for line in said)
        with closing(open_account(places(load()).journal_url, "paper-main", "paper", clock)) as journal:
            probed = journal.state.probed
        assert probed is not None
        assert (probed.account_kind, probed.adapter) == ("paper", "tigeropen 3.8.0")
        assert probed.findings["mark"].startswith("echoed")
        assert PAPER_ACCOUNT not in json.dumps(dict(probed.findings)) + probed.fingerprint

    def test_counter_proof_takes_it_back(self, load: Load, gateway: Gateway, clock: FakeClock) -> None:
        """A later trial that fails ends what an earlier one proved."""
        probe(load(), clock=clock)
        assert window_of(load()) is not None
        gateway.book.terms.refuses_repeats = False
        assert not by_name(probe(load(), clock=clock))["repeated number"].ok
        assert window_of(load()) is None

    def test_claim_of_the_user_stands(self, load: Load, gateway: Gateway, clock: FakeClock) -> None:
        """What ``broker.tiger.refuses_repeats`` says is neither widened nor narrowed by a trial."""
        probe(load(), clock=clock)
        assert window_of(load(refuses_repeats="10m")) == timedelta(minutes=10)

    def test_unfit_configurations(self, load: Load, gateway: Gateway, clock: FakeClock) -> None:
        """Another broker, another mode and a real account are refused before anything is sent."""
        with pytest.raises(UsageError, match="only at tiger"):
            probe(load(kind="paper"), clock=clock)
        with pytest.raises(RefusedError, match="mode: paper only"):
            probe(load("mode: dry_run"), clock=clock)
        write(load().base, account=PRIME_ACCOUNT)
        with pytest.raises(RefusedError, match="is a live Tiger account"):
            probe(load(), clock=clock)
        assert gateway.posts["place_order"] == 0

    def test_engine_that_runs(self, load: Load, gateway: Gateway, clock: FakeClock) -> None:
        """While an engine owns the account nothing is tried."""
        with (
            closing(open_account(places(load()).journal_url, "paper-main", "paper", clock)),
            pytest.raises(LeaseHeldError),
        ):
            probe(load(), clock=clock)
        assert gateway.posts["place_order"] == 0


class TestWindow:
    """For how long a proof counts."""

    @staticmethod
    def window(probed: BrokerProbed | None = PROOF, **changes: Any) -> timedelta | None:
        asked = {
            "fingerprint": PROOF.fingerprint,
            "account_kind": "paper",
            "adapter": adapter(),
            "now": START + timedelta(days=1),
        }
        return proven_window(probed, **{**asked, **changes})

    def test_of_this_account(self) -> None:
        """The same account, class and adapter, not too long ago: so long as was tried."""
        assert self.window() == timedelta(seconds=170)
        assert self.window(now=START + PROOF_GOOD_FOR) == timedelta(seconds=170)

    @pytest.mark.parametrize(
        "changes",
        [
            {"fingerprint": fingerprint("20260302150000124")},
            {"account_kind": "prime"},
            {"account_kind": "global"},
            {"adapter": "tigeropen 3.8.1"},
            {"now": START + PROOF_GOOD_FOR + timedelta(seconds=1)},
            {"now": START - timedelta(seconds=1)},
        ],
    )
    def test_of_anything_else(self, changes: dict[str, Any]) -> None:
        """Another account, a real one, another SDK, an old proof, and one from the future prove nothing."""
        assert self.window(**changes) is None

    def test_that_failed(self) -> None:
        """No trial, and one that proved nothing."""
        assert self.window(None) is None
        assert self.window(replace(PROOF, refused_for_s=0)) is None


class TestConsequence:
    """Whole cycles, judged by the gateway."""

    @pytest.fixture
    def make(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., TigerHouse]]:
        houses: list[TigerHouse] = []

        def house(account: str = PAPER_ACCOUNT, **how: Any) -> TigerHouse:
            houses.append(
                TigerHouse(Path(tmp_path_factory.getbasetemp()), account=account, refuses_repeats=False, **how)
            )
            houses[-1].terms.refuses_repeats = True
            assert isinstance(houses[-1].tiger, TigerBroker)
            houses[-1].tiger.trust(replace(PROOF, fingerprint=fingerprint(PAPER_ACCOUNT)))
            houses[-1].desk.gateway.fail("place_order", WIRE_FAULTS["500 before acceptance"])
            return houses[-1]

        yield house
        for each in houses:
            each.desk.close()

    def test_lost_order_is_sent_again(self, make: Callable[..., TigerHouse]) -> None:
        """With the proof an order that never arrived goes out once more under its number, and the cycle is complete."""
        house = make()
        ending = house.run(sell("AAA"), buy("CCC", 30))
        assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
        assert house.order("AAA").sends == 2
        house.judge()

    def test_proof_of_a_paper_account_licenses_no_real_one(self, make: Callable[..., TigerHouse]) -> None:
        """On a real account the same order is quarantined."""
        house = make(PRIME_ACCOUNT)
        ending = house.run(sell("AAA"), buy("CCC", 30))
        assert (ending.exit_code, house.cycle.outcome) == (7, "partial")
        assert house.order("AAA").quarantined
        assert house.desk.gateway.posts["place_order"] == 1
