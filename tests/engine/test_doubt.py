"""Orders in doubt: asked about first, sent again only under proof, parked in the end, and never judged by their age."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from oms.engine.doubt import settle_doubt
from oms.engine.orders import Ask, Decision, Seen, Send, Stop, Wait
from oms.model.detail import HaltScope
from oms.model.event import Blacklisted, Halted, OrderQuarantined, SymbolFrozen
from oms.model.rules import DoubtPolicy, Rules
from tests.engine.glance import ABLE, decided, glance, kinds
from tests.model.story import SESSION, Story, intent

QUARANTINE = Rules(doubt_then=DoubtPolicy.QUARANTINE)
HOLD = Rules(doubt_then=DoubtPolicy.HOLD)
UNPROVEN = replace(ABLE, refuses_repeats=None)


def sell_in_doubt(reads: int = 1) -> Story:
    return Story().opens(intent("S0", "AAA")).sends("S0").doubts("S0").misses("S0", reads)


def buy_in_doubt(reads: int = 1) -> Story:
    return Story().buying(intent("B0", "CCC")).sends("B0").doubts("B0").misses("B0", reads)


def sent_at(story: Story) -> Any:
    return next(iter(story.cycle.orders.values())).sent_at


def seen_after(story: Story, window: timedelta, **changes: Any) -> Seen:
    """A glance so long after the last request, with a reading just made."""
    now = sent_at(story) + window
    return replace(glance(story), now=now, asked_at=now, market_time=story.now, **changes)


def resends(decision: Decision) -> bool:
    return isinstance(decision.then, Send)


def test_doubt_is_asked_about_before_anything_else() -> None:
    """Without a complete reading since the request nothing is decided but to ask."""
    story = Story().opens(intent("S0", "AAA"), intent("S1", "BBB")).sends("S0").doubts("S0")
    assert decided(story, glance(story, asked_at=None)) == Decision(then=Ask())


def test_a_proven_refusal_of_repeats_lets_the_same_number_go_again() -> None:
    """After a complete reading without it the order is sent once more, itself and no other."""
    assert decided(sell_in_doubt()) == Decision(then=Send(cl_ord_ids=("S0",)))


def test_nothing_is_sent_again_before_a_complete_reading_missed_it() -> None:
    """A reading that was not complete proves too little to send."""
    assert not resends(decided(sell_in_doubt(reads=0)))


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"capabilities": UNPROVEN}, Rules()),
        ({}, QUARANTINE),
        ({}, HOLD),
        ({"session": None}, Rules()),
        ({"market_time": SESSION.closes}, Rules()),
    ],
)
def test_without_the_proof_nothing_is_sent_again(changes: dict[str, Any], rules: Rules) -> None:
    """No proof, another policy, a closed market: each alone forbids the second request."""
    story = sell_in_doubt()
    assert not resends(decided(story, glance(story, **changes), rules))


@pytest.mark.parametrize(("short_of", "again"), [(1, True), (0, False), (-1, False)])
def test_the_proof_ends_with_its_window(short_of: int, again: bool) -> None:
    """The age of the first request plus the margin must be below the window in which repeats are refused."""
    story = sell_in_doubt()
    age = glance(story).now - sent_at(story)
    window = age + Rules().doubt_margin + timedelta(microseconds=short_of)
    seen = glance(story, capabilities=replace(ABLE, refuses_repeats=window))
    assert resends(decided(story, seen)) is again


def test_a_clock_that_went_back_proves_nothing() -> None:
    """With the first request in the future the window cannot be known, so nothing is sent."""
    story = sell_in_doubt()
    seen = glance(story)
    assert not resends(decided(story, replace(seen, now=seen.now - timedelta(hours=1))))


def test_a_clock_that_went_back_makes_nobody_ask_without_end() -> None:
    """After a reading the next one waits for the next poll, whatever the clock says of the request's age."""
    story = sell_in_doubt()
    back = glance(story).now - timedelta(hours=24)
    seen = glance(story, now=back, asked_at=back, market_time=story.now)
    assert isinstance(decided(story, seen).then, Wait)


def test_requests_are_counted() -> None:
    """One order is never sent more often than max_sends says."""
    story = sell_in_doubt()
    for _ in range(Rules().max_sends - 1):
        assert resends(decided(story))
        story.sends("S0").doubts("S0").misses("S0")
    assert not resends(decided(story))


@pytest.mark.parametrize("how", ["repeat_refused", "raw", "acknowledged"])
def test_what_the_broker_knows_is_not_sent_again(how: str) -> None:
    """A refused repeat, an unknown status and an id of the broker's each say that the number has arrived."""
    story = sell_in_doubt()
    if how == "acknowledged":
        story.acknowledges("S0").doubts("S0").misses("S0")
    elif how == "raw":
        story.doubts("S0", raw="Held")
    else:
        story.doubts("S0", repeat_refused=True)
    assert not resends(decided(story))


def test_a_not_sent_repeat_leaves_the_doubt() -> None:
    """Proof that the second request did not leave says nothing about the first."""
    story = sell_in_doubt().sends("S0").not_sent("S0")
    order = story.order("S0")
    assert (order.in_doubt, order.sends, order.is_unresolved) == (True, 1, True)


@pytest.mark.parametrize("bar", ["blacklist", "config", "frozen", "near the close", "deadline", "unresolved sell"])
def test_a_buy_that_may_not_be_sent_any_more_is_not_sent_again_either(bar: str) -> None:
    """A second request is a send: every rule that would stop a first one stops it."""
    story, rules, changes = buy_in_doubt(), Rules(), dict[str, Any]()
    assert resends(decided(story))
    match bar:
        case "blacklist":
            story.tell(Blacklisted(symbol="CCC", reason="", author="ann"))
        case "config":
            rules = Rules(blacklist=frozenset({"CCC"}))
        case "frozen":
            story.tell(SymbolFrozen(symbol="CCC", reason="told"))
        case "near the close":
            changes["market_time"] = SESSION.closes - rules.no_buys_before_close
        case "deadline":
            deadline = story.order("B0").deadline
            assert deadline is not None
            changes = {"now": deadline, "asked_at": deadline}
        case _:
            wishes = (intent("S0", "AAA"), intent("B0", "CCC"))
            story = Story().opens(*wishes).sends("S0").doubts("S0").quarantines("S0").sells_close().settles()
            story.revalidates().sends("B0").doubts("B0").misses("B0")
    assert not resends(decided(story, glance(story, **changes), rules))


@pytest.mark.parametrize(
    ("scope", "sell_again", "buy_again"), [(HaltScope.BUYS, True, False), (HaltScope.ALL, False, False)]
)
def test_the_brake_holds_repeats_as_it_holds_first_requests(
    scope: HaltScope, sell_again: bool, buy_again: bool
) -> None:
    """Under a halt of buys a sell may go again, under `halt --all` nothing may."""
    halted = Halted(scope=scope, reason="", author="ann")
    assert resends(decided(sell_in_doubt().tell(halted))) is sell_again
    assert resends(decided(buy_in_doubt().tell(halted))) is buy_again


# Parking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("reads", "short_by", "parked"), [(2, 0, False), (3, 1, False), (3, 0, True), (4, 0, True)])
def test_asking_ends_after_so_many_reads_over_so_long(reads: int, short_by: int, parked: bool) -> None:
    """Quarantine needs both: in_doubt.reads complete readings, and in_doubt.window since the last request."""
    story = sell_in_doubt(reads)
    seen = seen_after(story, QUARANTINE.doubt_window - timedelta(microseconds=short_by))
    assert (kinds(decided(story, seen, QUARANTINE)) == ["order_quarantined"]) is parked


def test_the_last_reading_is_made_when_the_window_is_over() -> None:
    """Three quick readings and a silent half minute are not readings over half a minute."""
    story = sell_in_doubt(3)
    over = sent_at(story) + QUARANTINE.doubt_window
    seen = glance(story, now=over + timedelta(seconds=5), asked_at=story.now, market_time=story.now)
    assert decided(story, seen, QUARANTINE) == Decision(then=Ask())


def test_readings_before_a_repeat_do_not_count_after_it() -> None:
    """The bounds are measured from the last request: a repeat begins the count anew."""
    story = sell_in_doubt(3).sends("S0").doubts("S0")
    assert story.order("S0").not_found == 0
    seen = seen_after(story, QUARANTINE.doubt_window)
    assert kinds(decided(story, seen, QUARANTINE)) == []


def test_resend_falls_back_to_quarantine_without_the_proof() -> None:
    """`resend` at a broker that proves nothing parks the order as `quarantine` does."""
    story = sell_in_doubt(3)
    seen = seen_after(story, Rules().doubt_window, capabilities=UNPROVEN)
    (event,) = decided(story, seen).events
    assert isinstance(event, OrderQuarantined)
    assert event.reads == 3


def test_what_only_the_brake_keeps_from_going_again_is_not_parked() -> None:
    """An order that may be sent again after `release` waits for it."""
    story = sell_in_doubt(3).tell(Halted(scope=HaltScope.ALL, reason="", author="ann"))
    assert kinds(decided(story, seen_after(story, Rules().doubt_window))) == []


def test_hold_waits_for_a_person() -> None:
    """Under `hold` nothing is parked: `--once` ends with 7, `--loop` goes on asking once a poll."""
    story = sell_in_doubt(3)
    seen = seen_after(story, HOLD.doubt_window)
    stop = decided(story, seen, HOLD).then
    assert isinstance(stop, Stop)
    assert stop.exit_code == 7
    assert isinstance(decided(story, replace(seen, patient=True), HOLD).then, Wait)


def test_an_unknown_status_is_asked_about_until_its_deadline_and_window_and_then_parked() -> None:
    """A status that nobody understands cannot keep the cycle open for ever."""
    story = Story().opens(intent("S0", "AAA")).sends("S0").acknowledges("S0").doubts("S0", raw="Held")
    deadline = story.order("S0").deadline
    assert deadline is not None
    early, due = deadline - timedelta(microseconds=1), deadline
    for now, parked in ((early, False), (due, True)):
        seen = glance(story, now=now, asked_at=now, market_time=story.now)
        assert (kinds(decided(story, seen, QUARANTINE)) == ["order_quarantined"]) is parked


def test_doubt_never_ends_by_age_alone() -> None:
    """A year later, with no reading in between, the order is asked about and nothing is concluded."""
    story = sell_in_doubt(reads=0)
    now = story.now + timedelta(days=365)
    decision = decided(story, glance(story, now=now, asked_at=None, market_time=story.now))
    assert decision == Decision(then=Ask())


def test_only_orders_in_doubt_are_asked_about() -> None:
    """One that is on the wire, one that the broker has, one that waits and one that is parked leave nothing to settle."""
    for story in (
        Story().opens(intent("S0", "AAA")),
        Story().opens(intent("S0", "AAA")).sends("S0"),
        Story().opens(intent("S0", "AAA")).sends("S0").acknowledges("S0"),
        sell_in_doubt(3).quarantines("S0"),
    ):
        for asked in (None, story.now):
            seen = glance(story, asked_at=asked)
            assert settle_doubt(story.state, story.cycle, story.state.orders, seen, Rules()) is None


def test_a_request_may_be_repeated_at_its_own_instant() -> None:
    """A clock that stands still has not gone back."""
    story = sell_in_doubt()
    at = sent_at(story)
    assert resends(decided(story, glance(story, now=at, asked_at=at)))


@pytest.mark.parametrize(("short_by", "parked"), [(1, False), (0, True)])
def test_a_brake_keeps_an_order_waiting_to_its_deadline_and_no_longer(short_by: int, parked: bool) -> None:
    """Before it `release` may still let it go again; from then on nothing can, so it is parked although the brake is on."""
    story = sell_in_doubt(3).tell(Halted(scope=HaltScope.ALL, reason="", author="ann"))
    deadline = story.order("S0").deadline
    assert deadline is not None
    now = deadline - timedelta(microseconds=short_by)
    decision = decided(story, glance(story, now=now, asked_at=now, market_time=story.now))
    assert (kinds(decision) == ["order_quarantined"]) is parked
    assert parked or isinstance(decision.then, Wait)


def test_under_hold_asking_goes_on_before_a_person_is_called() -> None:
    """After one reading nobody is troubled yet, although the policy is to hold."""
    story = sell_in_doubt()
    assert isinstance(decided(story, glance(story), HOLD).then, Wait)


@pytest.mark.parametrize(("short_by", "parked"), [(1, False), (0, True)])
def test_the_window_is_measured_from_the_last_request(short_by: int, parked: bool) -> None:
    """A repeat long after the first request is asked about for as long as the first was."""
    story = sell_in_doubt(3)
    story.now += timedelta(seconds=20)
    story.sends("S0").doubts("S0").misses("S0", 3)
    seen = seen_after(story, QUARANTINE.doubt_window - timedelta(microseconds=short_by))
    assert (kinds(decided(story, seen, QUARANTINE)) == ["order_quarantined"]) is parked


@pytest.mark.parametrize(("short_by", "parked"), [(1, False), (0, True)])
def test_an_order_that_may_have_been_sent_unseen_is_asked_about_since_it_was_planned(
    short_by: int, parked: bool
) -> None:
    """Found RESERVED by a machine that lost its last soft commits: the window begins where the request could have left."""
    story = Story().opens(intent("S0", "AAA")).reserves("S0").doubts("S0").misses("S0", 3)
    planned = story.order("S0").planned_at
    assert planned is not None
    now = planned + QUARANTINE.doubt_window - timedelta(microseconds=short_by)
    seen = glance(story, now=now, asked_at=now, market_time=story.now)
    assert (kinds(decided(story, seen, QUARANTINE)) == ["order_quarantined"]) is parked


def test_a_parked_order_says_why() -> None:
    """Either so many readings did not show it, or they show it with a word that nobody knows."""
    missed = sell_in_doubt(3)
    (gone,) = decided(missed, seen_after(missed, QUARANTINE.doubt_window), QUARANTINE).events
    shown = Story().opens(intent("S0", "AAA")).sends("S0").acknowledges("S0").doubts("S0", raw="Held")
    due = shown.order("S0").deadline
    (riddle,) = decided(shown, glance(shown, now=due, asked_at=due, market_time=shown.now), QUARANTINE).events
    assert isinstance(gone, OrderQuarantined)
    assert isinstance(riddle, OrderQuarantined)
    assert gone.reason.startswith("3 complete reads did not show it")
    assert riddle.reason == "the broker shows it as 'Held', which nobody here understands"
