"""A dry run at Tiger: the real account is only read, and its paper twin walks all five phases in a journal of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from oms.arming import arm, offer
from oms.errors import RefusedError
from oms.gateways.system_clock import SystemClock
from oms.licence import state_of
from tests.gateways.live_stage import Stage
from tests.gateways.test_tiger_live import SOON, power_cut, trade
from tests.gateways.test_tiger_properties import write
from tests.tigerd.book import PAPER_ACCOUNT, PRIME_ACCOUNT

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]

PHASES = ["cycle_opened", "sells_closed", "funds_settled", "buys_revalidated", "buys_closed"]
ONLY_READ = {"accounts", "prime_assets", "positions", "quote_real_time", "contracts", "market_state"}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A real account of 10,000 and 100 AAPL at 30, in mode live and not armed."""
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    with closing(Stage(tmp_path)) as stage:
        yield stage


def require_untouched(stage: Stage) -> None:
    """The gateway's own log: nothing but questions came in, and no order exists."""
    assert set(stage.gateway.posts) <= ONLY_READ, stage.gateway.posts
    assert (stage.sent, stage.gateway.book.orders) == (0, [])


@pytest.mark.parametrize(
    ("mode", "words", "account"),
    [("live", ("--dry-run",), PRIME_ACCOUNT), ("dry_run", (), PRIME_ACCOUNT), ("paper", ("--dry-run",), PAPER_ACCOUNT)],
)
def test_whole_walk(stage: Stage, mode: str, words: tuple[str, ...], account: str) -> None:
    """All five phases, from the real account's money, shares and quotes; nothing sent; every line says what it is."""
    stage.gateway.book.account = account
    write(stage.folder, account=account)
    stage.configure(mode)
    code, said = stage.call("run", *words, "--signals", "plan.csv")
    assert code == 0, said
    lines = said.splitlines()
    assert [line for line in lines if not line.startswith("DRY RUN")] == []
    assert any("on a paper twin of it: nothing is sent" in line for line in lines)
    assert any("SELL AAPL 40 filled 40 at 29.98" in line for line in lines)  # the real quote of 30, less slippage
    found = json.loads(stage.call("journal", "query", *words, "--json")[1])["events"]
    assert [event["kind"] for event in found if event["kind"] in PHASES] == PHASES
    opened = next(event["data"] for event in found if event["kind"] == "account_opened")
    assert (opened["mode"], opened["broker"], Decimal(opened["cash"])) == ("dry_run", "twin", Decimal(10_000))
    assert not (stage.folder / "var" / "live.db").exists()
    require_untouched(stage)


def test_killed_and_resumed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that broke off is finished by the next one; the real account still hears nothing but questions."""
    from oms.gateways.paper.twin import TwinBroker

    loaded = stage.configure()
    with monkeypatch.context() as patched:
        patched.setattr(TwinBroker, "place", lambda _, order: power_cut(order))
        with pytest.raises(KeyboardInterrupt):
            trade(loaded, dry_run=True)
    assert state_of(loaded, dry_run=True).open_cycle is not None
    code, said = stage.call("resume", "--dry-run")
    assert code == 0, said
    require_untouched(stage)


def test_twin_goes_on(stage: Stage) -> None:
    """The next dry run goes on with the twin; how the real account differs from it by now is said, and how to begin anew."""
    assert stage.call("run", "--dry-run", "--signals", "plan.csv")[0] == 0
    code, said = stage.call("run", "--dry-run", "--signals", "plan.csv")
    assert code == 0, said
    assert "the real account holds 100 AAPL, its twin 60" in said
    assert "the real account has 10000.00 in cash, its twin" in said
    assert "to begin anew, remove paper.dry.db and live.dry.db" in said
    require_untouched(stage)


def test_plan_of_a_dry_run(stage: Stage) -> None:
    """`plan` in mode dry_run looks at the twin, and moves nothing."""
    stage.configure("dry_run")
    code, said = stage.call("plan", "--signals", "plan.csv")
    assert code == 0, said
    require_untouched(stage)


class TestJournals:
    """Dry and live journals cannot be mixed."""

    def test_dry_journal_under_mode_live(self, stage: Stage) -> None:
        """Real money goes on from no dry run's journal, by whatever name, armed or not."""
        assert stage.call("run", "--dry-run", "--signals", "plan.csv")[0] == 0
        var = stage.folder / "var"
        shutil.copy(var / "live.dry.db", var / "live.db")
        loaded = stage.configure()
        with pytest.raises(RefusedError):
            trade(loaded)
        with pytest.raises(RefusedError, match="begun with the twin broker"):
            offer(loaded, SOON, SystemClock())
        assert stage.sent == 0

    def test_live_journal_under_a_dry_run(self, stage: Stage) -> None:
        """A dry run goes on from no journal of real money either."""
        loaded, clock = stage.configure(), SystemClock()
        arm(loaded, offer(loaded, SOON, clock), "ada", clock)
        var = stage.folder / "var"
        shutil.copy(var / "live.db", var / "live.dry.db")
        code, said = stage.call("run", "--dry-run", "--signals", "plan.csv")
        assert (code, "refused (5)" in said) == (5, True)
        assert "made for mode 'live'" in said
        assert stage.sent == 0

    def test_dry_run_of_another_account(self, stage: Stage) -> None:
        """The twin of one account is not that of another."""
        assert stage.call("run", "--dry-run", "--signals", "plan.csv")[0] == 0
        stage.gateway.book.account = "6098765"
        write(stage.folder, account="6098765")
        code, said = stage.call("run", "--dry-run", "--signals", "plan.csv")
        assert (code, "is of tiger account …2345" in said) == (5, True)
