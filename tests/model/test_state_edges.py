"""The account's own books, fact by fact: holdings, ledgers, trades of the day, and what is remembered of people's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.model.account import Balance
from oms.model.arming import AccountBound, LiveArmed, LiveDisarmed
from oms.model.currencies import Ledgers
from oms.model.cycle import ImpossibleFact
from oms.model.detail import HaltScope
from oms.model.difference import Difference, DifferenceKind
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    CommandAnswered,
    Event,
    FundsObserved,
    Halted,
    OrderBlocked,
    OrderFilled,
    PositionAdopted,
    Reconciled,
    Recorded,
    Released,
    Selected,
)
from oms.model.order import Side
from oms.model.probing import BrokerProbed
from oms.model.settlement import Ledger
from oms.model.state import AccountState, Holding
from tests.model.story import DAY, START, Story, funds, intent, position

SELL, BUY = intent("S0", "AAA"), intent("B0", "CCC")
TOMORROW = DAY + timedelta(days=1)


def state_after(*events: Event) -> AccountState:
    state = AccountState("test")
    for seq, event in enumerate(events, 1):
        state.apply(Recorded(seq=seq, at=START, event=event))
    return state


class TestNothingYet:
    """A state without a single fact."""

    def test_every_figure_is_nothing(self) -> None:
        """Nothing is held, traded, owed or known."""
        state = AccountState("test")
        assert (state.cash, state.realised_today) == (Decimal(0), Decimal(0))
        assert (state.trades_today, state.inbox_id, state.asked_to_run, state.attention) == (0, 0, 0, 0)
        assert state.ledger is None
        assert state.in_transit(DAY) == Decimal(0)
        assert state.held_back(DAY) == {}
        assert state.held_of_tagged() == {}
        assert state.shares == {}
        assert state.order("S0") is None

    def test_a_fill_without_ledgers_books_the_rest(self) -> None:
        """A fold that begins in the middle has no ledger, and needs none."""
        story = Story().opens(SELL).sends("S0")
        story.state.ledgers = None
        story.fills("S0")
        assert story.state.ledgers is None
        assert story.state.cash == Decimal(11_000)


class TestHoldings:
    """Shares and what they did cost."""

    def test_average_cost(self) -> None:
        """Cost by shares; nothing where nothing is held."""
        assert Holding(qty=Decimal(4), cost=Decimal(10)).avg_cost == Decimal("2.5")
        assert Holding().avg_cost == Decimal(0)

    def test_selling_takes_its_share_of_the_cost(self) -> None:
        """To the millionth, and the last sale takes what is left."""
        held = Holding(qty=Decimal(3), cost=Decimal(10))
        some = held.sold(2, Decimal(5), Decimal("0.10"))
        assert (some.qty, some.cost, some.realised) == (Decimal(1), Decimal("3.333333"), Decimal("3.233333"))
        rest = some.sold(1, Decimal(5), Decimal(0))
        assert (rest.qty, rest.cost) == (Decimal(0), Decimal(0))
        assert rest.realised == Decimal(15) - Decimal("0.10") - Decimal(10)

    def test_profit_of_the_day_begins_with_the_day(self) -> None:
        """What earlier days earned is not counted again."""
        story = Story(held=[position("AAA", 100)]).opens(intent("S0", "AAA", 40))
        story.sends("S0").fills("S0", price="12").sells_close().settles().revalidates().ends()
        assert story.state.realised_today == Decimal(80)
        story.opens(intent("S1", "AAA", 10), cycle_id="c-2", day=TOMORROW)
        assert story.state.realised_today == Decimal(0)
        story.sends("S1").fills("S1", price="13")
        assert story.state.realised_today == Decimal(30)
        assert story.state.holdings["AAA"].realised == Decimal(110)
        assert story.state.shares == {"AAA": Decimal(50)}


class TestLedgers:
    """Settled and unsettled money."""

    def test_a_journal_begins_with_what_is_there(self) -> None:
        """Its own currency and the others."""
        opened = AccountOpened(
            mode="paper", broker="paper", currency="USD", cash=Decimal(5_000),
            others=(Balance(currency="SGD", cash=Decimal(12), settled_cash=None),),
        )  # fmt: skip
        state = state_after(opened)
        assert state.opened == opened
        assert state.cash == Decimal(5_000)
        assert state.ledger == Ledger(currency="USD", settled=Decimal(5_000))
        assert state.ledgers is not None
        assert [ledger.currency for ledger in state.ledgers] == ["USD", "SGD"]
        with pytest.raises(ImpossibleFact, match="first row"):
            state.apply(Recorded(seq=2, at=START, event=opened))

    def test_a_cycle_brings_its_ledgers(self) -> None:
        """Those it was opened with; in a journal older than them, that of its reading."""
        story = Story().opens(SELL)
        assert story.state.ledger == Ledger(currency="USD", settled=Decimal(10_000))
        opened = story.cycle.opened
        told = Ledger(currency="USD", settled=Decimal(7), unsettled=((TOMORROW, Decimal(3)),))
        beside = Ledger(currency="SGD", settled=Decimal(1))
        story.sends("S0").fills("S0").sells_close().settles().revalidates().ends()
        story.tell(replace(opened, cycle_id="c-2", ledger=told, other_ledgers=(beside,)))
        assert story.state.ledgers == Ledgers(own=told, others=(beside,))
        assert (story.state.in_transit(DAY), story.state.in_transit(TOMORROW)) == (Decimal(3), Decimal(0))

    def test_a_sale_settles_later_less_its_fee(self) -> None:
        """Shares times price, less the fee, on the settlement day."""
        story = Story().opens(SELL, BUY).sends("S0").fills("S0", 20, price="12", fee="0.50")
        assert story.state.ledger == Ledger(
            currency="USD", settled=Decimal(10_000), unsettled=((TOMORROW, Decimal("239.50")),)
        )
        assert story.state.cash == Decimal("10239.50")

    def test_a_buy_is_paid_for_with_its_fee(self) -> None:
        """Settled money first."""
        story = Story().buying(BUY).sends("B0").fills("B0", 30, price="11", fee="0.25")
        assert story.state.ledger is not None
        assert story.state.ledger.settled == Decimal(10_000) - Decimal("330.25")
        assert story.state.cash == Decimal("9669.75")

    def test_shares_that_unsettled_money_bought(self) -> None:
        """They are kept back until it settles; where the broker shows fewer, the oldest are those that are gone."""
        story = Story(held=[position("CCC", 20)]).opens(SELL, BUY, spendable="0")
        story.sends("S0").fills("S0").sells_close().settles().revalidates().sends("B0").fills("B0")
        state = story.state
        assert state.held_of_tagged() == {"CCC": Decimal(120)}
        back = state.held_back(DAY)
        assert list(back) == ["CCC"]
        assert (back["CCC"].free, back["CCC"].qty, back["CCC"].until) == (20, 100, TOMORROW)
        assert state.held_back(TOMORROW) == {}
        fewer = {"CCC": position("CCC", 110)}
        assert state.held_of_tagged(fewer) == {"CCC": Decimal(110)}
        assert state.held_back(DAY, fewer)["CCC"].free == 10
        assert state.held_of_tagged({"CCC": position("CCC", 500)}) == {"CCC": Decimal(120)}

    def test_buys_that_go_together_pledge_what_they_may_cost(self) -> None:
        """More than has settled, with their fees, and all of them wait together until the day of settlement."""
        for settled, pledged in (("1009", TOMORROW), ("1100", None)):
            story = Story().opens(BUY, spendable=settled)
            story.sells_close().settles(settled).revalidates(settles=TOMORROW)
            assert story.state.ledger is not None
            assert story.state.ledger.pledged == pledged, settled


class TestTrades:
    """Trades of a day."""

    def test_a_trade_is_an_order_acknowledged_once(self) -> None:
        """A second word about it is no second trade; a new day begins at nothing."""
        story = Story().buying(BUY, intent("B1", "DDD")).sends("B0").acknowledges("B0").acknowledges("B0")
        assert story.state.trades_today == 1
        story.sends("B1").doubts("B1").acknowledges("B1")
        assert story.state.trades_today == 2
        assert (story.state.trades_on(DAY), story.state.trades_on(TOMORROW)) == (2, 0)
        story.fills("B0").fills("B1").ends().opens(SELL, cycle_id="c-2", day=TOMORROW)
        assert story.state.trades_today == 0

    def test_buys_that_waited_over_night_are_trades_of_the_next_day(self) -> None:
        """Of the day of their revalidation, as far as they were acknowledged; not of any other."""
        story = Story().opens(BUY, intent("B1", "DDD"), intent("B2", "EEE")).sells_close().settles()
        story.revalidates(day=TOMORROW)
        for key in ("B0", "B1"):
            story.sends(key).acknowledges(key).fills(key)
        story.blocks("B2")
        assert story.state.trades_on(TOMORROW) == 2
        assert story.state.trades_on(TOMORROW + timedelta(days=1)) == 0
        story.ends().opens(SELL, cycle_id="c-2", day=TOMORROW)
        assert story.state.trades_today == 2

    def test_no_cycle_or_none_revalidated_has_no_trades_of_the_next_day(self) -> None:
        """There is nothing to count."""
        assert Story().state.trades_on(DAY) == 0
        assert Story().opens(BUY).state.trades_on(TOMORROW) == 0


class TestEarlierOrders:
    """Facts about orders of earlier cycles."""

    def test_a_closed_order_of_an_earlier_cycle_is_recalled(self) -> None:
        """Its late fill is booked, and is no fact of the cycle that is open."""
        story = Story().buying(BUY).sends("B0").acknowledges("B0").fills("B0", 60).cancels("B0")
        old = story.order("B0")
        story.ends().opens(intent("S1", "AAA"), cycle_id="c-2")
        asked: list[str] = []

        def recall(key: str) -> Any:
            asked.append(key)
            return old if key == "B0" else None

        story.state.recall = recall
        fill = OrderFilled(
            cycle_id="c-1", cl_ord_id="B0", symbol="CCC", side=Side.BUY, exec_id="late", last_qty=40, last_px=Decimal(10),
            fee=Decimal(0), transact_time=story.now, settles=TOMORROW, cum_qty=100, late=True,
        )  # fmt: skip
        story.tell(fill)
        assert asked == ["B0"]
        assert story.state.parked["B0"].cum_qty == 100
        assert story.state.shares["CCC"] == Decimal(100)
        story.tell(replace(fill, exec_id="later still", last_qty=1, cum_qty=101))
        assert asked == ["B0"]  # it is in memory now

    def test_a_fact_of_a_cycle_that_is_not_there_is_none(self) -> None:
        """Of the cycle itself, where none was opened, and where another is."""
        sells_over = Story().opens(SELL).blocks("S0").sells_close().rows[-1].event
        with pytest.raises(ImpossibleFact, match="of cycle c-1, which is not open"):
            Story().tell(sells_over)
        with pytest.raises(ImpossibleFact):
            Story().opens(SELL, cycle_id="c-2").blocks("S0").tell(sells_over)

    def test_an_order_that_nobody_knows_is_no_fact(self) -> None:
        """Of an earlier cycle, of the open one, or of none at all."""
        story = Story().opens(SELL)
        story.state.recall = lambda key: pytest.fail(f"{key} of the open cycle was looked up")
        with pytest.raises(ImpossibleFact):
            story.tell(barred("S9"))
        story.state.recall = lambda key: None
        with pytest.raises(ImpossibleFact, match="not parked"):
            story.tell(replace(barred("S0"), cycle_id="c-0"))
        bare = Story()
        with pytest.raises(ImpossibleFact, match="not parked"):
            bare.tell(barred("S0"))


def barred(key: str) -> OrderBlocked:
    """A fact about an order of the first cycle."""
    return OrderBlocked(cycle_id="c-1", cl_ord_id=key, symbol="AAA", rule="told", limit="", value="", reason="")


class TestWords:
    """What people and the account's own tasks have said."""

    def test_halt_and_release(self) -> None:
        """The last word counts."""
        halt = Halted(scope=HaltScope.ALL, reason="", author="ann")
        story = Story().tell(halt)
        assert story.state.halt == halt
        assert story.tell(Released(reason="", author="ann")).state.halt is None

    @pytest.mark.parametrize(
        ("command", "accepted", "asked"), [("run_now", True, 7), ("run_now", False, 0), ("halt", True, 0)]
    )
    def test_a_wish_for_a_cycle_at_once(self, command: str, accepted: bool, asked: int) -> None:
        """Only that command, and only where it was accepted."""
        answer = CommandAnswered(command=command, accepted=accepted, answer="", author="ann", inbox_id=7)
        assert Story().tell(answer).state.asked_to_run == asked

    def test_a_wish_without_a_place_in_the_mailbox(self) -> None:
        """It has no number, and is none."""
        answer = CommandAnswered(command="run_now", accepted=True, answer="", author="ann", inbox_id=None)
        assert Story().tell(answer).state.asked_to_run == 0

    def test_attention_of_the_open_cycle_is_a_fact_of_it(self) -> None:
        """Its version counts it; attention about something else leaves it alone."""

        def attention(cycle_id: str | None) -> AttentionRaised:
            return AttentionRaised(cycle_id=cycle_id, symbol="AAA", rule="told", text="told")

        assert Story().tell(attention(None), attention("c-1")).state.attention == 2
        story = Story().opens(SELL)
        version = story.cycle.version
        assert story.tell(attention(None), attention("c-0")).cycle.version == version
        assert story.tell(attention("c-1")).cycle.version == version + 1

    def test_funds_read_between_cycles_touch_no_cycle(self) -> None:
        """Neither where there is none, nor where one is."""
        seen = FundsObserved(cycle_id=None, funds=funds(1), spendable=Decimal(1))
        assert Story().tell(seen, replace(seen, cycle_id="c-1")).state.cycle is None
        story = Story().opens(SELL)
        version = story.cycle.version
        assert story.tell(seen).cycle.version == version
        assert story.tell(replace(seen, cycle_id="c-1")).cycle.version == version + 1

    def test_one_account_at_the_broker(self) -> None:
        """The journal is bound to it, may hear of it again, and goes on with no other."""
        bound = AccountBound(broker="tiger", account_kind="paper", shown="…1", fingerprint="a")
        story = Story().tell(bound)
        assert story.tell(replace(bound, account_kind="PAPER")).state.bound == replace(bound, account_kind="PAPER")
        with pytest.raises(ImpossibleFact, match="a journal of account …1 cannot go on with …2"):
            story.tell(replace(bound, fingerprint="b", shown="…2"))

    def test_licence(self) -> None:
        """Arming and disarming take each other back; a proof of the broker is remembered."""
        armed = LiveArmed(
            fingerprint="a", shown="…1", until=START, limits="{}", limits_hash="x", config_hash="c", author="ann"
        )
        off = LiveDisarmed(reason="", author="ann")
        assert (Story().tell(armed).state.armed, Story().tell(armed).state.disarmed) == (armed, None)
        assert (Story().tell(armed, off).state.armed, Story().tell(armed, off).state.disarmed) == (None, off)
        probed = BrokerProbed(
            broker="tiger", account_kind="paper", fingerprint="a", adapter="x", probed_at=START, refused_for_s=0,
            findings={}, author="ann",
        )  # fmt: skip
        assert Story().tell(probed).state.probed == probed


class TestComparing:
    """Differences between the books."""

    def difference(self, symbol: str, cost: str | None = "10") -> Difference:
        return Difference(
            kind=DifferenceKind.SURPLUS, symbol=symbol, broker=Decimal(12), journal=Decimal(10), text="told", proposal="",
            cost=None if cost is None else Decimal(cost),
        )  # fmt: skip

    def test_an_adoption_settles_its_own_difference(self) -> None:
        """Of shares, for that symbol; another's, and one that is not about shares, stay."""
        found = (self.difference("AAA"), self.difference("BBB"), self.difference("AAA", None))
        story = Story(held=[position("AAA", 10)]).tell(Reconciled(differences=found))
        assert list(story.state.differences) == list(found)
        adopted = PositionAdopted(
            symbol="AAA", qty=Decimal(12), before=Decimal(10), cost=Decimal(130), difference=DifferenceKind.SURPLUS,
            reason="told", author="ann",
        )  # fmt: skip
        story.tell(adopted)
        assert list(story.state.differences) == [found[1], found[2]]
        assert (story.state.holdings["AAA"].qty, story.state.holdings["AAA"].cost) == (Decimal(12), Decimal(130))

    def test_three_screens_of_three_days_are_kept(self) -> None:
        """One of the same day takes the place of the last; the oldest goes."""
        story = Story()
        days = [DAY + timedelta(days=n) for n in range(5)]
        screens = [Selected(as_of=day, config_hash="c0", bars_hash=f"{n}") for n, day in enumerate(days)]
        story.tell(screens[0])
        assert list(story.state.screens) == [screens[0]]
        again = replace(screens[0], bars_hash="again")
        story.tell(again)
        assert list(story.state.screens) == [again]
        story.tell(*screens[1:])
        assert list(story.state.screens) == [screens[4], screens[3], screens[2]]
        newer = replace(screens[4], bars_hash="newer")
        assert list(story.tell(newer).state.screens) == [newer, screens[3], screens[2]]
