"""Time travel: what is rebuilt of an earlier moment is what a fold of every fact up to it gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from oms.audit.past import moment_of
from oms.audit.then import funds_at, positions_at, status_at
from oms.errors import UsageError
from oms.journal import views
from oms.journal.reader import Reader
from oms.model.event import CycleOpened, Recorded
from oms.model.order import Order
from oms.model.state import AccountState
from tests.audit.stories import CHAPTERS, Chapter, facts_of, lived
from tests.contract.journal_contract import contents
from tests.fakes.clock import START
from tests.journal.facts import ACCOUNT


def folded(facts: list[Recorded]) -> Iterator[AccountState]:
    """The state after each fact, from nothing."""
    state = AccountState(ACCOUNT)
    closed: dict[str, Order] = {}
    state.recall = closed.get
    for fact in facts:
        if isinstance(fact.event, CycleOpened):
            closed.update({order.cl_ord_id: order for order in state.orders})
        state.apply(fact)
        yield state


def comparable(state: AccountState) -> dict[str, Any]:
    found = contents(state)
    # Orders of earlier cycles that are closed again are kept only until the next cycle opens.
    found["parked"] = {key: order for key, order in found["parked"].items() if not order.is_closed}
    return found


# Not shrunk: each example folds a whole journal at each of its rows.
@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(chapters=CHAPTERS)
def test_every_moment_is_the_fold_of_all_facts_before_it(chapters: list[Chapter]) -> None:
    """After each row of any life, the state gathered from the nearest cheap place equals the full fold."""
    with lived(chapters) as (_, reader), reader.asking("a test") as connection:
        for state in folded(facts_of(reader)):
            then = moment_of(connection, ACCOUNT, state.seq)
            assert comparable(then.state) == comparable(state), state.seq


def test_now_is_what_the_tables_say(reader: Reader) -> None:
    """Asked about the present, the journal alone answers as the tables do, but for the process at work."""
    now = START + timedelta(days=30)
    unsaid = ("running", "pid", "host", "heartbeat", "tasks", "waiting_for", "journal", "halted")
    there, here = status_at(reader, now), views.status(reader, now)
    assert {k: v for k, v in there.items() if k not in (*unsaid, "at")} == {
        k: v for k, v in here.items() if k not in unsaid
    }
    assert there["journal"]["seq"] == here["journal"]["seq"]
    assert there["journal"]["head"] == here["journal"]["head"]
    assert there["halted"].items() <= here["halted"].items()
    without = {k: v for k, v in positions_at(reader, now).items() if k != "at"}
    assert without == views.positions(reader)
    assert {k: v for k, v in funds_at(reader, now).items() if k != "at"} == views.funds(reader)


def test_the_past_is_not_the_present() -> None:
    """A moment in the middle of a cycle shows that cycle, its phase, and only the shares held by then."""
    with lived([Chapter(2, 2, False, False, False, "nothing"), Chapter(2, 2, False, False, False, "nothing")]) as (
        _,
        reader,
    ):
        facts = facts_of(reader)
        settled = next(fact for fact in facts if fact.event.kind == "funds_settled")
        status = status_at(reader, settled.at)
        assert (status["phase"], status["journal"]["seq"]) == ("REVALIDATING", settled.seq)
        assert {p["symbol"]: p["qty"] for p in positions_at(reader, settled.at)["positions"]} == {
            "S0": "995",
            "S1": "995",
            "S2": "1000",
        }
        assert funds_at(reader, settled.at)["spendable"] == "20050.00"
        assert funds_at(reader, facts[0].at)["spendable"] is None


def test_before_the_beginning_nothing_is_known(reader: Reader) -> None:
    """A time before the first fact is refused with a sentence."""
    with pytest.raises(UsageError, match="begins after 2020-01-01"):
        status_at(reader, START.replace(year=2020, month=1, day=1, hour=0))
