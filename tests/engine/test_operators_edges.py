"""What an operator's command answers, and on which of several differences, orders and limits it acts."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from oms.engine.operators import carry_out
from oms.engine.standing import COMMAND
from oms.model.difference import Difference, DifferenceKind
from oms.model.event import Blacklisted, CommandAnswered, Reconciled
from tests.engine.test_operators import in_doubt, message, tell
from tests.model.story import Story, intent, position


def difference(symbol: str, there: str, cost: str | None) -> Difference:
    return Difference(
        kind=DifferenceKind.SURPLUS, symbol=symbol, broker=Decimal(there), journal=Decimal(10), text="told", proposal="",
        cost=None if cost is None else Decimal(cost),
    )  # fmt: skip


def apart() -> Story:
    """One order of AAA and the shares of BBB, of AAA, and of ZZZ, which the journal never held, do not agree."""
    found = (
        difference("AAA", "5", None), difference("BBB", "7", "70"), difference("AAA", "12", "130"),
        difference("ZZZ", "3", "9"),
    )  # fmt: skip
    return Story(held=[position("AAA", 10), position("BBB", 10)]).tell(Reconciled(differences=found))


class TestBrake:
    """Halt and release."""

    def test_each_halt_says_what_it_stops(self) -> None:
        """Buys, or every order."""
        assert tell(Story(), "halt") == "halted: no buy is sent until `release`"
        assert tell(Story(), "halt", scope="all") == "halted: no order is sent until `release`"

    def test_a_halt_that_changes_nothing_is_accepted(self) -> None:
        """The same again is journaled again; a smaller one is answered and changes nothing."""
        story = Story()
        for scope in ("buys", "buys", "all", "all"):
            events, _ = carry_out(story.state, message("halt", scope=scope))
            assert [event.kind for event in events] == ["halted"]
            story.tell(*events)
        (smaller,), answer = carry_out(story.state, message("halt", scope="buys"))
        assert isinstance(smaller, CommandAnswered)
        assert (smaller.accepted, smaller.answer, answer) == (
            True,
            answer,
            "halted already: no order is sent until `release`",
        )

    def test_a_release_says_whether_there_was_a_halt(self) -> None:
        """It is journaled either way."""
        story = Story()
        assert tell(story, "release") == "nothing was halted"
        tell(story, "halt")
        assert tell(story, "release") == "released"


class TestAdopting:
    """The broker's figure into the books."""

    def test_the_difference_in_shares_of_that_symbol(self) -> None:
        """Not the one about an order of it, and not another symbol's."""
        story = apart()
        assert tell(story, "adopt", symbol="AAA", reason="asked") == (
            "the books hold 12 AAA instead of 10, at a cost of 130 in all"
        )
        held = story.state.holdings["AAA"]
        assert (held.qty, held.cost) == (Decimal(12), Decimal(130))
        assert story.state.holdings["BBB"].qty == Decimal(10)

    def test_shares_that_the_journal_never_held(self) -> None:
        """Instead of none."""
        story = apart()
        assert tell(story, "adopt", symbol="ZZZ") == "the books hold 3 ZZZ instead of 0, at a cost of 9 in all"

    def test_nothing_stands(self) -> None:
        """Of that symbol, or only about an order of it: refused, with where to look."""
        for story in (apart(), Story().tell(Reconciled(differences=(difference("CCC", "5", None),)))):
            answer = tell(story, "adopt", symbol="CCC")
            assert answer == ("refused: no difference in shares of CCC stands; `reconcile show` lists those that do")

    @pytest.mark.parametrize(("shares", "taken"), [("12", True), ("12.0", True), ("13", False), ("many", False)])
    def test_the_figure_that_the_person_saw(self, shares: str, taken: bool) -> None:
        """Where the broker's has changed since, nothing is adopted."""
        story = apart()
        answer = tell(story, "adopt", symbol="AAA", shares=shares)
        assert answer.startswith("refused: ") is not taken
        assert (story.state.holdings["AAA"].qty == Decimal(12)) is taken
        if shares == "13":
            assert answer == "refused: the broker holds 12 AAA, not 13; nothing was adopted"


class TestTheRest:
    """Lists, orders in doubt, and what is no command."""

    def test_a_listing_ends_when_it_says(self) -> None:
        """The instant is journaled as it was typed."""
        (listed,), _ = carry_out(
            Story().state, message("blacklist_add", symbol="AAA", until="2026-03-02T10:00:00+01:00")
        )
        assert isinstance(listed, Blacklisted)
        assert listed.until == datetime(2026, 3, 2, 9, tzinfo=UTC)

    def test_what_the_broker_has_is_not_void(self) -> None:
        """It is named as the broker names it: by its id, else by the word of its status."""
        story = Story().opens(intent("S0", "AAA")).sends("S0").acknowledges("S0").doubts("S0", raw="What")
        assert tell(story, "resolve", cl_ord_id="S0") == "refused: the broker has S0 as id-S0, so it cannot be voided"
        story = Story().opens(intent("S0", "AAA")).sends("S0").acknowledges("S0").doubts("S0")
        assert tell(story, "resolve", cl_ord_id="S0") == "refused: the broker has S0 as id-S0, so it cannot be voided"
        story = in_doubt()
        story.doubts("S0", raw="What")
        assert (
            tell(story, "resolve", cl_ord_id="S0")
            == "refused: the broker has S0 as status 'What', so it cannot be voided"
        )

    def test_an_order_in_doubt_is_void_beside_the_engine_that_doubts_it(self) -> None:
        """Its request is over; the answer is kept as accepted."""
        story = in_doubt()
        events, _ = carry_out(story.state, message("resolve", cl_ord_id="S0"), fence=story.cycle.fence)
        assert [event.kind for event in events] == ["order_voided", "command_answered"]
        assert isinstance(events[1], CommandAnswered)
        assert events[1].accepted

    def test_a_restore_that_says_nothing_is_refused(self) -> None:
        """It is answered like any other row that makes no sense."""
        events, answer = carry_out(Story().state, message(COMMAND))
        assert [event.kind for event in events] == ["command_answered"]
        assert answer.startswith("refused: ")

    def test_no_command_of_ours(self) -> None:
        """It is refused by its name."""
        assert tell(Story(), "sell everything") == "refused: no such command: sell everything"
