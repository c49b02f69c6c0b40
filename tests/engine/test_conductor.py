"""What a cycle does next: the same situation always gives the same decision, and each sentence of the protocol is one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from oms.engine.conductor import decide, outcome
from oms.engine.orders import Ask, Cancel, Finished, Look, ReadFunds, Reserve, Send, Stop, Wait
from oms.model.detail import HaltScope, Outcome, SettledBy
from oms.model.event import (
    BuysClosed,
    BuysRevalidated,
    CycleAborted,
    ExternalOrderSeen,
    FundsSettled,
    Halted,
    OrderBlocked,
    OrderReserved,
    SellsClosed,
    SymbolFrozen,
)
from oms.model.order import OrderPhase, Side
from oms.model.rules import FundsPolicy, Rules
from tests.engine.glance import decided, glance, kinds, reading, report
from tests.model.story import DAY, SESSION, Story, funds, intent, later, position, quote

SELL, BUY = intent("S0", "AAA"), intent("B0", "CCC")
HALT = Halted(scope=HaltScope.BUYS, reason="", author="ann")
HALT_ALL = Halted(scope=HaltScope.ALL, reason="", author="ann")


def settling() -> Story:
    """One sell filled for 1,000 without a fee; 11,000 less a cent is expected."""
    return Story().opens(SELL, BUY).sends("S0").acknowledges("S0").fills("S0").sells_close()


def revalidating() -> Story:
    return settling().settles("11000")


def next_day(story: Story, **changes: Any) -> Any:
    day = replace(
        SESSION,
        day=DAY + timedelta(days=1),
        opens=SESSION.opens + timedelta(days=1),
        closes=SESSION.closes + timedelta(days=1),
    )
    seen = glance(story, session=day, market_time=day.opens + timedelta(hours=1))
    return replace(seen, **changes)


# The decision itself ──────────────────────────────────────────────────────────────────────────────────────────────


SITUATIONS = {
    "planned sells": lambda: Story().opens(SELL, BUY),
    "a sell in doubt": lambda: Story().opens(SELL, BUY).sends("S0").doubts("S0").misses("S0"),
    "settling": settling,
    "revalidating": revalidating,
    "buying": lambda: Story().buying(BUY, intent("B1", "DDD")),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_same_situation_gives_the_same_decision(name: str) -> None:
    """Deciding changes nothing: asked twice about copies of one situation, the answers are equal."""
    story = SITUATIONS[name]()
    seen = glance(story)
    other = copy.deepcopy(story.state)
    first = decide(story.state, seen, Rules())
    assert decide(story.state, seen, Rules()) == first
    assert decide(other, seen, Rules()) == first
    assert (story.state.seq, story.cycle.version) == (other.seq, other.cycle.version if other.cycle else 0)


@pytest.mark.parametrize("name", SITUATIONS)
def test_another_process_looks_before_it_does_anything(name: str) -> None:
    """A process that did not write the cycle's last resumption asks the broker first, in every phase."""
    story = SITUATIONS[name]()
    assert decided(story, glance(story, fence=2)).then == Ask()
    assert decided(story, glance(story, fence=2)).events == ()


def test_no_open_cycle_asks_once_about_orders_that_were_sent() -> None:
    """After DONE closed orders are read once more at the next start, and then there is nothing to do."""
    story = revalidating().revalidates({"B0": 0}).ends()
    assert decided(story, glance(story, asked_at=None)).then == Ask()
    assert decided(story).then == Finished()


def test_trouble_waits_and_then_leaves_it_to_the_next_run() -> None:
    """A broker that cannot be asked: wait within the deadline, then `--once` ends with 75; `--loop` goes on waiting."""
    story = Story().opens(SELL)
    now = glance(story).now
    trouble = {"troubled_since": now, "retry_at": now + Rules().poll, "trouble": "down"}
    assert isinstance(decided(story, glance(story, **trouble)).then, Wait)
    trouble["troubled_since"] = now - Rules().settle_deadline
    stop = decided(story, glance(story, **trouble)).then
    assert isinstance(stop, Stop)
    assert stop.exit_code == 75
    assert isinstance(decided(story, glance(story, patient=True, **trouble)).then, Wait)


def test_trouble_is_tried_again_when_the_clock_was_set_back() -> None:
    """A wait of a second is never a wait of a day."""
    story = Story().opens(SELL)
    now = glance(story).now
    seen = glance(story, troubled_since=now, retry_at=now + timedelta(hours=24), trouble="down")
    assert not isinstance(decided(story, seen).then, Wait)


# Resumption ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_resumption_is_one_commit_and_begins_with_the_word() -> None:
    """What a new process finds and what the broker told it are journaled together: the resumption, doubts, facts."""
    story = Story().opens(SELL, intent("S1", "BBB")).sends("S0").reserves("S1")
    live = report(story.order("S0"))
    seen = glance(story, fence=2, restart_token="boot-2", read=reading(story, live))
    assert kinds(decided(story, seen)) == [
        "cycle_resumed",
        "order_in_doubt",
        "order_in_doubt",
        "order_acknowledged",
    ]


def test_without_a_restart_of_the_machine_reserved_orders_were_not_sent() -> None:
    """Under the same restart token only SENDING is in doubt."""
    story = Story().opens(SELL, intent("S1", "BBB")).sends("S0").reserves("S1")
    seen = glance(story, fence=2, read=reading(story))
    events = decided(story, seen).events
    assert [event.kind for event in events] == ["cycle_resumed", "order_in_doubt", "order_not_found"]
    assert {getattr(event, "cl_ord_id", "S0") for event in events} == {"S0"}


# The collar and the funds of what is found unsent ─────────────────────────────────────────────────────────────────


def found_unsent(*wishes: Any) -> Story:
    story = Story().buying(*wishes)
    for wish in wishes:
        story.reserves(wish.cl_ord_id)
    return story.resumes()


def test_found_unsent_orders_need_a_fresh_look() -> None:
    """A resumed process sends nothing on what it has not read itself."""
    story = found_unsent(BUY)
    assert decided(story, glance(story, funds=None)).then == Look(symbols=("CCC",))
    assert decided(story, glance(story)).then == Send(cl_ord_ids=("B0",))


@pytest.mark.parametrize(("last", "goes"), [("9.96", True), ("10.05", True), ("10.20", False), ("9.80", False)])
def test_found_unsent_orders_go_inside_the_collar_only(last: str, goes: bool) -> None:
    """A limit of 10 may go while the price is within half a per cent and a tick of it."""
    story = found_unsent(BUY)
    now = glance(story).now
    decision = decided(story, glance(story, quotes={"CCC": quote("CCC", last, now)}))
    assert (decision.then == Send(cl_ord_ids=("B0",))) is goes
    assert kinds(decision) == ([] if goes else ["order_blocked"])


def test_a_quote_that_is_too_old_is_no_fresh_quote() -> None:
    """The price that lets a found order go is younger than max_quote_age, by its own time."""
    story = found_unsent(BUY)
    old = glance(story).now - Rules().max_quote_age
    just = quote("CCC", "9.96", old)
    assert decided(story, glance(story, quotes={"CCC": just})).then == Send(cl_ord_ids=("B0",))
    too_old = replace(just, at=old - timedelta(microseconds=1))
    (event,) = decided(story, glance(story, quotes={"CCC": too_old})).events
    assert isinstance(event, OrderBlocked)
    assert event.rule == "stale_on_resume"


@pytest.mark.parametrize(("cash", "goes"), [("2502.49", False), ("2502.50", True), ("2502.51", True)])
def test_found_unsent_buys_need_the_usual_share_of_the_funds(cash: str, goes: bool) -> None:
    """2 × 1,001 for two buys and their fees need 2,002 / 0.80 = 2,502.50: all of them go, or none."""
    story = found_unsent(BUY, intent("B1", "DDD"))
    decision = decided(story, glance(story, funds=funds(cash, glance(story).now)))
    assert (decision.then == Send(cl_ord_ids=("B0", "B1"))) is goes
    assert kinds(decision) == ([] if goes else ["order_blocked"] * 2)


def test_a_buy_in_doubt_is_paid_for_before_those_found_unsent() -> None:
    """A buy in doubt may still take its money, so what is found unsent must fit beside it."""
    story = Story().buying(BUY, intent("B1", "DDD")).sends("B0").doubts("B0").reserves("B1").resumes()
    money = {"capabilities": replace(glance(story).capabilities, refuses_repeats=None)}
    enough = glance(story, funds=funds("2502.50", glance(story).now), **money)
    assert decided(story, enough).then == Send(cl_ord_ids=("B1",))
    short = replace(enough, funds=funds("2502.49", glance(story).now))
    (event,) = decided(story, short).events
    assert isinstance(event, OrderBlocked)
    assert event.cl_ord_id == "B1"


def test_funds_that_are_no_number_hold_what_was_found_unsent() -> None:
    """NaN neither sends nor blocks: the reading is made again."""
    story = found_unsent(BUY)
    seen = glance(story, funds=funds("NaN", glance(story).now))
    decision = decided(story, seen)
    assert kinds(decision) == []
    assert isinstance(decision.then, Wait)
    assert decided(story, replace(seen, now=seen.now + Rules().poll)).then == ReadFunds()


def test_what_is_found_unsent_is_known_without_a_clock() -> None:
    """An order planned by an earlier process is looked at afresh even when the clock was set back in between."""
    story = Story().buying(BUY).reserves("B0")
    story.now -= timedelta(hours=24)
    story.resumes()
    assert decided(story, glance(story, quotes_at=None, market_time=later(0))).then == Look(symbols=("CCC",))


# SELLING ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_come_before_intents_and_intents_before_requests() -> None:
    """PLANNED → a number of the broker's → RESERVED for the whole phase → sent, in this order."""
    other = intent("S1", "BBB")
    story = Story().opens(SELL, other)
    assert decided(story, glance(story, numbers={})).then == Reserve(cl_ord_ids=("S0", "S1"))
    events = decided(story).events
    assert [type(event) for event in events] == [OrderReserved, OrderReserved]
    story.tell(*events)
    assert decided(story).then == Send(cl_ord_ids=("S0", "S1"))


def test_selling_ends_when_every_sell_is_closed_blocked_or_parked() -> None:
    """One filled, one blocked, one in quarantine: the phase is over, and the quarantine is counted."""
    story = Story().opens(SELL, intent("S1", "BBB"), intent("S2", "EEE"))
    story.sends("S0").fills("S0").blocks("S1").sends("S2").doubts("S2")
    assert kinds(decided(story)) != ["sells_closed"]
    (event,) = decided(story.quarantines("S2")).events
    assert isinstance(event, SellsClosed)
    assert (event.unresolved, event.proceeds) == (1, Decimal(1000))


@pytest.mark.parametrize(("microseconds", "asked"), [(-1, False), (0, True)])
def test_the_rest_is_cancelled_at_the_deadline(microseconds: int, asked: bool) -> None:
    """A live order is asked to be cancelled at its deadline, not before."""
    story = Story().opens(SELL).sends("S0").acknowledges("S0").fills("S0", 40)
    deadline = story.order("S0").deadline
    assert deadline is not None
    now = deadline + timedelta(microseconds=microseconds)
    decision = decided(story, glance(story, now=now, asked_at=now))
    assert (decision.then == Cancel(cl_ord_ids=("S0",))) is asked
    assert kinds(decision) == (["order_cancel_requested"] if asked else [])


def test_a_cancel_is_asked_for_again_but_not_at_every_poll() -> None:
    """A cancel may be lost without a trace: five polls later it is repeated."""
    story = Story().opens(SELL).reserves("S0", seconds=1).sends("S0").acknowledges("S0").asks_cancel("S0")
    asked_at = story.now
    for seconds, again in ((4.9, False), (5, True)):
        now = asked_at + timedelta(seconds=seconds)
        decision = decided(story, glance(story, now=now, asked_at=now))
        assert isinstance(decision.then, Cancel) is again


def test_a_sell_of_a_frozen_symbol_is_blocked() -> None:
    """A frozen symbol takes no new order of either side until a person releases it."""
    story = Story().opens(SELL).tell(SymbolFrozen(symbol="AAA", reason="overfill"))
    (event,) = decided(story).events
    assert isinstance(event, OrderBlocked)
    assert event.rule == "symbol_frozen"


def test_a_halt_of_buys_lets_sells_go_on() -> None:
    """Sells reduce risk: only `halt --all` holds them."""
    story = Story().opens(SELL).reserves("S0")
    assert decided(story.tell(HALT)).then == Send(cl_ord_ids=("S0",))
    stop = decided(story.tell(HALT_ALL)).then
    assert isinstance(stop, Stop)
    assert stop.exit_code == 7
    assert isinstance(decided(story, glance(story, patient=True)).then, Wait)


def test_a_halted_order_is_not_blocked_by_its_deadline() -> None:
    """The cycle waits for `release`; only the close of the market ends that wait, and then the halt is the reason."""
    story = Story().buying(BUY).reserves("B0").tell(HALT)
    deadline = story.order("B0").deadline
    assert deadline is not None
    past = glance(story, now=deadline, market_time=story.now)
    assert isinstance(decided(story, past).then, Stop)
    (event,) = decided(story, replace(past, market_time=SESSION.closes)).events
    assert isinstance(event, OrderBlocked)
    assert event.rule == "halted"


# SETTLING ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def settled(story: Story, seen: Any = None, rules: Rules | None = None) -> FundsSettled | None:
    events = decided(story, seen or glance(story, funds=None), rules).events
    return next((event for event in events if isinstance(event, FundsSettled)), None)


def test_a_reading_is_journaled_once() -> None:
    """A new reading becomes a fact; the same reading never becomes a second one."""
    story = settling()
    seen = glance(story)
    (event,) = decided(story, seen).events
    assert event.kind == "funds_observed"
    story.tell(event)
    assert kinds(decided(story, replace(seen, now=story.now))) == []


def test_one_reading_that_covers_is_confirmed_at_once_by_another() -> None:
    """One reading is not enough where something was sold; with settlement.confirm 0s the second follows at once."""
    story = settling().observes("11000")
    assert settled(story) is None
    assert decided(story, glance(story, funds=None)).then == ReadFunds()
    found = settled(story.observes("11000"))
    assert found is not None
    assert (found.by, found.spendable) == (SettledBy.COVERED, Decimal(11000))


@pytest.mark.parametrize(("amount", "covers"), [("10999.98", False), ("10999.99", True), ("11000", True)])
def test_covered_means_all_proceeds_less_a_cent(amount: str, covers: bool) -> None:
    """Opening spendable plus proceeds less fees, and one cent for the broker's rounding."""
    story = settling().observes(amount).observes(amount)
    assert (settled(story) is not None) is covers


@pytest.mark.parametrize(("seconds", "enough"), [(1.999999, False), (2, True)])
def test_equal_readings_lie_apart(seconds: float, enough: bool) -> None:
    """The two readings are at least settlement.confirm apart."""
    story = settling()
    first = story.now
    story.observes("11000", first).observes("11000", first + timedelta(seconds=seconds))
    assert (settled(story, rules=Rules(confirm=timedelta(seconds=2))) is not None) is enough


def test_a_figure_that_flickers_is_no_agreement() -> None:
    """Too high, corrected, too high again: only readings in a row agree."""
    story = settling().observes("12000").observes("10000").observes("12000")
    assert settled(story) is None


def test_a_late_sell_fill_begins_the_readings_anew() -> None:
    """Readings begun before the last sell fill count for nothing, not even the one that is still in hand."""
    story = Story().opens(SELL, BUY).sends("S0").acknowledges("S0").fills("S0", 40).cancels("S0").sells_close()
    in_hand = glance(story)
    story.tell(*decided(story, in_hand).events)
    story.fills("S0", 10)
    assert not story.cycle.readings
    decision = decided(story, replace(in_hand, now=glance(story).now))
    assert kinds(decision) == []
    assert decision.then == ReadFunds()


def test_without_a_sell_one_reading_is_enough() -> None:
    """Where nothing was sold there is nothing to wait for."""
    story = Story().opens(BUY).sells_close().observes("9000")
    found = settled(story)
    assert found is not None
    assert (found.by, found.spendable) == (SettledBy.NO_SELLS, Decimal(9000))


@pytest.mark.parametrize(("microseconds", "over"), [(-1, False), (0, True)])
def test_the_deadline_takes_what_is_there(microseconds: int, over: bool) -> None:
    """At the absolute deadline the lower of the last two readings is taken, and the event says so."""
    story = settling().observes("10500").observes("10400")
    assert story.cycle.sells_over is not None
    now = story.cycle.sells_over.deadline + timedelta(microseconds=microseconds)
    found = settled(story, glance(story, now=now, funds=None))
    assert (found is not None) is over
    if found is not None:
        assert (found.by, found.spendable) == (SettledBy.DEADLINE, Decimal(10400))


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_figures_that_are_no_numbers_hold_the_cycle(amount: str) -> None:
    """The cycle neither goes on nor gives up at once: it reads again, and in the end leaves it to the next run."""
    story = settling()
    seen = glance(story, funds=funds(amount, glance(story).now))
    assert isinstance(decided(story, seen).then, Wait)
    assert decided(story, replace(seen, now=seen.now + Rules().poll)).then == ReadFunds()
    much_later = story.cycle.phase_since + Rules().settle_deadline
    stop = decided(story, replace(seen, now=much_later, funds=funds(amount, much_later))).then
    assert isinstance(stop, Stop)
    assert stop.exit_code == 75


def test_a_quarantined_sell_that_is_found_is_followed_to_its_end_first() -> None:
    """While an adopted sell is open, settling waits for it."""
    story = Story().opens(SELL, BUY).sends("S0").doubts("S0").quarantines("S0").sells_close()
    assert decided(story, glance(story, funds=None)).then == ReadFunds()
    story.acknowledges("S0")
    decision = decided(story, glance(story, funds=None))
    assert isinstance(decision.then, Wait)
    assert "sell" in decision.then.why


def test_settled_cash_waits_for_the_settlement_date() -> None:
    """Under `settled_cash` the deadline is after the settlement date's open; the next run goes on from there."""
    rules = Rules(funds=FundsPolicy.SETTLED_CASH)
    story = Story().opens(SELL, BUY).sends("S0").acknowledges("S0").fills("S0")
    (event,) = decided(story, rules=rules).events
    assert isinstance(event, SellsClosed)
    assert event.deadline > SESSION.opens + timedelta(days=1)
    story.tell(event).observes("10000").observes("10000")
    evening = glance(story, seconds=120, funds=None)
    stop = decided(story, evening, rules).then
    assert isinstance(stop, Stop)
    assert stop.exit_code == 75
    assert isinstance(decided(story, replace(evening, patient=True), rules).then, ReadFunds | Wait)
    morning = next_day(story, now=event.deadline, funds=None)
    assert kinds(decided(story, morning, rules)) == ["funds_settled"]


def test_buys_of_settled_cash_are_sent_on_the_day_they_were_revalidated() -> None:
    """A cycle that waited over night buys on its second day, and on no later one."""
    rules = Rules(funds=FundsPolicy.SETTLED_CASH)
    story = settling().settles("11000")
    story.now = SESSION.opens + timedelta(days=1, hours=1)
    story.revalidates().reserves("B0")
    assert decided(story, next_day(story), rules).then == Send(cl_ord_ids=("B0",))
    third = replace(SESSION, day=DAY + timedelta(days=2), opens=SESSION.opens + timedelta(days=2))
    third = replace(third, closes=SESSION.closes + timedelta(days=2))
    seen = glance(story, session=third, market_time=third.opens)
    assert kinds(decided(story, seen, rules)) == ["cycle_aborted"]


# REVALIDATING ─────────────────────────────────────────────────────────────────────────────────────────────────────


def revalidated(story: Story, seen: Any = None, rules: Rules | None = None) -> BuysRevalidated:
    event = decided(story, seen, rules).events[0]
    assert isinstance(event, BuysRevalidated)
    return event


@pytest.mark.parametrize("missing", ["asked_at", "positions_at", "funds", "quotes_at"])
def test_revalidation_looks_at_everything_afresh(missing: str) -> None:
    """Orders, positions, funds and quotes are read in this phase: without one of them nothing is decided."""
    story = revalidating()
    assert decided(story, glance(story, **{missing: None})).then == Look(symbols=("CCC",))
    old = story.cycle.phase_since - timedelta(microseconds=1)
    stale = funds(10_000, old) if missing == "funds" else old
    assert decided(story, glance(story, **{missing: stale})).then == Look(symbols=("CCC",))


def test_the_lower_of_the_settled_and_the_fresh_funds_counts() -> None:
    """Money that appears after settling is not spent; money that went is not spent either."""
    story = revalidating()
    now = glance(story).now
    assert revalidated(story, glance(story, funds=funds(99_999, now))).inputs.spendable == Decimal(11000)
    assert revalidated(story, glance(story, funds=funds(5_000, now))).inputs.spendable == Decimal(5000)


def test_unclosed_buys_of_earlier_cycles_and_of_others_are_reserved() -> None:
    """A parked buy and a foreign one are both deducted with their fees, and count against the cap of their symbol."""
    story = Story().buying(intent("B0", "CCC")).sends("B0").doubts("B0").quarantines("B0").ends(Outcome.PARTIAL)
    story.opens(intent("B1", "DDD"), intent("B2", "CCC"), cycle_id="c-2").sells_close().settles()
    story.tell(
        ExternalOrderSeen(
            symbol="DDD", order_id="x", side=Side.BUY, order_qty=Decimal("1.5"), cum_qty=Decimal("0.5"),
            price=Decimal(100), raw_status="open",
        )
    )  # fmt: skip
    inputs = revalidated(story).inputs
    assert inputs.reserved == Decimal("1001.00") + Decimal("100.10")
    assert dict(inputs.committed) == {"CCC": Decimal(1000), "DDD": Decimal(100)}
    assert dict(inputs.barred) == {"CCC": "symbol_frozen"}


def test_a_foreign_market_order_is_counted_at_its_quote() -> None:
    """Its symbol is looked up with the others, since without a price it would count for nothing."""
    story = revalidating().tell(
        ExternalOrderSeen(
            symbol="ZZZ", order_id="x", side=Side.BUY, order_qty=Decimal(10), cum_qty=Decimal(0), price=None,
            raw_status="open",
        )
    )  # fmt: skip
    assert decided(story, glance(story, quotes_at=None)).then == Look(symbols=("CCC", "ZZZ"))
    now = glance(story).now
    quotes = {"CCC": quote("CCC", "10", now), "ZZZ": quote("ZZZ", "50", now)}
    assert revalidated(story, glance(story, quotes=quotes)).inputs.reserved == Decimal("500.50")


@pytest.mark.parametrize("rule", ["unresolved_sell", "market_closed", "no_buys_before_close", "repeated_rejections"])
def test_a_rule_may_block_every_buy(rule: str) -> None:
    """Each of them empties the list of buys, and every buy gets a row with its name."""
    story, changes = revalidating(), dict[str, Any]()
    match rule:
        case "unresolved_sell":
            story = Story().opens(SELL, BUY).sends("S0").doubts("S0").quarantines("S0").sells_close()
            story.acknowledges("S0").fills("S0").settles()
        case "market_closed":
            changes["market_time"] = SESSION.closes
        case "no_buys_before_close":
            changes["market_time"] = SESSION.closes - Rules().no_buys_before_close
        case _:
            sells = [intent(f"S{n}", symbol) for n, symbol in enumerate(("AAA", "BBB", "EEE"))]
            story = Story().opens(*sells, BUY)
            for sell in sells:
                story.sends(sell.cl_ord_id).rejects(sell.cl_ord_id)
            story.sells_close().settles()
    decision = decided(story, glance(story, **changes))
    blocked = decision.events[-1]
    assert isinstance(blocked, OrderBlocked)
    assert blocked.rule == rule


def test_a_halt_waits_before_revalidation_and_gives_up_at_the_close() -> None:
    """Halted: nothing is revalidated. At the close the buys are BLOCKED with the rule `halted`."""
    story = revalidating().tell(HALT)
    stop = decided(story).then
    assert isinstance(stop, Stop)
    assert stop.exit_code == 7
    for market_time in (SESSION.closes - Rules().no_buys_before_close, SESSION.closes):
        blocked = decided(story, glance(story, market_time=market_time)).events[-1]
        assert isinstance(blocked, OrderBlocked)
        assert blocked.rule == "halted"


# BUYING ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_buy_stops_where_a_sell_turns_out_to_be_open() -> None:
    """A sell that was voided and is found open after all: no buy goes beside it, and it is followed to its end."""
    story = Story().opens(SELL, BUY).sends("S0").doubts("S0").voids("S0").sells_close().settles().revalidates()
    story.acknowledges("S0")
    assert story.order("S0").phase is OrderPhase.LIVE
    (event,) = decided(story).events
    assert isinstance(event, OrderBlocked)
    assert event.rule == "unresolved_sell"
    story.tell(event)
    assert isinstance(decided(story).then, Wait)
    assert kinds(decided(story.fills("S0")))[-1] == "buys_closed"


@pytest.mark.parametrize(("limit", "sent"), [(1, ("B0",)), (2, ("B0", "B1")), (3, ("B0", "B1"))])
def test_trades_of_the_day_count_those_that_are_promised(limit: int, sent: tuple[str, ...]) -> None:
    """Of two unsent buys only as many go as trades are left, counting the one before."""
    story = Story().buying(BUY, intent("B1", "DDD")).reserves("B0").reserves("B1")
    rules = Rules(max_trades_per_day=limit)
    decision = decided(story, rules=rules)
    blocked = [event for event in decision.events if isinstance(event, OrderBlocked)]
    assert [event.rule for event in blocked] == ["max_trades_per_day"] * (2 - len(sent))
    if not blocked:
        assert decision.then == Send(cl_ord_ids=sent)


def test_an_order_in_flight_counts_as_a_trade() -> None:
    """An unresolved buy may have become a trade without our knowing."""
    story = Story().buying(BUY, intent("B1", "DDD")).sends("B0").doubts("B0").reserves("B1")
    (event,) = decided(story, rules=Rules(max_trades_per_day=1)).events
    assert isinstance(event, OrderBlocked)
    assert (event.cl_ord_id, event.rule) == ("B1", "max_trades_per_day")


def test_a_cancelled_order_is_read_once_more_after_the_grace_time() -> None:
    """A fill may have won against the cancel, so DONE waits for a look begun after the grace time."""
    story = Story().buying(BUY).sends("B0").acknowledges("B0").cancels("B0")
    closed = story.now
    before = closed + Rules().grace
    assert isinstance(decided(story, glance(story, now=closed)).then, Wait)
    early = glance(story, now=before, asked_at=closed, positions_at=closed)
    assert decided(story, early).then == Look(symbols=())
    assert kinds(decided(story, replace(early, asked_at=before, positions_at=before)))[-1] == "buys_closed"


def test_positions_that_differ_raise_attention() -> None:
    """What the broker holds against what the journal holds: shown with both numbers, never corrected."""
    story = Story(held=[position("AAA", 100)]).buying(BUY).sends("B0").acknowledges("B0").fills("B0")
    shown = {"AAA": position("AAA", 60), "CCC": position("CCC", 100)}
    events = decided(story, glance(story, positions=shown)).events
    assert (events[0].kind, events[-1].kind) == ("attention_raised", "buys_closed")
    assert "60" in str(events[0])
    assert "100" in str(events[0])


# The end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cycle_of_another_day_sends_nothing_more() -> None:
    """Found open on a later day it is aborted: unsent orders are blocked, live ones followed, doubt asked about."""
    story = Story().opens(SELL, intent("S1", "BBB"), intent("S2", "EEE"), BUY)
    story.sends("S0").acknowledges("S0").sends("S1").doubts("S1").misses("S1").reserves("S2")
    seen = next_day(story)
    (abort,) = decided(story, seen).events
    assert isinstance(abort, CycleAborted)
    story.tell(abort)
    (blocked,) = decided(story, seen).events
    assert isinstance(blocked, OrderBlocked)
    assert (blocked.cl_ord_id, blocked.rule) == ("S2", "stale_on_resume")
    story.tell(blocked)
    assert not isinstance(decided(story, seen).then, Send)
    story.expires("S0").quarantines("S1")
    assert kinds(decided(story, next_day(story))) == ["sells_closed"]
    story.sells_close().observes("10000")
    assert kinds(decided(story, next_day(story, funds=None))) == ["funds_settled"]
    story.settles()
    events = decided(story, next_day(story)).events
    assert [getattr(event, "rule", "") for event in events][-1] == "stale_on_resume"
    story.tell(*events)
    last = decided(story, next_day(story)).events[-1]
    assert isinstance(last, BuysClosed)
    assert last.outcome is Outcome.ABORTED


def kept_back_by(rule: str) -> Story:
    return Story().buying(BUY).blocks("B0", rule)


OUTCOMES: dict[str, tuple[Callable[[], Story], Outcome]] = {
    "nothing": (lambda: Story().opens(), Outcome.NOTHING_TO_DO),
    "all filled": (lambda: Story().buying(BUY).sends("B0").fills("B0"), Outcome.COMPLETE),
    "cut to nothing by the money": (lambda: settling().settles().revalidates({"B0": 0}), Outcome.COMPLETE),
    "a part is missing": (lambda: Story().buying(BUY).sends("B0").fills("B0", 99).cancels("B0"), Outcome.PARTIAL),
    "rejected": (lambda: Story().buying(BUY).sends("B0").rejects("B0"), Outcome.PARTIAL),
    "quarantined": (lambda: Story().buying(BUY).sends("B0").doubts("B0").quarantines("B0"), Outcome.PARTIAL),
    "quarantined and found": (
        lambda: Story().buying(BUY).sends("B0").doubts("B0").quarantines("B0").acknowledges("B0").fills("B0"),
        Outcome.PARTIAL,
    ),
    "void": (lambda: Story().buying(BUY).sends("B0").doubts("B0").voids("B0"), Outcome.PARTIAL),
    "a sell blocked": (lambda: Story().opens(SELL).blocks("S0", "no_short"), Outcome.PARTIAL),
    **{
        f"a buy kept back by {rule}": (partial(kept_back_by, rule), Outcome.PARTIAL)
        for rule in ("halted", "market_closed", "no_buys_before_close", "unresolved_sell", "order_deadline")
    },
    "a buy barred": (lambda: Story().buying(BUY).blocks("B0", "blacklist"), Outcome.COMPLETE),
    "given up": (
        lambda: Story().buying(BUY).tell(CycleAborted(cycle_id="c-1", rule="stale_on_resume", reason="")),
        Outcome.ABORTED,
    ),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_outcome_says_how_it_went(name: str) -> None:
    """Complete is what the money and the limits allowed; partial is anything that was sent or kept back and fell short."""
    make, expected = OUTCOMES[name]
    assert outcome(make().cycle) is expected


def test_no_decision_is_empty() -> None:
    """In every situation there is a fact to journal or a thing to do: nothing decides in circles."""
    for make in SITUATIONS.values():
        decision = decided(make())
        assert decision.events or decision.then is not None
    assert later(0) < later(1)
