"""The selection beside the trading: what hangs delays no beat, what is old is not acted on, and a user's own strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.choice_wiring import strategy_of
from oms.config import load_config
from oms.engine.choosing import Chooser, holdings
from oms.engine.errands import Errands
from oms.engine.register import Register
from oms.engine.selecting import USABLE_INTERVALS, NotYetSelected, Selecting
from oms.engine.selection import SelectionRules
from oms.engine.worker import Assignment, Worker
from oms.errors import MarketStale, UsageError
from oms.examples import rising
from oms.model.event import Selected
from oms.model.order import Side
from oms.model.signal import Signal
from oms.model.task import SELECTION, TRADING
from oms.ports import Bar, BarSet, StrategySight
from tests.engine.house import House
from tests.engine.test_errands import ManualHands
from tests.fakes.market import FIRST_DAY

RULES = SelectionRules(top=3, min_score=Decimal(60), sell_below=Decimal(50), min_history=2)
HOUR = timedelta(hours=1)
UNIVERSE = ("AAA", "BBB", "CCC", "DDD", "EEE")


def bars(days: int = 120, *, as_of_days_ago: int = 1) -> BarSet:
    """Each symbol rises by its own slope; EEE falls."""
    last = FIRST_DAY - timedelta(days=as_of_days_ago)

    def history(slope: Decimal) -> list[Bar]:
        closes = [Decimal(50) + slope * at for at in range(days)]
        return [
            Bar(day=last - timedelta(days=days - 1 - at), open=px, high=px, low=px, close=px, volume=10_000_000)
            for at, px in enumerate(closes)
        ]

    slopes = dict(
        zip(UNIVERSE, (Decimal("0.4"), Decimal("0.3"), Decimal("0.2"), Decimal("0.1"), Decimal("-0.2")), strict=True)
    )
    return BarSet(
        as_of=last, bars={symbol: history(slope) for symbol, slope in slopes.items()}, problems={}, is_live=True
    )


def buy_ccc(sight: StrategySight) -> Iterable[Signal]:
    """A strategy that always wants ten of one share."""
    return [Signal(side=Side.BUY, symbol="CCC", quantity=10)]


class Floor:
    """A worker on a live market whose selection's thread comes back when the test says so."""

    def __init__(self, folder: Path, *, strategy: Callable[[StrategySight], Iterable[Any]] | None = None) -> None:
        self.house = House(folder, patient=True)
        self.house.market.skips_nights = False
        market = self.house.market
        monkeypatch = pytest.MonkeyPatch()
        monkeypatch.setattr(market, "bars", lambda _symbols: bars())
        monkeypatch.setattr(market, "enter", lambda _last, _open: market.session())  # the day is the world's
        self.hands = ManualHands()
        self.house.stopping = lambda: 143 if self.house.clock.elapsed() >= self.until else None
        self.until = 0.0
        self.driver = self.house.driver()
        self.register = Register(self.house.clock)
        self.errands = Errands(self.house.clock, self.hands, self.register)
        name = "mine:choose" if strategy else ""
        self.chooser = Chooser(UNIVERSE, RULES, "c0", strategy=strategy, name=name)
        self.selecting = Selecting(self.driver, self.chooser, HOUR)
        self.errands.add(self.selecting)
        assignment = Assignment(mode="paper", config_hash="c0", canonical="{}", version="test", loop=True)
        self.worker = Worker(
            self.driver,
            assignment,
            wishes=self.selecting.wishes,
            new_cycle_id=self.house._new_cycle_id,
            register=self.register,
            tend=self.errands.tend,
        )

    def run(self, seconds: float) -> None:
        self.until = self.house.clock.elapsed() + seconds
        self.worker._run()

    @property
    def cycles(self) -> int:
        return self.house.journal.kinds.count("buys_closed")


def test_a_selection_that_hangs_delays_no_beat(tmp_path: Path) -> None:
    """Ten minutes of silence are twenty beats, each of which says what it lacks; the hang is said after its limit."""
    floor = Floor(tmp_path)
    floor.run(600)
    assert floor.register.task(TRADING).runs == 20
    assert "nothing is chosen for this trading day" in floor.register.task(TRADING).text
    selection = floor.register.task(SELECTION)
    assert not selection.healthy
    assert "has not come back" in selection.last_error
    assert floor.cycles == 0


def test_the_trading_goes_on_with_the_choice_it_has_while_the_next_one_hangs(tmp_path: Path) -> None:
    """The first choice trades; while later ones hang it is used for three intervals, and then no more."""
    floor = Floor(tmp_path)
    floor.run(1)
    floor.hands.come_back()
    floor.run(60)
    assert floor.cycles >= 1
    floor.run(USABLE_INTERVALS * 3600 - 120)
    assert floor.register.task(TRADING).healthy
    floor.run(180)
    task = floor.register.task(TRADING)
    assert (task.healthy, "the last selection was 3." in task.last_error) == (False, True)


def test_a_choice_is_journaled_once_however_often_it_is_confirmed(tmp_path: Path) -> None:
    """As_of, hashes and every factor; the same words an hour later are no further fact."""
    floor = Floor(tmp_path)
    for _ in range(3):
        floor.run(1)
        floor.hands.come_back()
        floor.run(3600)
    (fact,) = [event for event in floor.house.journal.events if isinstance(event, Selected)]
    assert (fact.as_of, fact.config_hash, len(fact.bars_hash)) == (FIRST_DAY - timedelta(days=1), "c0", 64)
    assert all(len(score.factors) == 6 for score in fact.scores)
    assert floor.register.task(SELECTION).runs >= 3


def test_a_new_trading_day_brings_a_selection_at_once(tmp_path: Path) -> None:
    """Without waiting for the hour: yesterday's choice is for yesterday."""
    floor = Floor(tmp_path)
    floor.run(1)
    floor.hands.come_back()
    floor.run(60)
    runs = floor.register.task(SELECTION).runs
    floor.house.market.next_day()
    floor.run(31)
    assert floor.register.task(SELECTION).runs == runs + 1
    with pytest.raises(NotYetSelected):
        floor.selecting.wishes(floor.driver)


def test_stale_prices_are_journaled_once_and_choose_nothing(tmp_path: Path) -> None:
    """The quorum is the selection's failure; a person is asked to look, once for the same words."""
    floor = Floor(tmp_path)
    floor.run(1)
    floor.hands.come_back()
    floor.run(60)  # the journal has begun

    def stale(_symbols: object) -> BarSet:
        return BarSet(as_of=FIRST_DAY, bars={}, problems=dict.fromkeys(UNIVERSE, "stale: old"), is_live=True)

    pytest.MonkeyPatch().setattr(floor.house.market, "bars", stale)
    for seconds in (3550, 70, 130):
        floor.run(seconds)
        floor.hands.come_back()
        floor.run(1)
    assert not floor.register.task(SELECTION).healthy
    assert floor.house.journal.kinds.count("attention_raised") == 1


# A user's own strategy


def test_its_wishes_are_traded_once_a_day_however_often_it_repeats_them(tmp_path: Path) -> None:
    """Ten shares, and not ten at every beat nor at every hour; the fact names the strategy."""
    floor = Floor(tmp_path, strategy=buy_ccc)
    for _ in range(2):
        floor.run(1)
        floor.hands.come_back()
        floor.run(3600)
    assert floor.house.journal.state.holdings["CCC"].qty == 10
    assert floor.cycles == 1
    (fact,) = [event for event in floor.house.journal.events if isinstance(event, Selected)]
    assert (fact.strategy, len(fact.digest)) == ("mine:choose", 64)
    assert floor.house.cycle.opened.source.startswith("mine:choose 2010-02-28")


def test_a_restart_does_not_trade_the_same_wishes_again(tmp_path: Path) -> None:
    """The next process chooses the same, finds them traded in the journal, and opens nothing."""
    floor = Floor(tmp_path, strategy=buy_ccc)
    chosen = floor.chooser.find(floor.house.market, FIRST_DAY, {})
    floor.run(1)
    floor.hands.come_back()
    floor.run(60)
    again = floor.chooser.wishes(chosen, floor.house.journal.state, floor.house.rules, floor.house.clock.now())
    assert again.signals == ()


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        (lambda _: 1 / 0, "raised ZeroDivisionError"),
        (lambda _: "buy OXY", "expected a list of oms.model.signal.Signal"),
        (lambda _: None, "expected a list of oms.model.signal.Signal"),
        (lambda _: [("BUY", "OXY")], "expected a list of oms.model.signal.Signal"),
        (lambda _: [Signal(side="BUY", symbol="oxy", quantity=1.5, price=3.0, score=float("nan"))], "signal 1: symbol"),  # type: ignore[arg-type]
        (lambda _: [Signal(side=Side.BUY, symbol="OXY", quantity=0)], "whole shares, at least 1"),
        (lambda _: [Signal(side=Side.BUY, symbol="OXY", price=Decimal("NaN"))], "a Decimal above 0"),
        (lambda _: (Signal(side=Side.BUY, symbol="OXY") for _ in range(20_000)), "more than 10,000 signals"),
    ],
)
def test_a_strategy_that_is_wrong_chooses_nothing_and_says_why(strategy: Callable[[Any], Any], why: str) -> None:
    """What it raises or hands over is one sentence that names it; nothing of it is traded."""
    chooser = Chooser(UNIVERSE, RULES, "c0", strategy=strategy, name="mine:choose")

    class Prices:
        @staticmethod
        def bars(_symbols: object) -> BarSet:
            return bars()

    with pytest.raises(UsageError, match=r"selection\.strategy: mine:choose") as raised:
        chooser.find(Prices(), FIRST_DAY, {})  # type: ignore[arg-type]  # all of a market that it looks at
    assert why in str(raised.value)


def test_the_example_sells_what_turned_and_buys_what_rises_most() -> None:
    """As its text says: by the two averages, at most five, the best first; no bars, no opinion."""
    held = {"EEE": Decimal(5), "DDD": Decimal(5), "ZZZ": Decimal(5)}
    sight = StrategySight(day=FIRST_DAY, universe=UNIVERSE, bars=bars(), held=held)
    wishes = list(rising.choose(sight))
    assert [(wish.side, wish.symbol) for wish in wishes] == [
        (Side.SELL, "EEE"),
        (Side.BUY, "AAA"),
        (Side.BUY, "BBB"),
        (Side.BUY, "CCC"),
    ]
    assert [wish.score for wish in wishes[1:]] == sorted(
        (wish.score for wish in wishes[1:] if wish.score), reverse=True
    )


def test_the_example_runs_in_the_engine(tmp_path: Path) -> None:
    """Named in the configuration, it chooses, and what it holds after its day is what it wished for."""
    floor = Floor(tmp_path, strategy=rising.choose)
    floor.run(1)
    floor.hands.come_back()
    floor.run(120)
    held = holdings(floor.house.journal.state)
    assert {"CCC", "DDD"} <= set(held)
    assert floor.house.cycle.opened.source.startswith("mine:choose")


def test_a_strategy_is_found_beside_the_configuration(tmp_path: Path) -> None:
    """``mine:choose`` is mine.py in the configuration's folder; the shipped example is found by its path."""
    (tmp_path / "config.yaml").write_text("selection: {strategy: 'strategy_beside:choose'}\n", encoding="utf-8")
    (tmp_path / "strategy_beside.py").write_text("def choose(sight):\n    return []\n", encoding="utf-8")
    found = strategy_of(load_config(tmp_path / "config.yaml", {}))
    assert found is not None
    assert found.__module__ == "strategy_beside"
    named = {"OMS_SELECTION__STRATEGY": "oms.examples.rising:choose"}
    assert strategy_of(load_config(tmp_path / "config.yaml", named)) is rising.choose


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:choose", "cannot be loaded: ModuleNotFoundError"),
        ("oms.examples.rising:chose", "cannot be loaded: AttributeError"),
        ("oms.examples.rising:MOST", "expected a function"),
        ("nobody", "no installed package offers 'nobody'"),
    ],
)
def test_a_strategy_that_is_not_there_is_a_mistake_of_the_configuration(tmp_path: Path, name: str, why: str) -> None:
    """The key, what was looked for, and what was expected."""
    (tmp_path / "config.yaml").write_text(f"selection: {{strategy: '{name}'}}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"selection\.strategy") as raised:
        strategy_of(load_config(tmp_path / "config.yaml", {}))
    assert why in str(raised.value)


def test_too_old_a_choice_is_a_stale_market(tmp_path: Path) -> None:
    """Its sentence says for how long there was none."""
    floor = Floor(tmp_path)
    floor.run(1)
    floor.hands.come_back()
    floor.run(30)
    floor.house.clock.advance(USABLE_INTERVALS * HOUR + HOUR)
    with pytest.raises(MarketStale, match=r"the last selection was 4\.\d h ago"):
        floor.selecting.wishes(floor.driver)
