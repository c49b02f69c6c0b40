"""Questions about a time, whatever the clock did: set back, standing still or leaping, no fact of that time is missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oms.audit.past import moment_of
from oms.journal import filters, history
from oms.journal.history import EventFilter
from oms.journal.reader import Reader, reader_over
from oms.journal.store import SqliteJournal, open_journal
from oms.model.event import AttentionRaised, SymbolFrozen, SymbolUnfrozen
from oms.model.order import Side
from oms.model.state import order_in, quarantine_reason
from tests.audit.stories import facts_of
from tests.audit.test_past import comparable, folded
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened


@contextmanager
def opened(clock: FakeClock) -> Iterator[tuple[SqliteJournal, Reader]]:
    """A journal in memory, and a reader over it."""
    journal = open_journal("sqlite://", ACCOUNT, "paper", clock)
    try:
        journal.append_barrier([account_opened()])
        yield journal, reader_over(journal.connection)
    finally:
        journal.close()


def every_page(reader: Reader, wanted: EventFilter, *, newest: bool) -> list[int]:
    """The rows of an answer, three at a time, in the order of the journal."""
    found: list[int] = []
    place: dict[str, Any] = {}
    while True:
        page = history.journal_query(reader, replace(wanted, **place), limit=3, newest=newest)
        seqs = [event["seq"] for event in page["events"]]
        found = [*seqs, *found] if newest else [*found, *seqs]
        if page["next"] is None:
            return found
        place = {"before" if newest else "after": page["next"]}


STEPS = st.lists(st.sampled_from([-90, -30, -1, 0, 0, 1, 1, 2, 30, 60, 90]), min_size=1, max_size=30)


@settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(steps=STEPS, few=st.booleans(), edges=st.lists(st.integers(0, 40), min_size=2, max_size=6))
def test_a_symbol_or_a_rule_within_a_time_is_the_plain_answer(steps: list[int], few: bool, edges: list[int]) -> None:
    """Both ends, one end, newest or oldest first, page by page and streamed, with times of few facts and of too many."""
    clock = FakeClock()
    with opened(clock) as (journal, reader), pytest.MonkeyPatch.context() as patched:
        patched.setattr(filters, "MOST_IN_A_TIME", 2 if few else 50_000)
        for number, step in enumerate(steps):
            clock.jump(timedelta(seconds=step))
            symbol, rule = f"S{number % 2}", f"rule_{number % 3}"
            journal.append([SymbolFrozen(symbol=symbol, reason="r"), AttentionRaised(rule=rule, text="t")])
        facts = facts_of(reader)
        times = [facts[edge % len(facts)].at for edge in edges]
        for since, until in [*pairwise(times), (times[0], None), (None, times[1])]:
            for name, value in (("symbol", "S1"), ("rule", "rule_1")):
                named: dict[str, Any] = {name: value}
                wanted = EventFilter(**named, since=since, until=until)
                plain = [
                    fact.seq
                    for fact in facts
                    if getattr(fact.event, name, None) == value
                    and (since is None or fact.at >= since)
                    and (until is None or fact.at < until)
                ]
                assert every_page(reader, wanted, newest=True) == plain
                assert every_page(reader, wanted, newest=False) == plain
                assert [event["seq"] for event in history.journal_stream(reader, wanted)] == plain
                assert history.journal_count(reader, wanted) == len(plain)


def test_few_facts_of_a_time_are_looked_at_however_long_the_symbol_has_traded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a symbol with a thousand facts, a question about ten seconds steps over tens of rows, not a thousand."""
    clock = FakeClock()
    with opened(clock) as (journal, reader):
        for _ in range(1000):
            clock.advance(timedelta(seconds=1))
            journal.append([SymbolFrozen(symbol="S0", reason="r")])
        middle = facts_of(reader)[500].at
        wanted = EventFilter(symbol="S0", since=middle, until=middle + timedelta(seconds=10))
        steps = {}
        for most in (0, 50_000):
            monkeypatch.setattr(filters, "MOST_IN_A_TIME", most)
            with reader.asking("a test") as connection:
                raw: Any = connection.connection.driver_connection
                counted: list[None] = []
                raw.set_progress_handler(lambda counted=counted: counted.append(None), 10)
                found = filters.find_events(connection, ACCOUNT, wanted, 100, newest=True)
                raw.set_progress_handler(None, 0)
            steps[most] = len(counted)
            assert len(found) == 10
    assert steps[50_000] * 5 < steps[0]


@pytest.mark.parametrize("ends", ["found", "found while frozen by hand", "released", "frozen anew"])
def test_a_symbol_that_was_frozen_again_is_as_the_fold_says(ends: str) -> None:
    """A freeze with the words of a quarantine, as a restore brings it, ends with that order; one by hand does not."""
    clock = FakeClock()
    with opened(clock) as (journal, reader):
        script = Script(1, sells=1, buys=2, fence=journal.lease.fence)
        for is_barrier, facts in script.commits(park_last_buy=True):
            clock.advance(timedelta(seconds=1))
            (journal.append_barrier if is_barrier else journal.append)(facts)
        buy = script.intents(Side.BUY)[-1]
        key = script._of(buy)["cl_ord_id"]
        by_quarantine = SymbolFrozen(symbol=buy.symbol, reason=quarantine_reason(key))
        by_hand = SymbolFrozen(symbol=buy.symbol, reason="by hand")
        released = SymbolUnfrozen(symbol=buy.symbol, reason="", author="ada")
        elsewhere = SymbolFrozen(symbol="ELSE", reason=quarantine_reason(key))
        journal.append([released, by_quarantine, elsewhere, *([by_hand] if "by hand" in ends else [])])
        for number in (2, 3):  # by now it is an order of an earlier cycle
            if number == 3 and ends != "released":
                journal.append([script.acknowledged(buy, adopted=True)])
            if number == 3 and ends == "released":
                journal.append([released])
            if number == 3 and ends == "frozen anew":
                journal.append([by_quarantine])
            for is_barrier, facts in Script(number, sells=1, buys=1, fence=journal.lease.fence).commits():
                (journal.append_barrier if is_barrier else journal.append)(facts)
        with reader.asking("a test") as connection:
            for state in folded(facts_of(reader)):
                then = moment_of(connection, ACCOUNT, state.seq)
                assert comparable(then.state) == comparable(state), state.seq
        last = state.frozen.get(buy.symbol)
    expected = {"found": None, "released": None, "found while frozen by hand": "by hand"}
    assert last == expected.get(ends, quarantine_reason(key))


def test_the_words_of_a_quarantine_name_their_order() -> None:
    """And no other words do."""
    assert order_in(quarantine_reason("B001-f1a9")) == "B001-f1a9"
    assert [order_in(text) for text in ("", "by hand", "order B001", "x is in quarantine")] == [None] * 4
