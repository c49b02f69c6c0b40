"""A round of orders and the end of a cycle at their edges: what is waited for, looked at again, cancelled and told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from oms.engine.conductor import decide, outcome
from oms.engine.orders import Cancel, Finished, Look, Send, Stop, Wait
from oms.engine.round import held_by_brake
from oms.model.account import Session
from oms.model.detail import HaltScope, Intent, Outcome
from oms.model.event import AccountOpened, AttentionRaised, CycleAborted, FundsObserved, Halted, OrderBlocked, Recorded
from oms.model.rules import Rules
from oms.model.state import AccountState
from tests.engine.glance import decided, glance, kinds, reading, report
from tests.model.story import DAY, SESSION, START, Story, funds, intent, position, quote

SELL, BUY, OTHER = intent("S0", "AAA"), intent("B0", "CCC"), intent("B1", "DDD")
HALT_ALL = Halted(scope=HaltScope.ALL, reason="", author="ann")
MICROSECOND = timedelta(microseconds=1)


def found_unsent(*wishes: Intent) -> Story:
    """Buys that an earlier process reserved and did not send."""
    story = Story().buying(*wishes)
    for order in story.cycle.buys:
        story.reserves(order.cl_ord_id)
    return story.resumes()


class TestBrake:
    """How a braked round waits."""

    def test_a_patient_engine_looks_again_at_the_next_poll(self) -> None:
        """It says who halted it and what goes on."""
        story = Story().opens(SELL).reserves("S0").tell(HALT_ALL)
        seen = glance(story, patient=True)
        wait = decided(story, seen).then
        assert isinstance(wait, Wait)
        assert wait.until == seen.now + Rules().poll
        assert wait.why == "halted by ann: no reason given; `release` goes on"

    def test_unarmed_real_money_ends_the_process(self) -> None:
        """With 5, patient or not: only a person at a terminal lets it go on."""
        state = AccountState("test")
        opened = AccountOpened(mode="live", broker="tiger", currency="USD", cash=Decimal(1))
        state.apply(Recorded(seq=1, at=START, event=opened))
        for patient in (True, False):
            stop = held_by_brake(state, glance(Story(), patient=patient), Rules()).then
            assert isinstance(stop, Stop)
            assert stop.exit_code == 5
            assert stop.why.startswith("live trading is not armed; the cycle stays open")

    def test_what_is_out_is_cancelled_at_its_deadline_and_what_is_here_waits(self) -> None:
        """Under a brake on everything, a live sell past its deadline is cancelled; the unsent one is left alone."""
        story = Story().opens(SELL, intent("S1", "BBB")).sends("S0").acknowledges("S0").reserves("S1").tell(HALT_ALL)
        late = story.order("S1").deadline
        assert late is not None
        assert decided(story, glance(story, now=late, asked_at=late)).then == Cancel(cl_ord_ids=("S0",))

    def test_what_is_done_is_not_followed(self) -> None:
        """With nothing out any more the brake is what is waited for."""
        story = Story().opens(SELL, intent("S1", "BBB")).sends("S0").acknowledges("S0").fills("S0").reserves("S1")
        stop = decided(story.tell(HALT_ALL)).then
        assert isinstance(stop, Stop)
        assert stop.exit_code == 7

    def test_what_is_in_doubt_is_not_cancelled(self) -> None:
        """There is nothing that a cancel could name with certainty: it is asked about."""
        story = Story().opens(SELL, intent("S1", "BBB")).sends("S0").doubts("S0").sends("S1").acknowledges("S1")
        late = story.order("S1").deadline
        assert late is not None
        seen = glance(
            story, now=late, asked_at=late, capabilities=replace(glance(story).capabilities, refuses_repeats=None)
        )
        assert decided(story, seen).then == Cancel(cl_ord_ids=("S1",))


class TestFoundUnsent:
    """Orders that were planned earlier, before they go."""

    def test_orders_that_waited_for_a_release_are_looked_at_afresh(self) -> None:
        """Even those that this very process planned."""
        story = Story().buying(BUY).reserves("B0")
        assert decided(story, glance(story, quotes_at=None)).then == Send(cl_ord_ids=("B0",))
        assert decided(story, glance(story, quotes_at=None, paused=True)).then == Look(symbols=("CCC",))

    def test_a_sell_needs_no_money(self) -> None:
        """With nothing to spend, and even a debt, a sell that was found unsent goes."""
        story = Story().opens(SELL).reserves("S0").resumes()
        poor = glance(story, funds=funds("-500", glance(story).now))
        assert decided(story, poor).then == Send(cl_ord_ids=("S0",))

    def test_a_buy_that_its_price_keeps_here_costs_nothing(self) -> None:
        """One block for it, and the other buy fits into the funds by itself."""
        story = found_unsent(BUY, OTHER)
        now = glance(story).now
        quotes = {"CCC": quote("CCC", "10.50", now), "DDD": quote("DDD", "9.96", now)}
        seen = glance(story, quotes=quotes, funds=funds("1251.25", now))
        (event,) = decided(story, seen).events
        assert isinstance(event, OrderBlocked)
        assert (event.cl_ord_id, event.rule) == ("B0", "stale_on_resume")
        assert event.value == f"10.50 of {now}"

    def test_without_a_quote_it_stays_here(self) -> None:
        """And the fact says that there was none."""
        story = found_unsent(BUY)
        (event,) = decided(story, glance(story, quotes={})).events
        assert isinstance(event, OrderBlocked)
        assert (event.rule, event.value) == ("stale_on_resume", "no quote")
        assert "no quote now" in event.reason

    @pytest.mark.parametrize(("age", "fresh"), [(timedelta(0), True), (MICROSECOND, False)])
    def test_readings_are_fresh_for_so_long(self, age: timedelta, fresh: bool) -> None:
        """Quotes and funds are begun no earlier than max_funds_age ago, each of them, never before this process began."""
        story = found_unsent(BUY)
        now = glance(story).now + timedelta(minutes=1)
        edge = now - Rules().max_funds_age - age
        good = glance(
            story, now=now, quotes={"CCC": quote("CCC", "9.96", now)}, quotes_at=now, funds=funds(10_000, now)
        )
        for seen in (replace(good, quotes_at=edge), replace(good, funds=funds(10_000, edge))):
            assert (decided(story, seen).then == Send(cl_ord_ids=("B0",))) is fresh
        newborn = replace(good, now=now, started_at=now + age)
        assert (decided(story, newborn).then == Send(cl_ord_ids=("B0",))) is fresh


class TestWaiting:
    """The sentence for whoever asks what is waited for."""

    def test_it_counts_what_is_out(self) -> None:
        """Closed orders are not out, and what is in doubt is said."""
        story = Story().opens(SELL, intent("S1", "BBB"), intent("S2", "EEE"))
        story.sends("S0").acknowledges("S0").fills("S0")
        for key in ("S1", "S2"):
            story.sends(key).acknowledges(key)
        wait = decided(story).then
        assert isinstance(wait, Wait)
        assert wait.why == "2 sell orders to be closed"
        story.doubts("S1", raw="PartiallyWhat")
        wait = decided(story).then
        assert isinstance(wait, Wait)
        assert wait.why == "2 sell orders to be closed, 1 of them in doubt"


class TestTrouble:
    """Something outside failed."""

    def test_a_failure_of_this_moment_is_waited_for(self) -> None:
        """It is no trouble of long standing yet, so even an impatient engine waits."""
        story = Story().opens(SELL)
        later = glance(story).now + Rules().poll
        wait = decided(story, glance(story, retry_at=later, troubled_since=None, trouble="down")).then
        assert wait == Wait(until=later, why="down")

    def test_nothing_sent_is_nothing_to_ask_about(self) -> None:
        """A start between cycles asks about orders that were sent, and only if there are any."""
        story = Story().opens(SELL).blocks("S0").sells_close().settles().revalidates().ends()
        assert decided(story, glance(story, asked_at=None)).then == Finished()

    def test_a_reading_of_the_same_process_is_no_resumption(self) -> None:
        """Only its facts are journaled."""
        story = Story().opens(SELL).sends("S0")
        assert kinds(decided(story, glance(story, read=reading(story, report(story.order("S0")))))) == [
            "order_acknowledged"
        ]

    def test_readings_that_miss_an_order_are_counted_as_far_as_they_are_asked_for(self) -> None:
        """The last that in_doubt.reads asks for is a fact, the next is none."""
        story = Story().opens(SELL).sends("S0").doubts("S0").misses("S0", Rules().doubt_reads - 1)
        assert kinds(decided(story, glance(story, read=reading(story)))) == ["order_not_found"]
        story.misses("S0")
        assert kinds(decided(story, glance(story, read=reading(story)))) == []

    def test_a_closed_market_makes_no_cycle_stale(self) -> None:
        """Over night what is out is followed; what day comes next nobody knows."""
        story = Story().opens(SELL).sends("S0").acknowledges("S0")
        decision = decided(story, glance(story, session=None))
        assert decision.events == ()
        assert isinstance(decision.then, Wait)

    def test_an_abandoned_cycle_says_which_day_it_was_found_on(self) -> None:
        """And which it was opened for."""
        story = Story().opens(SELL)
        day = Session(
            day=DAY + timedelta(days=1), opens=SESSION.opens + timedelta(days=1), closes=SESSION.closes + timedelta(days=1),
            settles=DAY + timedelta(days=2),
        )  # fmt: skip
        (event,) = decided(story, glance(story, session=day, market_time=day.opens)).events
        assert isinstance(event, CycleAborted)
        assert event.reason == "opened for 2010-03-01, found open on 2010-03-02; nothing more is sent"


class TestEnd:
    """The last look, and what is told of it."""

    def done(self) -> Story:
        return Story().buying(BUY).sends("B0").acknowledges("B0").fills("B0")

    @pytest.mark.parametrize(("age", "told"), [(timedelta(0), True), (MICROSECOND, False)])
    def test_the_funds_that_are_left_are_those_of_this_phase(self, age: timedelta, told: bool) -> None:
        """A reading begun in the phase of buys is journaled with its end; an older one, or none, is not."""
        story = self.done()
        seen = glance(story, funds=funds(9_000, story.cycle.phase_since - age))
        left = [event for event in decided(story, seen).events if isinstance(event, FundsObserved)]
        assert [event.spendable for event in left] == ([Decimal(9_000)] if told else [])
        assert kinds(decided(story, seen))[-1] == "buys_closed"
        assert "funds_observed" not in kinds(decided(story, replace(seen, funds=None)))

    def test_the_grace_time_counts_from_the_last_order_that_fell_short(self) -> None:
        """Two are cancelled after each other: the look begins a grace time after the second."""
        story = Story().buying(BUY, OTHER)
        for key in ("B0", "B1"):
            story.sends(key).acknowledges(key)
        story.cancels("B0").cancels("B1")
        closed = story.now
        assert story.order("B1").closed_at == closed
        wait = decided(story, glance(story, now=closed + Rules().grace - MICROSECOND)).then
        assert isinstance(wait, Wait)
        assert wait.until == closed + Rules().grace

    @pytest.mark.parametrize("old", ["positions_at", "asked_at"])
    def test_both_readings_are_of_after_the_last_change(self, old: str) -> None:
        """Orders and positions: with one of them older than the last fill both are read again."""
        story = self.done()
        filled = story.now
        assert kinds(decided(story, glance(story, asked_at=filled, positions_at=filled)))[-1] == "buys_closed"
        for stale in (filled - MICROSECOND, None):
            assert decided(story, glance(story, **{old: stale})).then == Look(symbols=())

    def test_a_fill_after_the_cancel_is_looked_at_again(self) -> None:
        """It came after the look that the cancel asked for."""
        story = Story().buying(BUY).sends("B0").acknowledges("B0").cancels("B0")
        looked = story.now + Rules().grace
        story.now = looked + timedelta(seconds=10)
        story.fills("B0", 40)
        seen = glance(story, asked_at=looked, positions_at=looked)
        assert decided(story, seen).then == Look(symbols=())
        assert kinds(decided(story))[-1] == "buys_closed"

    @pytest.mark.parametrize(("fee", "told"), [("1.00", []), ("1.01", ["fees_above_allowance"])])
    def test_a_buy_that_cost_more_than_was_set_aside_is_told(self, fee: str, told: list[str]) -> None:
        """1,000 and a tenth of a per cent are set aside for 100 at 10; a cent more is a broker whose fees we do not know."""
        story = Story().buying(BUY).sends("B0").acknowledges("B0").fills("B0", fee=fee)
        events = decided(story, glance(story, positions={"CCC": position("CCC", 100)})).events
        raised = [event for event in events if isinstance(event, AttentionRaised)]
        assert [event.rule for event in raised] == told
        assert all("1,001.01" in event.text and "1,001.00" in event.text for event in raised)

    def test_one_that_fell_short_makes_the_whole_partial(self) -> None:
        """Beside another that was filled."""
        story = Story().buying(BUY, OTHER).sends("B0").fills("B0").sends("B1").fills("B1", 99).cancels("B1")
        assert outcome(story.cycle) is Outcome.PARTIAL

    def test_after_the_end_there_is_nothing_to_do(self) -> None:
        """The cycle is not open any more."""
        story = self.done().ends()
        assert decide(story.state, glance(story), Rules()).then == Finished()
