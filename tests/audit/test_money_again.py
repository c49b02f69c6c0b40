"""What explain makes again besides the cuts: the money that could be spent, and the shares that were kept back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.audit.recompute import Recomputed, recompute
from oms.journal.codec import decode, encode
from oms.model.event import BuysRevalidated, CycleOpened, Recorded
from oms.model.rules import FundsPolicy, Rules
from tests.engine.house import House, buy, sell
from tests.engine.test_settlement_days import live


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Three cycles of one day: CCC is bought with what AAA brought, cannot be sold, and a part of DDD can."""
    house = live(House(tmp_path, cash=Decimal(10), positions={"AAA": 100, "DDD": 5}))
    house.run(sell("AAA"), buy("CCC", 20), buy("DDD", 10))
    house.run(sell("CCC"), sell("DDD"), buy("BBB", 5))
    yield house
    house.paper.close()


def last(house: House) -> tuple[CycleOpened, Recorded]:
    """The plan and the revalidation of the last cycle, as the journal gives them back."""
    decided = [row for row in house.journal.rows if isinstance(row.event, BuysRevalidated)][-1]
    opened = [row.event for row in house.journal.rows if isinstance(row.event, CycleOpened)][-1]
    stored = encode(opened)
    again = decode(stored.kind, stored.data, stored.cycle_id, stored.cl_ord_id, stored.symbol)
    assert again == opened
    return opened, decided


def made_again(opened: CycleOpened, fact: Recorded, rules: Rules) -> Recomputed:
    return recompute(opened, fact, encode(fact.event).data, rules)


def test_a_decision_with_a_ledger_comes_out_again(house: House) -> None:
    """From its journaled inputs alone, byte for byte, with the shares that were kept back counted."""
    opened, fact = last(house)
    assert opened.ledger is not None
    assert {(tagged.symbol, tagged.qty, tagged.held) for tagged in opened.ledger.tagged} == {
        ("CCC", 20, Decimal(20)),
        ("DDD", 10, Decimal(15)),
    }
    assert {(wish.symbol, wish.quantity, wish.rule) for wish in opened.sells} == {
        ("CCC", 20, "good_faith"),
        ("DDD", 5, None),
    }
    assert made_again(opened, fact, house.rules).same is True


def test_a_sell_that_the_ledger_does_not_allow_is_found(house: House) -> None:
    """A plan that sells more than is free cannot have come from this ledger."""
    opened, fact = last(house)
    sells = tuple(replace(wish, rule=None) for wish in opened.sells)
    found = made_again(replace(opened, sells=sells), fact, house.rules)
    assert found.same is False
    assert found.differences == ("CCC: 20 were planned to be sold, 0 may be until 2026-03-03",)


def test_money_that_no_reading_shows_is_found(house: House) -> None:
    """More to spend than the reading and the ledger allow, at the opening or at the revalidation."""
    opened, fact = last(house)
    assert isinstance(fact.event, BuysRevalidated)
    richer = replace(fact.event, inputs=replace(fact.event.inputs, spendable=Decimal(10**6)))
    found = made_again(opened, replace(fact, event=richer), house.rules)
    assert found.same is False
    assert found.differences[0].startswith("spendable: 1000000 in the journal")
    begun = made_again(replace(opened, spendable=Decimal(1)), fact, house.rules)
    assert begun.differences[0].startswith("spendable at the opening: 1 in the journal")


def test_settled_cash_is_reckoned_with_what_was_in_transit(tmp_path: Path) -> None:
    """The cycle that waited for its day says what had not settled then, and comes out again."""
    house = live(House(tmp_path, rules=Rules(funds=FundsPolicy.SETTLED_CASH), cash=Decimal(10), positions={"AAA": 100}))
    house.run(sell("AAA"), buy("CCC", 20))
    house.clock.advance(timedelta(days=1))
    house.run(open_new=False)
    opened, fact = last(house)
    assert isinstance(fact.event, BuysRevalidated)
    assert fact.event.inputs.in_transit == 0
    assert made_again(opened, fact, house.rules).same is True
    late = replace(fact.event, inputs=replace(fact.event.inputs, in_transit=Decimal(4000)))
    assert made_again(opened, replace(fact, event=late), house.rules).same is False
    house.paper.close()
