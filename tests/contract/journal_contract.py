"""What every adapter of the port Journal must do; a test class inherits this and says how a journal is opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from oms.errors import FenceLostError, LeaseHeldError
from oms.model.cycle import ImpossibleFact
from oms.model.event import AttentionRaised, OrderFilled, OrderPlanned
from oms.model.order import Side
from oms.model.state import AccountState
from oms.ports import Journal
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened, full_story, oddities, write

LEASE_S = 15.0

Open = Callable[..., Any]


def contents(state: AccountState) -> dict[str, Any]:
    """Everything a state holds, comparable."""
    found = {name: value for name, value in vars(state).items() if name not in ("cycle", "recall")}
    cycle = state.cycle
    if cycle is not None:
        found["cycle"] = {n: v for n, v in vars(cycle).items() if not n.startswith("_") and not callable(v)}
    return found


class JournalContract:
    """The fixture ``open_one`` opens the same account's journal each time it is called: one more process.

    It takes ``alive=False`` for a process that is found dead at once, and ``other_boot=True`` for one whose machine
    restarted since.
    """

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def open_one(self, clock: FakeClock) -> Open:
        raise NotImplementedError

    @pytest.fixture
    def journal(self, open_one: Open) -> Journal:
        journal: Journal = open_one()
        return journal

    def test_a_new_journal_is_empty(self, journal: Journal) -> None:
        """Before the first fact there is no cycle, no money and no row."""
        assert journal.state.seq == 0
        assert journal.state.account == ACCOUNT
        assert contents(journal.state) == contents(AccountState(ACCOUNT))

    def test_facts_are_folded_as_they_are_written(self, journal: Journal) -> None:
        """The state shows a fact as soon as its append returns."""
        journal.append_barrier([account_opened()])
        journal.append(oddities())
        assert journal.state.seq == 1 + len(oddities())
        assert journal.state.cash == Decimal(20000)
        assert journal.state.inbox_id == 9

    def test_the_next_process_finds_the_same_state(self, journal: Journal, open_one: Open) -> None:
        """Loading gives exactly what folding gave, whatever has happened to the account."""
        full_story(journal)
        journal.close()
        again = open_one()
        assert contents(again.state) == contents(journal.state)
        again.close()

    def test_the_next_process_goes_on_where_the_last_one_stopped(self, journal: Journal, open_one: Open) -> None:
        """Facts appended after a resume fold like those before it."""
        full_story(journal)
        journal.close()
        again = open_one()
        last = Script(3)
        sell = last.intents(Side.SELL)[0]
        again.append([last.filled(sell, 3, 5), last.sells_closed()])
        again.close()
        third = open_one()
        assert contents(third.state) == contents(again.state)
        assert third.state.cycle.phase == "SETTLING"
        third.close()

    def test_soft_commits_survive_the_death_of_the_process(self, journal: Journal, open_one: Open) -> None:
        """A process that never closed its journal has lost nothing that an append returned from."""
        journal.append_barrier([account_opened()])
        journal.append(oddities())
        again = open_one(alive=False)
        assert contents(again.state) == contents(journal.state)
        again.close()

    def test_intents_are_refused_in_a_soft_commit(self, journal: Journal) -> None:
        """The number and fields of an order never wait in memory when the order leaves."""
        journal.append_barrier([account_opened()])
        script = Script()
        journal.append([script.opened(), *script.planned(Side.SELL)])
        before = journal.state.seq
        with pytest.raises(ValueError, match="barrier"):
            journal.append([script.reserved(script.intents(Side.SELL)[0])])
        assert journal.state.seq == before
        journal.append_barrier([script.reserved(script.intents(Side.SELL)[0])])

    def test_an_empty_barrier_is_refused(self, journal: Journal) -> None:
        """A commit that changes nothing syncs nothing, so it cannot be a barrier."""
        with pytest.raises(ValueError, match="at least one row"):
            journal.append_barrier([])

    def test_floats_and_infinities_are_refused_before_anything_is_written(self, journal: Journal) -> None:
        """What cannot be kept exactly is refused, and the journal stays usable."""
        journal.append_barrier([account_opened()])
        script = Script()
        journal.append([script.opened()])
        for bad in (Decimal("NaN"), Decimal("Infinity"), 10.5, Decimal("0.00000001")):
            planned = script.planned(Side.SELL)[0]
            assert isinstance(planned, OrderPlanned)
            values = {f: getattr(planned, f) for f in planned.__dataclass_fields__ if f != "kind"}
            with pytest.raises(ValueError, match=r"order_planned|exact"):
                journal.append([OrderPlanned(**{**values, "worst_px": bad})])
        journal.append(script.planned(Side.SELL))

    def test_an_execution_is_booked_once(self, journal: Journal) -> None:
        """A second fact about the same execution is refused, and with it everything in its commit."""
        journal.append_barrier([account_opened()])
        script = Script()
        write(journal, script.commits())
        again = script.filled(script.intents(Side.SELL)[0], 3, 5, late=True)
        assert isinstance(again, OrderFilled)
        with pytest.raises(ImpossibleFact):
            journal.append([AttentionRaised(rule="x", text="x"), again])

    def test_reserved_numbers_of_any_age_are_known(self, journal: Journal, open_one: Open) -> None:
        """The journal tells its own numbers from foreign ones, whether their orders are in memory or not."""
        full_story(journal)
        journal.close()
        again = open_one()
        ours = {"1-SELL-0", "2-BUY-0", "3-SELL-0"}
        assert again.known_numbers([*ours, "unknown", ""]).keys() == ours
        assert again.known_numbers([]) == {}
        assert again.known_numbers([str(n) for n in range(50_000)]) == {}
        again.close()

    def test_configurations_are_kept_whole(self, journal: Journal, open_one: Open) -> None:
        """A configuration is found under its hash by every later process, and never changes."""
        journal.keep_config("h1", '{"a":1}')
        journal.keep_config("h1", '{"a":1}')
        journal.append_barrier([account_opened()])
        journal.close()
        again = open_one()
        assert again.config("h1") == '{"a":1}'
        assert again.config("h2") is None
        again.close()

    # The lease

    def test_each_holder_has_a_higher_fence(self, journal: Journal, open_one: Open) -> None:
        """Fences grow by every taking of the lease."""
        first = journal.lease.fence
        journal.close()
        again = open_one()
        assert again.lease.fence == first + 1
        again.close()

    def test_a_held_lease_is_refused(self, journal: Journal, open_one: Open) -> None:
        """While a process lives and its lease runs, nobody else gets in; the sentence names it."""
        with pytest.raises(LeaseHeldError, match=str(journal.lease.pid)):
            open_one()

    def test_a_dead_holder_is_replaced_at_once(self, journal: Journal, open_one: Open) -> None:
        """The lease of a process that is gone does not make its successor wait."""
        successor = open_one(alive=False)
        assert successor.lease.fence == journal.lease.fence + 1
        successor.close()

    def test_another_boot_waits_for_the_expiry(self, journal: Journal, open_one: Open, clock: FakeClock) -> None:
        """Where the holder's end cannot be proved, only the end of its lease counts."""
        with pytest.raises(LeaseHeldError):
            open_one(alive=False, other_boot=True)
        clock.advance(timedelta(seconds=LEASE_S + 1))
        successor = open_one(alive=False, other_boot=True)
        assert successor.lease.fence == journal.lease.fence + 1
        assert successor.lease.restart_token != journal.lease.restart_token
        successor.close()

    def test_a_stale_holder_writes_nothing(self, journal: Journal, open_one: Open) -> None:
        """After another process took the lease, every write of the old holder fails and leaves no row."""
        journal.append_barrier([account_opened()])
        successor = open_one(alive=False)
        seen = successor.state.seq
        with pytest.raises(FenceLostError):
            journal.append([AttentionRaised(rule="stale", text="stale")])
        successor.append([AttentionRaised(rule="mine", text="mine")])
        assert successor.state.seq == seen + 1
        successor.close()
        third = open_one()
        assert third.state.seq == seen + 1
        third.close()

    def test_renewing_keeps_others_out(self, journal: Journal, open_one: Open, clock: FakeClock) -> None:
        """A holder that renews in time is never expired; a third of the lease is when it does."""
        for _ in range(10):
            clock.advance(timedelta(seconds=LEASE_S / 2))
            journal.renew()
        with pytest.raises(LeaseHeldError):
            open_one()

    def test_a_stale_holder_cannot_renew(self, journal: Journal, open_one: Open, clock: FakeClock) -> None:
        """Renewing a lost lease fails like every other write."""
        successor = open_one(alive=False)
        clock.advance(timedelta(seconds=LEASE_S / 2))
        with pytest.raises(FenceLostError):
            journal.renew()
        successor.close()
