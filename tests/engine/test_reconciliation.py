"""What the broker says about its orders becomes facts: every report is taken in, and none is believed beyond its words."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.engine.reconciliation import facts
from oms.model.event import (
    AttentionRaised,
    Event,
    ExternalOrderSeen,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderInDoubt,
    SymbolFrozen,
)
from oms.model.order import BrokerOrder, BrokerState, OrdStatus, Side
from tests.engine.glance import execution, reading, report
from tests.model.story import DAY, START, Story, intent

SELL = intent("S0", "AAA")


def sent() -> Story:
    return Story().opens(SELL).sends("S0")


def live() -> Story:
    return sent().acknowledges("S0")


def learn(story: Story, *reports: BrokerOrder, complete: bool = True, executions: bool = True) -> list[Event]:
    """The facts of one reading, taken in at once."""
    read = reading(story, *reports, complete=complete)
    found = list(facts(story.state, read, executions=executions, known=frozenset()))
    story.tell(*found)
    return found


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def shown(story: Story, state: BrokerState = BrokerState.NEW, *fills: Any, **changes: Any) -> BrokerOrder:
    return report(story.order("S0"), state, fills, **changes)


STATES = {
    BrokerState.PENDING_NEW: OrdStatus.NEW,
    BrokerState.NEW: OrdStatus.NEW,
    BrokerState.PENDING_CANCEL: OrdStatus.NEW,
    BrokerState.FILLED: OrdStatus.UNKNOWN,
    BrokerState.CANCELED: OrdStatus.CANCELED,
    BrokerState.REJECTED: OrdStatus.REJECTED,
    BrokerState.EXPIRED: OrdStatus.EXPIRED,
    BrokerState.UNKNOWN: OrdStatus.UNKNOWN,
}


@pytest.mark.parametrize("state", STATES)
def test_an_order_in_doubt_is_adopted_whatever_its_state(state: BrokerState) -> None:
    """Found by its number: every known state ends the doubt; an unknown word, and FILLED without a fill, do not."""
    story = sent().doubts("S0")
    learn(story, shown(story, state))
    assert story.order("S0").ord_status is STATES[state]


def test_an_adopted_order_keeps_the_brokers_number() -> None:
    """The acknowledgement says that it was found by asking."""
    story = sent().doubts("S0")
    (event,) = learn(story, shown(story))
    assert isinstance(event, OrderAcknowledged)
    assert (event.adopted, event.order_id) == (True, "id-S0")


def test_a_reading_that_says_nothing_new_adds_nothing() -> None:
    """Read twice, the second reading leaves no fact: polling does not fill the journal."""
    story = sent().doubts("S0")
    for state, fills in ((BrokerState.NEW, ()), (BrokerState.NEW, (execution(40),)), (BrokerState.UNKNOWN, ())):
        assert learn(story, shown(story, state, *fills))
        assert learn(story, shown(story, state, *fills)) == []


@pytest.mark.parametrize("close", ["fills", "cancels", "rejects", "expires", "blocks"])
def test_a_closed_order_that_is_shown_again_adds_nothing(close: str) -> None:
    """Closed and unchanged: not even a word that nobody knows makes a row."""
    story = live()
    getattr(story, close)("S0")
    for state in (BrokerState.CANCELED, BrokerState.UNKNOWN):
        assert [event for event in learn(story, shown(story, state)) if not isinstance(event, AttentionRaised)] == []


# Identity ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_reserved_number_comes_first_then_the_mark() -> None:
    """An order without our number is ours by our mark; one without either is not, however alike."""
    story = sent().doubts("S0")
    by_mark = shown(story, order_no=None)
    alike = shown(story, order_no=None, user_mark=None, order_id="other")
    assert kinds(learn(story, alike)) == ["external_order_seen", "order_not_found"]
    assert kinds(learn(story, by_mark, alike)) == ["order_acknowledged"]


@pytest.mark.parametrize("changes", [{"symbol": "BBB"}, {"side": Side.BUY}, {"order_qty": Decimal(99)}])
def test_an_order_that_is_not_what_was_sent_is_not_adopted(changes: dict[str, Any]) -> None:
    """Same number, other symbol, side or size: a person is told, and the doubt stays."""
    story = sent().doubts("S0")
    found = learn(story, shown(story, **changes))
    assert kinds(found) == ["attention_raised", "order_not_found"]
    assert story.order("S0").in_doubt


def test_one_order_twice_at_the_broker_is_told() -> None:
    """Two orders with one identity must never be: the first is followed, the second is shown to a person."""
    story = live()
    found = learn(story, shown(story), shown(story, order_id="second", order_no=None))
    (event,) = found
    assert isinstance(event, AttentionRaised)
    assert event.rule == "two_orders"


def test_orders_made_elsewhere_are_seen_and_seen_again_when_they_change() -> None:
    """A foreign order becomes a fact at first sight and at every change; it is never ours."""
    story = live()
    foreign = shown(story, order_no="77", user_mark="theirs", order_id="x", order_qty=Decimal("0.5"))
    (event,) = learn(story, foreign)
    assert isinstance(event, ExternalOrderSeen)
    assert event.open
    assert learn(story, foreign) == []
    (event,) = learn(story, replace(foreign, state=BrokerState.FILLED, raw_status="F", cum_qty=Decimal("0.5")))
    assert isinstance(event, ExternalOrderSeen)
    assert not event.open


def test_an_old_order_of_this_journal_is_not_foreign() -> None:
    """A number that the journal knows from long ago is nobody else's."""
    story = live()
    old = shown(story, order_no="old", user_mark=None, order_id="x")
    read = reading(story, old)
    assert list(facts(story.state, read, executions=True, known=frozenset({"old"}))) == []


# Absence ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_absence_is_counted_only_in_complete_readings() -> None:
    """A reading with a page missing has not missed anything."""
    story = sent().doubts("S0")
    assert learn(story, complete=False) == []
    for reads in (1, 2, 3):
        learn(story)
        assert story.order("S0").not_found == reads
    assert story.order("S0").ord_status is OrdStatus.UNKNOWN


def test_what_is_not_in_doubt_cannot_be_missing() -> None:
    """A live order that a lagging list does not show stays live, and a parked one is not counted any more."""
    story = live()
    assert learn(story) == []
    story = sent().doubts("S0").quarantines("S0")
    assert learn(story) == []


# Fills ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_execution_is_booked_once() -> None:
    """Executions are told apart by their ids, in one report and over many."""
    story = live()
    first, second = execution(40, exec_id="a"), execution(60, exec_id="b")
    assert kinds(learn(story, shown(story, BrokerState.NEW, first, first))) == ["order_filled"]
    assert kinds(learn(story, shown(story, BrokerState.FILLED, first, second))) == ["order_filled"]
    order = story.order("S0")
    assert (order.cum_qty, order.ord_status, order.notional) == (100, OrdStatus.FILLED, Decimal(1000))


def test_cum_qty_never_falls() -> None:
    """An older picture of the order takes nothing back."""
    story = live()
    learn(story, shown(story, BrokerState.NEW, execution(40)))
    for executions in (True, False):
        assert learn(story, shown(story, BrokerState.NEW), executions=executions) == []
    assert story.order("S0").cum_qty == 40


def test_a_fill_after_the_cancel_counts_and_the_status_stays() -> None:
    """Closed means no new requests, not no new facts: the fill is late, the order stays CANCELED, the book moves."""
    story = live().cancels("S0")
    (event,) = learn(story, shown(story, BrokerState.CANCELED, execution(30)))
    assert isinstance(event, OrderFilled)
    assert event.late
    assert (story.order("S0").ord_status, story.order("S0").cum_qty) == (OrdStatus.CANCELED, 30)
    assert story.state.holdings["AAA"].qty == -30


def test_a_fill_after_done_counts() -> None:
    """The orders of a cycle that is over are still followed."""
    story = Story().buying(intent("B0", "AAA")).sends("B0").acknowledges("B0").cancels("B0").ends()
    (event,) = learn(story, report(story.order("B0"), BrokerState.CANCELED, [execution(10)]))
    assert isinstance(event, OrderFilled)
    assert story.state.holdings["AAA"].qty == 10


def test_a_fill_of_an_order_parked_in_an_earlier_cycle_counts() -> None:
    """An order that was in quarantine is adopted in a later cycle, with its fills and its frozen symbol released."""
    story = Story().buying(intent("B0", "AAA")).sends("B0").doubts("B0").quarantines("B0").ends()
    story.opens(intent("B1", "CCC"), cycle_id="c-2")
    found = learn(story, report(story.order("B0"), BrokerState.FILLED, [execution(100)]))
    assert kinds(found) == ["order_acknowledged", "order_filled"]
    assert story.state.holdings["AAA"].qty == 100
    assert not story.state.frozen


def test_an_overfill_is_kept_and_freezes_the_symbol_once() -> None:
    """More shares than ordered: all are booked, the symbol is frozen, a person is told; an unfreeze is not undone."""
    story = live()
    found = learn(story, shown(story, BrokerState.FILLED, execution(101)))
    assert kinds(found) == ["order_filled", "symbol_frozen", "attention_raised"]
    assert isinstance(found[1], SymbolFrozen)
    assert story.order("S0").cum_qty == 101
    assert learn(story, shown(story, BrokerState.FILLED, execution(101))) == []


def test_a_watermark_stands_in_for_executions() -> None:
    """A broker with sums only: the difference is one fill at its own mean price, with its own fee."""
    story = live()
    first = shown(story, cum_qty=Decimal(40), notional=Decimal(400), fees=Decimal("0.2"))
    second = shown(story, BrokerState.FILLED, cum_qty=Decimal(100), notional=Decimal(1030), fees=Decimal("0.5"))
    learn(story, first, executions=False)
    assert learn(story, first, executions=False) == []
    (event,) = learn(story, second, executions=False)
    assert isinstance(event, OrderFilled)
    assert (event.last_qty, event.last_px, event.fee) == (60, Decimal("10.5"), Decimal("0.3"))
    assert (story.order("S0").notional, story.order("S0").fees) == (Decimal(1030), Decimal("0.5"))


# Words and figures that cannot be believed ────────────────────────────────────────────────────────────────────────


def test_an_unknown_word_is_unknown_and_back() -> None:
    """The raw word is kept while it lasts; a known one ends it; fills count meanwhile."""
    story = live()
    (event, *_) = learn(story, shown(story, BrokerState.UNKNOWN, raw_status="Held"))
    assert isinstance(event, OrderInDoubt)
    assert (story.order("S0").ord_status, story.order("S0").raw_status) == (OrdStatus.UNKNOWN, "Held")
    fills = [execution(10)]
    assert kinds(learn(story, shown(story, BrokerState.UNKNOWN, *fills, raw_status="Held"))) == ["order_filled"]
    learn(story, shown(story, BrokerState.NEW, *fills))
    assert (story.order("S0").ord_status, story.order("S0").raw_status) == (OrdStatus.PARTIALLY_FILLED, None)


def test_seed_758_what_trades_under_an_unknown_word_is_there_and_counts_as_a_trade() -> None:
    """An order whose reply was lost and that is shown with fills under a word nobody knows: acknowledged, still UNKNOWN."""
    story = sent().doubts("S0")
    part = execution(10, exec_id="a")
    found = learn(story, shown(story, BrokerState.UNKNOWN, part, raw_status="Held"))
    assert kinds(found) == ["order_acknowledged", "order_filled", "order_in_doubt"]
    assert (story.order("S0").ord_status, story.order("S0").raw_status) == (OrdStatus.UNKNOWN, "Held")
    assert story.state.trades_today == 1
    assert learn(story, shown(story, BrokerState.UNKNOWN, part, raw_status="Held")) == []
    rest = execution(story.order("S0").order_qty - 10, exec_id="b")
    learn(story, shown(story, BrokerState.UNKNOWN, part, rest, raw_status="Held"))
    assert (story.order("S0").ord_status, story.state.trades_today) == (OrdStatus.FILLED, 1)


def test_a_parked_order_that_was_filled_whole_is_adopted_whatever_its_word() -> None:
    """Nothing is unsure of it any more, so its symbol may trade again; with a part it stays parked."""
    story = sent().doubts("S0").quarantines("S0")
    part = execution(10, exec_id="a")
    assert kinds(learn(story, shown(story, BrokerState.UNKNOWN, part, raw_status="Held")))[0] == "order_filled"
    assert story.state.frozen
    rest = execution(story.order("S0").order_qty - 10, exec_id="b")
    learn(story, shown(story, BrokerState.UNKNOWN, part, rest, raw_status="Held"))
    assert (story.order("S0").ord_status, dict(story.state.frozen)) == (OrdStatus.FILLED, {})


def test_rejected_with_fills_is_cancelled() -> None:
    """REJECTED needs cum_qty 0: with shares filled the rest was cancelled, whatever the broker calls it."""
    story = live()
    found = learn(story, shown(story, BrokerState.REJECTED, execution(7)))
    assert kinds(found) == ["order_filled", "order_canceled"]
    assert isinstance(found[1], OrderCanceled)
    assert story.order("S0").ord_status is OrdStatus.CANCELED


@pytest.mark.parametrize("state", [BrokerState.FILLED, BrokerState.CANCELED, BrokerState.EXPIRED])
def test_a_close_whose_executions_are_missing_is_no_close_yet(state: BrokerState) -> None:
    """The sum says 60, the executions 40: the 40 are booked, and the end is believed when both agree."""
    story = live()
    some = execution(40, exec_id="a")
    learn(story, shown(story, state, some, cum_qty=Decimal(60)))
    assert (story.order("S0").cum_qty, story.order("S0").ord_status) == (40, OrdStatus.UNKNOWN)
    rest = execution(60 if state is BrokerState.FILLED else 20, exec_id="b")
    learn(story, shown(story, state, some, rest))
    assert story.order("S0").ord_status is OrdStatus(state.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"cum_qty": Decimal("NaN")},
        {"cum_qty": Decimal("Infinity")},
        {"cum_qty": Decimal(-1)},
        {"cum_qty": Decimal("1.5")},
        {"notional": Decimal("NaN")},
        {"fees": Decimal("-Infinity")},
        {"fills": (execution(10, "NaN"),)},
        {"fills": (execution(10, "0"),)},
        {"fills": (execution(10, "-3"),)},
        {"fills": (execution(-10),)},
        {"fills": (execution(10, fee="NaN"),)},
    ],
)
@pytest.mark.parametrize("state", [BrokerState.NEW, BrokerState.CANCELED, BrokerState.FILLED])
@pytest.mark.parametrize("executions", [True, False])
def test_figures_that_make_no_sense_book_nothing_and_close_nothing(
    changes: dict[str, Any], state: BrokerState, executions: bool
) -> None:
    """Such a report is a riddle: UNKNOWN, with the money and the shares as they were."""
    story = live()
    cash = story.state.cash
    learn(story, replace(shown(story, state), **changes), executions=executions)
    order = story.order("S0")
    assert (order.ord_status, order.cum_qty, story.state.cash) == (OrdStatus.UNKNOWN, 0, cash)


def test_a_refused_order_that_stands_at_the_broker_is_told() -> None:
    """A definite no, and then the order is there: a person must look."""
    story = sent().rejects("S0")
    found = learn(story, shown(story))
    assert isinstance(found[-1], AttentionRaised)
    assert found[-1].rule == "open_after_refusal"


def test_a_voided_order_that_is_there_after_all_lives() -> None:
    """A word of an operator's that was wrong: the order is followed again, with its fills."""
    story = sent().doubts("S0").voids("S0")
    learn(story, shown(story, BrokerState.NEW, execution(5)))
    assert (story.order("S0").ord_status, story.order("S0").cum_qty) == (OrdStatus.PARTIALLY_FILLED, 5)
    assert story.order("S0").acknowledged_at is not None


def test_the_number_alone_makes_an_order_ours() -> None:
    """A broker that does not keep our mark shows the order under its number, and that is enough."""
    story = sent().doubts("S0")
    assert kinds(learn(story, shown(story, user_mark=None))) == ["order_acknowledged"]


def test_what_does_not_match_is_told_with_both_sides() -> None:
    """The sentence holds what the broker shows and what the journal holds."""
    story = sent().doubts("S0")
    told = learn(story, shown(story, symbol="BBB"))[0]
    assert isinstance(told, AttentionRaised)
    assert told.rule == "identity"
    assert "the broker shows ('BBB'" in told.text
    assert "the journal holds ('AAA'" in told.text


# The day on which a trade settles ─────────────────────────────────────────────────────────────────────────────────

LATER = DAY + timedelta(days=3)


def settled(found: list[Event]) -> list[date]:
    return [event.settles for event in found if isinstance(event, OrderFilled)]


def test_a_sale_settles_on_the_date_of_its_cycle() -> None:
    """Whenever its execution says it was made, and whatever the buys of the cycle waited for."""
    story = live()
    assert settled(learn(story, shown(story, BrokerState.NEW, execution(40, exec_id="a")))) == [DAY + timedelta(days=1)]
    story.fills("S0", 10).cancels("S0").sells_close().settles().revalidates(settles=LATER)
    parts = execution(40, exec_id="a"), execution(20, exec_id="late")
    assert settled(learn(story, shown(story, BrokerState.CANCELED, *parts))) == [DAY + timedelta(days=1)]


def test_a_buy_settles_by_the_day_on_which_it_was_revalidated() -> None:
    """That day's date where the decision names one, else that of the cycle."""
    for named, expected in ((LATER, LATER), (None, DAY + timedelta(days=1))):
        story = Story().opens(intent("B0", "AAA")).sells_close().settles().revalidates(settles=named)
        story.sends("B0").acknowledges("B0")
        assert settled(learn(story, report(story.order("B0"), BrokerState.NEW, [execution(10)]))) == [expected]


def test_without_a_cycle_a_trade_settles_on_its_own_day_at_the_earliest() -> None:
    """An order of a journal whose cycle is not in memory: its date is that of its execution."""
    old = sent().acknowledges("S0").order("S0")
    assert old.order_no is not None
    empty = Story()
    read = reading(empty, report(old, BrokerState.NEW, [execution(10)]))
    found = list(facts(empty.state, read, executions=True, known=frozenset(), older={old.order_no: old}))
    assert settled(found) == [DAY]


# Orders that were closed, and words that nobody knows ─────────────────────────────────────────────────────────────


def test_a_refused_order_that_trades_gets_no_new_life() -> None:
    """Under a word nobody knows only its shares are booked; shown as filled, the broker's id is taken down as well."""
    riddle = sent().rejects("S0")
    part = execution(10, exec_id="a")
    assert kinds(learn(riddle, shown(riddle, BrokerState.UNKNOWN, part, raw_status="Held"))) == ["order_filled"]
    plain = sent().rejects("S0")
    whole = execution(plain.order("S0").order_qty)
    assert kinds(learn(plain, shown(plain, BrokerState.FILLED, whole))) == ["order_acknowledged", "order_filled"]
    assert plain.order("S0").order_id == "id-S0"
    assert plain.order("S0").is_closed


def test_only_an_order_that_is_shown_open_after_its_refusal_is_told() -> None:
    """Shown as refused, cancelled or expired it is what we know."""
    for state in (BrokerState.REJECTED, BrokerState.CANCELED, BrokerState.EXPIRED, BrokerState.PENDING_CANCEL):
        story = sent().rejects("S0")
        assert "attention_raised" not in kinds(learn(story, shown(story, state)))
    for state in (BrokerState.NEW, BrokerState.PENDING_NEW):
        story = sent().rejects("S0")
        assert "attention_raised" in kinds(learn(story, shown(story, state)))


def test_an_unknown_word_without_a_trade_acknowledges_nothing() -> None:
    """Shown and not understood, the order stays in doubt with that word, and is no trade of the day."""
    story = sent().doubts("S0")
    assert kinds(learn(story, shown(story, BrokerState.UNKNOWN, raw_status="Held"))) == ["order_in_doubt"]
    assert story.state.trades_today == 0


def test_another_unknown_word_is_a_new_fact_and_the_same_is_none() -> None:
    """The journal holds the last word that the broker had."""
    story = live()
    for word, facts_of_it in (("Held", ["order_in_doubt"]), ("Held", []), ("Stuck", ["order_in_doubt"])):
        assert kinds(learn(story, shown(story, BrokerState.UNKNOWN, raw_status=word))) == facts_of_it
        assert story.order("S0").raw_status == word


def test_an_order_that_begins_to_trade_under_the_word_it_had_is_still_in_doubt() -> None:
    """The trade proves that it is there, and says nothing about how it will end."""
    story = sent().doubts("S0")
    learn(story, shown(story, BrokerState.UNKNOWN, raw_status="Held"))
    found = learn(story, shown(story, BrokerState.UNKNOWN, execution(10), raw_status="Held"))
    assert kinds(found) == ["order_acknowledged", "order_filled", "order_in_doubt"]
    assert story.order("S0").ord_status is OrdStatus.UNKNOWN


def test_what_is_filled_whole_is_closed_by_that_alone() -> None:
    """Whatever end the broker calls it by, no second one is journaled."""
    for state in (BrokerState.CANCELED, BrokerState.EXPIRED, BrokerState.FILLED):
        story = live()
        assert kinds(learn(story, shown(story, state, execution(100)))) == ["order_filled"]
        assert story.order("S0").ord_status is OrdStatus.FILLED


def test_one_share_at_half_a_dollar_is_a_trade_and_none_is_not() -> None:
    """Every whole number of shares from one on, at every price above zero, with or without executions."""
    story = live()
    assert kinds(learn(story, shown(story, BrokerState.NEW, execution(1, "0.5")))) == ["order_filled"]
    assert kinds(learn(live(), shown(live(), BrokerState.NEW, execution(0, "0.5")))) == ["order_in_doubt"]
    summed = live()
    one = shown(summed, BrokerState.NEW, cum_qty=Decimal(1), notional=Decimal("0.5"))
    assert kinds(learn(summed, one, executions=False)) == ["order_filled"]


@pytest.mark.parametrize(
    ("cum_qty", "notional", "at"),
    [(40, 400, None), (40, 0, START), (40, -1, START), (0, 5, START)],
    ids=["no time", "no money yet", "money taken back", "money without shares"],
)
def test_a_sum_that_is_only_half_there_books_nothing_yet(cum_qty: int, notional: int, at: datetime | None) -> None:
    """Shares without money, money without shares, or neither at any time: the next reading will tell."""
    story = live()
    changes = {"cum_qty": Decimal(cum_qty), "notional": Decimal(notional), "transact_time": at}
    assert learn(story, shown(story, BrokerState.NEW, **changes), executions=False) == []


def test_a_sum_that_shrinks_takes_nothing_back() -> None:
    """Fewer shares than before for more money is an older picture with a mistake in it, and no fill."""
    story = live()
    learn(story, shown(story, cum_qty=Decimal(40), notional=Decimal(400)), executions=False)
    assert learn(story, shown(story, cum_qty=Decimal(30), notional=Decimal(500)), executions=False) == []
    assert story.order("S0").cum_qty == 40
