"""One order: its status follows from what is kept, by FIX precedence, and no report about it is ever refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.model.event import OrderRejected
from oms.model.order import CloseReason, Order, OrderPhase, OrdStatus, Pending
from tests.model.story import START, Story, intent

Deed = Callable[[Story], Story]


def fresh() -> Story:
    return Story().opens(intent("S0", "AAA"))


def live() -> Story:
    return fresh().sends("S0").acknowledges("S0")


def order_of(story: Story) -> Order:
    return story.order("S0")


LIVES: dict[str, tuple[Deed, OrdStatus]] = {
    "planned": (lambda s: s, OrdStatus.PLANNED),
    "blocked": (lambda s: s.blocks("S0"), OrdStatus.BLOCKED),
    "reserved": (lambda s: s.reserves("S0"), OrdStatus.RESERVED),
    "reserved and blocked": (lambda s: s.reserves("S0").blocks("S0"), OrdStatus.BLOCKED),
    "sending": (lambda s: s.sends("S0"), OrdStatus.SENDING),
    "not sent": (lambda s: s.sends("S0").not_sent("S0"), OrdStatus.RESERVED),
    "in doubt": (lambda s: s.sends("S0").doubts("S0"), OrdStatus.UNKNOWN),
    "in doubt, then not sent": (lambda s: s.sends("S0").doubts("S0").not_sent("S0"), OrdStatus.UNKNOWN),
    "in quarantine": (lambda s: s.sends("S0").doubts("S0").quarantines("S0"), OrdStatus.UNKNOWN),
    "new": (lambda s: s.sends("S0").acknowledges("S0"), OrdStatus.NEW),
    "part": (lambda s: s.sends("S0").acknowledges("S0").fills("S0", 1), OrdStatus.PARTIALLY_FILLED),
    "cancel asked": (lambda s: s.sends("S0").acknowledges("S0").asks_cancel("S0"), OrdStatus.PENDING_CANCEL),
    "part, cancel asked": (
        lambda s: s.sends("S0").acknowledges("S0").fills("S0", 1).asks_cancel("S0"),
        OrdStatus.PENDING_CANCEL,
    ),
    "full": (lambda s: s.sends("S0").acknowledges("S0").fills("S0"), OrdStatus.FILLED),
    "full while cancelling": (
        lambda s: s.sends("S0").acknowledges("S0").asks_cancel("S0").fills("S0"),
        OrdStatus.FILLED,
    ),
    "full in doubt": (lambda s: s.sends("S0").doubts("S0").fills("S0"), OrdStatus.FILLED),
    "cancelled": (lambda s: s.sends("S0").acknowledges("S0").cancels("S0"), OrdStatus.CANCELED),
    "part, cancelled": (lambda s: s.sends("S0").acknowledges("S0").fills("S0", 1).cancels("S0"), OrdStatus.CANCELED),
    "cancelled, then full": (lambda s: s.sends("S0").acknowledges("S0").cancels("S0").fills("S0"), OrdStatus.CANCELED),
    "rejected": (lambda s: s.sends("S0").rejects("S0"), OrdStatus.REJECTED),
    "rejected with fills": (
        lambda s: s.sends("S0").acknowledges("S0").fills("S0", 1).rejects("S0"),
        OrdStatus.CANCELED,
    ),
    "rejected, then fills": (lambda s: s.sends("S0").rejects("S0").fills("S0", 1), OrdStatus.CANCELED),
    "expired": (lambda s: s.sends("S0").acknowledges("S0").fills("S0", 1).expires("S0"), OrdStatus.EXPIRED),
    "void": (lambda s: s.sends("S0").doubts("S0").voids("S0"), OrdStatus.VOID),
    "void, then there": (lambda s: s.sends("S0").doubts("S0").voids("S0").acknowledges("S0"), OrdStatus.NEW),
    "unknown word": (lambda s: s.sends("S0").acknowledges("S0").doubts("S0", raw="Held"), OrdStatus.UNKNOWN),
    "and back": (
        lambda s: s.sends("S0").acknowledges("S0").fills("S0", 1).doubts("S0", raw="Held").acknowledges("S0"),
        OrdStatus.PARTIALLY_FILLED,
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_the_status_follows_from_the_facts(name: str) -> None:
    """Each life ends in the status that its quantities, its pending request and its reason of closing give."""
    deed, status = LIVES[name]
    assert order_of(deed(fresh())).ord_status is status


def test_every_status_is_reached() -> None:
    """The table above shows each status but those of requests this program never makes."""
    reached = {status for _, status in LIVES.values()}
    assert set(OrdStatus) - reached == {OrdStatus.PENDING_NEW, OrdStatus.PENDING_REPLACE}


def test_the_precedence_of_fix() -> None:
    """PendingCancel before PendingReplace before PartiallyFilled before New before PendingNew."""
    part = replace(order_of(live()), cum_qty=1)
    assert replace(part, pending=Pending.CANCEL).ord_status is OrdStatus.PENDING_CANCEL
    assert replace(part, pending=Pending.REPLACE).ord_status is OrdStatus.PENDING_REPLACE
    assert part.ord_status is OrdStatus.PARTIALLY_FILLED
    assert replace(part, cum_qty=0).ord_status is OrdStatus.NEW
    assert replace(part, cum_qty=0, order_id=None).ord_status is OrdStatus.PENDING_NEW


@pytest.mark.parametrize("name", LIVES)
def test_what_may_still_trade_is_nothing_once_closed(name: str) -> None:
    """LeavesQty is zero for a closed order, and the whole rest for any other: above all while it is in doubt."""
    order = order_of(LIVES[name][0](fresh()))
    assert order.leaves_qty == (0 if order.is_closed else 100 - order.cum_qty)
    assert order.is_finished_for_cycle is (order.is_closed or order.quarantined)


def test_the_first_reason_of_closing_is_kept() -> None:
    """A cancel after an expiry is still an expiry."""
    assert order_of(live().expires("S0").cancels("S0").rejects("S0").voids("S0")).ord_status is OrdStatus.EXPIRED


@pytest.mark.parametrize("close", ["fills", "cancels", "rejects", "expires"])
def test_a_closed_order_takes_no_request_and_no_doubt(close: str) -> None:
    """Cancel, doubt and quarantine leave a closed order as it is."""
    story = live()
    getattr(story, close)("S0")
    before = order_of(story)
    assert order_of(story.asks_cancel("S0").doubts("S0").quarantines("S0")) == before


def test_requests_that_may_have_left_are_counted() -> None:
    """SENDING counts one, a proof that nothing left takes it back, and doubt counts at least one."""
    story = fresh().sends("S0")
    assert order_of(story).sends == 1
    assert order_of(story.not_sent("S0")).sends == 0
    assert order_of(story).first_sent_at is None
    story.doubts("S0")
    assert order_of(story).sends == 1
    assert order_of(story.sends("S0").not_sent("S0")).sends == 1


def test_an_order_found_reserved_after_a_power_cut_is_in_doubt() -> None:
    """Its request may have left on a machine that lost the commit: it counts as sent when it was planned."""
    order = order_of(fresh().reserves("S0").doubts("S0"))
    assert (order.ord_status, order.sends, order.first_sent_at) == (OrdStatus.UNKNOWN, 1, order.planned_at)


def test_quarantine_is_remembered() -> None:
    """Found again, the order lives; that it was parked is never forgotten."""
    order = order_of(fresh().sends("S0").doubts("S0").misses("S0", 3).quarantines("S0").acknowledges("S0"))
    assert (order.ord_status, order.quarantined, order.ever_quarantined) == (OrdStatus.NEW, False, True)
    assert order.not_found == 0


def test_nothing_is_sent_without_a_number() -> None:
    """The request of an order that has no reserved number cannot be made."""
    with pytest.raises(ValueError, match="no reserved number"):
        order_of(fresh()).request()


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 10_000)), min_size=1, max_size=6))
def test_the_sums_are_the_sums_of_the_fills(parts: list[tuple[int, int]]) -> None:
    """cum_qty, notional, fees and average price are exact, also beyond the order's quantity."""
    story = live()
    for quantity, cents in parts:
        story.fills("S0", quantity, str(Decimal(cents) / 100), "0.01")
    order = order_of(story)
    notional = sum((quantity * Decimal(cents) / 100 for quantity, cents in parts), Decimal(0))
    assert (order.cum_qty, order.notional) == (sum(quantity for quantity, _ in parts), notional)
    assert order.fees == len(parts) * Decimal("0.01")
    assert order.avg_px == notional / order.cum_qty
    assert len(order.exec_ids) == len(parts)
    assert order.is_closed is (order.cum_qty >= order.order_qty)


DEEDS = [
    "blocks", "reserves", "sends", "not_sent", "doubts", "misses", "quarantines", "voids", "acknowledges",
    "asks_cancel", "cancels", "rejects", "expires",
]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(DEEDS), st.integers(1, 60)), max_size=12))
def test_facts_in_any_order_are_taken_in(deeds: list[str | int]) -> None:
    """Whatever is reported, in whatever order: no fact is refused, cum_qty never falls, no status contradicts it."""
    story = fresh()
    for deed in deeds:
        before = order_of(story).cum_qty
        if isinstance(deed, int):
            story.fills("S0", deed)
        elif deed == "sends" and order_of(story).is_closed:
            continue
        else:
            getattr(story, deed)("S0")
        order = order_of(story)
        assert order.cum_qty >= before
        assert order.leaves_qty >= 0
        status = order.ord_status
        assert (status is not OrdStatus.REJECTED) or order.cum_qty == 0
        assert (status is not OrdStatus.FILLED) or order.cum_qty >= order.order_qty
        assert (status is not OrdStatus.PARTIALLY_FILLED) or order.cum_qty > 0
        assert order.quarantined <= (order.phase is OrderPhase.AMBIGUOUS)
        assert (order.close_reason is None) is (order.phase is not OrderPhase.CLOSED)
        assert order.close_reason is None or isinstance(order.close_reason, CloseReason)


def test_an_order_begins_without_a_doubt() -> None:
    """Nothing about it is unsure before it was sent, and nobody has looked for it."""
    order = order_of(fresh())
    doubts = (order.in_doubt, order.quarantined, order.ever_quarantined, order.repeat_refused)
    assert doubts == (False, False, False, False)
    assert (order.sends, order.not_found, order.raw_status) == (0, 0, None)


def test_nothing_is_left_of_a_closed_order_nor_of_one_that_got_more_than_it_asked_for() -> None:
    """Leaves are shares that may still trade: zero after the end, and never below zero."""
    part = live().fills("S0", 1).cancels("S0")
    assert order_of(part).leaves_qty == 0
    open_order = order_of(live())
    assert open_order.leaves_qty == open_order.order_qty
    assert replace(open_order, cum_qty=open_order.order_qty + 1).leaves_qty == 0


def test_what_travels_is_what_is_kept() -> None:
    """The request carries the order's own fields, and there is none without a number."""
    order = order_of(fresh().reserves("S0"))
    request = order.request()
    assert (request.cl_ord_id, request.order_no, request.symbol, request.side) == (
        *(order.cl_ord_id, order.order_no, order.symbol, order.side),
    )
    assert (request.ord_type, request.order_qty, request.price) == (order.ord_type, order.order_qty, order.price)
    with pytest.raises(ValueError, match="no reserved number"):
        order_of(fresh()).request()


def test_closing_settles_every_doubt_and_keeps_the_last_word() -> None:
    """A closed order is not in doubt; it keeps the text it had where the end brings none."""
    doubtful = replace(order_of(fresh().sends("S0").doubts("S0").quarantines("S0")), text="said before")
    kept = doubtful.closed(CloseReason.VOID, START)
    assert (kept.in_doubt, kept.quarantined, kept.raw_status, kept.pending) == (False, False, None, Pending.NONE)
    assert (kept.text, kept.closed_at) == ("said before", START)
    assert doubtful.closed(CloseReason.VOID, START, "said at the end").text == "said at the end"
    assert replace(doubtful, text="").closed(CloseReason.VOID, START, "said at the end").text == "said at the end"


# What a fact leaves as it was ─────────────────────────────────────────────────────────────────────────────────────


def test_the_first_request_is_remembered_over_every_later_one() -> None:
    """A repeat moves the instant of the last request, and not that of the first; nor does doubt."""
    first = fresh().sends("S0")
    at = order_of(first).first_sent_at
    assert at == order_of(first).sent_at == first.now
    again = first.doubts("S0").sends("S0")
    assert (order_of(again).first_sent_at, order_of(again).sent_at) == (at, again.now)
    assert order_of(again.doubts("S0")).first_sent_at == at


def test_an_order_found_reserved_is_in_doubt_since_it_was_planned() -> None:
    """A machine that lost its last soft commits may have sent it at any instant since."""
    story = fresh()
    planned = order_of(story).planned_at
    assert planned == story.now
    assert order_of(story.reserves("S0").doubts("S0")).first_sent_at == planned


def test_a_second_attempt_that_did_not_leave_says_nothing_of_the_first() -> None:
    """With two requests journaled and one that provably stayed here, the other may still be on the wire."""
    order = order_of(fresh().sends("S0").sends("S0").not_sent("S0"))
    assert (order.ord_status, order.sends) == (OrdStatus.SENDING, 1)


def test_an_acknowledgement_ends_the_doubt_and_keeps_the_instant_of_the_first() -> None:
    """Acknowledged once more, after a word that nobody knew, it is still known since the first time."""
    story = live()
    at = order_of(story).acknowledged_at
    assert at == story.now
    again = order_of(story.doubts("S0", raw="Held").acknowledges("S0"))
    assert (again.acknowledged_at, again.in_doubt) == (at, False)


def test_a_repeat_that_was_refused_once_is_remembered() -> None:
    """A later doubt of another kind does not make a repeat possible again."""
    story = fresh().sends("S0").doubts("S0", repeat_refused=True)
    assert order_of(story).repeat_refused
    assert order_of(story.doubts("S0")).repeat_refused
    assert not order_of(fresh().sends("S0").doubts("S0")).repeat_refused


@pytest.mark.parametrize(("text", "kept"), [("no money", "no money"), ("", "E7")])
def test_a_rejection_keeps_the_brokers_reason_or_its_code(text: str, kept: str) -> None:
    """The sentence where there is one, else the code."""
    story = fresh().sends("S0")
    order = order_of(story)
    story.tell(OrderRejected(cycle_id=order.cycle_id, cl_ord_id="S0", symbol="AAA", code="E7", text=text))
    assert order_of(story).text == kept


# What each fact leaves behind ─────────────────────────────────────────────────────────────────────────────────────


def test_a_reservation_is_kept_with_who_made_it() -> None:
    """Number, deadline, the machine's token and the fence: by them a later process knows whether it may have been sent."""
    story = fresh().reserves("S0", token="boot-7", fence=3, seconds=50)
    order = order_of(story)
    deadline = story.now + timedelta(seconds=49)
    assert (order.order_no, order.restart_token, order.fence, order.deadline) == ("no-S0", "boot-7", 3, deadline)


def test_a_request_that_did_not_leave_was_never_sent() -> None:
    """The order is as it was when it was reserved."""
    reserved = fresh().reserves("S0")
    before = order_of(reserved)
    assert order_of(reserved.sends("S0").not_sent("S0")) == before


def test_a_blocked_order_keeps_the_rule() -> None:
    """By its name, beside the reason."""
    order = order_of(fresh().blocks("S0", "no_short"))
    assert (order.rule, order.text) == ("no_short", "told")


def test_doubt_and_quarantine_say_why() -> None:
    """And what is parked is in doubt, whether or not anybody had said so before."""
    doubted = fresh().sends("S0").doubts("S0")
    assert order_of(doubted).text == "told"
    parked = order_of(fresh().sends("S0").quarantines("S0"))
    assert (parked.in_doubt, parked.quarantined, parked.ever_quarantined, parked.text) == (True, True, True, "told")


def test_a_cancel_is_asked_for_at_an_instant_and_a_fill_comes_at_one() -> None:
    """Both are needed to know when to ask again, and from when on a reading of funds counts."""
    story = live().asks_cancel("S0")
    assert order_of(story).cancel_requested_at == story.now
    assert order_of(story).last_fill_at is None
    assert order_of(story.fills("S0", 1)).last_fill_at == story.now


@pytest.mark.parametrize("close", ["cancels", "expires", "rejects", "voids", "blocks"])
def test_what_is_closed_waits_for_nothing(close: str) -> None:
    """No request of ours is pending, nothing is in doubt or parked, no odd word is left, and the instant is kept."""
    asked = live().asks_cancel("S0")
    riddle = live().doubts("S0", raw="Held").quarantines("S0")
    for story in (asked, riddle):
        getattr(story, close)("S0")
        order = order_of(story)
        assert (order.pending, order.in_doubt, order.quarantined, order.raw_status) == (
            Pending.NONE,
            False,
            False,
            None,
        )
        assert (order.closed_at, order.leaves_qty) == (story.now, 0)


def test_an_order_that_lives_again_has_not_been_closed() -> None:
    """Voided in error and found: neither the reason nor the instant of its end is left."""
    order = order_of(fresh().sends("S0").doubts("S0").voids("S0").acknowledges("S0"))
    assert (order.phase, order.close_reason, order.closed_at) == (OrderPhase.LIVE, None, None)
