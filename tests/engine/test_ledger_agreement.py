"""The ledgers beside the broker's own figures: the same to the cent, in every currency, on every day, after every death."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from oms.gateways.paper import PaperBroker
from oms.gateways.paper.outsider import Outsider
from oms.model.account import Session
from oms.model.event import AttentionRaised, CycleOpened
from oms.model.rules import FundsPolicy, Rules
from oms.model.signal import Signal
from tests.engine.house import PRICES, House, buy, sell
from tests.fakes.market import FixedMarket


class SettlesLater(FixedMarket):
    """As Hong Kong: trades settle on the second day after their own."""

    def _session(self, day: date) -> Session:
        session = super()._session(day)
        return Session(day=day, opens=session.opens, closes=session.closes, settles=day + timedelta(days=2))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A Hong Kong account with American and Singapore money beside."""
    house = House(tmp_path, rules=Rules(), cash=Decimal(4_000), positions={"AAA": 100, "BBB": 200})
    house.paper.close()
    house.market = SettlesLater(PRICES)
    house.paper = PaperBroker(
        tmp_path / "hkd.db",
        house.market,
        house.clock,
        cash=house.cash,
        positions=house.positions,
        fee_per_share=Decimal("0.01"),
        partial_fills=Decimal("0.5"),
        session=house.market.session,
        currency="HKD",
        others={"USD": Decimal(700), "SGD": Decimal(30)},
    )
    house.broker = type(house.broker)(house.paper)
    yield house
    house.paper.close()


def outsider(house: House) -> Outsider:
    return Outsider(
        house.folder / "hkd.db",
        house.market,
        house.clock,
        cash=Decimal(0),
        positions={},
        session=house.market.session,
        currency="HKD",
    )


def figures(house: House) -> dict[str, tuple[Decimal, Decimal]]:
    """Cash and settled cash by currency, as the journal has them today."""
    ledgers, today = house.journal.state.ledgers, house.journal.state.trading_day
    assert ledgers is not None
    assert today is not None
    return {each.currency: (each.cash, each.settled_on(today)) for each in ledgers}


def brokers(house: House) -> dict[str, tuple[Decimal, Decimal | None]]:
    """The same by the broker."""
    funds = house.paper.funds()
    return {
        funds.currency: (funds.cash, funds.settled_cash),
        **{each.currency: (each.cash, each.settled_cash) for each in funds.others},
    }


def wishes(random: Random) -> list[Signal]:
    sides = [sell if random.random() < 0.5 else buy for _ in PRICES]
    return [side(symbol, random.randint(1, 30)) for side, symbol in zip(sides, PRICES, strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_settled_and_unsettled_are_the_brokers_in_every_currency_on_every_day(house: House, seed: int) -> None:
    """Days of sales that settle two days later, buys with settled money and without, and a new process each evening."""
    random = Random(seed)
    transit = 0
    for _ in range(10):
        assert house.run(*wishes(random)).exit_code == 0
        assert figures(house) == brokers(house)
        cash, settled = figures(house)["HKD"]
        transit += settled < cash
        before = house.journal.state.ledgers
        house.reborn()
        assert house.journal.state.ledgers == before
    assert transit > 3, "the sales must have left money in transit, or nothing was compared"
    assert [figures(house)[name] for name in ("USD", "SGD")] == [(Decimal(700),) * 2, (Decimal(30),) * 2]
    assert not [row for row in house.journal.rows if isinstance(row.event, AttentionRaised)]


def test_only_settled_money_of_the_own_currency_is_spent(house: House) -> None:
    """Under ``settled_cash`` 700 American dollars and money in transit buy nothing; the cycle waits two days for its own."""
    house.change_rules(funds=FundsPolicy.SETTLED_CASH)
    assert house.run(sell("AAA", 50), buy("CCC", 60)).exit_code == 0
    opened, bought = house.cycle.opened, house.order("CCC")
    assert opened.funds.currency == "HKD"
    assert house.cycle.day == opened.trading_day + timedelta(days=2)
    cost = bought.cum_qty * bought.avg_px if bought.avg_px is not None else Decimal(0)
    assert Decimal(0) < cost <= Decimal("0.8") * (4_000 + 50 * 50)
    assert figures(house)["USD"] == (Decimal(700), Decimal(700))


def test_shares_bought_with_money_in_transit_are_kept_back_whatever_other_money_there_is(house: House) -> None:
    """The guard is that of the symbol's own currency: settled American dollars have paid for none of these shares."""
    outside = outsider(house)
    outside.external_cash(Decimal(-3_990))
    outside.external_cash(Decimal(1_000_000), "USD")
    outside.close()
    house.run(sell("AAA"), buy("CCC", 20))
    ledger = house.journal.state.ledger
    assert ledger is not None
    back = ledger.held_back("CCC", Decimal(20), house.cycle.day)
    assert back is not None
    assert back.until == house.cycle.day + timedelta(days=2)


def test_a_change_in_another_currency_is_told_once_and_survives(house: House) -> None:
    """Ten Singapore dollars go: one attention names them, a new process has the new figure and tells nothing more."""
    house.run(buy("BBB", 5))
    outside = outsider(house)
    outside.external_cash(Decimal(-10), "SGD")
    outside.close()
    house.reborn()
    house.run(buy("BBB", 5))
    house.reborn()
    house.run(buy("BBB", 5))
    told = [row.event.text for row in house.journal.rows if isinstance(row.event, AttentionRaised)]
    assert len(told) == 1
    assert "10 SGD less than when it was last looked at" in told[0]
    openings = [row.event for row in house.journal.rows if isinstance(row.event, CycleOpened)]
    assert [[(each.currency, int(each.cash)) for each in event.other_ledgers] for event in openings] == [
        [("SGD", 30), ("USD", 700)],
        [("SGD", 20), ("USD", 700)],
        [("SGD", 20), ("USD", 700)],
    ]
