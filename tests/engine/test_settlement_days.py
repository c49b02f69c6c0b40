"""Cycles and the days on which money settles: good faith in a cash account, and cycles that wait for settled cash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oms.engine.refusals import refusal
from oms.errors import TryAgainError
from oms.gateways.paper.outsider import Outsider
from oms.model.account import Session
from oms.model.detail import Outcome
from oms.model.event import AttentionRaised, OrderBlocked
from oms.model.order import OrderPhase, OrdStatus
from oms.model.rules import FundsPolicy, Rules
from tests.engine.house import House, TickingClock, buy, sell
from tests.fakes.clock import START
from tests.fakes.market import FixedMarket


class LiveMarket(FixedMarket):
    """A market whose time is the clock's: the session under way, or the next one."""

    skips_nights = False

    def __init__(self, market: FixedMarket, clock: TickingClock) -> None:
        super().__init__(market.prices, START.date())
        self._clock = clock

    def time(self) -> datetime:
        self._time = self._clock.now()
        return self._time

    @property
    def day(self) -> date:
        now = self._clock.now()
        return now.date() + timedelta(days=now >= self._session(now.date()).closes)

    def enter(self, last_day: date | None, open_day: date | None) -> Session | None:  # as a live one
        return self.session()


def live(house: House) -> House:
    """The same house on a market whose time is the world's."""
    market = LiveMarket(house.market, house.clock)
    house.market = market
    house.paper._market = market
    house.paper._session = market.session
    return house


@pytest.fixture
def houses(tmp_path: Path) -> Iterator[list[House]]:
    """Houses of a test, whose brokers are closed at its end."""
    made: list[House] = []
    yield made
    for house in made:
        house.paper.close()


def poor(tmp_path: Path, houses: list[House], **rules: object) -> House:
    """100 AAA at 50 and next to no cash: what is bought is bought with what the sale brings."""
    house = House(tmp_path, rules=Rules(**rules), cash=Decimal(10), positions={"AAA": 100})  # type: ignore[arg-type]
    houses.append(house)
    return house


def blocked(house: House) -> list[tuple[str, str]]:
    return [(row.event.symbol, row.event.rule) for row in house.journal.rows if isinstance(row.event, OrderBlocked)]


def bought_with_unsettled(house: House) -> None:
    """Cycle one: AAA is sold, and CCC bought with what it brought."""
    assert house.run(sell("AAA"), buy("CCC", 20)).exit_code == 0
    assert house.order("CCC").ord_status is OrdStatus.FILLED


# Good faith


def test_shares_that_unsettled_money_bought_are_not_sold_on_the_same_day(tmp_path: Path, houses: list[House]) -> None:
    """The sell is blocked by name with its day, nothing reaches the broker, and the next day it goes out."""
    house = live(poor(tmp_path, houses))
    bought_with_unsettled(house)
    placed = len(house.broker.placed)
    assert house.run(sell("CCC")).exit_code == 0
    assert house.order("CCC").ord_status is OrdStatus.BLOCKED
    assert blocked(house) == [("CCC", "good_faith")]
    assert "they may be sold from 2026-03-03 on" in house.order("CCC").text
    assert house.cycle.outcome is Outcome.PARTIAL
    assert len(house.broker.placed) == placed
    house.clock.advance(timedelta(days=1))
    assert house.run(sell("CCC")).exit_code == 0
    assert house.order("CCC").ord_status is OrdStatus.FILLED


def test_a_new_process_keeps_them_back_as_well(tmp_path: Path, houses: list[House]) -> None:
    """What is tagged is in the journal: a process that folds it afresh says the same."""
    house = live(poor(tmp_path, houses))
    bought_with_unsettled(house)
    before = house.journal.state.ledger
    house.reborn()
    assert house.journal.state.ledger == before
    house.run(sell("CCC"))
    assert blocked(house) == [("CCC", "good_faith")]


@pytest.mark.parametrize(
    "rules",
    [{"allow_unsettled_sales": True}, {"funds": FundsPolicy.BUYING_POWER}],
    ids=["allowed by configuration", "a margin account"],
)
def test_who_may_borrow_may_sell_them(tmp_path: Path, houses: list[House], rules: dict[str, object]) -> None:
    """The guard is for cash accounts; a margin account sells when it likes."""
    house = live(poor(tmp_path, houses, **rules))
    bought_with_unsettled(house)
    house.run(sell("CCC"))
    assert house.order("CCC").ord_status is OrdStatus.FILLED


def test_settled_money_buys_shares_that_may_be_sold_at_once(tmp_path: Path, houses: list[House]) -> None:
    """With enough settled cash a sale of the same day is no violation, and nothing is kept back."""
    house = live(poor(tmp_path, houses))
    house.paper.close()
    house = live(House(tmp_path / "rich", positions={"AAA": 100}))
    houses.append(house)
    bought_with_unsettled(house)
    house.run(sell("CCC"))
    assert house.order("CCC").ord_status is OrdStatus.FILLED


def test_older_shares_of_the_symbol_are_sold_alone(tmp_path: Path, houses: list[House]) -> None:
    """A wish without a quantity takes the shares that are free; one that asks for all of them is blocked whole."""
    house = House(tmp_path, cash=Decimal(10), positions={"AAA": 100, "CCC": 7})
    houses.append(live(house))
    bought_with_unsettled(house)
    house.run(sell("CCC", 27))
    assert blocked(house) == [("CCC", "good_faith")]
    house.run(sell("CCC"))
    assert (house.order("CCC").order_qty, house.order("CCC").ord_status) == (7, OrdStatus.FILLED)


def test_a_sell_planned_before_a_late_fill_is_looked_at_again_before_it_is_sent(
    tmp_path: Path, houses: list[House]
) -> None:
    """The guard stands between any two orders too: what became unsettled since the plan blocks the unsent sell."""
    house = live(poor(tmp_path, houses))
    bought_with_unsettled(house)
    driver = house.driver()
    driver.enter_session(None)
    driver.look_at_the_clock()
    unsent = house.order("AAA")
    again = replace(unsent, cl_ord_id="other", symbol="CCC", order_qty=1, phase=OrderPhase.LOCAL, deadline=None)
    event = refusal(house.journal.state, house.cycle, again, driver.seen, house.rules)
    assert event is not None
    assert (event.rule, event.limit, event.value) == ("good_faith", "0 shares until 2026-03-03", "1")


def test_an_engine_that_stays_up_journals_the_refusal_once(tmp_path: Path, houses: list[House]) -> None:
    """Every beat wishes for the sell again; one cycle says why it is kept back, and the next day's sells it."""
    house = live(poor(tmp_path, houses, poll=timedelta(seconds=1)))
    bought_with_unsettled(house)
    house.patient = True
    ends = house.clock.now() + timedelta(hours=2)
    sleep = house.clock.sleep
    house.clock.sleep = lambda seconds: sleep(max(seconds, 20.0))  # type: ignore[method-assign]
    house._done = lambda: int(house.clock.now() > ends)  # type: ignore[method-assign]
    house.run(sell("CCC"), loop=True)
    assert blocked(house) == [("CCC", "good_faith")]
    assert house.journal.kinds.count("cycle_opened") == 2


# Cycles that span days


def test_settled_cash_sells_on_one_day_and_buys_on_the_next(tmp_path: Path, houses: list[House]) -> None:
    """Where nights pass at once one process does both, and nothing is ever bought with unsettled money."""
    house = poor(tmp_path, houses, funds=FundsPolicy.SETTLED_CASH)
    assert house.run(sell("AAA"), buy("CCC", 20)).exit_code == 0
    sold, bought = house.order("AAA"), house.order("CCC")
    assert bought.ord_status is OrdStatus.FILLED
    assert house.cycle.outcome is Outcome.COMPLETE
    assert house.cycle.opened.trading_day == date(2010, 3, 1)
    assert house.cycle.day == date(2010, 3, 2) == house.market.day
    assert sold.closed_at is not None
    assert house.journal.state.held_back(date(2010, 3, 2)) == {}
    fills = {row.event.symbol: row.event.settles for row in house.journal.rows if row.event.kind == "order_filled"}  # type: ignore[attr-defined]
    assert fills == {"AAA": date(2010, 3, 2), "CCC": date(2010, 3, 3)}


def test_the_process_may_be_stopped_over_night(tmp_path: Path, houses: list[House]) -> None:
    """75 in the evening, 75 before the bell, and the first run after the bell buys with the money that has settled."""
    house = live(poor(tmp_path, houses, funds=FundsPolicy.SETTLED_CASH))
    evening = house.run(sell("AAA"), buy("CCC", 20))
    assert evening.exit_code == 75
    assert "settle on 2026-03-03" in evening.why
    house.reborn()
    house.clock.advance(timedelta(hours=22))  # 13:00, an hour and a half before the bell
    assert house.run(open_new=False).exit_code == 75
    assert house.cycle.phase.value == "SETTLING"
    house.reborn()
    house.clock.advance(timedelta(hours=2))
    assert house.run(open_new=False).exit_code == 0
    assert house.order("CCC").ord_status is OrdStatus.FILLED
    assert house.cycle.outcome is Outcome.COMPLETE
    assert house.cycle.day == date(2026, 3, 3)


def test_a_process_that_stays_up_goes_on_when_the_bell_rings(tmp_path: Path, houses: list[House]) -> None:
    """``--loop`` waits over night in SETTLING and buys in the next session."""
    house = live(poor(tmp_path, houses, funds=FundsPolicy.SETTLED_CASH, poll=timedelta(seconds=10)))
    house.patient = True
    sleep = house.clock.sleep
    house.clock.sleep = lambda seconds: sleep(max(seconds, 300.0) if seconds >= 0.1 else seconds)  # type: ignore[method-assign]
    house.run(sell("AAA"), buy("CCC", 20), loop=True)
    assert house.order("CCC").ord_status is OrdStatus.FILLED
    assert house.cycle.day == date(2026, 3, 3)
    first = house.order("CCC").first_sent_at
    assert first is not None
    assert first.hour in (14, 15)


def test_any_other_policy_sends_nothing_on_a_later_day(tmp_path: Path, houses: list[House]) -> None:
    """Under ``cash`` a cycle found open the next day blocks what is left (``stale_on_resume``) and ends."""
    house = live(poor(tmp_path, houses))
    house.stopping = lambda: 143 if house.journal.kinds.count("sells_closed") else None
    assert house.run(sell("AAA"), buy("CCC", 20)).exit_code == 143
    house.stopping = lambda: None
    house.reborn()
    house.clock.advance(timedelta(days=1))
    assert house.run(open_new=False).exit_code == 0
    assert blocked(house) == [("CCC", "stale_on_resume")]
    assert house.cycle.outcome is Outcome.ABORTED


def test_a_death_among_the_buys_of_the_second_day_resumes_on_that_day(tmp_path: Path, houses: list[House]) -> None:
    """On a market that plays days, the next process enters the day of the buys, not that of the sells."""
    house = poor(tmp_path, houses, funds=FundsPolicy.SETTLED_CASH)
    house.stopping = lambda: 143 if house.journal.kinds.count("buys_revalidated") else None
    assert house.run(sell("AAA"), buy("CCC", 20)).exit_code == 143
    house.stopping = lambda: None
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert house.order("CCC").ord_status is OrdStatus.FILLED
    assert house.market.day == date(2010, 3, 2)


def test_the_trades_of_the_second_day_count_for_that_day(tmp_path: Path, houses: list[House]) -> None:
    """The buy that waited for its money is the first trade of the day on which the next cycle opens."""
    house = live(poor(tmp_path, houses, funds=FundsPolicy.SETTLED_CASH))
    house.run(sell("AAA"), buy("CCC", 20))
    house.clock.advance(timedelta(days=1))
    house.run(buy("BBB", 5))
    assert house.cycle.opened.trading_day == date(2026, 3, 3)
    assert house.cycle.opened.trade_no == 1
    assert house.journal.state.trades_today == 2


# What the broker's money has beyond the journal's


def attentions(house: House) -> list[AttentionRaised]:
    return [row.event for row in house.journal.rows if isinstance(row.event, AttentionRaised)]


def test_less_settled_than_the_dates_say_is_shown_once_and_counts(tmp_path: Path, houses: list[House]) -> None:
    """The broker's lower figure is believed, and a person is told when the difference appears, not at each cycle."""
    house = live(House(tmp_path, positions={"AAA": 100}))
    houses.append(house)
    funds = house.broker.funds
    house.broker.funds = lambda: replace(funds(), settled_cash=Decimal(50))  # type: ignore[method-assign]
    house.run(buy("CCC", 5))
    house.run(buy("BBB", 5))
    told = [each for each in attentions(house) if each.rule == "settled_cash_differs"]
    assert len(told) == 1
    assert "calls 50 USD of its cash settled" in told[0].text
    house.run(sell("CCC"))
    assert blocked(house) == [("CCC", "good_faith")]


def test_funds_in_another_currency_open_nothing(tmp_path: Path, houses: list[House]) -> None:
    """A reading in another currency is none of this account's money: no cycle opens, and one that is open holds."""
    house = live(poor(tmp_path, houses))
    house.run(buy("BBB", 1))
    funds = house.broker.funds
    house.broker.funds = lambda: replace(funds(), currency="HKD")  # type: ignore[method-assign]
    with pytest.raises(TryAgainError, match="are in HKD, the account's in USD"):
        house.run(sell("AAA"), buy("CCC", 20))
    assert house.journal.kinds.count("cycle_opened") == 1
    house.broker.funds = lambda: replace(funds(), currency="HKD" if house.journal.state.open_cycle else "USD")  # type: ignore[method-assign]
    assert house.run(sell("AAA"), buy("CCC", 20)).exit_code == 75
    assert house.order("AAA").ord_status is OrdStatus.FILLED
    assert "order_planned" in house.journal.kinds
    assert [request.symbol for request in house.broker.placed] == ["AAA"]


def test_money_that_no_trade_explains_is_shown_once(tmp_path: Path, houses: list[House]) -> None:
    """A deposit of 500 is told at the next opening, counts as settled there, and is not told again."""
    house = live(poor(tmp_path, houses))
    house.run(buy("BBB", 1))
    outsider = Outsider(
        tmp_path / "paper.db", house.market, house.clock, cash=Decimal(0), positions={}, session=house.market.session
    )
    outsider.external_cash(Decimal(500))
    outsider.close()
    for _ in range(2):
        house.run(sell("AAA", 1))
    (told,) = attentions(house)
    assert told.rule == "cash_differs"
    assert "500 USD more than the trades in the journal explain" in told.text
    assert house.journal.state.ledger is not None
    assert house.journal.state.ledger.outside == 500
    house.reborn()
    house.run(sell("AAA", 1))
    assert len(attentions(house)) == 1
