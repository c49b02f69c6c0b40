"""The screen: its filters, its promises about scores, and the wishes that follow from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.engine.selection import Screen, SelectionRules, screen, signals
from oms.gateways.replay import ReplayMarket
from oms.model.detail import Score
from oms.model.order import Side
from oms.model.score import WEIGHTS
from oms.ports import Bar, BarSet

RULES = SelectionRules(top=3, min_score=Decimal(60), sell_below=Decimal(50), min_history=100)
AS_OF = date(2020, 12, 31)
VOLUME = 10_000_000


def bars(closes: Sequence[Decimal], volume: int = VOLUME) -> tuple[Bar, ...]:
    first = AS_OF - timedelta(days=len(closes) - 1)
    return tuple(
        Bar(day=first + timedelta(days=at), open=px, high=px, low=px, close=px, volume=volume)
        for at, px in enumerate(closes)
    )


def bar_set(histories: Mapping[str, Sequence[Bar]], problems: Mapping[str, str] | None = None) -> BarSet:
    return BarSet(as_of=AS_OF, bars=histories, problems=problems or {})


def slope(step: str, count: int = 260, start: str = "100") -> tuple[Bar, ...]:
    return bars([Decimal(start) + Decimal(step) * at for at in range(count)])


def ladder(count: int = 6) -> BarSet:
    """Symbols S0, S1, … of which each rises faster than the one before; the lower half falls."""
    return bar_set({f"S{at}": slope(f"{(at - count // 2) * 0.05:.2f}") for at in range(count)})


def found(histories: BarSet, rules: SelectionRules = RULES) -> Screen:
    return screen(histories, [*histories.bars, *histories.problems], rules)


def by_symbol(result: Screen) -> dict[str, Score]:
    return {score.symbol: score for score in result.scores}


steps = st.integers(min_value=-30, max_value=30).map(lambda cents: Decimal(cents) / 100)
walks = st.lists(
    st.lists(steps, min_size=20, max_size=20).map(
        lambda moves: [Decimal(100) + moves[at % 20] * (1 + at % 7) for at in range(110)]
    ),
    min_size=2,
    max_size=6,
)
quick = settings(max_examples=30, deadline=None)


def test_weights_are_a_hundred_percent() -> None:
    """The weights of the factors add up to 100."""
    assert sum(WEIGHTS.values()) == 100


@quick
@given(walks=walks, order=st.randoms(use_true_random=False))
def test_order_of_symbols(walks: list[list[Decimal]], order: object) -> None:
    """The order in which symbols and bars are given changes nothing."""
    histories = {f"S{at}": bars(walk) for at, walk in enumerate(walks)}
    shuffled = list(histories)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types st.randoms() loosely
    again = screen(bar_set({name: histories[name] for name in shuffled}), shuffled, RULES)
    assert screen(bar_set(histories), histories, RULES) == again


@quick
@given(walks=walks, factor=st.sampled_from(["0.5", "2", "3", "7", "12.5"]))
def test_scale_of_prices(walks: list[list[Decimal]], factor: str) -> None:
    """Scaling all prices of one symbol changes no score."""
    histories = {f"S{at}": bars(walk) for at, walk in enumerate(walks)}
    scaled = {**histories, "S0": bars([px * Decimal(factor) for px in walks[0]])}
    before, after = (by_symbol(found(bar_set(each))) for each in (histories, scaled))
    assert {name: score.score for name, score in before.items()} == {name: one.score for name, one in after.items()}


@quick
@given(walks=walks)
def test_scores_are_bounded(walks: list[list[Decimal]]) -> None:
    """Every score lies between 0 and 100 and has one decimal; they average 50 but for their rounding."""
    result = found(bar_set({f"S{at}": bars(walk) for at, walk in enumerate(walks)}))
    scores = [score.score for score in result.scores if score.score is not None]
    assert len(scores) == len(walks)
    assert all(0 < score < 100 and score == score.quantize(Decimal("0.1")) for score in scores)
    assert abs(sum(scores, Decimal(0)) / len(scores) - 50) <= Decimal("0.05")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_equal(count: int) -> None:
    """Symbols that do the same, at whatever price, all have 50.0."""
    result = found(bar_set({f"S{at}": slope("0", start=f"{(at + 1) * 10.1:.1f}") for at in range(count)}))
    assert [score.score for score in result.scores] == [Decimal("50.0")] * count
    assert [score.symbol for score in result.scores] == [f"S{at}" for at in range(count)]


@quick
@given(walks=walks)
def test_bar_after_the_day(tmp_path_factory: pytest.TempPathFactory, walks: list[list[Decimal]]) -> None:
    """Through the replay, rows of the day itself and of later days change nothing in the screen."""
    symbols = [f"S{at}" for at in range(len(walks))]
    folder = tmp_path_factory.mktemp("bars")
    results = []
    for later in (1, 10):
        for symbol, walk in zip(symbols, walks, strict=True):
            seen = bars([*walk, *[walk[-1] * later] * later])
            days = [date(2020, 1, 1) + timedelta(days=at) for at in range(len(seen))]
            lines = [
                f"{day},{bar.open},{bar.high},{bar.low},{bar.close},{VOLUME}"
                for day, bar in zip(days, seen, strict=True)
            ]
            (folder / f"{symbol}.csv").write_text(
                "\n".join(["Date,Open,High,Low,Close,Volume", *lines]), encoding="utf-8"
            )
        market = ReplayMarket(folder)
        market.enter(None, date(2020, 1, 1) + timedelta(days=len(walks[0])))
        results.append(screen(market.bars(symbols), symbols, RULES))
    assert results[0] == results[1]
    assert results[0].scores[0].score is not None


def test_ranking() -> None:
    """The faster a share rose the better it ranks, and ranks count from 1."""
    result = found(ladder())
    assert [score.symbol for score in result.scores] == ["S5", "S4", "S3", "S2", "S1", "S0"]
    assert [score.rank for score in result.scores] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("count", [100, 253, 400])
def test_lookback_is_open(count: int) -> None:
    """The score says how many bars were behind its longest factor: a year, or what there was."""
    (score,) = found(bar_set({"AA": slope("0.01", count=count)})).scores
    assert score.lookback == min(count - 1, 252)


def test_factors_by_hand() -> None:
    """Each factor is what its formula says, on a history short enough to work out by hand."""
    closes = [Decimal(px) for px in (100, 110, 121, 120)]
    rules = replace(RULES, min_history=1)
    of = screen(bar_set({"AA": bars(closes)}), ["AA"], rules).factors["AA"]
    assert of.momentum == 0
    assert of.trend == round((120 / 112.75 - 1) / 2, 10)
    assert of.nearness == round(120 / 121 - 1, 10)
    assert of.calm == pytest.approx(-0.9496, abs=1e-4)
    assert of.support == 1
    assert of.over_average == round(120 / 112.75, 10)


def test_momentum_skips_a_month() -> None:
    """Momentum is a year's move without its last month."""
    closes = [Decimal(100)] * 10 + [Decimal(150)] * 222 + [Decimal(110)] * 21
    assert found(bar_set({"AA": bars(closes)})).factors["AA"].momentum == 0.5


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (slope("0.01", count=99), "history: 99 bars, at least 100 are needed"),
        (bars([Decimal("4.99")] * 120, VOLUME * 10), "price: its close of 4.99 is below 5"),
        (bars([Decimal(50)] * 120, 1000), "turnover: 50,000 a day (median) is below 20,000,000"),
        (slope("0.01")[:-1], f"stale: its last bar is of {AS_OF - timedelta(days=1)}, not of {AS_OF}"),
        ((), "missing: the market source has no bars of it"),
    ],
)
def test_filters(history: tuple[Bar, ...], reason: str) -> None:
    """A symbol that may not be scored is kept with its reason, and the others are ranked without it."""
    result = by_symbol(found(bar_set({"AA": history, "BB": slope("0.01")})))
    assert (result["AA"].score, result["AA"].rank, result["AA"].excluded_by) == (None, None, reason)
    assert result["BB"].score == Decimal("50.0")


def test_problem_of_the_market() -> None:
    """What the market source found wrong with a symbol is the reason why it is not scored."""
    result = found(bar_set({}, {"AA": "gaps: 9 of 100"}))
    assert result.scores == (Score(symbol="AA", score=None, rank=None, excluded_by="gaps: 9 of 100"),)


def test_hash_speaks_of_the_input() -> None:
    """The hash is the same for equal bars, also with digits beyond the fourth, and another after the smallest change."""
    base = slope("0.01")
    noisy = (*base[:-1], replace(base[-1], close=base[-1].close + Decimal("0.00001")))
    moved = (*base[:-1], replace(base[-1], close=base[-1].close + Decimal("0.0001")))
    traded = (*base[:-1], replace(base[-1], volume=base[-1].volume + 1))
    hashes = [found(bar_set({"AA": history})).bars_hash for history in (base, noisy, moved, traded)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def wishes(result: Screen, held: Sequence[str], **more: object) -> list[tuple[Side, str]]:
    given = signals(result, held, RULES, **more)  # type: ignore[arg-type]  # only `previous` is passed on
    return [(wish.side, wish.symbol) for wish in given.signals]


def test_buys_are_the_best_above_their_average() -> None:
    """The best by score are wished for, at most `top`, none below `min_score` nor under its slow average."""
    assert wishes(found(ladder(12)), []) == [(Side.BUY, "S11"), (Side.BUY, "S10"), (Side.BUY, "S9")]
    falling = bar_set({f"S{at}": slope(f"-0.0{at + 1}") for at in range(4)})
    assert [score.symbol for score in found(falling).scores if score.score and score.score >= 60]
    assert wishes(found(falling), []) == []


def test_sells_come_first_and_worst_first() -> None:
    """A holding below `sell_below` is sold, the worst first; one above it is kept."""
    assert wishes(found(ladder()), ["S1", "S5", "S0"])[:3] == [(Side.SELL, "S0"), (Side.SELL, "S1"), (Side.BUY, "S5")]


def test_close_under_the_average() -> None:
    """A holding under 98 % of its slow average is sold whatever its score."""
    falling = bar_set({"AA": slope("-0.20"), "BB": slope("-0.30"), "CC": slope("-0.31")})
    assert by_symbol(found(falling))["AA"].score == Decimal("80.0")
    assert (Side.SELL, "AA") in wishes(found(falling), ["AA"])


def test_symbol_that_left_the_universe() -> None:
    """A holding that the universe no longer names is sold first, once the screens of three days do not know it.

    A list that was cut short by mistake sells nothing on its first day.
    """
    result = found(ladder())
    assert (Side.SELL, "OLD") not in wishes(result, ["OLD", "S0"], previous=[result.scores])
    gone = wishes(result, ["OLD", "S0"], previous=[result.scores, result.scores])
    assert gone[:2] == [(Side.SELL, "OLD"), (Side.SELL, "S0")]


@pytest.mark.parametrize("reason", ["missing: x", "stale: x", "gaps: x", "unbelievable: x", "history: x"])
def test_bad_data_sells_nothing(reason: str) -> None:
    """A holding without usable data is never sold for that, however often it happens."""
    result = found(bar_set({}, {"AA": reason}))
    assert wishes(result, ["AA"], previous=[result.scores] * 5) == []


def test_ineligible_for_three_runs() -> None:
    """A holding that became too cheap is sold when three screens in a row say so."""
    cheap = found(bar_set({"AA": bars([Decimal(4)] * 120, VOLUME)}))
    fine = found(bar_set({"AA": bars([Decimal(6)] * 120, VOLUME)}))
    assert wishes(cheap, ["AA"]) == []
    assert wishes(cheap, ["AA"], previous=[cheap.scores]) == []
    assert wishes(cheap, ["AA"], previous=[cheap.scores, fine.scores]) == []
    assert wishes(cheap, ["AA"], previous=[cheap.scores, cheap.scores]) == [(Side.SELL, "AA")]


def test_no_symbol_on_both_sides() -> None:
    """With thresholds that overlap, what is sold is not bought in the same breath."""
    rules = replace(RULES, min_score=Decimal(1), sell_below=Decimal(99), top=10)
    given = signals(found(ladder()), ["S5"], rules)
    assert [wish.side for wish in given.signals if wish.symbol == "S5"] == [Side.SELL]


def test_signals_name_their_source() -> None:
    """Wishes carry their score and leave the quantity open; their digest changes when they do."""
    first, second = (signals(found(ladder()), held, RULES) for held in ([], ["S0"]))
    assert (first.source, first.as_of, len(first.digest)) == ("selection", None, 64)
    assert {wish.quantity for wish in second.signals} == {None}
    assert first.digest != second.digest
    assert second == signals(found(ladder()), ["S0"], RULES)


def test_real_year(real_universe: list[str]) -> None:
    """At the end of the real year all but a handful of the universe's symbols there are scored, the rest has a reason."""
    market = ReplayMarket("sp500-2010")
    market.enter(None, market.days[-1])
    result = screen(market.bars(real_universe), real_universe, RULES)
    assert sum(score.score is not None for score in result.scores) >= 90
    assert all(score.excluded_by for score in result.scores if score.score is None)
    assert by_symbol(result)["DHR"].excluded_by == (
        "unbelievable: -49.6 % on 2010-06-14, likely a split or spin-off that the data does not adjust for"
    )


@pytest.fixture
def real_universe() -> list[str]:
    text = (Path(__file__).parents[2] / "universe.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_import_is_light() -> None:
    """Importing the screen does not import pandas: status and resume do not wait for it."""
    code = "import sys, oms.engine.selection; print('pandas' in sys.modules, 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert ran.stdout.split() == ["False", "False"]
