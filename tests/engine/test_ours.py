"""What may be sold is what the broker has and the journal holds, whichever is less."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from oms.engine.ours import ours_to_sell
from tests.engine.house import House, buy, sell
from tests.model.story import Story, intent, position


@pytest.mark.parametrize(
    ("there", "sellable"),
    [(100, 100), (130, 100), (60, 60), (0, 0)],
    ids=["equal", "a person bought more", "a person sold", "nothing there"],
)
def test_the_lesser_of_the_two_books(there: int, sellable: int) -> None:
    """Shares that a person's hand put there are his to sell; what is gone cannot be sold."""
    story = Story(held=[position("AAA", 100)])
    assert ours_to_sell({"AAA": position("AAA", there)}, story.state)["AAA"].sellable == sellable


def test_a_list_that_lags_sells_nothing_twice() -> None:
    """The broker still shows what was sold a moment ago, and what is being sold now."""
    story = Story(held=[position("AAA", 100)]).opens(intent("S0", "AAA", 30))
    story.sends("S0").acknowledges("S0")
    shown = {"AAA": position("AAA", 100)}
    assert ours_to_sell(shown, story.state)["AAA"].sellable == 70
    story.fills("S0", 30)
    assert ours_to_sell(shown, story.state)["AAA"].sellable == 70
    assert ours_to_sell(shown, story.state)["AAA"].qty == 100, "what is there counts against the caps of a buy"


def test_of_a_symbol_that_the_journal_never_held_the_broker_knows_best() -> None:
    """A plan of a person's own may sell what he bought himself."""
    assert ours_to_sell({"ZZZ": position("ZZZ", 7)}, Story().state)["ZZZ"].sellable == Decimal(7)


def test_a_plan_sells_what_was_just_sold_no_second_time(tmp_path: Path) -> None:
    """The broker's positions lag behind its own fills: the next cycle plans no sell of what is gone."""
    house = House(tmp_path)
    before = house.broker.positions()
    house.run(sell("BBB"))
    pytest.MonkeyPatch().setattr(house.broker, "positions", lambda: before)
    house.run(sell("BBB"), buy("CCC", 10))
    assert [wish.symbol for wish in house.cycle.opened.sells] == []
