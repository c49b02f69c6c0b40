"""Real money at the loopback gateway: armed by a person at a terminal, and by nothing else; disarmed by anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.app import Engine
from oms.arming import LONGEST, arm, expiry, offer
from oms.config import LoadedConfig
from oms.errors import LeaseHeldError, RefusedError, UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.system_clock import SystemClock
from oms.gateways.tiger import binding
from oms.journal.inbox import Inbox
from oms.licence import require_binding, state_of
from oms.model.order import OrderRequest, OrdStatus
from oms.model.signal import Signals
from oms.places import places
from tests.engine.house import buy, sell
from tests.fakes.clock import FakeClock
from tests.gateways.live_stage import Stage
from tests.gateways.test_tiger_properties import POSIX, write
from tests.tigerd.book import PRIME_ACCOUNT

# pandas 3.1 warns of what exchange_calendars 4.13 still calls; nothing of ours calls it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]

SOON = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
OTHER_ACCOUNT = "6098765"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A real account of 10,000 and 100 AAPL, and a configuration in mode live."""
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    with closing(Stage(tmp_path)) as stage:
        yield stage


def armed(loaded: LoadedConfig) -> LoadedConfig:
    """What ``live arm`` does once the number was typed."""
    clock = SystemClock()
    arm(loaded, offer(loaded, SOON, clock), "ada@desk", clock)
    return loaded


def trade(loaded: LoadedConfig, **how: object) -> int:
    """One cycle: sell 40 AAPL, buy 10 MSFT; answers the exit code."""
    signals = Signals(signals=(sell("AAPL", 40), buy("MSFT", 10)), source="test", digest="0")
    with closing(Engine(loaded, signals=lambda: signals, **how)) as engine:  # type: ignore[arg-type]
        return engine.run().exit_code


# ---- the terminal ----------------------------------------------------------------------------------------------------


@POSIX
def test_a_person_arms_at_a_terminal(stage: Stage) -> None:
    """Unarmed, `run` ends with 5 and says how to arm; armed, an unattended start asks nothing and trades."""
    refused = stage.run("run", "--signals", "plan.csv")
    assert (refused.returncode, stage.sent, stage.gateway.connections) == (5, 0, 0)
    assert re.search(r"refused \(5\): live trading is not armed\n.*…2345.*oms live arm --until", refused.stderr)
    code, screen = stage.at_terminal("live", "arm", "--until", SOON, typed=PRIME_ACCOUNT)
    assert code == 0, screen
    for said in (
        f"account    {PRIME_ACCOUNT} (prime, LIVE)      net liquidation $13,000.00",
        "80% of funds · $10,000 a position · $10,000 an order · 100 trades a day",
        "changes since your last paper day",
        f"expires    {SOON[:4]}-",
        "New York",
        "armed. journal 3.",
    ):
        assert said in screen
    assert stage.sent == 0
    done = stage.run("run", "--live", "--signals", "plan.csv")
    assert done.returncode == 0, done.stderr
    assert "LIVE  paper-main, tiger account …2345 (prime), replay market, armed until" in done.stderr
    assert stage.gateway.posts["place_order"] == 2


@POSIX
def test_another_number_arms_nothing(stage: Stage) -> None:
    """Whatever else is typed is no word for real money."""
    code, screen = stage.at_terminal("live", "arm", "--until", SOON, typed="…2345")
    assert code == 5
    assert "armed. journal" not in screen
    assert not state_of(stage.configure()).armed


def test_neither_pipe_nor_environment_arms(stage: Stage) -> None:
    """The number in a pipe, or settings in the environment, are no person at a terminal."""
    env = {"OMS_MODE": "live", "LIVE_TRADING": "true"}
    piped = stage.run("live", "arm", "--until", SOON, stdin=f"{PRIME_ACCOUNT}\n")
    assert (piped.returncode, "no terminal" in piped.stderr) == (5, True)
    assert stage.run("run", "--live", "--signals", "plan.csv", **env).returncode == 5
    assert stage.gateway.connections == 0


def test_show_and_disarm(stage: Stage) -> None:
    """`live show` says by whose word and until when, with --json too; `live disarm` needs no terminal."""
    armed(stage.configure())
    shown = json.loads(stage.call("live", "show", "--json")[1])
    assert (shown["schema"], shown["armed"], shown["author"]) == ("oms.live-show/1", True, "ada@desk")
    assert (shown["broker_account"], shown["account_kind"], shown["why_not"]) == ("…2345", "prime", None)
    assert PRIME_ACCOUNT not in json.dumps(shown)
    assert stage.call("live", "disarm", "--reason", "holidays")[0] == 0
    after = stage.call("live", "show")[1]
    assert "not armed: account …2345 (prime) live trading was disarmed by" in after
    assert "holidays" in after
    assert stage.call("run", "--signals", "plan.csv")[0] == 5
    assert stage.call("live", "disarm") == (0, "live trading is not armed\n")


def test_only_mode_live_is_armed(stage: Stage) -> None:
    """In another mode there is nothing to arm or to disarm, and the place of the mode is named."""
    stage.configure("dry_run")
    for words in (("arm", "--until", SOON), ("disarm",)):
        code, said = stage.call("live", *words)
        assert code == 5
        assert "mode is dry_run (config.yaml:1:7)" in said


# ---- what the word is bound to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("execution: {max_position_value: 9000}", True),
        ("selection: {min_score: 80, sell_below: 75}", True),
        ("worker: {interval: 5s}", True),
        ("backup: {keep: 3}", True),
        ("execution: {collar: 0.6%}", False),
        ("risk: {max_trades_per_day: 101}", False),
        ("in_doubt: {reads: 1}", False),
        ("market: {max_quote_age: 90s}", False),
    ],
)
def test_limits(stage: Stage, line: str, kept: bool) -> None:
    """A tightened limit keeps the word, a loosened one ends it and is named; what bounds no risk does neither."""
    armed(stage.configure("live", "risk: {max_trades_per_day: 100}"))
    after = stage.configure("live", line)
    if kept:
        assert trade(after) == 0
        return
    with pytest.raises(RefusedError, match="limits were loosened since ada@desk armed") as refusal:
        trade(after)
    assert line.partition("{")[2].partition(":")[0] in str(refusal.value)
    assert stage.sent == 0


def test_loosened_and_tightened_again(stage: Stage) -> None:
    """Back within the limits that were armed, the word holds again: nothing was sent meanwhile."""
    armed(stage.configure())
    with pytest.raises(RefusedError):
        trade(stage.configure("live", "execution: {collar: 1%}"))
    assert trade(stage.configure("live", "execution: {collar: 0.2%}")) == 0


def test_another_account(stage: Stage) -> None:
    """The journal of one account goes on with no other, armed or not, and no number is shown whole."""
    loaded = armed(stage.configure())
    write(stage.folder, account=OTHER_ACCOUNT)
    for deed in (trade, lambda each: offer(each, SOON, SystemClock())):
        with pytest.raises(RefusedError, match=r"is of tiger account …2345 .* account …8765") as refusal:
            deed(loaded)
        assert not re.search(f"{PRIME_ACCOUNT}|{OTHER_ACCOUNT}", str(refusal.value))
    assert stage.gateway.posts["place_order"] == 0


def test_another_broker(stage: Stage) -> None:
    """A journal that was begun at Tiger does not go on with the paper broker."""
    armed(stage.configure())
    file = stage.folder / "config.yaml"
    file.write_text(
        file.read_text("utf-8").replace("kind: tiger", "kind: paper").replace("mode: live", "mode: paper"), "utf-8"
    )
    code, said = stage.call("run", "--signals", "plan.csv")
    assert code == 5
    assert "a journal never changes its account or mode" in said
    state = state_of(stage.configure())
    with pytest.raises(RefusedError, match=r"begun with the tiger broker, and broker\.kind now means the paper broker"):
        require_binding(state, "paper", None)


def test_journal_of_an_older_release_learns_whose_it_is(stage: Stage) -> None:
    """One that was begun before journals were bound is bound at its next start, once."""
    loaded = armed(stage.configure())
    with closing(Engine(loaded)) as engine:
        engine.journal.state.bound = None
        engine._require_ours(loaded)
        assert engine.journal.state.bound == binding(PRIME_ACCOUNT)


# ---- while it runs ---------------------------------------------------------------------------------------------------


def test_disarmed_from_another_terminal(stage: Stage) -> None:
    """A disarming in the mailbox stops the next order of a running engine; sells that are out are followed to their end."""
    loaded = armed(stage.configure())
    signals = Signals(signals=(sell("AAPL", 40), buy("MSFT", 10)), source="test", digest="0")
    with closing(Engine(loaded, signals=lambda: signals)) as engine:
        place = engine.broker.place

        def placing(order: object) -> str:
            answer = place(order)  # type: ignore[arg-type]
            with closing(Inbox(places(loaded).inbox)) as inbox:
                inbox.post("bob@laptop", "live_disarm", {"reason": "news"})
            return answer

        engine.broker.place = placing  # type: ignore[method-assign]
        ending = engine.run()
        assert ending.exit_code == 5
        assert "disarmed by bob@laptop: news" in ending.why
        states = {order.symbol: order.ord_status for order in engine.driver.state.orders}
    assert states == {"AAPL": OrdStatus.FILLED}
    assert stage.gateway.posts["place_order"] == 1
    with pytest.raises(RefusedError, match="disarmed by bob@laptop"):
        trade(loaded)
    assert trade(armed(loaded), open_new=False) == 0
    assert stage.gateway.posts["place_order"] == 2


def power_cut(order: OrderRequest) -> str:
    raise KeyboardInterrupt(order.symbol)


def test_what_is_out_is_followed_without_arming(stage: Stage) -> None:
    """`resume` of a disarmed account follows what is at the broker, sends nothing, and ends with 5."""
    loaded = armed(stage.configure("live", "in_doubt: {reads: 1, window: 1s}"))
    signals = Signals(signals=(sell("AAPL", 40), buy("MSFT", 10)), source="test", digest="0")
    with closing(Engine(loaded, signals=lambda: signals)) as engine:
        engine.broker.place = power_cut  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            engine.run()
    assert stage.call("live", "disarm")[0] == 0
    sent = stage.sent
    assert stage.call("resume")[0] in (5, 7)
    assert stage.sent == sent
    assert stage.gateway.posts["place_order"] == 0


def test_no_arming_beside_an_engine(stage: Stage) -> None:
    """While an engine works on the account, arming is refused before anybody is asked anything."""
    loaded = armed(stage.configure())
    with closing(Engine(loaded)), pytest.raises(LeaseHeldError, match="stop it, arm, and start it again"):
        offer(loaded, SOON, SystemClock())


def test_mailbox_cannot_arm(stage: Stage) -> None:
    """A row in the mailbox, whoever wrote it, is refused and journaled as refused."""
    loaded = armed(stage.configure())
    assert stage.call("live", "disarm")[0] == 0
    with closing(Inbox(places(loaded).inbox)) as inbox:
        inbox.post("web", "live_arm", {"until": SOON})
    assert stage.call("halt")[0] == 0
    state = state_of(loaded)
    assert state.armed is None
    assert state.inbox_id == 3


def test_restore_does_not_arm(stage: Stage) -> None:
    """A restored journal may be older than the disarming: whatever it says, real money is not armed after a restore."""
    loaded = armed(stage.configure())
    assert stage.call("backup", "--with-journal")[0] == 0
    assert stage.call("live", "disarm", "--reason", "holidays")[0] == 0
    code, said = stage.call("restore", "latest", "--yes")
    assert code == 0, said
    state = state_of(loaded)
    assert state.armed is None
    assert state.disarmed is not None
    assert "restored from" in state.disarmed.reason
    with pytest.raises(RefusedError, match="disarmed by restore"):
        trade(loaded)


def test_status_says_whether_it_is_armed(stage: Stage) -> None:
    """`status` of a live account shows until when it is armed, or why it is not; the journal's readers tell the story."""
    armed(stage.configure())
    assert "\narmed until " in stage.call("status")[1]
    assert json.loads(stage.call("status", "--json")[1])["live"]["armed"] is True
    stage.configure("live", "execution: {collar: 1%}")
    said = stage.call("status")[1]
    assert "NOT ARMED: limits were loosened since ada@desk armed live trading" in said
    operators = stage.call("sql", "SELECT kind, author FROM v_operators", "--json")[1]
    assert '"live_armed"' in operators


# ---- others in the same account --------------------------------------------------------------------------------------


def test_manual_trades_and_foreign_orders(stage: Stage) -> None:
    """What a person does in Tiger's app is seen, shown and counted; it is neither cancelled, changed nor adopted."""
    book = stage.gateway.book
    armed(stage.configure())
    book.outsider("MSFT", "BUY", Decimal(200), Decimal(20))
    book.outsider("AAPL", "BUY", Decimal(5), Decimal(31))
    code, said = stage.call("run", "--signals", "plan.csv")
    assert code == 0, said
    assert "BUY MSFT 200 of another program" in said
    assert "the broker holds 65 AAPL, the journal 60" in said
    foreign = json.loads(stage.call("order", "foreign", "--json")[1])
    assert foreign["schema"] == "oms.order-foreign/1"
    assert {(row["symbol"], row["order_qty"], row["open"]) for row in foreign["orders"]} == {
        ("MSFT", "200", True),
        ("AAPL", "5", False),
    }
    assert "MSFT" in stage.call("order", "foreign", "--open")[1]
    assert [order.status for order in book.orders if not order.order_id] == ["PendingSubmit", "Filled"]
    assert stage.gateway.posts["cancel_order"] + stage.gateway.posts["modify_order"] == 0


# ---- the screen and the expiry ---------------------------------------------------------------------------------------


def test_changes_since_the_last_paper_day(stage: Stage) -> None:
    """The screen compares with the newest cycle of a paper journal beside, and marks what was loosened."""
    paper = stage.configure("paper", "execution: {collar: 0.3%}")
    text = (stage.folder / "config.yaml").read_text("utf-8")
    text = text.replace("kind: tiger", "kind: paper").replace("live.db", "oms.db")
    (stage.folder / "config.yaml").write_text(text, "utf-8")
    assert stage.call("run", "--signals", "plan.csv")[0] == 0
    found = offer(stage.configure(), SOON, SystemClock()).paper
    assert found is not None
    assert (found.file.name, paper.config.mode) == ("oms.db", "paper")
    assert [str(change) for change in found.changes] == [
        "broker.kind: paper -> tiger  LOOSENED: a broker outside this machine",
        "execution.collar: 0.3% -> 0.5%  LOOSENED: limits further from the quote",
    ]


CALENDAR = ExchangeCalendar("XNYS", FakeClock())
NOW = FakeClock().now()


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("2026-03-20", "2026-03-20T20:00:00+00:00"),  # daylight saving time
        ("2026-03-06", "2026-03-06T21:00:00+00:00"),
        ("2026-04-03", "2026-04-02T20:00:00+00:00"),  # Good Friday
        ("2026-03-08", "2026-03-06T21:00:00+00:00"),  # a Sunday
        ("2026-03-20T10:00:00+08:00", "2026-03-20T02:00:00+00:00"),
    ],
)
def test_expiry(text: str, ends: str) -> None:
    """A day ends with its session's close, or with the last one before it; an instant is itself."""
    assert expiry(text, CALENDAR, NOW).isoformat() == ends


@pytest.mark.parametrize(
    "text",
    ["2026-03-01", "2026-12-31", "tomorrow", "", "2026-13-01", "2026-03-20T10:00:00", "20260320", "2026-03-02T15:00Z"],
)
def test_expiry_that_is_none(text: str) -> None:
    """What lies behind, or more than 92 days ahead, or is no time, ends with exit code 2 and says what was expected."""
    with pytest.raises(UsageError, match="expected") as refusal:
        expiry(text, CALENDAR, NOW)
    assert refusal.value.exit_code == 2
    assert timedelta(days=92) == LONGEST
