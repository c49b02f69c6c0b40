"""Each reason against sending an order, by itself and at its edge: the brake, the lists, the day, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.engine.refusals import Tallies, Tally, bar, brake, is_day_of, may_be_sent, refusal, trades_today, unarmed
from oms.model.account import Session
from oms.model.arming import LiveArmed
from oms.model.currencies import Ledgers
from oms.model.detail import HaltScope
from oms.model.event import AccountOpened, Blacklisted, CycleAborted, Halted, Recorded, SymbolFrozen
from oms.model.order import Side
from oms.model.rules import FundsPolicy, Rules
from oms.model.settlement import Ledger
from oms.model.state import AccountState
from tests.engine.glance import glance
from tests.model.story import DAY, SESSION, START, Story, intent, position

SELL, BUY, OTHER = intent("S0", "AAA"), intent("B0", "CCC"), intent("B1", "DDD")
RULES = Rules(licences=("limits",))
TOMORROW = Session(
    day=DAY + timedelta(days=1),
    opens=SESSION.opens + timedelta(days=1),
    closes=SESSION.closes + timedelta(days=1),
    settles=DAY + timedelta(days=2),
)


def halted(scope: HaltScope) -> Halted:
    return Halted(scope=scope, reason="", author="ann")


def refused(story: Story, key: str, rules: Rules | None = None, **seen: Any) -> str | None:
    """The rule that refuses this order of the story's cycle."""
    found = refusal(story.state, story.cycle, story.order(key), glance(story, **seen), rules or Rules())
    return None if found is None else found.rule


class TestBrake:
    """Halts and licences."""

    def test_a_licence_ends_at_its_instant(self) -> None:
        """A microsecond before it real money may go out, at it no more."""
        state, until = AccountState("test"), START + timedelta(hours=1)
        opened = AccountOpened(mode="live", broker="tiger", currency="USD", cash=Decimal(1))
        armed = LiveArmed(
            fingerprint="f", shown="…1", until=until, limits="{}", limits_hash="limits", config_hash="c0", author="ann"
        )
        for seq, event in enumerate((opened, armed), 1):
            state.apply(Recorded(seq=seq, at=START, event=event))
        assert unarmed(state, RULES, until - timedelta(microseconds=1)) == ""
        assert "was armed until" in unarmed(state, RULES, until)
        assert brake(state, Side.SELL, RULES, until) == "not_armed"

    @pytest.mark.parametrize(
        ("scope", "buys", "sells"),
        [(None, None, None), (HaltScope.BUYS, "halted", None), (HaltScope.ALL, "halted", "halted")],
    )
    def test_a_halt_stops_what_it_says(self, scope: HaltScope | None, buys: str | None, sells: str | None) -> None:
        """A halt of buys stops buys, a halt of all stops both, and without one nothing is stopped."""
        story = Story()
        if scope is not None:
            story.tell(halted(scope))
        assert brake(story.state, Side.BUY, RULES, START) == buys
        assert brake(story.state, Side.SELL, RULES, START) == sells

    def test_at_the_close_the_halt_is_the_reason(self) -> None:
        """An order that a brake kept here until its day was over is blocked by the brake; without one, by the close."""
        story = Story().opens(SELL)
        assert refused(story, "S0", market_time=SESSION.closes) == "market_closed"
        story.tell(halted(HaltScope.ALL))
        assert refused(story, "S0", market_time=SESSION.closes) == "halted"
        assert refused(story, "S0") is None  # the brake itself blocks nothing: it is waited for

    def test_a_deadline_counts_unless_a_brake_is_on(self) -> None:
        """An order past its deadline is not sent; under a brake it waits on."""
        story = Story().opens(SELL).reserves("S0")
        late: dict[str, Any] = {"now": story.order("S0").deadline, "market_time": story.now}
        assert refused(story, "S0", **late) == "order_deadline"
        assert refused(story, "S0") is None
        assert refused(story.tell(halted(HaltScope.ALL)), "S0", **late) is None


class TestLists:
    """The blacklist and frozen symbols."""

    def test_a_frozen_symbol_is_barred(self) -> None:
        """For buys and for sells, in the first look and in the last."""
        story = Story().opens(SELL)
        assert bar(story.state, "AAA", RULES, START) is None
        assert may_be_sent(story.state, story.order("S0"), RULES, START)
        story.tell(SymbolFrozen(symbol="AAA", reason="told"))
        assert bar(story.state, "AAA", RULES, START) == "symbol_frozen"
        assert not may_be_sent(story.state, story.order("S0"), RULES, START)
        assert refused(story, "S0") == "symbol_frozen"

    def test_an_operators_word_bars_until_it_ends(self) -> None:
        """Beside the configuration's own list; at its last instant it bars no more."""
        until = START + timedelta(hours=1)
        story = Story().tell(Blacklisted(symbol="CCC", reason="told", author="ann", until=until))
        assert bar(story.state, "CCC", RULES, until - timedelta(microseconds=1)) == "blacklist"
        assert bar(story.state, "CCC", RULES, until) is None
        assert bar(story.state, "CCC", replace(RULES, blacklist=frozenset({"CCC"})), until) == "blacklist"

    def test_a_barred_symbol_may_still_be_sold(self) -> None:
        """The blacklist is of buys."""
        story = Story().opens(SELL, intent("B0", "AAA"))
        rules = replace(RULES, blacklist=frozenset({"AAA"}))
        assert may_be_sent(story.state, story.order("S0"), rules, START)
        assert refused(story, "S0", rules) is None

    def test_a_halted_order_may_not_be_sent(self) -> None:
        """The last look before the wire sees the brake."""
        story = Story().opens(SELL)
        assert may_be_sent(story.tell(halted(HaltScope.BUYS)).state, story.order("S0"), RULES, START)
        assert not may_be_sent(story.tell(halted(HaltScope.ALL)).state, story.order("S0"), RULES, START)


class TestDay:
    """The one session in which an order may be sent."""

    @pytest.mark.parametrize("funds", FundsPolicy)
    def test_the_day_of_the_cycle(self, funds: FundsPolicy) -> None:
        """Sells, under any policy, and buys that were not revalidated yet."""
        story = Story().opens(SELL, BUY)
        rules = Rules(funds=funds)
        for side in Side:
            assert is_day_of(story.cycle, side, SESSION, rules)
            assert not is_day_of(story.cycle, side, TOMORROW, rules)

    def test_buys_of_settled_cash_have_the_day_of_their_revalidation(self) -> None:
        """And no other; its sells keep the cycle's day, and so do buys under another policy."""
        rules = Rules(funds=FundsPolicy.SETTLED_CASH)
        story = Story().opens(SELL, BUY).sends("S0").fills("S0").sells_close().settles().revalidates(day=TOMORROW.day)
        assert is_day_of(story.cycle, Side.BUY, TOMORROW, rules)
        assert not is_day_of(story.cycle, Side.BUY, SESSION, rules)
        assert is_day_of(story.cycle, Side.SELL, SESSION, rules)
        assert not is_day_of(story.cycle, Side.SELL, TOMORROW, rules)
        assert is_day_of(story.cycle, Side.BUY, SESSION, Rules())
        assert not is_day_of(story.cycle, Side.BUY, TOMORROW, Rules())

    def test_a_revalidation_of_an_earlier_release_names_its_market_time_only(self) -> None:
        """Its day is the session that was open then."""
        rules = Rules(funds=FundsPolicy.SETTLED_CASH)
        story = Story().opens(BUY).sells_close().settles()
        story.now = TOMORROW.opens + timedelta(hours=1)
        story.revalidates()
        assert is_day_of(story.cycle, Side.BUY, TOMORROW, rules)
        assert not is_day_of(story.cycle, Side.BUY, SESSION, rules)

    def test_without_a_session_nothing_is_sent(self) -> None:
        """Neither a sell nor a buy; nor in a session that is not theirs."""
        for key, story in (("S0", Story().opens(SELL)), ("B0", Story().buying(BUY))):
            assert refused(story, key, session=None) == "market_closed"
            assert refused(story, key, session=TOMORROW, market_time=TOMORROW.opens) == "market_closed"

    def test_an_abandoned_cycle_sends_nothing(self) -> None:
        """The reason is the one it was abandoned for."""
        story = Story().opens(SELL).tell(CycleAborted(cycle_id="c-1", rule="stale_on_resume", reason="told"))
        found = refusal(story.state, story.cycle, story.order("S0"), glance(story), RULES)
        assert found is not None
        assert (found.rule, found.limit, found.reason) == ("stale_on_resume", "same trading day", "told")


class TestCounts:
    """What the rules for buys count."""

    def buying(self) -> Story:
        return Story().buying(BUY, OTHER)

    def tally(self, story: Story, rules: Rules = RULES) -> Tally:
        return Tally(story.state, story.cycle, rules)

    def test_sells_after_which_no_buy_follows(self) -> None:
        """One that is open, and one that was in quarantine, though it was found and filled since; each counts once."""
        sells = [intent(f"S{n}", symbol) for n, symbol in enumerate(("AAA", "BBB", "EEE"))]
        story = Story().opens(*sells, BUY)
        story.sends("S0").acknowledges("S0").fills("S0")
        story.sends("S1").doubts("S1").misses("S1").quarantines("S1").acknowledges("S1").fills("S1")
        story.sends("S2").acknowledges("S2")
        assert self.tally(story).open_sells == 2
        story.fills("S2").sells_close().settles().revalidates()
        assert self.tally(story).open_sells == 1
        assert refused(story, "B0") == "unresolved_sell"

    def test_rejected_orders(self) -> None:
        """Each counts once; a filled one does not."""
        story = Story().opens(intent("S0", "AAA"), intent("S1", "BBB"), BUY)
        story.sends("S0").rejects("S0").sends("S1").acknowledges("S1").fills("S1")
        assert self.tally(story).rejected == 1
        story.sells_close().settles().revalidates().sends("B0").rejects("B0")
        assert self.tally(story).rejected == 2

    def test_cost_is_that_of_buys_that_were_sent_or_may_be(self) -> None:
        """A filled one has taken its money; one that was never sent and is blocked takes none."""
        story = self.buying().sends("B0").acknowledges("B0").fills("B0")
        rules = Rules(fee_allowance=Decimal("0.001"))
        assert self.tally(story, rules).cost == Decimal(2002)
        story.blocks("B1")
        assert self.tally(story, rules).cost == Decimal(1001)

    def test_places_among_the_unsent(self) -> None:
        """An unsent buy stands behind the trades of the day and the unsent ones before it, not behind itself."""
        story = self.buying()
        assert [self.tally(story).trades_before(story.order(key)) for key in ("B0", "B1")] == [0, 1]
        story.sends("B0").acknowledges("B0")
        assert self.tally(story).trades_before(story.order("B1")) == 1
        doubtful = self.buying().sends("B0").doubts("B0")
        assert [self.tally(doubtful).trades_before(doubtful.order(key)) for key in ("B0", "B1")] == [0, 1]

    def test_trades_that_nobody_knows_of(self) -> None:
        """Orders in doubt count, of this cycle and of earlier ones, each once; one that was acknowledged is one already."""
        story = self.buying().sends("B0").acknowledges("B0")
        assert trades_today(story.state, story.cycle) == 1
        story.doubts("B0", raw="PartiallyWhat")
        assert trades_today(story.state, story.cycle) == 1
        story.sends("B1").doubts("B1")
        assert trades_today(story.state, story.cycle) == 2
        story.misses("B1").quarantines("B1").fills("B0").ends().opens(intent("B5", "EEE"), cycle_id="c-2")
        story.sells_close().settles().revalidates()
        assert trades_today(story.state, story.cycle) == 2

    def test_a_tally_is_true_for_its_own_facts_only(self) -> None:
        """Another state, one fact more, or other limits, and it is counted again."""
        story, rules = self.buying(), Rules()
        tally = Tally(story.state, story.cycle, rules)
        assert tally.fits(story.state, rules) is True
        assert not tally.fits(story.state, Rules())
        other = AccountState("test")
        other.seq = story.state.seq
        assert not tally.fits(other, rules)
        story.sends("B0")
        assert not tally.fits(story.state, rules)

    def test_the_last_tally_is_remembered(self) -> None:
        """Until something happens."""
        story, rules, tallies = self.buying(), Rules(), Tallies()
        first = tallies.of(story.state, story.cycle, rules)
        assert tallies.of(story.state, story.cycle, rules) is first
        story.sends("B0")
        second = tallies.of(story.state, story.cycle, rules)
        assert second is not first
        assert tallies.of(story.state, story.cycle, rules) is second

    @pytest.mark.parametrize(("there", "rule"), [(0, None), (900, None), (901, "max_position_value")])
    def test_the_larger_of_both_books_counts(self, there: int, rule: str | None) -> None:
        """Shares that only the broker shows, and 100 on order at 10, fill the cap of 10,000."""
        story = self.buying()
        assert refused(story, "B0", positions={"CCC": position("CCC", there)}) == rule


class TestGoodFaith:
    """Shares that unsettled money bought."""

    def held_back(self, selling: int) -> Story:
        """200 shares, of which today's proceeds bought the younger 100; 30 are being sold by one that was found late."""
        story = Story(held=[position("CCC", 200)]).opens(intent("S0", "CCC", 30))
        story.sends("S0").doubts("S0").misses("S0").quarantines("S0").sells_close().settles().revalidates().ends()
        story.acknowledges("S0").opens(intent("S1", "CCC", selling), cycle_id="c-2")
        ledger = (
            Ledger(currency="USD").sold(Decimal(1000), TOMORROW.day).bought("CCC", 100, Decimal(1000), TOMORROW.day)
        )
        story.state.ledgers = Ledgers(own=ledger)
        return story

    def test_what_stands_before_them_may_be_sold(self) -> None:
        """100 are free, less the 30 that may be sold already."""
        assert refused(self.held_back(70), "S1") is None
        assert refused(self.held_back(71), "S1") == "good_faith"

    def test_they_are_kept_where_the_account_keeps_faith(self) -> None:
        """And are sold where it borrows, or where its owner has said so."""
        story = self.held_back(71)
        assert refused(story, "S1", Rules(allow_unsettled_sales=True)) is None
        assert refused(story, "S1", Rules(funds=FundsPolicy.BUYING_POWER)) is None
