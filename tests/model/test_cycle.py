"""One cycle: five phases, each entered once, through the guards and no other way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from oms.model.cycle import MACHINE, TABLE, Cycle, ImpossibleFact, Phase
from oms.model.detail import Outcome, SettledBy
from oms.model.event import (
    BuysClosed,
    BuysRevalidated,
    CycleAborted,
    CycleEvent,
    CycleOpened,
    FundsSettled,
    OrderCanceled,
    OrderPlanned,
    SellsClosed,
)
from tests.model.story import DAY, Story, intent

SELL, BUY = intent("S0", "AAA"), intent("B0", "CCC")


def selling() -> Story:
    return Story().opens(SELL, BUY)


def settling() -> Story:
    return selling().sends("S0").fills("S0").sells_close()


def revalidating() -> Story:
    return settling().settles()


def buying() -> Story:
    return revalidating().revalidates()


def done() -> Story:
    return buying().sends("B0").fills("B0").ends()


STORIES: dict[Phase, Callable[[], Story]] = {
    Phase.SELLING: selling,
    Phase.SETTLING: settling,
    Phase.REVALIDATING: revalidating,
    Phase.BUYING: buying,
    Phase.DONE: done,
}


def steps() -> dict[str, CycleEvent]:
    """The facts that move a cycle, as a well-behaved story journals them."""
    kinds = (SellsClosed, FundsSettled, BuysRevalidated, BuysClosed)
    return {row.event.kind: row.event for row in done().rows if isinstance(row.event, kinds)}


def test_the_table_is_the_protocols() -> None:
    """Five phases and four moves, each with the guard that the protocol writes beside it."""
    assert [(trigger, source.value, dest.value, guard) for trigger, source, dest, guard in TABLE] == [
        ("sells_closed", "SELLING", "SETTLING", "sells_are_finished"),
        ("funds_settled", "SETTLING", "REVALIDATING", None),
        ("buys_revalidated", "REVALIDATING", "BUYING", "adopted_sells_are_closed"),
        ("buys_closed", "BUYING", "DONE", "buys_are_finished"),
    ]
    assert [phase.value for phase in Phase] == ["SELLING", "SETTLING", "REVALIDATING", "BUYING", "DONE"]


@pytest.mark.parametrize("phase", Phase)
def test_each_story_is_where_it_says(phase: Phase) -> None:
    """The five stories of this page stand in the five phases."""
    assert STORIES[phase]().cycle.phase is phase


LEGAL = {(source, trigger) for trigger, source, _, _ in TABLE}


@pytest.mark.parametrize(
    ("phase", "trigger"),
    [pair for pair in itertools.product(Phase, [row[0] for row in TABLE]) if pair not in LEGAL],
)
def test_every_illegal_move_is_refused(phase: Phase, trigger: str) -> None:
    """A fact at the wrong place raises and leaves the phase as it was."""
    story = STORIES[phase]()
    with pytest.raises(ImpossibleFact):
        story.tell(steps()[trigger])
    assert story.cycle.phase is phase


@pytest.mark.parametrize("phase", Phase)
def test_no_move_jumps_past_a_guard(phase: Phase) -> None:
    """The machine has no ``to_DONE`` and no other trigger of its own."""
    cycle = STORIES[phase]().cycle
    assert [name for name in dir(cycle) if name.startswith("to_")] == []
    assert set(MACHINE.events) == {trigger for trigger, *_ in TABLE}


@pytest.mark.parametrize(
    ("deed", "closes"),
    [
        (lambda s: s, False),
        (lambda s: s.sends("S0"), False),
        (lambda s: s.sends("S0").doubts("S0"), False),
        (lambda s: s.sends("S0").acknowledges("S0").fills("S0", 99), False),
        (lambda s: s.sends("S0").acknowledges("S0").asks_cancel("S0"), False),
        (lambda s: s.sends("S0").fills("S0"), True),
        (lambda s: s.sends("S0").acknowledges("S0").cancels("S0"), True),
        (lambda s: s.blocks("S0"), True),
        (lambda s: s.sends("S0").doubts("S0").quarantines("S0"), True),
    ],
)
def test_selling_ends_only_when_nothing_of_it_can_still_happen(deed: Callable[[Story], Story], closes: bool) -> None:
    """Every sell closed, blocked or quarantined; a guard that refuses raises."""
    story = deed(selling())
    if closes:
        assert story.sells_close().cycle.phase is Phase.SETTLING
    else:
        with pytest.raises(ImpossibleFact, match="guard"):
            story.sells_close()
        assert story.cycle.phase is Phase.SELLING


def test_a_planned_sell_that_is_not_written_down_keeps_the_phase_open() -> None:
    """The plan says two sells: with one row only, nothing is finished."""
    opened = Story().opens(SELL, intent("S1", "BBB")).rows[1].event
    assert isinstance(opened, CycleOpened)
    cycle = Cycle(opened, Story().now)
    assert not cycle.sells_are_finished()


def test_an_adopted_sell_is_closed_before_buys_are_decided() -> None:
    """A sell found late holds REVALIDATING until it is closed; one still in quarantine does not."""
    story = selling().sends("S0").doubts("S0").quarantines("S0").sells_close().settles()
    story.acknowledges("S0")
    with pytest.raises(ImpossibleFact, match="guard"):
        story.revalidates()
    assert story.fills("S0").revalidates().cycle.phase is Phase.BUYING
    parked = selling().sends("S0").doubts("S0").quarantines("S0").sells_close().settles()
    assert parked.revalidates().cycle.phase is Phase.BUYING


def test_buying_ends_only_when_nothing_of_it_can_still_happen() -> None:
    """An open buy keeps the cycle open."""
    story = buying().sends("B0")
    with pytest.raises(ImpossibleFact, match="guard"):
        story.ends()
    assert story.acknowledges("B0").cancels("B0").ends().cycle.is_done


def test_facts_that_move_no_phase_move_none() -> None:
    """Orders, readings and resumptions are facts inside a phase."""
    story = settling().resumes(2).observes("10000").fills("S0", 1)
    assert story.cycle.phase is Phase.SETTLING
    assert (story.cycle.resumed, story.cycle.fence) == (1, 2)


def test_a_sell_fill_forgets_the_readings() -> None:
    """Readings count from the last sell fill; a fact about anything else leaves them."""
    story = settling().observes("11000").resumes(2)
    assert len(story.cycle.readings) == 1
    assert story.fills("S0", 1).cycle.readings == ()


def test_expected_spendable_is_opening_plus_proceeds_less_fees_less_a_cent() -> None:
    """Exact to the cent and below."""
    story = selling().sends("S0").fills("S0", price="10.0001", fee="0.37").sells_close()
    assert str(story.cycle.expected_spendable) == "10999.6300"
    assert (story.cycle.proceeds, story.cycle.sell_fees) == (story.order("S0").notional, story.order("S0").fees)


def test_a_quarantined_sell_is_never_forgotten() -> None:
    """`unresolved_sell` holds for the cycle even when the sell is found, filled or voided later."""
    for end in ("acknowledges", "fills", "voids"):
        story = selling().sends("S0").doubts("S0").quarantines("S0")
        getattr(story, end)("S0")
        assert story.cycle.has_unresolved_sell


def test_a_resumption_marks_what_it_found() -> None:
    """Orders that stood in the journal then are looked at afresh, later ones are not."""
    story = Story().opens(intent("B0", "CCC"), intent("B1", "DDD")).sells_close().settles().resumes(2)
    assert story.cycle.planned_earlier == frozenset()
    assert story.revalidates().resumes(3).cycle.planned_earlier == {"B0", "B1"}


def test_a_fact_of_another_cycle_is_refused() -> None:
    """Each cycle takes its own facts only, and an order is planned once."""
    story = selling()
    with pytest.raises(ImpossibleFact):
        story.tell(FundsSettled(cycle_id="c-9", by=SettledBy.DEADLINE, expected=0, spendable=0, readings=()))  # type: ignore[arg-type]
    with pytest.raises(ImpossibleFact):
        story.tell(OrderCanceled(cycle_id="c-1", cl_ord_id="S9", symbol="AAA", cum_qty=0))
    with pytest.raises(ImpossibleFact, match="second time"):
        story.plan(SELL)


def test_an_account_never_has_two_open_cycles() -> None:
    """The next cycle opens when the last is DONE."""
    with pytest.raises(ImpossibleFact, match="is open"):
        buying().opens(BUY, cycle_id="c-2")
    story = done().opens(BUY, cycle_id="c-2")
    assert (story.cycle.cycle_id, story.cycle.phase) == ("c-2", Phase.SELLING)


def test_the_cycles_own_copy_of_its_facts_is_counted() -> None:
    """Version grows by one with every fact of the cycle, from 1."""
    story = done()
    of_cycle = [row for row in story.rows if isinstance(row.event, CycleEvent | OrderPlanned)]
    assert story.cycle.version == len(of_cycle)
    assert story.cycle.outcome is Outcome.COMPLETE


def test_one_sell_that_was_parked_is_enough() -> None:
    """No buy follows in a cycle of which any sell was in quarantine, be the others as they may."""
    story = Story().opens(SELL, intent("S1", "BBB"), BUY).sends("S0").fills("S0")
    assert not story.cycle.has_unresolved_sell
    assert story.sends("S1").doubts("S1").quarantines("S1").cycle.has_unresolved_sell
    assert story.acknowledges("S1").fills("S1").cycle.has_unresolved_sell


def test_a_cycle_does_not_end_before_its_buys_are_planned() -> None:
    """Buys that are still to be planned are not finished, although none of those that are there is open."""
    story = revalidating()
    assert not story.cycle.buys
    assert not story.cycle.buys_are_finished()


def test_only_the_fill_of_a_sell_makes_readings_old() -> None:
    """What was read before money came is no reading of it; anything else leaves the readings as they are."""
    story = Story().opens(SELL, BUY).sends("S0").acknowledges("S0").observes("9000")
    assert len(story.asks_cancel("S0").cycle.readings) == 1
    assert story.fills("S0", 1).cycle.readings == ()
    bought = buying().sends("B0").observes("9000")
    before = bought.cycle.readings
    assert before
    assert bought.fills("B0").cycle.readings == before


def test_the_first_reason_to_abort_is_kept() -> None:
    """A second one changes nothing."""
    story = selling()
    first = CycleAborted(cycle_id="c-1", rule="stale_on_resume", reason="first")
    story.tell(first)
    assert story.cycle.aborted == first
    story.tell(CycleAborted(cycle_id="c-1", rule="halted", reason="second"))
    assert story.cycle.aborted == first


def test_what_has_not_happened_is_none() -> None:
    """A cycle that still sells has no end of its sells; the machine's triggers take nobody's place."""
    cycle = selling().cycle
    assert (cycle.sells_over, cycle.settled, cycle.revalidated, cycle.aborted, cycle.outcome) == (None,) * 5
    assert settling().cycle.sells_over is not None


def test_a_cycle_sends_on_its_own_day_or_on_the_later_one_of_its_buys() -> None:
    """The day of its opening, until its buys are revalidated on another; a journal that names none there means its own."""
    later = DAY + timedelta(days=1)
    assert [story().cycle.day for story in (selling, settling, revalidating, buying)] == [DAY] * 4
    assert revalidating().revalidates(day=later).cycle.day == later


def test_a_cycle_knows_when_it_was_opened_and_when_each_phase_began() -> None:
    """The instants of the facts that did it, and of no other."""
    story = Story()
    opened = story.opens(SELL, BUY).rows[1].at
    assert (story.cycle.opened_at, story.cycle.phase_since) == (opened, opened)
    story.sends("S0").fills("S0")
    assert story.cycle.phase_since == opened
    for step in (story.sells_close, story.settles, story.ends):
        if step == story.ends:
            story.revalidates().sends("B0").fills("B0")
        step()
        assert story.cycle.phase_since == story.now
    assert (story.cycle.closed_at, story.cycle.opened_at) == (story.now, opened)


def test_a_cycle_knows_who_trades_it() -> None:
    """The fence of the process that opened it, and of the one that took it up last, with the instant."""
    story = selling()
    assert (story.cycle.fence, story.cycle.resumed, story.cycle.resumed_at) == (1, 0, None)
    story.resumes(7)
    assert (story.cycle.fence, story.cycle.resumed, story.cycle.resumed_at) == (7, 1, story.now)


def test_what_was_read_while_selling_is_no_reading_of_the_proceeds() -> None:
    """The readings that count begin when every sell is closed; the one that settled them is kept."""
    story = selling().sends("S0").fills("S0").observes("9000").sells_close()
    assert story.cycle.readings == ()
    story.observes("11000").settles("11000")
    assert story.cycle.settled is not None
    assert story.cycle.settled.spendable == 11_000
